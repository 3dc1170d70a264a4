/*
 * text.c - the VGA's text screen in the terminal. The one file that knows curses.
 *
 * The main thread waits for keys and for the display; curses belongs to it. Other threads leave word and wake it. Keys are typed as
 * strokes, since a terminal tells no releases.
 */
#include "ui/front.h"
#include <stdio.h>

#ifndef HAVE_NCURSES
bool text_open(struct front *f, struct vm *vm, struct tty_keys *keys, char *err, size_t errsize)
{
	snprintf(err, errsize, "--display text: this ringfence was built without ncurses");
	return false;
}

bool text_possible(void)
{
	return false;
}
#else
#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "devices/display.h"
#include "devices/input.h"
#include "devices/screenshot.h"
#include "monitor/vm.h"
#include "ui/tty.h"
#include <term.h>	/* last: it makes macros of common words */

#define ESCAPE_MS 30		/* a key's sequence comes at once, a person's next key does not */
#define CTRL_A 1

static const char help[] = "Ctrl-A X leaves, C prompt, D Ctrl+Alt+Del, Ctrl-A itself; Esc KEY is Alt+KEY";

struct text {
	struct vm *vm;
	struct display_viewer viewer;
	SCREEN *screen;
	int wake;			/* eventfd */
	u32 stopped, resized, continued;	/* atomic, left by other threads */
	bool prefix;			/* Ctrl-A was the last key */
	bool help;			/* the help line is shown until the next key */
	struct tty_keys *keys;		/* the prompt's way; keys->in_prompt: it has the terminal */
	pthread_mutex_t why_lock;
	char why[VM_PAUSE_WHY];		/* the machine is paused; "": it is not */
	char leave[64];			/* what the terminal is sent when it becomes the user's again */
	struct display_frame frame;	/* without its pixels */
};

/* --- other threads --- */

static void wake(struct text *t)
{
	u64 one = 1;
	while (write(t->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void display_woke(void *arg)
{
	wake(arg);
}

static void text_stop(void *arg)
{
	struct text *t = arg;
	__atomic_store_n(&t->stopped, 1, __ATOMIC_RELEASE);
	wake(t);
}

static void text_signal(void *arg, int sig)
{
	struct text *t = arg;
	if (sig == SIGTSTP)
		return;		/* the machine gives the terminal back */
	__atomic_store_n(sig == SIGWINCH ? &t->resized : &t->continued, 1, __ATOMIC_RELEASE);
	wake(t);
}

static void set_why(struct text *t, const char *why)
{
	pthread_mutex_lock(&t->why_lock);
	snprintf(t->why, sizeof(t->why), "%s", why);
	pthread_mutex_unlock(&t->why_lock);
	wake(t);
}

static void machine_paused(void *arg)
{
	struct text *t = arg;
	set_why(t, t->vm->pause_why);
}

static void machine_goes_on(void *arg)
{
	set_why(arg, "");
}

/* --- picture --- */

/* The VGA counts blue, green, red, the terminal red, green, blue. */
static short colour(u8 vga)
{
	return (short)((vga & 0x0a) | (vga & 1) << 2 | (vga >> 2 & 1));
}

static void make_pairs(void)
{
	int fgs = COLORS >= 16 ? 16 : 8;
	start_color();
	for (int bg = 0; bg < 8; bg++)
		for (int fg = 0; fg < fgs && bg * 16 + fg + 1 < COLOR_PAIRS; fg++)
			init_pair((short)(bg * 16 + fg + 1), colour((u8)fg), colour((u8)bg));
}

static void put_cell(const struct display_cell *c, int y, int x)
{
	wchar_t text[2] = { cp437_unicode(c->ch), 0 };
	u8 fg = c->attr & 15, bg = c->attr >> 4 & 7;
	attr_t attr = c->attr & 0x80 ? A_BLINK : A_NORMAL;
	cchar_t cell;
	if (COLORS < 16 && fg & 8)
		attr |= A_BOLD;
	setcchar(&cell, text, attr, has_colors() ? (short)(bg * 16 + (COLORS >= 16 ? fg : fg & 7) + 1) : 0, NULL);
	mvadd_wch(y, x, &cell);
}

/* Where a window of `size` begins so that the cursor is inside. */
static u32 first_visible(s32 cursor, u32 size, u32 all)
{
	if (size >= all || cursor < (s32)size)
		return 0;
	return (u32)cursor - size + 1;
}

static void draw_cells(const struct display_frame *f)
{
	s32 row = f->cursor < 0 ? -1 : f->cursor / (s32)f->cols, col = f->cursor < 0 ? -1 : f->cursor % (s32)f->cols;
	u32 top = first_visible(row, (u32)LINES, f->rows), left = first_visible(col, (u32)COLS, f->cols);
	for (u32 y = top; y < f->rows && y - top < (u32)LINES; y++)
		for (u32 x = left; x < f->cols && x - left < (u32)COLS; x++)
			put_cell(&f->cells[y * f->cols + x], (int)(y - top), (int)(x - left));
	curs_set(f->cursor >= 0);
	if (f->cursor >= 0)
		move(row - (s32)top, col - (s32)left);
}

/* The frame without the pixels, which are most of it. */
static void take_frame(struct text *t)
{
	const struct display_frame *f = display_lock(t->vm->display);
	t->frame = *f;
	t->frame.pixels = NULL;
	display_unlock(t->vm->display);
}

static void last_line(const char *what, const char *text)
{
	attron(A_REVERSE);
	mvaddnstr(LINES - 1, 0, what, COLS);
	addnstr(text, COLS - (int)strlen(what) > 0 ? COLS - (int)strlen(what) : 0);
	attroff(A_REVERSE);
}

/* Over the guest's last line, which the cursor may be in. */
static void draw_notes(struct text *t)
{
	int y, x;
	char why[VM_PAUSE_WHY];
	pthread_mutex_lock(&t->why_lock);
	memcpy(why, t->why, sizeof(why));
	pthread_mutex_unlock(&t->why_lock);
	getyx(stdscr, y, x);
	if (t->help)
		last_line("", help);
	else if (why[0])
		last_line("paused: ", why);
	move(y, x);
}

static void draw(struct text *t)
{
	const struct display_frame *f = &t->frame;
	take_frame(t);
	erase();
	if (f->text && !f->blank && f->cols && f->rows && f->cols <= DISPLAY_MAX_COLS && f->rows <= DISPLAY_MAX_ROWS) {
		draw_cells(f);
	} else {
		curs_set(0);
		if (f->width && !f->blank)
			mvprintw(0, 0, "%.60s shows a picture of %u x %u dots, not text. Ctrl-A H helps.", t->vm->name, f->width, f->height);
	}
	draw_notes(t);
	refresh();
}

/* --- keys --- */

static u8 named_key(wint_t key, u8 *modifiers)
{
	static const struct { int key; const char *name; u8 modifiers; } keys[] = {
		{ KEY_UP, "up", 0 }, { KEY_DOWN, "down", 0 }, { KEY_LEFT, "left", 0 }, { KEY_RIGHT, "right", 0 }, { KEY_HOME, "home", 0 },
		{ KEY_END, "end", 0 }, { KEY_PPAGE, "pgup", 0 }, { KEY_NPAGE, "pgdn", 0 }, { KEY_IC, "insert", 0 }, { KEY_DC, "delete", 0 },
		{ KEY_BACKSPACE, "backspace", 0 }, { KEY_ENTER, "kp_enter", 0 }, { KEY_BTAB, "tab", INPUT_SHIFT },
		{ KEY_SLEFT, "left", INPUT_SHIFT }, { KEY_SRIGHT, "right", INPUT_SHIFT }, { KEY_SHOME, "home", INPUT_SHIFT },
		{ KEY_SEND, "end", INPUT_SHIFT }, { KEY_SF, "down", INPUT_SHIFT }, { KEY_SR, "up", INPUT_SHIFT },
	};
	static const u8 row_modifiers[] = { 0, INPUT_SHIFT, INPUT_CTRL };
	for (u32 i = 0; i < ARRAY_SIZE(keys); i++) {
		if ((int)key == keys[i].key) {
			*modifiers |= keys[i].modifiers;
			return input_key_by_name(keys[i].name);
		}
	}
	int n = (int)key - KEY_F(1);	/* F13 to F24 are those with Shift, F25 to F36 with Ctrl */
	if (n < 0 || n >= 36)
		return 0;
	*modifiers |= row_modifiers[n / 12];
	return (u8)(input_key_by_name("f1") + n % 12);
}

static void press_char(struct text *t, wint_t c, u8 modifiers)
{
	static const char controls[] = "\\]6-";	/* 1Ch to 1Fh */
	char name[2] = { 0, 0 };
	u8 usage;
	if (c == '\r' || c == '\t' || c == '\b' || c == 0x7f || c == 27) {
		usage = input_key_by_name(c == '\r' ? "ret" : c == '\t' ? "tab" : c == 27 ? "esc" : "backspace");
		input_press(t->vm->input, usage, modifiers);
	} else if (c < 0x20) {
		name[0] = (char)(c == 0 ? ' ' : c <= 26 ? 'a' + (char)c - 1 : controls[c - 0x1c]);
		input_press_char(t->vm->input, name[0], modifiers | INPUT_CTRL);
	} else if (c < 0x7f) {
		input_press_char(t->vm->input, (char)c, modifiers);
	}
}

/* The terminal shows what was in it before us, and the prompt below. */
static void enter_prompt(struct text *t)
{
	tty_leave_sends(NULL);
	endwin();
	t->keys->in_prompt = true;
	t->keys->prompt_open(t->keys->arg);
}

static void take_prompt_keys(struct text *t)
{
	u8 keys[64];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));
	if (n > 0)
		tty_keys(t->keys, keys, (size_t)n);
	if (t->keys->in_prompt)
		return;
	tty_leave_sends(t->leave);
	clearok(stdscr, TRUE);	/* and the next refresh() has the terminal again */
}

/* Ctrl-A begins a command to Ringfence, as in a serial terminal. */
static bool command(struct text *t, int kind, wint_t c)
{
	if (kind == OK && c == CTRL_A && !t->prefix) {
		t->prefix = true;
		return true;
	}
	if (!t->prefix || (kind == OK && c == CTRL_A)) {
		t->prefix = false;
		return false;
	}
	t->prefix = false;
	if (kind == OK && (c == 'x' || c == 'X'))
		vm_request_stop(t->vm, VM_QUIT);
	else if (kind == OK && (c == 'c' || c == 'C') && t->keys->prompt_open)
		enter_prompt(t);
	else if (kind == OK && (c == 'd' || c == 'D'))
		input_press(t->vm->input, input_key_by_name("delete"), INPUT_CTRL | INPUT_ALT);
	else
		t->help = true;
	return true;
}

static void take_key(struct text *t, int kind, wint_t c)
{
	u8 modifiers = 0, usage;
	t->help = false;
	if (command(t, kind, c))
		return;
	if (kind == OK && c == 27) {	/* Alt sends it before the key */
		kind = get_wch(&c);
		if (kind == ERR) {
			press_char(t, 27, 0);
			return;
		}
		modifiers = INPUT_ALT;
	}
	if (kind != KEY_CODE_YES)
		press_char(t, c, modifiers);
	else if ((usage = named_key(c, &modifiers)) != 0)
		input_press(t->vm->input, usage, modifiers);
}

static void take_keys(struct text *t)
{
	wint_t c;
	for (int kind; !t->keys->in_prompt && (kind = get_wch(&c)) != ERR; )
		take_key(t, kind, c);
}

/* --- life --- */

static void resize(struct text *t)
{
	struct winsize size;
	if (__atomic_exchange_n(&t->resized, 0, __ATOMIC_ACQ_REL) && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
	if (__atomic_exchange_n(&t->continued, 0, __ATOMIC_ACQ_REL)) {
		tty_enter();
		if (t->keys->in_prompt) {
			t->keys->prompt_open(t->keys->arg);
			return;
		}
		endwin();
		tty_leave_sends(t->leave);
		refresh();
		clearok(stdscr, TRUE);
	}
}

static void add_capability(struct text *t, const char *name)
{
	const char *s = tigetstr(name);
	size_t have = strlen(t->leave);
	if (s && s != (char *)-1 && strlen(s) < sizeof(t->leave) - have)
		strcpy(t->leave + have, s);
}

static bool enter(struct text *t)
{
	tty_enter();	/* first, so that a crash finds the terminal's own mode saved */
	t->screen = newterm(NULL, stdout, stdin);
	if (!t->screen) {
		tty_leave();
		return false;
	}
	add_capability(t, "sgr0");
	add_capability(t, "cnorm");
	add_capability(t, "rmkx");
	add_capability(t, "rmcup");
	tty_leave_sends(t->leave);
	set_escdelay(ESCAPE_MS);
	raw();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	if (has_colors())
		make_pairs();
	return true;
}

static void leave(struct text *t)
{
	tty_leave_sends(NULL);
	if (!isendwin())
		endwin();
	delscreen(t->screen);
	tty_leave();
}

static void text_run(void *arg)
{
	struct text *t = arg;
	struct pollfd fds[2] = { { .fd = t->wake, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
	u64 count;
	if (!enter(t)) {
		fprintf(stderr, "ringfence: the terminal cannot show a screen; the machine goes on without\n");
		return;
	}
	draw(t);
	while (!__atomic_load_n(&t->stopped, __ATOMIC_ACQUIRE)) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[0].revents && read(t->wake, &count, sizeof(count)) < 0)
			continue;
		if (fds[1].revents & (POLLHUP | POLLERR))
			break;	/* SIGHUP comes as well */
		resize(t);
		if (!t->keys->in_prompt)
			take_keys(t);
		else if (fds[1].revents)
			take_prompt_keys(t);
		if (!t->keys->in_prompt)
			draw(t);
	}
	leave(t);
}

static void text_close(void *arg)
{
	struct text *t = arg;
	display_detach(t->vm->display, &t->viewer);
	close(t->wake);
	free(t);
}

bool text_possible(void)
{
	int status;
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && setupterm(NULL, STDOUT_FILENO, &status) != ERR && cursor_address;
}

bool text_open(struct front *f, struct vm *vm, struct tty_keys *keys, char *err, size_t errsize)
{
	int status;
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		snprintf(err, errsize, "--display text: standard input and output are no terminal");
		return false;
	}
	if (setupterm(NULL, STDOUT_FILENO, &status) == ERR) {
		const char *term = getenv("TERM");
		snprintf(err, errsize, "--display text: the terminal '%.40s' is not known", term ? term : "");
		return false;
	}
	setlocale(LC_CTYPE, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8"))
		setlocale(LC_CTYPE, "C.UTF-8");
	struct text *t = calloc(1, sizeof(*t));
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!t || fd < 0) {
		snprintf(err, errsize, "--display text: %s", strerror(errno));
		free(t);
		return false;
	}
	t->vm = vm;
	t->wake = fd;
	t->keys = keys;
	pthread_mutex_init(&t->why_lock, NULL);
	vm_on(vm, VM_PAUSED, machine_paused, t);
	vm_on_continue(vm, machine_goes_on, t);
	t->viewer = (struct display_viewer){ .changed = display_woke, .arg = t };
	display_attach(vm->display, &t->viewer);
	*f = (struct front){ .run = text_run, .stop = text_stop, .signal = text_signal, .close = text_close, .arg = t };
	return true;
}
#endif

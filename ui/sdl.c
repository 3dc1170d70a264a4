/*
 * sdl.c - the machine in a window. It and sdl_audio.c, its sound, are the files that know SDL.
 *
 * The main thread waits for events of the window and for the display's, which the vCPU thread sends once until it was looked at; only
 * lines that changed go to the texture. SDL's scancodes are HID usages, so the host's keyboard layout does not matter.
 */
#include "ui/front.h"
#include <stdio.h>

#ifndef HAVE_SDL
bool sdl_open(struct front *f, struct vm *vm, const struct front_actions *actions, char *err, size_t errsize)
{
	snprintf(err, errsize, "--display sdl: this ringfence was built without SDL");
	return false;
}
#else
#include <SDL.h>
#include <SDL_syswm.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/display.h"
#include "devices/input.h"
#include "devices/screenshot.h"
#include "monitor/event.h"
#include "monitor/vm.h"
#include "ui/sdl_audio.h"
#include "ui/x11.h"

#define CLOSE_AGAIN_MS 5000
#define LOOK_AROUND_MS 500
#define TITLE_MAX 500

enum { CODE_CHANGED, CODE_SOUND, CODE_PAUSE, CODE_STOP };

struct sdl {
	struct vm *vm;
	struct front_actions actions;
	SDL_Window *window;
	SDL_Renderer *renderer;
	SDL_Texture *texture;
	u32 width, height;		/* of the texture; 0: none yet */
	u64 seen;			/* the frame's seq that the texture shows */
	struct display_viewer viewer;
	struct sdl_audio *audio;
	u32 event_type;
	int x11, wake;			/* the connection to the X server, -1: none; an eventfd, for who waits for it */
	bool lost;			/* atomic: the X server has gone */
	bool running;			/* in loop(); then out is where to go when that happens */
	jmp_buf out;
	u32 woken, stopped;		/* atomic: an event is on its way; run() is to return */
	u8 buttons;
	bool grabbed, full, resized;	/* resized: the user likes the window's size */
	bool draw;			/* the window is to be drawn again */
	pthread_mutex_t why_lock;
	char why[VM_PAUSE_WHY];		/* the machine is paused; "": it is not */
	u32 close_asked;		/* SDL ticks; 0: not */
};

static void say(const char *sentence)
{
	fprintf(stderr, "ringfence: %s\n", sentence);
}

/* --- other threads --- */

static bool push(struct sdl *s, int code)
{
	SDL_Event e = { .user = { .type = s->event_type, .code = code } };
	u64 one = 1;
	bool ok = !__atomic_load_n(&s->lost, __ATOMIC_ACQUIRE) && SDL_PushEvent(&e) == 1;
	while (s->x11 >= 0 && write(s->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	return ok;
}

static void display_woke(void *arg)
{
	struct sdl *s = arg;
	if (!__atomic_exchange_n(&s->woken, 1, __ATOMIC_ACQ_REL) && !push(s, CODE_CHANGED))
		__atomic_store_n(&s->woken, 0, __ATOMIC_RELEASE);
}

static void sound_woke(void *arg)
{
	push(arg, CODE_SOUND);
}

static void set_why(struct sdl *s, const char *why)
{
	pthread_mutex_lock(&s->why_lock);
	snprintf(s->why, sizeof(s->why), "%s", why);
	pthread_mutex_unlock(&s->why_lock);
	push(s, CODE_PAUSE);
}

static void machine_paused(void *arg)
{
	struct sdl *s = arg;
	set_why(s, s->vm->pause_why);
}

static void machine_goes_on(void *arg)
{
	set_why(arg, "");
}

static void sdl_stop(void *arg)
{
	struct sdl *s = arg;
	__atomic_store_n(&s->stopped, 1, __ATOMIC_RELEASE);
	push(s, CODE_STOP);
}

static void reset_machine(void *vm)
{
	vm_request_reset(vm);
}

/* --- picture --- */

static void show_title(struct sdl *s)
{
	char title[TITLE_MAX], paused[VM_PAUSE_WHY + 12] = "";
	const char *more = s->close_asked ? " (close again to switch it off)" : s->grabbed ? " (Ctrl+Alt+G releases the mouse)" : "";
	pthread_mutex_lock(&s->why_lock);
	if (s->why[0])
		snprintf(paused, sizeof(paused), " - paused: %s", s->why);
	pthread_mutex_unlock(&s->why_lock);
	snprintf(title, sizeof(title), "%.100s - Ringfence%s%s", s->vm->name, more, paused);
	SDL_SetWindowTitle(s->window, title);
}

static bool new_texture(struct sdl *s, u32 width, u32 height)
{
	if (s->texture)
		SDL_DestroyTexture(s->texture);
	s->texture = SDL_CreateTexture(s->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING, (int)width, (int)height);
	s->width = s->texture ? width : 0;
	s->height = height;
	s->seen = 0;
	if (!s->full && !s->resized)
		SDL_SetWindowSize(s->window, (int)width, (int)height);
	return s->texture;
}

/* Lines that changed, in runs. */
static void upload(struct sdl *s, const struct display_frame *f, bool all)
{
	for (u32 y = 0, end; y < f->height; y = end) {
		for (end = y; end < f->height && (all || f->line_seq[end] > s->seen); end++)
			;
		if (end == y) {
			end++;
			continue;
		}
		SDL_Rect lines = { 0, (int)y, (int)f->width, (int)(end - y) };
		SDL_UpdateTexture(s->texture, &lines, f->pixels + (size_t)y * f->width, (int)f->width * 4);
		s->draw = true;
	}
	s->seen = f->seq;
}

static void take_frame(struct sdl *s)
{
	__atomic_store_n(&s->woken, 0, __ATOMIC_RELEASE);
	const struct display_frame *f = display_lock(s->vm->display);
	if (f->width && f->pixels) {
		bool all = f->width != s->width || f->height != s->height;
		if (!all || new_texture(s, f->width, f->height))
			upload(s, f, all);
	}
	display_unlock(s->vm->display);
}

/* Whole multiples of the picture, as large as the window allows, in its middle; a smaller window shrinks it. */
static SDL_Rect place(const struct sdl *s)
{
	int w = 0, h = 0, pw = (int)s->width, ph = (int)s->height;
	SDL_GetRendererOutputSize(s->renderer, &w, &h);
	int scale = w / pw < h / ph ? w / pw : h / ph;
	if (scale >= 1) {
		pw *= scale;
		ph *= scale;
	} else if ((s64)w * ph < (s64)h * pw) {
		ph = (int)((s64)ph * w / pw);
		pw = w;
	} else {
		pw = (int)((s64)pw * h / ph);
		ph = h;
	}
	return (SDL_Rect){ (w - pw) / 2, (h - ph) / 2, pw, ph };
}

static void draw(struct sdl *s)
{
	s->draw = false;
	SDL_SetRenderDrawColor(s->renderer, 0, 0, 0, 255);
	SDL_RenderClear(s->renderer);
	if (s->width) {
		SDL_Rect to = place(s);
		SDL_RenderCopy(s->renderer, s->texture, NULL, &to);
	}
	SDL_RenderPresent(s->renderer);
}

/* --- the user's commands: Ctrl+Alt and a letter --- */

static void grab(struct sdl *s, bool on)
{
	s->grabbed = on;
	SDL_SetRelativeMouseMode(on);
	SDL_SetWindowGrab(s->window, on);
	show_title(s);
}

static void full_screen(struct sdl *s)
{
	s->full = !s->full;
	if (SDL_SetWindowFullscreen(s->window, s->full ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0))
		s->full = !s->full;
}

/* Named by the date; what is on the screen goes on while the file is written. */
static void screenshot(struct sdl *s)
{
	char path[160], when[40], err[300];
	time_t now = time(NULL);
	struct tm tm;
	localtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%d-%H%M%S", &tm);
	snprintf(path, sizeof(path), "%.80s-%s.png", s->vm->name, when);
	for (char *c = path; *c; c++)
		if (*c == '/')
			*c = '_';
	struct display_frame *copy = screenshot_copy(s->vm->display);
	if (!copy)
		say("no memory for a screenshot");
	else if (screenshot_write(copy, path, err, sizeof(err)))
		fprintf(stderr, "ringfence: the screen is in %s\n", path);
	else
		say(err);
	free(copy);
}

static void paste(struct sdl *s)
{
	char *text = SDL_GetClipboardText();
	const char *bad = text ? input_type(s->vm->input, text) : NULL;
	if (bad)
		fprintf(stderr, "ringfence: the clipboard is not typed: %s at character %zu\n",
			strlen(text) > INPUT_TEXT_MAX ? "it is too long" : "a US keyboard has no such key", (size_t)(bad - text) + 1);
	SDL_free(text);
}

static void act(struct sdl *s, bool (*action)(struct vm *vm, char *err, size_t errsize), const char *what)
{
	char err[300] = "";
	if (!action)
		fprintf(stderr, "ringfence: this machine has no %s\n", what);
	else if (!action(s->vm, err, sizeof(err)))
		say(err);
}

static void insert(struct sdl *s, const char *path)
{
	char err[600] = "";
	if (!s->actions.insert)
		say("this machine has no drive for other media");
	else if (!s->actions.insert(s->vm, path, err, sizeof(err)))
		say(err);
}

static bool command(struct sdl *s, SDL_Scancode code)
{
	switch (code) {
	case SDL_SCANCODE_E: act(s, s->actions.eject, "drive to eject from"); return true;
	case SDL_SCANCODE_F: full_screen(s); return true;
	case SDL_SCANCODE_G: grab(s, !s->grabbed); return true;
	case SDL_SCANCODE_P: act(s, s->actions.power_button, "power button"); return true;
	case SDL_SCANCODE_R: event_post(s->vm, reset_machine, s->vm); return true;
	case SDL_SCANCODE_S: screenshot(s); return true;
	case SDL_SCANCODE_V:
		input_release_all(s->vm->input);	/* Ctrl and Alt are down: what is typed would be commands */
		paste(s);
		return true;
	default: return false;
	}
}

/* --- events --- */

static void key(struct sdl *s, const SDL_KeyboardEvent *e)
{
	bool down = e->type == SDL_KEYDOWN;
	SDL_Scancode code = e->keysym.scancode;
	if (down && (e->keysym.mod & KMOD_CTRL) && (e->keysym.mod & KMOD_ALT) && !e->repeat && command(s, code))
		return;
	if (s->close_asked && down && code < SDL_SCANCODE_LCTRL) {	/* not the Alt of another Alt+F4 */
		s->close_asked = 0;
		show_title(s);
	}
	if (!e->repeat && code >= SDL_SCANCODE_A && code <= SDL_SCANCODE_RGUI)
		input_key(s->vm->input, (u8)code, down);
}

static void button(struct sdl *s, const SDL_MouseButtonEvent *e)
{
	static const u8 bits[] = { 0, INPUT_LEFT, INPUT_MIDDLE, INPUT_RIGHT, INPUT_BACK, INPUT_FORWARD };
	u8 bit = e->button < ARRAY_SIZE(bits) ? bits[e->button] : 0;
	if (!s->grabbed) {
		if (e->type == SDL_MOUSEBUTTONUP && e->button == SDL_BUTTON_LEFT)
			grab(s, true);
		return;
	}
	s->buttons = (u8)(e->type == SDL_MOUSEBUTTONDOWN ? s->buttons | bit : s->buttons & ~bit);
	input_mouse(s->vm->input, 0, 0, 0, s->buttons);
}

static void window_event(struct sdl *s, const SDL_WindowEvent *e)
{
	switch (e->event) {
	case SDL_WINDOWEVENT_FOCUS_LOST:
		s->buttons = 0;
		input_release_all(s->vm->input);
		if (s->grabbed)
			grab(s, false);
		break;
	case SDL_WINDOWEVENT_RESIZED:	/* by the user, not by us */
		s->resized = !s->full && s->width && ((u32)e->data1 != s->width || (u32)e->data2 != s->height);
		s->draw = true;
		break;
	case SDL_WINDOWEVENT_EXPOSED: case SDL_WINDOWEVENT_SIZE_CHANGED:
		s->draw = true;
		break;
	default:
		break;
	}
}

/* A machine that runs is not lost by one click. */
static void closed(struct sdl *s)
{
	u32 now = SDL_GetTicks();
	if (s->close_asked && now - s->close_asked < CLOSE_AGAIN_MS) {
		vm_request_stop(s->vm, VM_QUIT);
		return;
	}
	s->close_asked = now ? now : 1;
	show_title(s);
}

static void event(struct sdl *s, SDL_Event *e)
{
	switch (e->type) {
	case SDL_KEYDOWN: case SDL_KEYUP: key(s, &e->key); break;
	case SDL_MOUSEBUTTONDOWN: case SDL_MOUSEBUTTONUP: button(s, &e->button); break;
	case SDL_MOUSEMOTION:
		if (s->grabbed)
			input_mouse(s->vm->input, e->motion.xrel, e->motion.yrel, 0, s->buttons);
		break;
	case SDL_MOUSEWHEEL:
		if (s->grabbed)
			input_mouse(s->vm->input, 0, 0, -e->wheel.y, s->buttons);
		break;
	case SDL_WINDOWEVENT: window_event(s, &e->window); break;
	case SDL_RENDER_TARGETS_RESET: case SDL_RENDER_DEVICE_RESET:
		s->width = 0;	/* the texture is lost */
		take_frame(s);
		break;
	case SDL_DROPFILE:
		insert(s, e->drop.file);
		SDL_free(e->drop.file);
		break;
	case SDL_QUIT: closed(s); break;
	default:
		if (e->type == s->event_type && e->user.code == CODE_CHANGED)
			take_frame(s);
		else if (e->type == s->event_type && e->user.code == CODE_SOUND)
			sdl_audio_check(s->audio);
		else if (e->type == s->event_type && e->user.code == CODE_PAUSE)
			show_title(s);
		break;
	}
}

static bool gone(struct sdl *s)
{
	return __atomic_load_n(&s->lost, __ATOMIC_ACQUIRE);
}

/* For an event, or for push(). SDL's own waiting would turn round and round on a dead connection to the X server. */
static void wait(struct sdl *s)
{
	struct pollfd fds[2] = { { .fd = s->x11, .events = POLLIN }, { .fd = s->wake, .events = POLLIN } };
	u64 count;
	if (s->x11 < 0)
		SDL_WaitEventTimeout(NULL, LOOK_AROUND_MS);
	else if (poll(fds, 2, LOOK_AROUND_MS) > 0 && fds[1].revents && read(s->wake, &count, sizeof(count)) < 0)
		say("cannot read an eventfd");
}

static void loop(struct sdl *s)
{
	SDL_Event e;
	while (!__atomic_load_n(&s->stopped, __ATOMIC_ACQUIRE) && !gone(s)) {
		if (SDL_PollEvent(&e)) {
			event(s, &e);
		} else if (s->draw) {
			draw(s);
		} else {
			wait(s);
		}
	}
}

static void sdl_run(void *arg)
{
	struct sdl *s = arg;
	if (!setjmp(s->out)) {
		s->running = true;
		loop(s);
	}
	s->running = false;
	if (!gone(s))
		return;
	display_detach(s->vm->display, &s->viewer);
	sdl_audio_close(s->audio);
	s->audio = NULL;
	input_release_all(s->vm->input);
	fprintf(stderr, "ringfence: the X server is gone; the machine goes on without a window ('ringfence ctl %s quit' ends it)\n",
		s->vm->name);
}

/* --- life --- */

static void sdl_close(void *arg)
{
	struct sdl *s = arg;
	display_detach(s->vm->display, &s->viewer);
	sdl_audio_close(s->audio);
	if (!gone(s))	/* it would wait for the server */
		SDL_Quit();
	close(s->wake);
	free(s);
}

/* Without a desktop SDL would draw where nobody looks. */
static bool on_a_screen(void)
{
	const char *driver = SDL_GetCurrentVideoDriver();
	if (getenv("SDL_VIDEODRIVER") || (driver && strcmp(driver, "offscreen") && strcmp(driver, "dummy")))
		return true;
	SDL_SetError("there is no display here");
	return false;
}

static bool make_window(struct sdl *s)
{
	s->window = SDL_CreateWindow("Ringfence", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, 720, 400, SDL_WINDOW_RESIZABLE);
	if (!s->window)
		return false;
	s->renderer = SDL_CreateRenderer(s->window, -1, 0);
	if (!s->renderer)
		s->renderer = SDL_CreateRenderer(s->window, -1, SDL_RENDERER_SOFTWARE);
	s->event_type = SDL_RegisterEvents(1);
	return s->renderer && s->event_type != (u32)-1;
}

/* The main thread never goes back into what it was doing: SDL follows pointers that it did not get. */
static void server_lost(void *display, void *arg)
{
	struct sdl *s = arg;
	__atomic_store_n(&s->lost, true, __ATOMIC_RELEASE);
	if (s->running)
		longjmp(s->out, 1);
}

static void outlive_server(struct sdl *s)
{
	SDL_SysWMinfo info;
	SDL_VERSION(&info.version);
	s->x11 = -1;
#ifdef SDL_VIDEO_DRIVER_X11
	if (SDL_GetWindowWMInfo(s->window, &info) && info.subsystem == SDL_SYSWM_X11)
		s->x11 = x11_outlive(info.info.x11.display, server_lost, s);
#endif
}

bool sdl_open(struct front *f, struct vm *vm, const struct front_actions *actions, char *err, size_t errsize)
{
	struct sdl *s = calloc(1, sizeof(*s));
	int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!s || wake < 0) {
		snprintf(err, errsize, "--display sdl: %s", strerror(errno));
		free(s);
		return false;
	}
	s->wake = wake;
	pthread_mutex_init(&s->why_lock, NULL);
	s->vm = vm;
	s->actions = *actions;
	SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
	SDL_SetHint(SDL_HINT_RENDER_SCALE_QUALITY, "nearest");
	SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
	SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
	if (SDL_Init(SDL_INIT_VIDEO) || !on_a_screen() || !make_window(s)) {
		snprintf(err, errsize, "--display sdl: no window: %s", SDL_GetError());
		SDL_Quit();
		close(s->wake);
		free(s);
		return false;
	}
	outlive_server(s);
	show_title(s);
	s->draw = true;
	s->viewer = (struct display_viewer){ .changed = display_woke, .arg = s };
	display_attach(vm->display, &s->viewer);
	vm_on(vm, VM_PAUSED, machine_paused, s);
	vm_on_continue(vm, machine_goes_on, s);
	s->audio = sdl_audio_open(vm, sound_woke, s);
	*f = (struct front){ .run = sdl_run, .stop = sdl_stop, .close = sdl_close, .arg = s };
	return true;
}
#endif

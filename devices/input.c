/*
 * input.c - queues what users do for the vCPU thread, and types text.
 *
 * Invariant: `ring` and `text` are under the lock; sink, keys that are down and the pace of typing belong to the vCPU thread.
 * Movements of the mouse that nobody has taken yet become one; a queue that is full (a guest that stands still) loses strokes, but
 * never the release of a key: what is pressed then stays pressed only in the queue.
 */
#include "devices/input.h"
#include "monitor/clock.h"
#include "monitor/event.h"
#include "monitor/vm.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define RING 256
/* BIOSes keep 15 strokes, and programs look at them now and then: a fast typist's pace, with the release for each press. */
#define STROKE_NS 8000000ull

enum kind { KEY, MOUSE, RELEASE_ALL };
struct happening {
	enum kind kind;
	u8 usage, buttons;
	bool down;
	int dx, dy, dz;
};
struct stroke { u8 usage, modifiers; };
struct input {
	struct vm *vm;
	pthread_mutex_t lock;
	struct happening ring[RING];
	u32 head, count;
	bool posted;			/* the vCPU thread knows that the ring or the text is not empty */
	struct stroke *text;		/* INPUT_TEXT_MAX of them, a ring */
	u32 text_head, text_count;

	struct input_sink sink;
	u8 down[32];			/* bit per usage */
	u8 buttons;
	struct timer typing;
	int phase;			/* of the stroke: modifiers, press, release, modifiers again */
	u8 leds;			/* atomic */
};

struct key_row { const char *name; u8 usage; char plain, shifted; };
static const struct key_row keys[] = {
#define KEY(name, usage, set1, set2, set3, plain, shifted) { name, usage, plain, shifted },
#include "devices/keys.def"
#undef KEY
};

u8 input_key_by_name(const char *name)
{
	/* Other words for keys that people know by several. */
	static const struct { const char *name, *key; } aliases[] = {
		{ "enter", "ret" }, { "return", "ret" }, { "escape", "esc" }, { "space", "spc" }, { "del", "delete" }, { "ins", "insert" },
		{ "sysrq", "print" }, { "menu", "compose" }, { "asterisk", "kp_multiply" }, { "ctrl_l", "ctrl" }, { "alt_l", "alt" },
		{ "shift_l", "shift" }, { "period", "dot" }, { "pageup", "pgup" }, { "pagedown", "pgdn" }, { "break", "pause" },
	};
	for (u32 i = 0; i < ARRAY_SIZE(aliases); i++)
		if (!strcmp(name, aliases[i].name))
			name = aliases[i].key;
	for (u32 i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(name, keys[i].name))
			return keys[i].usage;
	return 0;
}

static const struct key_row *key_of_char(char c)
{
	if (c == '\r')
		c = '\n';
	for (u32 i = 0; c && i < ARRAY_SIZE(keys); i++)
		if (keys[i].plain == c || keys[i].shifted == c)
			return &keys[i];
	return NULL;
}

/* --- vCPU thread --- */

static void send_key(struct input *in, u8 usage, bool down)
{
	u8 *byte = &in->down[usage / 8], bit = (u8)(1 << usage % 8);
	if (!!(*byte & bit) == down)
		return;
	*byte ^= bit;
	if (in->sink.key)
		in->sink.key(in->sink.kbd_dev, usage, down);
}

static void send_mouse(struct input *in, int dx, int dy, int dz, u8 buttons)
{
	in->buttons = buttons;
	if (in->sink.mouse)
		in->sink.mouse(in->sink.mouse_dev, dx, dy, dz, buttons);
}

static void release_all(struct input *in)
{
	for (u32 usage = 0; usage < 256; usage++)
		send_key(in, (u8)usage, false);
	if (in->buttons)
		send_mouse(in, 0, 0, 0, 0);
}

static void deliver(struct input *in, const struct happening *h)
{
	switch (h->kind) {
	case KEY:         send_key(in, h->usage, h->down); break;
	case MOUSE:       send_mouse(in, h->dx, h->dy, h->dz, h->buttons); break;
	case RELEASE_ALL: release_all(in); break;
	}
}

static void send_modifiers(struct input *in, u8 modifiers, bool down)
{
	static const struct { u8 bit, usage; } held[] = { { INPUT_CTRL, 0xe0 }, { INPUT_SHIFT, 0xe1 }, { INPUT_ALT, 0xe2 } };
	for (u32 i = 0; i < ARRAY_SIZE(held); i++)
		if (modifiers & held[i].bit)
			send_key(in, held[i].usage, down);
}

/* One phase of the first stroke that waits. */
static void type_stroke(struct input *in)
{
	struct stroke s = in->text[in->text_head];
	if (in->phase == 0 && !s.modifiers)
		in->phase = 1;
	switch (in->phase++) {
	case 0: send_modifiers(in, s.modifiers, true); break;
	case 1: send_key(in, s.usage, true); break;
	case 2: send_key(in, s.usage, false); break;
	case 3: send_modifiers(in, s.modifiers, false); break;
	}
	if (in->phase < (s.modifiers ? 4 : 3))
		return;
	in->phase = 0;
	in->text_head = (in->text_head + 1) % INPUT_TEXT_MAX;
	in->text_count--;
}

static void typing_due(void *arg, u64 now)
{
	struct input *in = arg;
	pthread_mutex_lock(&in->lock);
	if (in->text_count) {
		if (!in->sink.idle || in->sink.idle(in->sink.kbd_dev))
			type_stroke(in);
		timer_arm(&in->typing, now + STROKE_NS);
	}
	pthread_mutex_unlock(&in->lock);
}

static void take(void *arg)
{
	struct input *in = arg;
	struct happening h;
	pthread_mutex_lock(&in->lock);
	in->posted = false;
	while (in->count) {
		h = in->ring[in->head];
		in->head = (in->head + 1) % RING;
		in->count--;
		pthread_mutex_unlock(&in->lock);
		deliver(in, &h);
		pthread_mutex_lock(&in->lock);
	}
	if (in->text_count && in->typing.deadline == ~0ull)
		timer_arm(&in->typing, clock_now(in->vm));
	pthread_mutex_unlock(&in->lock);
}

void input_leds(struct input *in, u8 leds)
{
	__atomic_store_n(&in->leds, leds, __ATOMIC_RELAXED);
}

/* --- any thread --- */

u8 input_leds_shown(const struct input *in)
{
	return __atomic_load_n(&in->leds, __ATOMIC_RELAXED);
}

static void wake(struct input *in)
{
	if (!in->posted)
		in->posted = event_post(in->vm, take, in);
}

static void put(struct input *in, const struct happening *h)
{
	pthread_mutex_lock(&in->lock);
	struct happening *last = in->count ? &in->ring[(in->head + in->count - 1) % RING] : NULL;
	if (last && h->kind == MOUSE && last->kind == MOUSE && last->buttons == h->buttons) {
		last->dx += h->dx;
		last->dy += h->dy;
		last->dz += h->dz;
	} else if (in->count < RING - 1) {
		in->ring[(in->head + in->count++) % RING] = *h;
	} else {
		/* The last place: a guest that missed something gets no key that is stuck. */
		in->ring[(in->head + RING - 1) % RING] = (struct happening){ .kind = RELEASE_ALL };
		in->count = RING;
	}
	wake(in);
	pthread_mutex_unlock(&in->lock);
}

void input_key(struct input *in, u8 usage, bool down)
{
	put(in, &(struct happening){ .kind = KEY, .usage = usage, .down = down });
}

void input_release_all(struct input *in)
{
	put(in, &(struct happening){ .kind = RELEASE_ALL });
}

static int within(int n)
{
	return n < -4096 ? -4096 : n > 4096 ? 4096 : n;
}

void input_mouse(struct input *in, int dx, int dy, int dz, u8 buttons)
{
	put(in, &(struct happening){ .kind = MOUSE, .dx = within(dx), .dy = within(dy), .dz = within(dz), .buttons = buttons });
}

static struct stroke stroke_of_char(char c)
{
	const struct key_row *key = key_of_char(c);
	if (!key)
		return (struct stroke){ 0, 0 };
	return (struct stroke){ key->usage, key->plain != c && key->shifted == c ? INPUT_SHIFT : 0 };
}

/* Locked; there is room. */
static void put_stroke(struct input *in, struct stroke s)
{
	in->text[(in->text_head + in->text_count++) % INPUT_TEXT_MAX] = s;
}

bool input_press(struct input *in, u8 usage, u8 modifiers)
{
	pthread_mutex_lock(&in->lock);
	bool good = usage && in->text_count < INPUT_TEXT_MAX;
	if (good) {
		put_stroke(in, (struct stroke){ usage, modifiers });
		wake(in);
	}
	pthread_mutex_unlock(&in->lock);
	return good;
}

bool input_press_char(struct input *in, char c, u8 modifiers)
{
	struct stroke s = stroke_of_char(c);
	return input_press(in, s.usage, s.modifiers | modifiers);
}

const char *input_type(struct input *in, const char *text)
{
	const char *bad = text;
	while (*bad && key_of_char(*bad))
		bad++;
	if (*bad)
		return bad;
	pthread_mutex_lock(&in->lock);
	if ((size_t)(bad - text) > INPUT_TEXT_MAX - in->text_count) {
		bad = text + INPUT_TEXT_MAX - in->text_count;
	} else {
		for (bad = text; *bad; bad++)
			put_stroke(in, stroke_of_char(*bad));
		bad = NULL;
		wake(in);
	}
	pthread_mutex_unlock(&in->lock);
	return bad;
}

/* --- life --- */

void input_sink(struct input *in, const struct input_sink *sink)
{
	in->sink = *sink;
}

struct input *input_init(struct vm *vm)
{
	struct input *in = calloc(1, sizeof(*in));
	struct stroke *text = calloc(INPUT_TEXT_MAX, sizeof(*text));
	if (!in || !text) {
		free(in);
		free(text);
		return NULL;
	}
	in->vm = vm;
	in->text = text;
	pthread_mutex_init(&in->lock, NULL);
	timer_init(vm, &in->typing, typing_due, in);
	return in;
}

void input_fini(struct input *in)
{
	if (!in)
		return;
	timer_cancel(&in->typing);
	pthread_mutex_destroy(&in->lock);
	free(in->text);
	free(in);
}

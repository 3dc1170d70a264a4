/*
 * input.h - key strokes and mouse movements on their way from a window, terminal or control socket to the guest's keyboard and mouse.
 *
 * Keys are USB HID usages of page 07h (HID Usage Tables 1.12, 10), which are SDL's scancodes too: places on the keyboard, not characters.
 * input_*() may be called on any thread; the sinks run on the vCPU thread.
 */
#ifndef RF_INPUT_H
#define RF_INPUT_H
#include "monitor/lib/types.h"

struct vm;
struct input;
/* Mouse buttons; the last two are at the side. */
enum { INPUT_LEFT = 1, INPUT_RIGHT = 2, INPUT_MIDDLE = 4, INPUT_BACK = 8, INPUT_FORWARD = 16 };

struct input_sink {
	void (*key)(void *kbd, u8 usage, bool down);
	/* All that was typed has reached the guest; NULL: always. */
	bool (*idle)(void *kbd);
	void (*mouse)(void *mouse, int dx, int dy, int dz, u8 buttons);	/* counts; dy and dz grow downwards */
	void *kbd_dev, *mouse_dev;
};
/* Sets nothing in vm; NULL: out of memory. After the clock and the event thread. */
struct input *input_init(struct vm *vm);
void input_fini(struct input *in);		/* NULL is allowed */
void input_sink(struct input *in, const struct input_sink *sink);
/* A key that is down already is not pressed again: repeating is the guest's keyboard's business. */
void input_key(struct input *in, u8 usage, bool down);
/* All keys up, all buttons too: the window has lost the keyboard. */
void input_release_all(struct input *in);
void input_mouse(struct input *in, int dx, int dy, int dz, u8 buttons);
/*
 * Types ASCII text as strokes of a US keyboard, no faster than guests read. Returns the first character that cannot be typed (nothing
 * of the text is typed then), or NULL; at most INPUT_TEXT_MAX characters wait to be typed, and what goes beyond counts as that, too.
 */
#define INPUT_TEXT_MAX 65536
const char *input_type(struct input *in, const char *text);
/*
 * A key pressed and released at the same pace, behind what waits to be typed, with some of these held.
 * False: no such key, or too much waits.
 */
enum { INPUT_CTRL = 1, INPUT_SHIFT = 2, INPUT_ALT = 4 };
bool input_press(struct input *in, u8 usage, u8 modifiers);
bool input_press_char(struct input *in, char c, u8 modifiers);
/* Key by name ("a", "ret", "f1", "ctrl", "alt", "delete", "up", names as QEMU's send-key): 0 if there is none. */
u8 input_key_by_name(const char *name);
/* Keyboard LEDs changed: bit 0 scroll, 1 num, 2 caps lock. vCPU thread. */
void input_leds(struct input *in, u8 leds);
u8 input_leds_shown(const struct input *in);	/* any thread */
#endif

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
enum { INPUT_LEFT = 1, INPUT_RIGHT = 2, INPUT_MIDDLE = 4 };	/* mouse buttons */

struct input_sink {
	void (*key)(void *kbd, u8 usage, bool down);
	void (*mouse)(void *mouse, int dx, int dy, int dz, u8 buttons);	/* counts; dy and dz grow downwards */
	void *kbd_dev, *mouse_dev;
};
struct input *input_init(struct vm *vm);
void input_fini(struct input *in);
void input_sink(struct input *in, const struct input_sink *sink);
void input_key(struct input *in, u8 usage, bool down);
void input_mouse(struct input *in, int dx, int dy, int dz, u8 buttons);
/* Types ASCII text as strokes of a US keyboard, no faster than guests read; returns the first character that cannot be typed, or NULL. */
const char *input_type(struct input *in, const char *text);
/* Key by name ("a", "ret", "f1", "ctrl", "alt", "delete", "up", names as QEMU's send-key): 0 if there is none. */
u8 input_key_by_name(const char *name);
/* Keyboard LEDs changed: bit 0 scroll, 1 num, 2 caps lock. vCPU thread. */
void input_leds(struct input *in, u8 leds);
#endif

/*
 * screenshot.h - the frame as a PNG file, and the text screen as UTF-8.
 *
 * Both read a frame that the caller has locked (display_lock()) or copied; display_update() on the vCPU thread first gives the newest.
 */
#ifndef RF_SCREENSHOT_H
#define RF_SCREENSHOT_H
#include "devices/display.h"

/* A text screen's cells are at most three bytes of UTF-8, a line ends in a newline, the whole in a zero. */
#define SCREEN_TEXT_MAX (DISPLAY_MAX_ROWS * (3 * DISPLAY_MAX_COLS + 1) + 1)

/* RGB, 8 bits. False with a sentence naming the file in err: nothing drawn yet, built without libpng, the host refuses. */
bool screenshot_write(const struct display_frame *f, const char *path, char *err, size_t errsize);
/* The display's frame as it is now, pixels too, for a thread that writes it; one block, to be freed. NULL: out of memory. */
struct display_frame *screenshot_copy(struct display *d);
/*
 * The rows of a text screen as UTF-8 (code page 437), trailing blanks and trailing empty rows stripped, each row ended by a
 * newline. Zero-terminated; cut at a character's border when it does not fit.
 * Returns the bytes without the zero; 0 in graphics modes and when the screen is off.
 */
size_t screen_text(const struct display_frame *f, char *buf, size_t size);
/* The Unicode character that code page 437 shows for ch (the graphics of 00h to 1Fh and 7Fh too; 00h and FFh are blanks). */
u16 cp437_unicode(u8 ch);
#endif

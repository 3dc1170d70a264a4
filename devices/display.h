/*
 * display.h - between the chip that makes the picture and whoever looks at it (window, terminal, screenshot).
 *
 * The chip says that something visible changed; when a viewer is there, a timer on the vCPU thread has the chip draw into the
 * frame, at most every DISPLAY_FRAME_NS, and then tells the viewers. With no change nothing runs. The frame is under a lock:
 * viewers, on any thread, copy out of it what changed since the sequence number they saw last.
 */
#ifndef RF_DISPLAY_H
#define RF_DISPLAY_H
#include "monitor/lib/types.h"

#define DISPLAY_FRAME_NS   16666667ull
#define DISPLAY_MAX_WIDTH  2560
#define DISPLAY_MAX_HEIGHT 1600
#define DISPLAY_MAX_COLS   132
#define DISPLAY_MAX_ROWS   60

struct vm;
struct display;

/* A text screen's cell: code page 437 character and attribute, as in the guest's memory. */
struct display_cell { u8 ch, attr; };

struct display_frame {
	u32 width, height;		/* pixels; 0: nothing was drawn yet */
	u32 *pixels;			/* width * height, 00RRGGBBh, no padding */
	u64 seq;			/* counts drawings that changed something */
	u64 line_seq[DISPLAY_MAX_HEIGHT];	/* seq at which each line last changed */
	bool text;			/* the cells below are what is shown */
	bool blank;			/* the screen is off: pixels are black */
	u32 cols, rows;
	struct display_cell cells[DISPLAY_MAX_ROWS * DISPLAY_MAX_COLS];
	u32 palette[16];		/* 00RRGGBBh of the text attributes' colours */
	s32 cursor;			/* cell index, -1: hidden */
};

/* What the picture's chip offers; vCPU thread. */
struct display_source {
	/* Draws into f (locked): display_size() first, then lines. `all`: draw everything. */
	void (*draw)(void *chip, struct display *d, struct display_frame *f, bool all);
	void *chip;
};

struct display *display_init(struct vm *vm);	/* NULL: out of memory */
void display_fini(struct display *d);
void display_source(struct display *d, const struct display_source *source);
/* vCPU thread, the chip: something visible changed (cheap when a drawing is due already). */
void display_changed(struct display *d);
/* Inside draw(): the frame's size; returns true if it changed (then everything is to be drawn). */
bool display_size(struct display_frame *f, u32 width, u32 height);
void display_line_changed(struct display_frame *f, u32 line);

/* Viewers, any thread. `changed` is called on the vCPU thread after a drawing and must only wake somebody. */
struct display_viewer { void (*changed)(void *arg); void *arg; struct display_viewer *next; };
void display_attach(struct display *d, struct display_viewer *v);
void display_detach(struct display *d, struct display_viewer *v);
const struct display_frame *display_lock(struct display *d);
void display_unlock(struct display *d);
/* vCPU thread: draw now if something changed, for screenshots and screen text. */
void display_update(struct display *d);
#endif

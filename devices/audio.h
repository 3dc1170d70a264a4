/*
 * audio.h - between the PC speaker and whoever lets it be heard: one bit as a function of guest time.
 *
 * The chip says when the function changes (vCPU thread); no sample is computed there. The host's sound thread asks for samples, a little
 * behind guest time, each the mean of the bit over its time, so that width-modulated sound comes out as it did of a paper cone.
 */
#ifndef RF_AUDIO_H
#define RF_AUDIO_H
#include "monitor/lib/types.h"

#define AUDIO_HZ 1193182ull	/* the unit of time, ticks: the clock of the PC's timer */

/* From tick `from` on: with a period, high during the first `high` ticks of each, counted from `start`; without one (0) a level that is
 * `before` up to tick start + high and the opposite then. Ticks before `start` are as the first one. */
struct audio_wave {
	u64 from, start;
	u32 period, high;
	bool before;
};

struct vm;
struct audio;
struct audio *audio_init(struct vm *vm);	/* NULL: out of memory */
void audio_fini(struct audio *a);		/* NULL is fine */
/* vCPU thread. Replaces what was said of later times. A change that the host is too slow for is lost, but never the last one. */
void audio_wave(struct audio *a, const struct audio_wave *w);

/* Who lets it be heard; any thread. `sound` is called on the vCPU thread when silence ends and must only wake somebody; not again
 * before audio_sleep(). NULL: nobody any more, and when it returns nobody is being called. */
void audio_listen(struct audio *a, void (*sound)(void *arg), void *arg);
/* The next n samples at `rate` a second (8000 to 192000). One thread at a time. True: nothing was heard for a while. */
bool audio_render(struct audio *a, s16 *to, u32 n, u32 rate);
/* Nothing was heard for a while, and nothing is to come: true, and `sound` is called again when that changes. Not during audio_render(). */
bool audio_sleep(struct audio *a);
#endif

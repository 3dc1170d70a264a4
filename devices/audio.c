/*
 * audio.c - the PC speaker's bit, from the chip's changes to the host's samples.
 *
 * Changes wait in a ring under `lock`, which nobody holds for long. The renderer keeps its own place in guest time, BEHIND_MS behind the
 * guest's: its rate follows the guest's clock, which need not be the sound card's, by at most one part in RATE_PARTS. When it is far away
 * (the machine was slow to begin, or stood still) it waits or, where nothing sounds, jumps. All else of it belongs to the sound's thread.
 */
#include "devices/audio.h"

#include <pthread.h>
#include <stdlib.h>

#include "monitor/clock.h"

#define RING		8192u		/* changes; a power of two. More than a guest can make in BEHIND_MS, about */
#define BEHIND_MS	60
#define FAR_MS		1000		/* so late a sound is not worth playing */
#define SILENT_MS	3000		/* this long: audio_sleep() */
#define RATE_PARTS	256
#define SLACK_MS	10
#define INAUDIBLE	(AUDIO_HZ / 20000)	/* ticks: a shorter period is not heard, and would alias */
#define VOLUME		18000		/* from one level to the other; of 65535 */
#define NOTHING		16		/* less than that is not heard */
#define FALL_SHIFT	9		/* a level that stands still becomes silence, as in a coupling capacitor: by 1/512 a sample */

struct audio {
	struct vm *vm;
	pthread_mutex_t lock;
	void (*sound)(void *arg);
	void *arg;
	bool asleep;
	u32 first, count;
	struct audio_wave ring[RING];	/* in the order of their times */
	struct audio_wave now;		/* what is being played */

	/* The sound's thread, not under the lock. */
	u64 at;				/* tick of the next sample's begin */
	u32 fraction;			/* 2^-32 of one */
	bool starved;			/* waits until it is far enough behind again */
	s32 held;			/* the last sample, before the capacitor */
	s32 still;			/* the mean level, 16 binary places below the sample */
	u64 silent;			/* ticks for which nothing was heard */
};

static u64 ticks_of_ms(u64 ms)
{
	return ms * AUDIO_HZ / 1000;
}

static bool same(const struct audio_wave *a, const struct audio_wave *b)
{
	return a->start == b->start && a->period == b->period && a->high == b->high && a->before == b->before;
}

static struct audio_wave *entry(struct audio *a, u32 n)
{
	return &a->ring[(a->first + n) & (RING - 1)];
}

/* --- the chip --- */

void audio_wave(struct audio *a, const struct audio_wave *w)
{
	pthread_mutex_lock(&a->lock);
	while (a->count && entry(a, a->count - 1)->from > w->from)
		a->count--;
	if (!same(a->count ? entry(a, a->count - 1) : &a->now, w)) {
		a->count -= a->count == RING;
		*entry(a, a->count++) = *w;
		if (a->asleep && a->sound) {
			a->asleep = false;
			a->sound(a->arg);
		}
	}
	pthread_mutex_unlock(&a->lock);
}

/* --- samples --- */

/* How much of its first `t` ticks a wave is high. */
static u64 high_of(const struct audio_wave *w, u64 t)
{
	u64 rest = w->period ? t % w->period : t, first = rest < w->high ? rest : w->high;
	if (w->period)
		return t / w->period * w->high + first;
	return w->before ? first : t - first;
}

static u64 high_between(const struct audio_wave *w, u64 from, u64 to)
{
	s64 begin = (s64)(from - w->start), end = (s64)(to - w->start);
	u64 early = begin >= 0 ? 0 : (u64)(end < 0 ? end - begin : -begin);
	bool first = w->period || w->high ? w->high && (w->period || w->before) : !w->before;
	return (first ? early : 0) + high_of(w, end < 0 ? 0 : (u64)end) - high_of(w, begin < 0 ? 0 : (u64)begin);
}

/* The parts in 65536 of the time from a->at to `to` that the speaker is out. Takes the changes that come in it. */
static u32 mean_until(struct audio *a, u64 to)
{
	u64 high = 0, from = a->at;
	pthread_mutex_lock(&a->lock);
	while (a->count && entry(a, 0)->from < to) {
		const struct audio_wave *next = entry(a, 0);
		if (next->from > from) {
			high += high_between(&a->now, from, next->from);
			from = next->from;
		}
		a->now = *next;
		a->first++;
		a->count--;
	}
	pthread_mutex_unlock(&a->lock);
	if (from == a->at && a->now.period && a->now.period < INAUDIBLE)
		return (u32)(((u64)a->now.high << 16) / a->now.period);
	high += high_between(&a->now, from, to);
	return (u32)((high << 16) / (to - a->at));
}

/* Where to play: see the head of this file. */
static void find_place(struct audio *a, u64 now)
{
	u64 wanted = now > ticks_of_ms(BEHIND_MS) ? now - ticks_of_ms(BEHIND_MS) : 0;
	bool far = a->at > now || now - a->at > ticks_of_ms(FAR_MS);
	if (a->silent >= ticks_of_ms(BEHIND_MS)) {
		pthread_mutex_lock(&a->lock);
		u64 first = a->count ? entry(a, 0)->from : wanted;
		pthread_mutex_unlock(&a->lock);
		u64 place = first < wanted && wanted - first < ticks_of_ms(FAR_MS) ? first : wanted;
		if (far || a->at < place)
			a->at = place;
	} else if (far) {
		a->at = wanted;
	}
	if (a->at <= wanted)
		a->starved = false;
}

static s16 sample(struct audio *a, u64 ticks)
{
	s32 out = a->held - (a->still >> 16);
	a->still += ((a->held << 16) - a->still) >> FALL_SHIFT;
	a->silent = out > -NOTHING && out < NOTHING ? a->silent + ticks : 0;
	return (s16)out;
}

bool audio_render(struct audio *a, s16 *to, u32 n, u32 rate)
{
	u64 now = (u64)((unsigned __int128)clock_now(a->vm) * AUDIO_HZ / 1000000000u);
	find_place(a, now);
	u64 step = (AUDIO_HZ << 32) / rate, behind = now - a->at;
	if (behind > ticks_of_ms(BEHIND_MS + SLACK_MS))
		step += step / RATE_PARTS;
	else if (behind < ticks_of_ms(BEHIND_MS - SLACK_MS))
		step -= step / RATE_PARTS;
	for (u32 i = 0; i < n; i++) {
		u64 low = a->fraction + (step & 0xffffffff), next = a->at + (step >> 32) + (low >> 32);
		a->starved |= next > now;
		if (!a->starved) {
			a->held = (s32)((u64)mean_until(a, next) * VOLUME >> 16);
			a->at = next;
			a->fraction = (u32)low;
		}
		to[i] = sample(a, step >> 32);
	}
	return a->silent >= ticks_of_ms(SILENT_MS);
}

/* --- who listens --- */

void audio_listen(struct audio *a, void (*sound)(void *arg), void *arg)
{
	pthread_mutex_lock(&a->lock);
	a->sound = sound;
	a->arg = arg;
	pthread_mutex_unlock(&a->lock);
}

bool audio_sleep(struct audio *a)
{
	pthread_mutex_lock(&a->lock);
	a->asleep = !a->count && a->silent >= ticks_of_ms(SILENT_MS);
	bool asleep = a->asleep;
	pthread_mutex_unlock(&a->lock);
	return asleep;
}

struct audio *audio_init(struct vm *vm)
{
	struct audio *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->vm = vm;
	a->asleep = true;
	a->now.before = true;	/* low for good */
	a->silent = ticks_of_ms(SILENT_MS);
	pthread_mutex_init(&a->lock, NULL);
	return a;
}

void audio_fini(struct audio *a)
{
	if (!a)
		return;
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/*
 * test_audio.c - the PC speaker from the PIT's registers to samples: pitch, level, width modulation, silence, and a host that is late.
 */
/* objs: devices/audio.o devices/emulated/pit.o tests/unit/fake_vm.o devices/device.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "devices/audio.h"
#include "devices/emulated/pit.h"
#include "tests/unit/fake_vm.h"

#define RATE	48000
#define SECOND	1000000000ull
enum { CHUNK = 480 /* 10 ms */, CHUNKS = 200 };

static struct pit p;
static struct audio *a;
static struct vm *vm;
static s16 out[CHUNK * CHUNKS];
static int woken;

static void hear(void *audio, const struct audio_wave *w) { audio_wave(audio, w); }
static void wake(void *arg) { ++*(int *)arg; }

static int setup(void **state)
{
	vm = fake_vm_new();
	woken = 0;
	a = audio_init(vm);
	audio_listen(a, wake, &woken);
	pit_init(&p, vm, "pit");
	p.irq = fake_line(vm);
	p.speaker = hear;
	p.speaker_arg = a;
	fake_advance(vm, SECOND);
	return 0;
}

static int teardown(void **state)
{
	audio_fini(a);
	fake_vm_free(vm);
	return 0;
}

static void program(u8 mode, u16 count)
{
	pit_write(&p, 3, (u8)(0xb0 | mode << 1));
	pit_write(&p, 2, (u8)count);
	pit_write(&p, 2, (u8)(count >> 8));
}

/* Guest and sound card go on together; returns the samples. */
static u32 play(u32 chunks)
{
	for (u32 i = 0; i < chunks; i++) {
		fake_advance(vm, SECOND / 100);
		audio_render(a, out + i * CHUNK, CHUNK, RATE);
	}
	return chunks * CHUNK;
}

static u32 rises(const s16 *s, u32 n)
{
	u32 count = 0;
	for (u32 i = 1; i < n; i++)
		count += s[i - 1] < 0 && s[i] >= 0;
	return count;
}

static s32 loudest(const s16 *s, u32 n)
{
	s32 max = 0;
	for (u32 i = 0; i < n; i++)
		max = abs(s[i]) > max ? abs(s[i]) : max;
	return max;
}

static void test_pitch(void **state)
{
	static const u16 hz[] = { 100, 440, 1000, 4000 };
	for (u32 i = 0; i < ARRAY_SIZE(hz); i++) {
		program(3, (u16)(PIT_HZ / hz[i]));
		pit_write_port61(&p, 3);
		play(20);
		assert_in_range(rises(out, play(100)), hz[i] - hz[i] / 100 - 1, hz[i] + hz[i] / 100 + 1);
		assert_in_range(loudest(out, 100 * CHUNK), 5000, 20000);
	}
}

/* A new count takes over at the half-cycle's end: no gap, no click in between. */
static void test_pitch_changes(void **state)
{
	program(3, PIT_HZ / 500);
	pit_write_port61(&p, 3);
	play(50);
	for (u32 i = 0; i < 10; i++) {
		pit_write(&p, 2, (u8)(PIT_HZ / 1000));
		pit_write(&p, 2, (u8)(PIT_HZ / 1000 >> 8));
		play(10);
		pit_write(&p, 2, (u8)(PIT_HZ / 500));
		pit_write(&p, 2, (u8)(PIT_HZ / 500 >> 8));
		play(10);
	}
	u32 half = 10 * CHUNK, run = 0, longest = 0;
	for (u32 i = 1; i < 2 * half; i++) {
		run = (out[i - 1] < 0) == (out[i] < 0) ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	assert_in_range(longest, 40, 50);	/* half a period of 500 Hz is 48 samples */
}

static void test_gates(void **state)
{
	program(3, PIT_HZ / 1000);
	play(20);
	assert_int_equal(loudest(out, play(10)), 0);
	pit_write_port61(&p, 1);	/* counts, but the speaker is not connected */
	assert_int_equal(loudest(out, play(10)), 0);
	assert_int_equal(woken, 0);
	pit_write_port61(&p, 3);
	assert_int_equal(woken, 1);
	play(20);
	assert_in_range(rises(out, play(10)), 98, 102);
	pit_write_port61(&p, 2);	/* the gate is low: OUT stands high */
	play(100);
	assert_in_range(loudest(out + 50 * CHUNK, 50 * CHUNK), 0, 16);
}

/* Programs that drive the paper themselves: gate low, OUT high, bit 1 is the sound. */
static void test_toggled_by_hand(void **state)
{
	program(3, 100);
	for (u32 i = 0; i < 400; i++) {
		pit_write_port61(&p, i & 1 ? 2 : 0);
		fake_advance(vm, SECOND / 1000);	/* 500 Hz */
		if (i % 10 == 9)
			audio_render(a, out + i / 10 * CHUNK, CHUNK, RATE);
	}
	assert_in_range(rises(out + 20 * CHUNK, 20 * CHUNK), 98, 102);
}

/* Mode 0 loaded again and again makes samples of its width: here a wave of 250 Hz out of 16 kHz. */
static void test_width_modulation(void **state)
{
	pit_write_port61(&p, 3);
	for (u32 i = 0; i < 16000; i++) {
		u32 phase = i % 64, width = phase < 32 ? phase : 63 - phase;
		pit_write(&p, 3, 0x90);
		pit_write(&p, 2, (u8)(20 + width));
		fake_advance(vm, SECOND / 16000);
		if (i % 160 == 159)
			audio_render(a, out + i / 160 * CHUNK, CHUNK, RATE);
	}
	s32 mean = 0;		/* what a speaker makes of it: the lower parts */
	u32 count = 0;
	bool below = false;
	for (u32 i = 20 * CHUNK; i < 100 * CHUNK; i++) {
		mean += ((out[i] << 8) - mean) / 64;
		if (mean < -500 * 256)
			below = true;
		if (mean > 500 * 256 && below) {
			count++;
			below = false;
		}
	}
	assert_in_range(count, 196, 204);
}

static void test_beyond_hearing(void **state)
{
	program(3, 20);
	pit_write_port61(&p, 3);
	play(100);
	assert_in_range(loudest(out + 50 * CHUNK, 50 * CHUNK), 0, 16);
}

static void test_sleeps_and_wakes(void **state)
{
	assert_true(audio_sleep(a));
	program(3, PIT_HZ / 1000);
	pit_write_port61(&p, 3);
	assert_int_equal(woken, 1);
	assert_false(audio_sleep(a));
	/* The sound card needs a while to open: the beginning is played all the same. */
	fake_advance(vm, SECOND / 5);
	pit_write_port61(&p, 0);
	u32 n = play(50);
	assert_in_range(rises(out, n), 195, 205);
	for (u32 i = 0; i < 4; i++)
		play(100);
	assert_true(audio_render(a, out, CHUNK, RATE));
	assert_true(audio_sleep(a));
	pit_write_port61(&p, 3);
	assert_int_equal(woken, 2);
	audio_listen(a, NULL, NULL);
	pit_write_port61(&p, 0);
}

/* A paused machine is silent, and goes on where it was. */
static void test_guest_time_stands_still(void **state)
{
	program(3, PIT_HZ / 1000);
	pit_write_port61(&p, 3);
	play(50);
	for (u32 i = 0; i < 50; i++)
		audio_render(a, out + i * CHUNK, CHUNK, RATE);
	assert_in_range(loudest(out + 20 * CHUNK, 30 * CHUNK), 0, 200);
	play(20);
	assert_in_range(rises(out, play(10)), 98, 102);
}

/* Nobody plays, the guest toggles: memory does not grow, and the last word counts. */
static void test_too_many_changes(void **state)
{
	program(3, PIT_HZ / 1000);
	for (u32 i = 0; i < 100000; i++) {
		pit_write_port61(&p, i & 1 ? 2 : 0);
		fake_advance(vm, 10000);
	}
	pit_write_port61(&p, 3);
	play(150);
	assert_in_range(rises(out, play(10)), 98, 102);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_pitch), T(test_pitch_changes), T(test_gates), T(test_toggled_by_hand), T(test_width_modulation), T(test_beyond_hearing),
		T(test_sleeps_and_wakes), T(test_guest_time_stands_still), T(test_too_many_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

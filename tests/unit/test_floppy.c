/*
 * test_floppy.c - the 82077AA command by command (datasheet 290166, section 5), with DMA and without, media of all sizes.
 */
/* objs: devices/emulated/floppy.o devices/emulated/floppy_data.o devices/emulated/floppy_media.o devices/emulated/dma.o
 * devices/device.o tests/unit/fake_vm.o tests/unit/fake_disk.o tests/unit/fake_memory.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/emulated/dma.h"
#include "devices/emulated/floppy.h"
#include "tests/unit/fake_disk.h"
#include "tests/unit/fake_vm.h"
#include <stdlib.h>
#include <string.h>

enum { DOR = 2, MSR = 4, FIFO = 5, DIR = 7 };
#define MS 1000000ull
#define BUFFER 0x8000
#define SECTORS_1440 2880
#define TO_MEMORY 0x46
#define FROM_MEMORY 0x4a

struct rig {
	struct vm *vm;
	struct floppy f;
	struct dma dma;
	struct blockdev *disk;
	u8 result[10];
};

static void out(struct rig *t, u32 reg, u8 value) { floppy_write(&t->f, reg, value); }
static u8 in(struct rig *t, u32 reg) { return floppy_read(&t->f, reg); }
static bool irq(struct rig *t) { return fake(t->vm)->level; }

static int start(void **state, u64 sectors)
{
	struct rig *t = calloc(1, sizeof(*t));
	t->vm = fake_vm_new();
	t->disk = fake_disk_new(sectors);
	dma_init(&t->dma, t->vm, "dma");
	floppy_init(&t->f, t->vm, "floppy");
	t->f.irq = fake_line(t->vm);
	struct isadma channel = { .dma = &t->dma, .transfer = dma_transfer, .on_ready = dma_on_ready };
	floppy_set_dma(&t->f, &channel, 2);
	floppy_attach(&t->f, 0, t->disk);
	memset(fake_memory(), 0, FAKE_MEMORY);
	out(t, DOR, 0x1c);
	fake_advance(t->vm, MS);
	*state = t;
	return 0;
}

static int setup(void **state) { return start(state, SECTORS_1440); }

static int teardown(void **state)
{
	struct rig *t = *state;
	fake_disk_free(t->disk);
	fake_vm_free(t->vm);
	free(t);
	return 0;
}

static void send(struct rig *t, const u8 *bytes, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		assert_int_equal(in(t, MSR) & 0xc0, 0x80);
		out(t, FIFO, bytes[i]);
	}
}
#define SEND(t, ...) send(t, (const u8[]){ __VA_ARGS__ }, sizeof((u8[]){ __VA_ARGS__ }))

static void results(struct rig *t, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		assert_int_equal(in(t, MSR) & 0xd0, 0xd0);
		t->result[i] = in(t, FIFO);
	}
	assert_int_equal(in(t, MSR) & 0xd0, 0x80);
}

static void is_result(struct rig *t, u32 line, const u8 *want, u32 n)
{
	results(t, n);
	for (u32 i = 0; i < n; i++)
		if (t->result[i] != want[i])
			fail_msg("line %u: result %u is %02x, not %02x", line, i, t->result[i], want[i]);
}
#define RESULT(t, ...) is_result(t, __LINE__, (const u8[]){ __VA_ARGS__ }, sizeof((u8[]){ __VA_ARGS__ }))

static void prepare(struct rig *t)
{
	SEND(t, 8); results(t, 2);
	SEND(t, 8); results(t, 2);
	SEND(t, 8); results(t, 2);
	SEND(t, 8); results(t, 2);
	SEND(t, 3, 0xdf, 0x02);		/* SPECIFY, with DMA */
	out(t, DIR, 0);			/* 500 kbit/s */
}

static void seek(struct rig *t, u8 unit, u8 cylinder)
{
	SEND(t, 0x0f, unit, cylinder);
	fake_advance(t->vm, 20 * MS);
	SEND(t, 8);
	RESULT(t, (u8)(0x20 | unit), cylinder);
}

static void dma(struct rig *t, u8 mode, u16 bytes)
{
	dma_write(&t->dma, 0, 12, 0);
	dma_write(&t->dma, 0, 11, mode);
	dma_write(&t->dma, 0, 4, BUFFER & 0xff);
	dma_write(&t->dma, 0, 4, BUFFER >> 8);
	dma_write(&t->dma, 0, 5, (u8)(bytes - 1));
	dma_write(&t->dma, 0, 5, (u8)((bytes - 1) >> 8));
	dma_write_page(&t->dma, 1, 0);
	dma_write(&t->dma, 0, 10, 2);
}

static void is_sector(const u8 *p, u64 sector)
{
	for (u32 i = 0; i < 512; i++)
		if (p[i] != fake_disk_byte(sector, i))
			fail_msg("byte %u of sector %llu", i, (unsigned long long)sector);
}

static void test_reset(void **state)
{
	struct rig *t = *state;
	assert_true(irq(t));
	for (u8 i = 0; i < 4; i++) {
		SEND(t, 8);
		RESULT(t, 0xc0 | i, 0);
		assert_false(irq(t));
	}
	SEND(t, 8);
	RESULT(t, 0x80);		/* nothing more */
	out(t, DOR, 0x18);
	assert_int_equal(in(t, MSR), 0);
	assert_int_equal(in(t, DOR), 0x18);
	out(t, DOR, 0x14);		/* the gate holds the interrupt back */
	fake_advance(t->vm, MS);
	assert_false(irq(t));
	out(t, DOR, 0x1c);
	out(t, MSR, 0x80);		/* DSR */
	fake_advance(t->vm, MS);
	assert_true(irq(t));
	prepare(t);
	SEND(t, 0x13, 0, 0x10, 0);	/* CONFIGURE without polling: no interrupt after a reset */
	SEND(t, 0x94);			/* LOCK keeps it so */
	RESULT(t, 0x10);
	out(t, MSR, 0x80);
	fake_advance(t->vm, MS);
	assert_false(irq(t));
}

static void test_small_commands(void **state)
{
	struct rig *t = *state;
	prepare(t);
	SEND(t, 0x10);
	RESULT(t, 0x90);
	SEND(t, 0x18);			/* PART ID is the 82078's */
	RESULT(t, 0x80);
	SEND(t, 0x00);
	RESULT(t, 0x80);
	SEND(t, 0x14);
	RESULT(t, 0x00);
	SEND(t, 0x94);
	RESULT(t, 0x10);
	SEND(t, 0x12, 0x84);		/* PERPENDICULAR: drive 0 */
	SEND(t, 0x12, 0x0b);		/* without OW the drive bits stay */
	SEND(t, 0x13, 0, 0x47, 9);
	SEND(t, 0x0e);
	RESULT(t, 0, 0, 0, 0, 0xdf, 0x02, 0, 0x87, 0x47, 9);
	out(t, MSR, 0x80);
	fake_advance(t->vm, MS);
	prepare(t);
	SEND(t, 0x0e);
	RESULT(t, 0, 0, 0, 0, 0xdf, 0x02, 0, 0x84, 0x47, 9);
	SEND(t, 0x14);
	RESULT(t, 0);
	out(t, MSR, 0x80);
	fake_advance(t->vm, MS);
	prepare(t);
	SEND(t, 0x0e);
	RESULT(t, 0, 0, 0, 0, 0xdf, 0x02, 0, 0x04, 0x20, 0);
	SEND(t, 0x04, 0x04);		/* SENSE DRIVE: head 1, track 0 */
	RESULT(t, 0x3c);
	SEND(t, 0x04, 0x01);		/* no such drive */
	RESULT(t, 0x29);
	fake_disk_readonly(t->disk, true);
	SEND(t, 0x04, 0x00);
	RESULT(t, 0x78);
}

static void test_seek(void **state)
{
	struct rig *t = *state;
	prepare(t);
	seek(t, 0, 40);
	SEND(t, 0x0f, 0, 70);
	assert_int_equal(in(t, MSR), 0x81);
	assert_false(irq(t));
	fake_advance(t->vm, 20 * MS);
	assert_true(irq(t));
	assert_int_equal(in(t, MSR), 0x80);
	SEND(t, 8);
	RESULT(t, 0x20, 70);
	SEND(t, 0x8f, 0, 5);		/* relative, outwards */
	fake_advance(t->vm, 20 * MS);
	SEND(t, 8);
	RESULT(t, 0x20, 65);
	SEND(t, 0xcf, 0, 2);
	fake_advance(t->vm, 20 * MS);
	SEND(t, 8);
	RESULT(t, 0x20, 67);
	SEND(t, 0x07, 0);		/* RECALIBRATE */
	fake_advance(t->vm, 20 * MS);
	SEND(t, 8);
	RESULT(t, 0x20, 0);
	SEND(t, 0x07, 1);		/* no drive: no track 0 signal */
	fake_advance(t->vm, 20 * MS);
	SEND(t, 8);
	RESULT(t, 0x71, 0);
	seek(t, 0, 82);			/* more steps than a recalibration makes */
	SEND(t, 0x07, 0);
	fake_advance(t->vm, 20 * MS);
	SEND(t, 8);
	RESULT(t, 0x70, 0);
	SEND(t, 0x07, 0);
	fake_advance(t->vm, 20 * MS);
	SEND(t, 8);
	RESULT(t, 0x20, 0);
}

static void test_changed(void **state)
{
	struct rig *t = *state;
	prepare(t);
	assert_int_equal(in(t, DIR), 0x80);
	SEND(t, 0x07, 0);		/* no step pulse: the head is there */
	fake_advance(t->vm, 20 * MS);
	SEND(t, 8);
	results(t, 2);
	assert_int_equal(in(t, DIR), 0x80);
	seek(t, 0, 1);
	assert_int_equal(in(t, DIR), 0);
	fake_disk_change(t->disk, 0);
	seek(t, 0, 0);
	assert_int_equal(in(t, DIR), 0x80);
	fake_disk_change(t->disk, 1440);
	seek(t, 0, 2);
	assert_int_equal(in(t, DIR), 0);
	out(t, DOR, 0x1d);		/* drive B: is not there */
	assert_int_equal(in(t, DIR), 0);
}

static void test_read(void **state)
{
	struct rig *t = *state;
	prepare(t);
	seek(t, 0, 3);
	dma(t, TO_MEMORY, 1024);
	SEND(t, 0x46, 0x04, 3, 1, 5, 2, 18, 0x1b, 0xff);
	assert_int_equal(in(t, MSR), 0x10);
	fake_advance(t->vm, 5 * MS);
	assert_true(irq(t));
	RESULT(t, 0x04, 0, 0, 3, 1, 7, 2);
	assert_false(irq(t));
	is_sector(fake_memory() + BUFFER, (3 * 2 + 1) * 18 + 4);
	is_sector(fake_memory() + BUFFER + 512, (3 * 2 + 1) * 18 + 5);

	dma(t, TO_MEMORY, 18 * 1024);	/* a whole cylinder, multi-track */
	SEND(t, 0xc6, 0x00, 3, 0, 1, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 20 * MS);
	RESULT(t, 0x04, 0, 0, 4, 0, 1, 2);
	for (u32 i = 0; i < 36; i++)
		is_sector(fake_memory() + BUFFER + i * 512, 3 * 36 + i);

	dma(t, TO_MEMORY, 20 * 512);	/* end of the cylinder before the terminal count */
	SEND(t, 0x46, 0x00, 3, 0, 17, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 20 * MS);
	RESULT(t, 0x40, 0x80, 0, 4, 0, 1, 2);

	dma(t, TO_MEMORY, 100);		/* the terminal count within a sector */
	SEND(t, 0x46, 0x00, 3, 0, 18, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 20 * MS);
	RESULT(t, 0x00, 0, 0, 4, 0, 1, 2);
}

static void test_errors(void **state)
{
	struct rig *t = *state;
	prepare(t);
	dma(t, TO_MEMORY, 512);
	SEND(t, 0x46, 0, 0, 0, 19, 2, 19, 0x1b, 0xff);	/* no sector 19 */
	fake_advance(t->vm, 5 * MS);
	RESULT(t, 0x40, 0x04, 0, 0, 0, 19, 2);
	SEND(t, 0x46, 0, 1, 0, 1, 2, 18, 0x1b, 0xff);	/* the head is elsewhere */
	fake_advance(t->vm, 5 * MS);
	RESULT(t, 0x40, 0x04, 0x10, 1, 0, 1, 2);
	SEND(t, 0x46, 0, 0, 0, 1, 3, 18, 0x1b, 0xff);	/* no sectors of 1024 bytes */
	fake_advance(t->vm, 5 * MS);
	RESULT(t, 0x40, 0x04, 0, 0, 0, 1, 3);
	SEND(t, 0x06, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);	/* FM */
	fake_advance(t->vm, 5 * MS);
	RESULT(t, 0x40, 0x01, 0, 0, 0, 1, 2);
	out(t, DIR, 2);					/* the wrong rate */
	SEND(t, 0x4a, 0);
	fake_advance(t->vm, 5 * MS);
	results(t, 7);
	assert_int_equal(t->result[1], 0x01);
	out(t, DIR, 0);
	SEND(t, 0x4a, 4);
	fake_advance(t->vm, 5 * MS);
	RESULT(t, 0x04, 0, 0, 0, 1, 1, 2);
	fake_disk_fail(t->disk, 5);
	SEND(t, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 5 * MS);
	RESULT(t, 0x40, 0x20, 0x20, 0, 0, 1, 2);
	fake_disk_fail(t->disk, 0);
	fake_disk_readonly(t->disk, true);
	dma(t, FROM_MEMORY, 512);
	SEND(t, 0x45, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 5 * MS);
	RESULT(t, 0x40, 0x02, 0, 0, 0, 1, 2);
	assert_int_equal(fake_disk_count(t->disk, BLK_WRITE), 0);
}

/* Without a medium or motor the command waits, and a reset ends it; a masked DMA channel makes it wait as well. */
static void test_waiting(void **state)
{
	struct rig *t = *state;
	prepare(t);
	out(t, DOR, 0x0c);
	dma(t, TO_MEMORY, 512);
	SEND(t, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 3000 * MS);
	assert_int_equal(in(t, MSR), 0x10);
	out(t, DOR, 0x1c);
	fake_advance(t->vm, 100 * MS);
	RESULT(t, 0, 0, 0, 0, 0, 2, 2);
	dma_write(&t->dma, 0, 10, 4 | 2);
	SEND(t, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 100 * MS);
	assert_int_equal(in(t, MSR), 0x10);
	dma(t, TO_MEMORY, 512);
	fake_advance(t->vm, 100 * MS);
	RESULT(t, 0, 0, 0, 0, 0, 2, 2);
	fake_disk_hold(t->disk);
	SEND(t, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 100 * MS);
	out(t, DOR, 0x18);
	out(t, DOR, 0x1c);
	fake_advance(t->vm, MS);
	fake_disk_release(t->disk);	/* nobody wants it any more */
	prepare(t);
	assert_int_equal(in(t, MSR), 0x80);
}

static void test_write(void **state)
{
	struct rig *t = *state;
	prepare(t);
	seek(t, 0, 79);
	for (u32 i = 0; i < 1024; i++)
		fake_memory()[BUFFER + i] = (u8)(i * 3 + i / 512);
	dma(t, FROM_MEMORY, 1024);
	SEND(t, 0x45, 4, 79, 1, 17, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 5 * MS);
	RESULT(t, 0x04, 0, 0, 80, 1, 1, 2);
	assert_memory_equal(fake_disk_bytes(t->disk) + (2880 - 2) * 512, fake_memory() + BUFFER, 1024);
	dma(t, FROM_MEMORY, 10);	/* the rest of the sector becomes zeros */
	SEND(t, 0x49, 4, 79, 1, 17, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 5 * MS);
	RESULT(t, 0x04, 0, 0, 79, 1, 18, 2);
	assert_memory_equal(fake_disk_bytes(t->disk) + (2880 - 2) * 512, fake_memory() + BUFFER, 10);
	assert_int_equal(fake_disk_bytes(t->disk)[(2880 - 2) * 512 + 10], 0);
	assert_int_equal(fake_disk_bytes(t->disk)[(2880 - 2) * 512 + 511], 0);
}

static void test_format(void **state)
{
	struct rig *t = *state;
	prepare(t);
	seek(t, 0, 10);
	for (u8 i = 0; i < 18; i++)
		memcpy(fake_memory() + BUFFER + i * 4, (u8[4]){ 10, 1, i + 1, 2 }, 4);
	dma(t, FROM_MEMORY, 72);
	SEND(t, 0x4d, 4, 2, 18, 0x6c, 0xf6);
	fake_advance(t->vm, 20 * MS);
	results(t, 7);
	assert_int_equal(t->result[0], 0x04);
	for (u32 i = 0; i < 18 * 512; i++)
		assert_int_equal(fake_disk_bytes(t->disk)[(21 * 18) * 512 + i], 0xf6);
	is_sector(fake_disk_bytes(t->disk) + 20 * 18 * 512, 20 * 18);
	fake_memory()[BUFFER + 2] = 30;	/* no place on this medium */
	dma(t, FROM_MEMORY, 72);
	SEND(t, 0x4d, 4, 2, 18, 0x6c, 0xf6);
	fake_advance(t->vm, 20 * MS);
	results(t, 7);
	assert_int_equal(t->result[0], 0x44);
}

static void test_pio(void **state)
{
	struct rig *t = *state;
	u8 data[512];
	prepare(t);
	SEND(t, 3, 0xdf, 0x03);
	SEND(t, 0x46, 0, 0, 0, 18, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 5 * MS);
	for (u32 i = 0; i < 512; i++) {
		assert_true(irq(t));
		assert_int_equal(in(t, MSR), 0xf0);
		data[i] = in(t, FIFO);
	}
	is_sector(data, 17);
	RESULT(t, 0x40, 0x80, 0, 1, 0, 1, 2);	/* nobody gives a terminal count */
	SEND(t, 0x45, 0, 0, 0, 18, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 5 * MS);
	for (u32 i = 0; i < 512; i++) {
		assert_int_equal(in(t, MSR), 0xb0);
		out(t, FIFO, (u8)(i * 5));
	}
	RESULT(t, 0x40, 0x80, 0, 1, 0, 1, 2);
	assert_int_equal(fake_disk_bytes(t->disk)[17 * 512 + 5], 25);
}

static void test_verify_scan(void **state)
{
	struct rig *t = *state;
	prepare(t);
	SEND(t, 0x56, 0x80, 0, 0, 3, 2, 18, 0x1b, 4);	/* VERIFY of 4 sectors */
	fake_advance(t->vm, 5 * MS);
	RESULT(t, 0, 0, 0, 0, 0, 7, 2);
	SEND(t, 0x56, 0, 0, 0, 3, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 5 * MS);
	RESULT(t, 0, 0, 0, 1, 0, 1, 2);

	memset(fake_memory() + BUFFER, 0xff, 4096);	/* SCAN EQUAL for the third sector */
	for (u32 s = 0; s < 8; s++)
		memcpy(fake_memory() + BUFFER + s * 512, fake_disk_bytes(t->disk) + 2 * 512, 512);
	dma(t, FROM_MEMORY, 4096);
	SEND(t, 0x51, 0, 0, 0, 1, 2, 18, 0x1b, 1);
	fake_advance(t->vm, 5 * MS);
	results(t, 7);
	assert_int_equal(t->result[2], 0x08);
	assert_int_equal(t->result[5], 4);
	dma(t, FROM_MEMORY, 1024);
	SEND(t, 0x51, 0, 0, 0, 1, 2, 2, 0x1b, 1);	/* not among these */
	fake_advance(t->vm, 5 * MS);
	results(t, 7);
	assert_int_equal(t->result[2], 0x04);

	dma(t, TO_MEMORY, 18 * 512);			/* READ TRACK starts at the index, whatever R says */
	SEND(t, 0x42, 0, 0, 0, 9, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 20 * MS);
	results(t, 7);
	assert_int_equal(t->result[0], 0);
	is_sector(fake_memory() + BUFFER, 0);
	is_sector(fake_memory() + BUFFER + 17 * 512, 17);

	dma(t, TO_MEMORY, 1024);			/* READ DELETED DATA stops after the first sector that is not */
	SEND(t, 0x4c, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 5 * MS);
	RESULT(t, 0, 0, 0x40, 0, 0, 2, 2);
	SEND(t, 0x13, 0, 0x40, 0);			/* implied seek */
	dma(t, TO_MEMORY, 512);
	SEND(t, 0x46, 0, 33, 0, 1, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 20 * MS);
	RESULT(t, 0, 0, 0, 33, 0, 2, 2);
	is_sector(fake_memory() + BUFFER, 33 * 36);
}

/* The last sector of every medium is where it belongs, at the medium's own rate. */
static void test_media(void **state)
{
	static const struct { u8 c, h, s, n, rate, cmos; } all[] = {
		{ 40, 1, 8, 2, 2, 1 }, { 40, 1, 9, 2, 2, 1 }, { 40, 2, 8, 2, 2, 1 }, { 40, 2, 9, 2, 1, 1 }, { 80, 2, 9, 2, 2, 4 },
		{ 80, 2, 15, 2, 0, 2 }, { 77, 2, 8, 3, 0, 2 }, { 80, 2, 18, 2, 0, 4 }, { 80, 2, 21, 2, 0, 5 }, { 82, 2, 21, 2, 0, 5 },
		{ 80, 2, 36, 2, 3, 5 },
	};
	for (u32 i = 0; i < ARRAY_SIZE(all); i++) {
		u32 sectors = (u32)(all[i].c * all[i].h * all[i].s) << (all[i].n - 2);
		start(state, sectors);
		struct rig *t = *state;
		prepare(t);
		assert_int_equal(floppy_cmos_type(&t->f, 0), all[i].cmos);
		assert_int_equal(floppy_cmos_type(&t->f, 1), 0);
		out(t, DIR, all[i].rate);
		seek(t, 0, all[i].c - 1);
		u8 h = all[i].h - 1;
		dma(t, TO_MEMORY, (u16)(128 << all[i].n));
		SEND(t, 0x46, (u8)(h << 2), all[i].c - 1, h, all[i].s, all[i].n, all[i].s, 0x1b, 0xff);
		fake_advance(t->vm, 20 * MS);
		RESULT(t, (u8)(h << 2), 0, 0, all[i].c, h, 1, all[i].n);
		is_sector(fake_memory() + BUFFER, sectors - (1u << (all[i].n - 2)));
		teardown(state);
	}
}

/* An image of unusual size: the boot sector tells, or it is put on the smallest medium; what is not there reads as zeros. */
static void test_odd_sizes(void **state)
{
	start(state, 5000);
	struct rig *t = *state;
	u8 *boot = fake_disk_bytes(t->disk);
	assert_int_equal(t->f.drive[0].geo.sectors, 36);
	teardown(state);

	start(state, 2400 + 7);
	t = *state;
	assert_int_equal(t->f.drive[0].geo.sectors, 18);
	prepare(t);
	seek(t, 0, 79);
	dma(t, TO_MEMORY, 512);
	memset(fake_memory() + BUFFER, 1, 512);
	SEND(t, 0x46, 0, 79, 0, 1, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 20 * MS);
	RESULT(t, 0, 0, 0, 79, 0, 2, 2);
	assert_int_equal(fake_memory()[BUFFER], 0);
	dma(t, FROM_MEMORY, 512);
	SEND(t, 0x45, 0, 79, 0, 1, 2, 18, 0x1b, 0xff);
	fake_advance(t->vm, 20 * MS);
	results(t, 7);
	assert_int_equal(t->result[0], 0x40);

	boot = fake_disk_bytes(t->disk);
	memcpy(boot + 11, (u8[]){ 0, 2, 1, 1, 0, 2, 224, 0, 2400 & 0xff, 2400 >> 8, 0xf9, 7, 0, 15, 0, 2, 0 }, 17);
	t->f.drive[0].geo.cylinders = 0;
	floppy_attach(&t->f, 0, t->disk);
	assert_int_equal(t->f.drive[0].geo.sectors, 15);
	assert_int_equal(t->f.drive[0].geo.cylinders, 80);
	teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_small_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seek, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_format, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pio, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verify_scan, setup, teardown),
		cmocka_unit_test(test_media),
		cmocka_unit_test(test_odd_sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

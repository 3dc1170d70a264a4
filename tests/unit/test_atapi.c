/*
 * test_atapi.c - the CD drive: packet protocol (ATA/ATAPI-6), commands (MMC-3), medium changes.
 */
/* objs: devices/emulated/ide.o devices/emulated/ide_ata.o devices/emulated/ide_atapi.o devices/emulated/ide_mmc.o
 * devices/emulated/ide_identify.o devices/emulated/ide_dma.o devices/device.o devices/pci.o
 * monitor/trace.o tests/unit/fake_vm.o tests/unit/fake_disk.o tests/unit/fake_memory.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/emulated/ide.h"
#include "tests/unit/fake_disk.h"
#include "tests/unit/fake_vm.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DATA, ERROR, COUNT, LBA0, LBA1, LBA2, DEVICE, STATUS };
enum { READY = 0x50, DRQ = 0x08, ERR = 0x01 };
#define BLOCKS 1000u

struct rig {
	struct vm *vm;
	struct ide_channel c;
	struct ide_channel other;
	struct piix_ide pci;
	struct blockdev *disk;
	u8 data[65536];		/* of the last command */
	u32 bytes;
};

static int setup(void **state)
{
	struct rig *t = calloc(1, sizeof(*t));
	t->vm = fake_vm_new();
	t->disk = fake_disk_new(BLOCKS * 4);
	ide_channel_init(&t->c, t->vm, "ide1");
	ide_channel_init(&t->other, t->vm, "ide0");
	t->c.irq = fake_line(t->vm);
	piix_ide_init(&t->pci, t->vm, "piix_ide", &t->other, &t->c);
	t->pci.func.config[PCI_COMMAND] = PCI_COMMAND_IO | PCI_COMMAND_MASTER;
	ide_attach(&t->c, 0, IDE_CD, t->disk);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct rig *t = *state;
	fake_disk_free(t->disk);
	fake_vm_free(t->vm);
	free(t);
	return 0;
}

static void out(struct rig *t, u32 reg, u32 value) { ide_write(&t->c, reg, value, 1); }
static u32 in(struct rig *t, u32 reg) { return ide_read(&t->c, reg, 1) & 0xff; }

static void send(struct rig *t, const u8 *packet, u32 limit, bool dma)
{
	out(t, ERROR, dma);
	out(t, LBA1, limit & 0xff);
	out(t, LBA2, limit >> 8);
	out(t, STATUS, 0xa0);
	assert_int_equal(in(t, STATUS), READY | DRQ);
	assert_int_equal(in(t, COUNT), 1);		/* command, to the device */
	for (int i = 0; i < 12; i += 2)
		ide_write(&t->c, DATA, packet[i] | (u32)packet[i + 1] << 8, 2);
}

/* Runs a packet by PIO, takes what comes; returns the status at the end. */
static u32 packet(struct rig *t, const u8 *p, u32 limit)
{
	u32 status;
	t->bytes = 0;
	send(t, p, limit, false);
	for (;;) {
		assert_true(fake(t->vm)->level);
		status = in(t, STATUS);
		if (!(status & DRQ))
			break;
		assert_int_equal(in(t, COUNT), 2);	/* data, to the host */
		u32 n = in(t, LBA1) | in(t, LBA2) << 8;
		assert_in_range(n, 1, limit);
		for (u32 i = 0; i < n; i += 2) {
			u32 w = ide_read(&t->c, DATA, 2);
			memcpy(t->data + t->bytes + i, &w, 2);
		}
		t->bytes += n;
	}
	assert_int_equal(in(t, COUNT), 3);
	return status;
}

#define P(...) (const u8[12]){ __VA_ARGS__ }

static void ok(struct rig *t, const u8 *p, u32 bytes)
{
	assert_int_equal(packet(t, p, 2048), READY);
	assert_int_equal(t->bytes, bytes);
}

static void fails(struct rig *t, const u8 *p, u8 key, u8 asc)
{
	assert_int_equal(packet(t, p, 2048), READY | ERR);
	assert_int_equal(in(t, ERROR), key << 4 | 4);
	ok(t, P(3, 0, 0, 0, 18), 18);
	assert_int_equal(t->data[0], 0x70);
	assert_int_equal(t->data[2], key);
	assert_int_equal(t->data[12], asc);
	ok(t, P(3, 0, 0, 0, 18), 18);			/* told once */
	assert_int_equal(t->data[2], 0);
}

static u32 be32(const u8 *p) { return (u32)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]; }
static u32 be16(const u8 *p) { return (u32)p[0] << 8 | p[1]; }

static void is_block(const u8 *p, u32 block)
{
	for (u32 i = 0; i < 2048; i++)
		if (p[i] != fake_disk_byte(block * 4 + i / 512, i % 512))
			fail_msg("byte %u of block %u", i, block);
}

static void test_identity(void **state)
{
	struct rig *t = *state;
	u16 w[256];
	assert_int_equal(in(t, LBA1), 0x14);
	assert_int_equal(in(t, LBA2), 0xeb);
	assert_int_equal(in(t, STATUS), 0);		/* no DRDY before the first command */
	out(t, LBA1, 0);
	out(t, STATUS, 0xec);				/* IDENTIFY DEVICE says what it is */
	assert_int_equal(in(t, STATUS), READY | ERR);
	assert_int_equal(in(t, ERROR), 4);
	assert_int_equal(in(t, LBA1), 0x14);
	assert_int_equal(in(t, LBA2), 0xeb);
	out(t, LBA1, 0);
	out(t, STATUS, 0x08);				/* DEVICE RESET */
	assert_int_equal(in(t, LBA1), 0x14);
	assert_int_equal(in(t, STATUS), 0);
	out(t, STATUS, 0xa1);
	assert_int_equal(in(t, STATUS), READY | DRQ);
	for (int i = 0; i < 256; i++)
		w[i] = (u16)ide_read(&t->c, DATA, 2);
	assert_int_equal(w[0], 0x85c0);
	assert_int_equal(w[49] & 0x300, 0x300);
	out(t, STATUS, 0x30);
	assert_int_equal(in(t, STATUS), READY | ERR);
	ok(t, P(0x12, 0, 0, 0, 36), 36);		/* INQUIRY */
	assert_int_equal(t->data[0], 5);
	assert_int_equal(t->data[1], 0x80);
	assert_memory_equal(t->data + 8, "RINGFENC", 8);
	ok(t, P(0x12, 0, 0, 0, 5), 5);
	fails(t, P(0x12, 1, 0, 0, 36), 5, 0x24);
	fails(t, P(0xff), 5, 0x20);
}

static void test_read(void **state)
{
	struct rig *t = *state;
	ok(t, P(0x28, 0, 0, 0, 0, 3, 0, 0, 5), 5 * 2048);
	for (u32 i = 0; i < 5; i++)
		is_block(t->data + 2048 * i, 3 + i);
	assert_int_equal(packet(t, P(0xa8, 0, 0, 0, 0, 9, 0, 0, 0, 20), 0xfffe), READY);
	assert_int_equal(t->bytes, 20 * 2048);
	is_block(t->data + 19 * 2048, 28);
	assert_int_equal(packet(t, P(0x28, 0, 0, 0, 0, 3, 0, 0, 1), 100), READY);	/* small blocks */
	is_block(t->data, 3);
	ok(t, P(0x28, 0, 0, 0, 0, 3, 0, 0, 0), 0);
	fails(t, P(0x28, 0, 0, 0, BLOCKS >> 8, BLOCKS & 0xff, 0, 0, 1), 5, 0x21);
	fails(t, P(0xa8, 0, 0, 0, 0, 1, 0, 0, BLOCKS >> 8, BLOCKS & 0xff), 5, 0x21);
	fails(t, P(0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 1), 5, 0x21);
	ok(t, P(0x2b, 0, 0, 0, 0, 3), 0);			/* SEEK */
	fake_disk_fail(t->disk, EIO);
	fails(t, P(0x28, 0, 0, 0, 0, 3, 0, 0, 1), 3, 0x11);
}

static void test_read_cd(void **state)
{
	struct rig *t = *state;
	ok(t, P(0xbe, 0, 0, 0, 0, 7, 0, 0, 2, 0x10), 4096);
	is_block(t->data + 2048, 8);
	ok(t, P(0xbe, 0, 0, 0, 0, 7, 0, 0, 2, 0), 0);
	ok(t, P(0xbe, 0, 0, 0, 0, 7, 0, 0, 15, 0xf8), 15 * 2352);
	static const u8 start[16] = { 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0x00, 0x02, 0x07, 1 };
	assert_memory_equal(t->data, start, 16);
	for (u32 i = 0; i < 15; i++)
		is_block(t->data + 2352 * i + 16, 7 + i);
	ok(t, P(0xb9, 0, 0, 0, 2, 7, 0, 2, 8, 0x10), 2048);	/* READ CD MSF */
	is_block(t->data, 7);
	fails(t, P(0xb9, 0, 0, 0, 1, 7, 0, 2, 8, 0x10), 5, 0x24);
	fails(t, P(0xbe, 4, 0, 0, 0, 7, 0, 0, 2, 0x10), 5, 0x64);	/* CD-DA */
	fails(t, P(0xbe, 0, 0, 0, 0, 7, 0, 0, 2, 0x48), 5, 0x24);
}

static void test_dma(void **state)
{
	struct rig *t = *state;
	u32 prd[2] = { 0x10000, 0x80000000 };
	memcpy(fake_memory() + 0x1000, prd, 8);
	piix_ide_write(&t->pci, 12, 0x1000, 4);
	send(t, P(0x28, 0, 0, 0, 0, 100, 0, 0, 32), 0, true);
	assert_false(fake(t->vm)->level);
	piix_ide_write(&t->pci, 8, 0x09, 1);
	assert_true(fake(t->vm)->level);
	assert_int_equal(in(t, STATUS), READY);
	assert_int_equal(in(t, COUNT), 3);
	assert_int_equal(piix_ide_read(&t->pci, 10, 1), 4);
	for (u32 i = 0; i < 32; i++)
		is_block(fake_memory() + 0x10000 + 2048 * i, 100 + i);
	piix_ide_write(&t->pci, 8, 0, 1);
	send(t, P(0x12, 0, 0, 0, 36), 0, true);
	piix_ide_write(&t->pci, 8, 0x09, 1);
	assert_memory_equal(fake_memory() + 0x10000 + 8, "RINGFENC", 8);
}

static void test_medium(void **state)
{
	struct rig *t = *state;
	ok(t, P(0), 0);
	ok(t, P(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 8);
	assert_int_equal(t->data[4], 0);
	assert_int_equal(t->data[5], 2);
	ok(t, P(0x1e, 0, 0, 0, 1), 0);			/* PREVENT: no eject */
	assert_true(blockdev_locked(t->disk));
	fails(t, P(0x1b, 0, 0, 0, 2), 5, 0x53);
	ok(t, P(0x1e, 0, 0, 0, 0), 0);
	ok(t, P(0x1b, 0, 0, 0, 2), 0);
	assert_false(blockdev_present(t->disk));
	fails(t, P(0), 2, 0x3a);
	fails(t, P(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 2, 0x3a);
	fails(t, P(0x43, 0, 0, 0, 0, 0, 0, 0, 20), 2, 0x3a);
	ok(t, P(0x12, 0, 0, 0, 36), 36);
	ok(t, P(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 8);
	assert_int_equal(t->data[4], 3);		/* removed */
	assert_int_equal(t->data[5], 0);
	ok(t, P(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 8);
	assert_int_equal(t->data[4], 0);
	fake_disk_change(t->disk, 40);
	ok(t, P(0x12, 0, 0, 0, 36), 36);		/* does not take the attention away */
	fails(t, P(0), 6, 0x28);
	ok(t, P(0), 0);
	ok(t, P(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 8);
	assert_int_equal(t->data[4], 2);
	ok(t, P(0x25), 8);
	assert_int_equal(be32(t->data), 9);
	ok(t, P(0x4a, 1, 0, 0, 0x02, 0, 0, 0, 8), 4);	/* a class that there is not */
	assert_int_equal(t->data[2], 0x80);
	fails(t, P(0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8), 5, 0x24);
}

static void test_toc(void **state)
{
	struct rig *t = *state;
	ok(t, P(0x43, 0, 0, 0, 0, 0, 0, 1, 0), 20);
	assert_int_equal(be16(t->data), 18);
	assert_int_equal(t->data[5], 0x14);
	assert_int_equal(t->data[6], 1);
	assert_int_equal(be32(t->data + 8), 0);
	assert_int_equal(t->data[14], 0xaa);
	assert_int_equal(be32(t->data + 16), BLOCKS);
	ok(t, P(0x43, 2, 0, 0, 0, 0, 0xaa, 1, 0), 12);	/* MSF, the lead-out only */
	assert_int_equal(be32(t->data + 8), (1000 + 150) / 75 << 8 | (1000 + 150) % 75);
	fails(t, P(0x43, 0, 0, 0, 0, 0, 2, 1, 0), 5, 0x24);
	ok(t, P(0x43, 0, 1, 0, 0, 0, 0, 1, 0), 12);
	assert_int_equal(be16(t->data), 10);
	ok(t, P(0x43, 0, 2, 0, 0, 0, 0, 1, 0), 48);
	assert_int_equal(t->data[4 + 3], 0xa0);
	ok(t, P(0x43, 0, 0, 0, 0, 0, 0, 1, 0, 0x80), 48);	/* the format where SFF-8020i had it */
	ok(t, P(0x43, 0, 0, 0, 0, 0, 0, 0, 4), 4);
	assert_int_equal(be16(t->data), 18);
	fails(t, P(0x43, 0, 5, 0, 0, 0, 0, 1, 0), 5, 0x24);
	ok(t, P(0x44, 0, 0, 0, 0, 5, 0, 0, 8), 8);
	assert_int_equal(be32(t->data + 4), 5);
	ok(t, P(0x42, 0, 0x40, 1, 0, 0, 0, 0, 16), 16);
	assert_int_equal(t->data[1], 0x15);
	fails(t, P(0x42, 0, 0x40, 4, 0, 0, 0, 0, 16), 5, 0x24);
	ok(t, P(0x51, 0, 0, 0, 0, 0, 0, 0, 34), 34);
	assert_int_equal(t->data[2], 0x0e);
	ok(t, P(0x52, 1, 0, 0, 0, 1, 0, 0, 36), 36);
	assert_int_equal(be32(t->data + 24), BLOCKS);
	fails(t, P(0x52, 1, 0, 0, 0, 2, 0, 0, 36), 5, 0x24);
	fails(t, P(0xad, 0, 0, 0, 0, 0, 0, 0, 8), 5, 0x30);	/* it is a CD */
}

static void test_drive(void **state)
{
	struct rig *t = *state;
	ok(t, P(0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 128), 8 + 22);
	assert_int_equal(be16(t->data), 8 + 22 - 2);
	assert_int_equal(t->data[8], 0x2a);
	assert_int_equal(t->data[14] & 2, 0);
	ok(t, P(0x1e, 0, 0, 0, 1), 0);
	ok(t, P(0x1a, 0, 0x2a, 0, 128), 4 + 22);
	assert_int_equal(t->data[4 + 6] & 2, 2);	/* locked */
	ok(t, P(0x5a, 0, 0x3f, 0, 0, 0, 0, 1, 0), 8 + 8 + 16 + 12 + 22);
	ok(t, P(0x5a, 0, 0x7f, 0, 0, 0, 0, 1, 0), 8 + 8 + 16 + 12 + 22);
	assert_int_equal(t->data[8 + 3], 0);		/* nothing can be changed */
	fails(t, P(0x5a, 0, 0x05, 0, 0, 0, 0, 1, 0), 5, 0x24);
	fails(t, P(0x5a, 0, 0xea, 0, 0, 0, 0, 1, 0), 5, 0x39);
	ok(t, P(0x46, 0, 0, 0, 0, 0, 0, 4, 0), 8 + 12 + 12 + 8 + 8 + 12 + 4 + 8 + 4);
	assert_int_equal(be32(t->data), t->bytes - 4);
	assert_int_equal(be16(t->data + 6), 8);
	ok(t, P(0x46, 2, 0, 3, 0, 0, 0, 4, 0), 16);
	assert_int_equal(be16(t->data + 8), 3);
	fails(t, P(0x46, 3, 0, 3, 0, 0, 0, 4, 0), 5, 0x24);
	ok(t, P(0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8), 8);
	ok(t, P(0xbb, 0, 0xff, 0xff), 0);
	ok(t, P(0x35), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_identity), TEST(test_read), TEST(test_read_cd), TEST(test_dma), TEST(test_medium), TEST(test_toc), TEST(test_drive),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

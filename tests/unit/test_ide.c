/*
 * test_ide.c - IDE channel and ATA disk, register by register (ATA/ATAPI-6), and the PIIX3's bus master.
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
enum { BSY = 0x80, DRDY = 0x40, DSC = 0x10, DRQ = 0x08, ERR = 0x01 };
#define READY (DRDY | DSC)
#define SECTORS 2048u

struct rig {
	struct vm *vm;
	struct ide_channel a, b;
	struct piix_ide pci;
	struct blockdev *disk;
};

static int setup(void **state)
{
	struct rig *t = calloc(1, sizeof(*t));
	t->vm = fake_vm_new();
	t->disk = fake_disk_new(SECTORS);
	ide_channel_init(&t->a, t->vm, "ide0");
	ide_channel_init(&t->b, t->vm, "ide1");
	t->a.irq = fake_line(t->vm);
	piix_ide_init(&t->pci, t->vm, "piix_ide", &t->a, &t->b);
	t->pci.func.config[PCI_COMMAND] = PCI_COMMAND_IO | PCI_COMMAND_MASTER;
	ide_attach(&t->a, 0, IDE_DISK, t->disk);
	memset(fake_memory(), 0, FAKE_MEMORY);
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

static void out(struct rig *t, u32 reg, u32 value) { ide_write(&t->a, reg, value, 1); }
static u32 in(struct rig *t, u32 reg) { return ide_read(&t->a, reg, 1) & 0xff; }
static bool irq(struct rig *t) { return fake(t->vm)->level; }

static void lba28(struct rig *t, u32 lba, u8 count)
{
	out(t, DEVICE, 0xe0 | (lba >> 24 & 15));
	out(t, COUNT, count);
	out(t, LBA0, lba & 0xff);
	out(t, LBA1, lba >> 8 & 0xff);
	out(t, LBA2, lba >> 16 & 0xff);
}

static void lba48(struct rig *t, u64 lba, u16 count)
{
	out(t, DEVICE, 0xe0);
	for (int shift = 24; shift >= 0; shift -= 24) {
		out(t, COUNT, (u32)count >> (shift ? 8 : 0) & 0xff);
		for (u32 i = 0; i < 3; i++)
			out(t, LBA0 + i, (u32)(lba >> (shift + 8 * (int)i)) & 0xff);
	}
}

static void read_words(struct rig *t, void *to, u32 bytes)
{
	for (u32 i = 0; i < bytes; i += 2) {
		u32 w = ide_read(&t->a, DATA, 2);
		memcpy((u8 *)to + i, &w, 2);
	}
}

static void write_words(struct rig *t, const void *from, u32 bytes)
{
	for (u32 i = 0; i < bytes; i += 2) {
		u16 w;
		memcpy(&w, (const u8 *)from + i, 2);
		ide_write(&t->a, DATA, w, 2);
	}
}

static void is_sector(const u8 *p, u64 sector)
{
	for (u32 i = 0; i < 512; i++)
		if (p[i] != fake_disk_byte(sector, i))
			fail_msg("byte %u of sector %llu", i, (unsigned long long)sector);
}

/* A command without data that ends well. */
static void command_ok(struct rig *t, u8 cmd)
{
	out(t, STATUS, cmd);
	assert_true(irq(t));
	assert_int_equal(in(t, STATUS), READY);
	assert_false(irq(t));
}

static void command_fails(struct rig *t, u8 cmd, u8 error)
{
	out(t, STATUS, cmd);
	assert_true(irq(t));
	assert_int_equal(in(t, STATUS), READY | ERR);
	assert_int_equal(in(t, ERROR), error);
}

static void test_signature(void **state)
{
	struct rig *t = *state;
	assert_int_equal(in(t, STATUS), READY);
	assert_int_equal(in(t, ERROR), 1);
	assert_int_equal(in(t, COUNT), 1);
	assert_int_equal(in(t, LBA0), 1);
	assert_int_equal(in(t, LBA1) | in(t, LBA2), 0);
	out(t, COUNT, 0x55);
	out(t, LBA0, 0xaa);
	assert_int_equal(in(t, COUNT), 0x55);
	assert_int_equal(in(t, LBA0), 0xaa);
	out(t, DEVICE, 0x10);				/* nobody there */
	assert_int_equal(in(t, STATUS), 0);
	assert_int_equal(ide_read_alt_status(&t->a), 0);
	assert_int_equal(in(t, COUNT), 0);
	out(t, STATUS, 0xec);
	assert_false(irq(t));
	out(t, DEVICE, 0);
	assert_int_equal(in(t, DEVICE), 0xa0);
	assert_int_equal(ide_read(&t->b, STATUS, 1), 0);	/* a channel without drives */
	ide_write(&t->b, STATUS, 0xec, 1);
	ide_write(&t->b, STATUS, 0x90, 1);
	assert_int_equal(ide_read(&t->b, STATUS, 1), 0);

	ide_write_control(&t->a, 4);			/* SRST */
	assert_int_equal(in(t, STATUS), BSY);
	out(t, STATUS, 0xec);				/* nobody listens */
	ide_write_control(&t->a, 0);
	assert_int_equal(in(t, STATUS), READY);
	assert_int_equal(in(t, COUNT), 1);
	assert_false(irq(t));
	out(t, STATUS, 0x90);				/* EXECUTE DEVICE DIAGNOSTIC */
	assert_true(irq(t));
	assert_int_equal(in(t, ERROR), 1);
	assert_int_equal(in(t, STATUS), READY);
}

static void test_pio_read(void **state)
{
	struct rig *t = *state;
	u8 buf[512];
	lba28(t, 5, 3);
	out(t, STATUS, 0x20);
	for (u32 i = 0; i < 3; i++) {
		assert_true(irq(t));
		assert_int_equal(ide_read_alt_status(&t->a), READY | DRQ);
		assert_true(irq(t));
		assert_int_equal(in(t, STATUS), READY | DRQ);
		assert_false(irq(t));
		read_words(t, buf, 512);
		is_sector(buf, 5 + i);
	}
	assert_false(irq(t));
	assert_int_equal(in(t, STATUS), READY);
	assert_int_equal(ide_read(&t->a, DATA, 2), 0);

	lba28(t, 0, 1);					/* doublewords */
	out(t, STATUS, 0x21);
	for (u32 i = 0; i < 512; i += 4) {
		u32 d = ide_read(&t->a, DATA, 4);
		memcpy(buf + i, &d, 4);
	}
	is_sector(buf, 0);
	assert_int_equal(in(t, STATUS), READY);

	lba28(t, 0, 0);					/* 256 sectors, through the buffer piece by piece */
	out(t, STATUS, 0x20);
	for (u32 i = 0; i < 256; i++) {
		read_words(t, buf, 512);
		is_sector(buf, i);
	}
	assert_int_equal(in(t, STATUS), READY);
	assert_int_equal(fake_disk_count(t->disk, BLK_READ), 2 + 256 / 64);

	lba28(t, 30, 2);				/* many at once: to the end of the block */
	out(t, STATUS, 0x20);
	assert_int_equal(ide_read_data(&t->a, buf, 1, 100), 0);
	assert_int_equal(ide_read_data(&t->a, buf, 2, 100), 100);
	assert_int_equal(ide_read_data(&t->a, buf + 200, 4, 1000), 78);
	is_sector(buf, 30);
	assert_int_equal(in(t, STATUS), READY | DRQ);
	assert_int_equal(ide_read_data(&t->a, buf, 2, 256), 256);
	is_sector(buf, 31);
	assert_int_equal(ide_read_data(&t->a, buf, 2, 1), 0);
	assert_int_equal(ide_write_data(&t->a, buf, 2, 1), 0);
	lba28(t, 30, 1);
	out(t, STATUS, 0x30);
	assert_int_equal(ide_write_data(&t->a, buf, 4, 1000), 128);
	assert_int_equal(in(t, STATUS), READY);
	assert_memory_equal(fake_disk_bytes(t->disk) + 30 * 512, buf, 512);

	lba28(t, SECTORS - 1, 1);
	out(t, STATUS, 0x20);
	read_words(t, buf, 512);
	is_sector(buf, SECTORS - 1);
	lba28(t, SECTORS - 1, 2);
	command_fails(t, 0x20, 0x10);			/* IDNF */
	lba28(t, 0x0fffffff, 1);
	command_fails(t, 0x40, 0x10);
	u32 reads = fake_disk_count(t->disk, BLK_READ);
	lba28(t, 7, 7);
	assert_int_equal(fake_disk_count(t->disk, BLK_READ), reads);
	command_ok(t, 0x40);				/* READ VERIFY looks at the sectors */
	assert_int_equal(fake_disk_count(t->disk, BLK_READ), reads + 1);
	lba28(t, 0, 0);					/* 256 of them, in pieces */
	command_ok(t, 0x41);
	assert_true(fake_disk_count(t->disk, BLK_READ) >= reads + 3);
	assert_int_equal(in(t, STATUS) & DRQ, 0);
	reads = fake_disk_count(t->disk, BLK_READ);
	command_ok(t, 0x70);				/* SEEK */
	command_ok(t, 0x10);				/* RECALIBRATE */
	assert_int_equal(fake_disk_count(t->disk, BLK_READ), reads);

	fake_disk_fail(t->disk, EIO);
	lba28(t, 0x123, 1);
	command_fails(t, 0x20, 0x40);			/* UNC, and where */
	assert_int_equal(in(t, LBA0), 0x23);
	assert_int_equal(in(t, LBA1), 0x01);
	lba28(t, 0x122, 1);
	command_fails(t, 0x40, 0x40);			/* READ VERIFY too */
	assert_int_equal(in(t, LBA0), 0x22);
}

static void test_chs(void **state)
{
	struct rig *t = *state;
	u8 buf[512];
	out(t, DEVICE, 0xa3);				/* head 3 */
	out(t, COUNT, 1);
	out(t, LBA0, 10);
	out(t, LBA1, 1);
	out(t, LBA2, 0);
	out(t, STATUS, 0x20);
	read_words(t, buf, 512);
	is_sector(buf, (1 * 16 + 3) * 63 + 9);
	out(t, LBA0, 0);				/* sectors count from 1 */
	command_fails(t, 0x20, 0x10);
	out(t, LBA0, 64);
	command_fails(t, 0x20, 0x10);
	out(t, COUNT, 32);
	out(t, DEVICE, 0xa7);
	command_ok(t, 0x91);				/* 8 heads of 32 sectors */
	out(t, COUNT, 1);
	out(t, DEVICE, 0xa1);
	out(t, LBA0, 2);
	out(t, STATUS, 0x20);
	read_words(t, buf, 512);
	is_sector(buf, (1 * 8 + 1) * 32 + 1);
	out(t, COUNT, 0);
	command_fails(t, 0x91, 0x04);
}

static void test_multiple(void **state)
{
	struct rig *t = *state;
	u8 buf[512 * 8];
	lba28(t, 100, 10);
	command_fails(t, 0xc4, 0x04);			/* not set yet */
	out(t, COUNT, 3);
	command_fails(t, 0xc6, 0x04);
	out(t, COUNT, 32);
	command_fails(t, 0xc6, 0x04);
	out(t, COUNT, 8);
	command_ok(t, 0xc6);
	lba28(t, 100, 10);
	out(t, STATUS, 0xc4);
	assert_true(irq(t));
	in(t, STATUS);
	read_words(t, buf, 512 * 8);
	is_sector(buf, 100);
	is_sector(buf + 512 * 7, 107);
	assert_true(irq(t));
	assert_int_equal(in(t, STATUS), READY | DRQ);
	read_words(t, buf, 512 * 2);
	is_sector(buf + 512, 109);
	assert_int_equal(in(t, STATUS), READY);

	memset(buf, 0x5a, sizeof(buf));
	lba28(t, 40, 9);
	out(t, STATUS, 0xc5);
	assert_false(irq(t));
	assert_int_equal(in(t, STATUS), READY | DRQ);
	write_words(t, buf, 512 * 8);
	assert_true(irq(t));
	write_words(t, buf, 512);
	assert_int_equal(in(t, STATUS), READY);
	assert_memory_equal(fake_disk_bytes(t->disk) + 40 * 512, buf, 512 * 8);
	is_sector(fake_disk_bytes(t->disk) + 49 * 512, 49);
}

static void test_pio_write(void **state)
{
	struct rig *t = *state;
	u8 buf[1024];
	for (u32 i = 0; i < sizeof(buf); i++)
		buf[i] = (u8)(i * 3);
	lba28(t, 9, 2);
	out(t, STATUS, 0x30);
	assert_false(irq(t));				/* the first block comes without */
	assert_int_equal(in(t, STATUS), READY | DRQ);
	write_words(t, buf, 512);
	assert_true(irq(t));
	assert_int_equal(in(t, STATUS), READY | DRQ);
	write_words(t, buf + 512, 512);
	assert_true(irq(t));
	assert_int_equal(in(t, STATUS), READY);
	assert_memory_equal(fake_disk_bytes(t->disk) + 9 * 512, buf, 1024);
	ide_write(&t->a, DATA, 0xffff, 2);
	is_sector(fake_disk_bytes(t->disk) + 11 * 512, 11);
	assert_int_equal(fake_disk_count(t->disk, BLK_FLUSH), 0);

	out(t, ERROR, 0x82);				/* no write cache: durable before the interrupt */
	command_ok(t, 0xef);
	assert_int_equal(fake_disk_count(t->disk, BLK_FLUSH), 1);
	lba28(t, 20, 1);
	out(t, STATUS, 0x30);
	write_words(t, buf, 512);
	assert_int_equal(in(t, STATUS), READY);
	assert_int_equal(fake_disk_count(t->disk, BLK_FLUSH), 2);
	command_ok(t, 0xe7);				/* FLUSH CACHE */
	command_ok(t, 0xea);
	assert_int_equal(fake_disk_count(t->disk, BLK_FLUSH), 4);

	fake_disk_readonly(t->disk, true);
	lba28(t, 9, 2);
	command_fails(t, 0x30, 0x04);
	command_fails(t, 0xca, 0x04);
	command_ok(t, 0x40);
}

static void test_lba48(void **state)
{
	struct rig *t = *state;
	u8 buf[512];
	lba48(t, 0x123, 2);
	assert_int_equal(in(t, LBA0), 0x23);
	ide_write_control(&t->a, 0x80);			/* HOB */
	assert_int_equal(in(t, LBA0), 0);
	assert_int_equal(in(t, COUNT), 0);
	out(t, LBA0, 0x23);				/* a write ends it */
	assert_int_equal(in(t, LBA1), 0x01);
	lba48(t, 0x123, 2);
	out(t, STATUS, 0x24);
	read_words(t, buf, 512);
	is_sector(buf, 0x123);
	read_words(t, buf, 512);
	is_sector(buf, 0x124);
	lba48(t, 0x1000000000ull, 1);
	command_fails(t, 0x24, 0x10);
	lba48(t, 0, 0);					/* 65536 sectors */
	command_fails(t, 0x24, 0x10);
	lba48(t, 3, 1);
	out(t, STATUS, 0x34);
	memset(buf, 9, 512);
	write_words(t, buf, 512);
	assert_int_equal(fake_disk_bytes(t->disk)[3 * 512], 9);
	out(t, DEVICE, 0xe0);
	command_ok(t, 0x27);				/* READ NATIVE MAX ADDRESS EXT */
	assert_int_equal(in(t, LBA0) | in(t, LBA1) << 8, SECTORS - 1);
	command_ok(t, 0xf8);
	assert_int_equal(in(t, LBA0) | in(t, LBA1) << 8, SECTORS - 1);
}

static void test_identify(void **state)
{
	struct rig *t = *state;
	u16 w[256];
	u8 sum = 0;
	out(t, STATUS, 0xec);
	assert_true(irq(t));
	read_words(t, w, 512);
	for (u32 i = 0; i < 512; i++)
		sum = (u8)(sum + ((u8 *)w)[i]);
	assert_int_equal(sum, 0);
	assert_int_equal(w[0], 0x0040);
	assert_int_equal(w[1], 2);
	assert_int_equal(w[3], 16);
	assert_int_equal(w[6], 63);
	assert_int_equal(w[27], 'R' << 8 | 'I');
	assert_int_equal(w[60], SECTORS);
	assert_int_equal(w[100], SECTORS);
	assert_int_equal(w[85] & 0x20, 0x20);
	assert_int_equal(w[63], 7);
	out(t, ERROR, 0x03);
	out(t, COUNT, 0x45);				/* Ultra DMA 5 */
	command_ok(t, 0xef);
	out(t, ERROR, 0x82);
	command_ok(t, 0xef);
	out(t, COUNT, 16);
	command_ok(t, 0xc6);
	out(t, STATUS, 0xec);
	read_words(t, w, 512);
	assert_int_equal(w[88], 0x203f);
	assert_int_equal(w[63], 7);
	assert_int_equal(w[85] & 0x20, 0);
	assert_int_equal(w[59], 0x110);
	out(t, ERROR, 0x03);
	out(t, COUNT, 0x46);
	command_fails(t, 0xef, 0x04);
	out(t, ERROR, 0x77);
	command_fails(t, 0xef, 0x04);
}

static void test_others(void **state)
{
	struct rig *t = *state;
	u8 buf[512];
	command_fails(t, 0x00, 0x04);			/* NOP */
	command_fails(t, 0xa0, 0x04);			/* PACKET is not for disks */
	command_fails(t, 0xa1, 0x04);
	command_fails(t, 0x08, 0x04);
	command_fails(t, 0xff, 0x04);
	command_ok(t, 0xe5);
	assert_int_equal(in(t, COUNT), 0xff);
	command_ok(t, 0xe0);
	command_ok(t, 0xe5);
	assert_int_equal(in(t, COUNT), 0);
	command_ok(t, 0xe1);
	command_ok(t, 0xe5);
	assert_int_equal(in(t, COUNT), 0xff);

	out(t, ERROR, 0xda);				/* SMART RETURN STATUS */
	command_fails(t, 0xb0, 0x04);
	out(t, LBA1, 0x4f);
	out(t, LBA2, 0xc2);
	command_ok(t, 0xb0);
	assert_int_equal(in(t, LBA1), 0x4f);
	out(t, ERROR, 0xd0);
	out(t, STATUS, 0xb0);
	read_words(t, buf, 512);
	u8 sum = 0;
	for (u32 i = 0; i < 512; i++)
		sum = (u8)(sum + buf[i]);
	assert_int_equal(sum, 0);
	out(t, ERROR, 0xd9);
	command_ok(t, 0xb0);
	out(t, ERROR, 0xda);
	command_fails(t, 0xb0, 0x04);
	out(t, ERROR, 0xd8);
	command_ok(t, 0xb0);

	memset(buf, 0x77, 512);
	out(t, STATUS, 0xe8);				/* WRITE BUFFER, READ BUFFER */
	write_words(t, buf, 512);
	assert_int_equal(in(t, STATUS), READY);
	memset(buf, 0, 512);
	out(t, STATUS, 0xe4);
	read_words(t, buf, 512);
	assert_int_equal(buf[511], 0x77);

	ide_write_control(&t->a, 2);			/* nIEN */
	out(t, STATUS, 0x10);
	assert_false(irq(t));
	ide_write_control(&t->a, 0);
	assert_true(irq(t));
	assert_int_equal(in(t, STATUS), READY);
}

/* --- bus master --- */

static void prd(u32 at, u32 n, u32 address, u32 count)
{
	memcpy(fake_memory() + at + 8 * n, &address, 4);
	memcpy(fake_memory() + at + 8 * n + 4, &count, 4);
}

static void bm(struct rig *t, u32 reg, u32 value, int size) { piix_ide_write(&t->pci, reg, value, size); }
static u32 bm_status(struct rig *t) { return piix_ide_read(&t->pci, 2, 1); }

static void test_dma(void **state)
{
	struct rig *t = *state;
	u8 *m = fake_memory();
	prd(0x1000, 0, 0x2000, 700);
	prd(0x1000, 1, 0x8000, 324 | 0x80000000);
	bm(t, 4, 0x1003, 4);
	assert_int_equal(piix_ide_read(&t->pci, 4, 4), 0x1000);
	bm(t, 2, 0x66, 1);
	assert_int_equal(bm_status(t), 0x60);
	bm(t, 0, 0x08, 1);
	lba28(t, 50, 2);
	out(t, STATUS, 0xc8);
	assert_false(irq(t));				/* waits for the bus master */
	assert_int_equal(in(t, STATUS), READY | DRQ);
	bm(t, 0, 0x09, 1);
	assert_true(irq(t));
	assert_int_equal(bm_status(t), 0x64);		/* interrupt, not active */
	assert_int_equal(in(t, STATUS), READY);
	bm(t, 0, 0x08, 1);
	bm(t, 2, 0x64, 1);
	assert_int_equal(bm_status(t), 0x60);
	memmove(m + 0x2000 + 700, m + 0x8000, 324);
	is_sector(m + 0x2000, 50);
	is_sector(m + 0x2200, 51);

	prd(0x1000, 0, 0x2000, 0 | 0x80000000);		/* 64 KiB, more than is needed */
	memset(m + 0x2000, 0xcc, 1024);
	lba28(t, 60, 2);
	bm(t, 0, 0x00, 1);
	out(t, STATUS, 0xca);
	bm(t, 0, 0x01, 1);
	assert_int_equal(bm_status(t), 0x65);		/* the device ended first: still active */
	assert_int_equal(in(t, STATUS), READY);
	bm(t, 0, 0x00, 1);
	assert_int_equal(bm_status(t), 0x64);
	assert_int_equal(fake_disk_bytes(t->disk)[60 * 512], 0xcc);
	assert_int_equal(fake_disk_bytes(t->disk)[62 * 512 - 1], 0xcc);
	is_sector(fake_disk_bytes(t->disk) + 62 * 512, 62);
	bm(t, 2, 0x04, 1);

	prd(0x1000, 0, 0x2000, 512 | 0x80000000);	/* too short */
	lba28(t, 70, 2);
	out(t, STATUS, 0xc8);
	bm(t, 0, 0x09, 1);
	assert_int_equal(bm_status(t) & 7, 0);
	assert_false(irq(t));
	assert_int_equal(in(t, STATUS), READY | DRQ);
	bm(t, 0, 0, 1);
	ide_write_control(&t->a, 4);
	ide_write_control(&t->a, 0);

	t->pci.func.config[PCI_COMMAND] = PCI_COMMAND_IO;	/* no bus master, no DMA */
	prd(0x1000, 0, 0x3000, 1024 | 0x80000000);
	lba28(t, 80, 2);
	out(t, STATUS, 0xc8);
	bm(t, 0, 0x09, 1);
	assert_false(irq(t));
	t->pci.func.config[PCI_COMMAND] = PCI_COMMAND_IO | PCI_COMMAND_MASTER;
	t->pci.func.written(&t->pci.func, PCI_COMMAND, 2);
	assert_true(irq(t));
	is_sector(m + 0x3200, 81);

	bm(t, 0, 0, 1);					/* all of the disk, in pieces of the buffer */
	for (u32 i = 0; i < 8; i++)
		prd(0x1000, i, 0x10000 + 0x10000 * i, i == 7 ? 0x80000000 : 0);
	lba48(t, 0, 1024);
	out(t, STATUS, 0x25);
	bm(t, 0, 0x09, 1);
	assert_true(irq(t));
	for (u32 i = 100; i < 1024; i++)
		is_sector(m + 0x10000 + 512 * i, i);
	assert_int_equal(piix_ide_read(&t->pci, 8, 1), 0);	/* the other channel's */
	piix_ide_write(&t->pci, 12, 0x12345678, 4);
	assert_int_equal(t->b.bm_table, 0x12345678);
}

static void test_trim(void **state)
{
	struct rig *t = *state;
	u64 ranges[64] = { 10ull | 5ull << 48, 0, 20ull | 1ull << 48 };
	memcpy(fake_memory() + 0x2000, ranges, 512);
	prd(0x1000, 0, 0x2000, 512 | 0x80000000);
	bm(t, 4, 0x1000, 4);
	lba48(t, 0, 1);
	out(t, ERROR, 1);
	out(t, STATUS, 0x06);
	bm(t, 0, 0x01, 1);
	assert_true(irq(t));
	assert_int_equal(in(t, STATUS), READY);
	assert_int_equal(fake_disk_count(t->disk, BLK_DISCARD), 2);
	assert_int_equal(fake_disk_bytes(t->disk)[14 * 512 + 3], 0);
	is_sector(fake_disk_bytes(t->disk) + 15 * 512, 15);
	assert_int_equal(fake_disk_bytes(t->disk)[20 * 512 + 3], 0);
	bm(t, 0, 0, 1);
	ranges[0] = (SECTORS - 1) | 2ull << 48;
	memcpy(fake_memory() + 0x2000, ranges, 512);
	out(t, STATUS, 0x06);
	bm(t, 0, 0x01, 1);
	assert_int_equal(in(t, STATUS), READY | ERR);
	assert_int_equal(in(t, ERROR), 0x10);
	out(t, ERROR, 0);
	command_fails(t, 0x06, 0x04);
}

/* A reset while the host still reads: the result is nobody's, and a new command waits until the buffer is free. */
static void test_reset_in_flight(void **state)
{
	struct rig *t = *state;
	u8 buf[512];
	fake_disk_hold(t->disk);
	lba28(t, 5, 1);
	out(t, STATUS, 0x20);
	assert_int_equal(in(t, STATUS), BSY);
	out(t, COUNT, 9);				/* ignored */
	out(t, STATUS, 0xec);
	ide_write_control(&t->a, 4);
	ide_write_control(&t->a, 0);
	assert_int_equal(in(t, STATUS), READY);
	assert_int_equal(in(t, COUNT), 1);
	lba28(t, 6, 1);
	out(t, STATUS, 0x20);
	assert_int_equal(in(t, STATUS), BSY);
	assert_false(irq(t));
	fake_disk_release(t->disk);
	assert_true(irq(t));
	assert_int_equal(in(t, STATUS), READY | DRQ);
	read_words(t, buf, 512);
	is_sector(buf, 6);

	fake_disk_hold(t->disk);
	lba28(t, 5, 1);
	out(t, STATUS, 0x20);
	t->a.dev.cls->reset(&t->a);
	fake_disk_release(t->disk);
	assert_false(irq(t));
	assert_int_equal(in(t, STATUS), READY);
}

static void test_pci(void **state)
{
	struct rig *t = *state;
	const u8 *c = t->pci.func.config;
	assert_int_equal(c[0] | c[1] << 8 | c[2] << 16, 0x108086);
	assert_int_equal(c[3], 0x70);
	assert_int_equal(c[PCI_CLASS] | c[PCI_CLASS + 1] << 8 | c[PCI_CLASS + 2] << 16, 0x010180);
	assert_int_equal(c[0x20], 0x01);
	assert_int_equal(c[0x41] & c[0x43], 0x80);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_signature), TEST(test_pio_read), TEST(test_chs), TEST(test_multiple), TEST(test_pio_write), TEST(test_lba48),
		TEST(test_identify), TEST(test_others), TEST(test_dma), TEST(test_trim), TEST(test_reset_in_flight), TEST(test_pci),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

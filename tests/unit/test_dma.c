/*
 * test_dma.c - the pair of 8237A: registers, modes, wrapping, page registers.
 */
/* objs: devices/emulated/dma.o devices/device.o tests/unit/fake_vm.o tests/unit/fake_disk.o tests/unit/fake_memory.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/emulated/dma.h"
#include "tests/unit/fake_disk.h"
#include "tests/unit/fake_vm.h"
#include <string.h>

#define TO_MEMORY   0x04
#define FROM_MEMORY 0x08
#define AUTOINIT    0x10
#define DOWN        0x20

static struct dma d;
static int readies;

static int setup(void **state)
{
	*state = fake_vm_new();
	dma_init(&d, *state, "dma");
	memset(fake_memory(), 0, FAKE_MEMORY);
	readies = 0;
	return 0;
}

static int teardown(void **state)
{
	fake_vm_free(*state);
	return 0;
}

/* Channel of controller 0 with a page register at 80h + page. */
static void program(int channel, u32 page, u8 mode, u32 address, u16 count)
{
	int n = channel >> 2;
	u32 reg = (u32)(channel & 3) * 2;
	dma_write(&d, n, 12, 0);
	dma_write(&d, n, 11, (u8)(mode | (channel & 3)));
	dma_write(&d, n, reg, (u8)address);
	dma_write(&d, n, reg, (u8)(address >> 8));
	dma_write(&d, n, reg + 1, (u8)count);
	dma_write(&d, n, reg + 1, (u8)(count >> 8));
	dma_write_page(&d, page, (u8)(address >> 16));
	dma_write(&d, n, 10, (u8)(channel & 3));
}

static u16 get16(int n, u32 reg)
{
	dma_write(&d, n, 12, 0);
	u16 low = dma_read(&d, n, reg);
	return (u16)(low | dma_read(&d, n, reg) << 8);
}

static void test_registers(void **state)
{
	assert_int_equal(dma_read(&d, 0, 15), 0xff);		/* reset masks all channels */
	program(2, 1, 0x40 | TO_MEMORY, 0x12345, 0x01ff);
	assert_int_equal(get16(0, 4), 0x2345);
	assert_int_equal(get16(0, 5), 0x01ff);
	assert_int_equal(dma_read(&d, 0, 15), 0xfb);
	dma_write(&d, 0, 14, 0);
	assert_int_equal(dma_read(&d, 0, 15), 0xf0);
	dma_write(&d, 0, 15, 0x0a);
	assert_int_equal(dma_read(&d, 0, 15), 0xfa);
	dma_write(&d, 0, 9, 4 | 1);				/* a request by software */
	assert_int_equal(dma_read(&d, 0, 8), 0x20);
	dma_write(&d, 0, 13, 0);				/* master clear */
	assert_int_equal(dma_read(&d, 0, 8), 0);
	assert_int_equal(dma_read(&d, 0, 15), 0xff);
	assert_int_equal(dma_read(&d, 0, 13), 0);
	for (u32 i = 0; i < 16; i++)
		dma_write_page(&d, i, (u8)(i * 3));
	for (u32 i = 0; i < 16; i++)
		assert_int_equal(dma_read_page(&d, i), i * 3);
}

static void test_transfer(void **state)
{
	u8 data[16] = "0123456789abcdef";
	bool tc = false;
	program(2, 1, 0x40 | TO_MEMORY, 0x12340, 15);
	assert_int_equal(dma_transfer(&d, 2, true, data, 10, &tc), 10);
	assert_false(tc);
	assert_int_equal(get16(0, 4), 0x234a);
	assert_int_equal(get16(0, 5), 5);
	assert_int_equal(dma_transfer(&d, 2, true, data + 10, 10, &tc), 6);
	assert_true(tc);
	assert_memory_equal(fake_memory() + 0x12340, "0123456789abcdef", 16);
	assert_int_equal(get16(0, 5), 0xffff);
	assert_int_equal(dma_read(&d, 0, 8), 0x04);		/* terminal count of channel 2, once */
	assert_int_equal(dma_read(&d, 0, 8), 0);
	assert_int_equal(dma_read(&d, 0, 15), 0xff);		/* and masked */
	assert_int_equal(dma_transfer(&d, 2, true, data, 10, &tc), 0);

	memset(data, 0, sizeof(data));
	program(3, 2, 0x40 | FROM_MEMORY, 0x12342, 3);
	assert_int_equal(dma_transfer(&d, 3, false, data, 16, &tc), 4);
	assert_memory_equal(data, "2345", 5);
}

static void test_modes(void **state)
{
	u8 data[8] = "ABCDEFG";
	bool tc = false;
	program(1, 3, 0x40 | TO_MEMORY | DOWN | AUTOINIT, 0x10007, 7);
	assert_int_equal(dma_transfer(&d, 1, true, data, 8, &tc), 8);
	assert_true(tc);
	assert_memory_equal(fake_memory() + 0x10000, "\0GFEDCBA", 8);
	assert_int_equal(get16(0, 2), 0x0007);			/* loaded again, not masked */
	assert_int_equal(get16(0, 3), 7);
	assert_int_equal(dma_read(&d, 0, 15) & 2, 0);

	program(2, 1, 0x40, 0x20000, 7);			/* verify: counts, moves nothing */
	tc = false;
	assert_int_equal(dma_transfer(&d, 2, true, data, 8, &tc), 8);
	assert_true(tc);
	assert_int_equal(fake_memory()[0x20000], 0);

	program(2, 1, 0xc0 | TO_MEMORY, 0x20000, 7);		/* cascade */
	assert_int_equal(dma_transfer(&d, 2, true, data, 8, &tc), 0);
	program(2, 1, 0x40 | TO_MEMORY, 0x20000, 7);
	dma_write(&d, 0, 8, 4);					/* the controller is off */
	assert_int_equal(dma_transfer(&d, 2, true, data, 8, &tc), 0);
}

/* The address counts within its 64 K; the page stands. */
static void test_wrap(void **state)
{
	u8 data[4] = { 1, 2, 3, 4 };
	bool tc = false;
	program(2, 1, 0x40 | TO_MEMORY, 0x3fffe, 3);
	assert_int_equal(dma_transfer(&d, 2, true, data, 4, &tc), 4);
	assert_int_equal(fake_memory()[0x3ffff], 2);
	assert_int_equal(fake_memory()[0x30000], 3);
	assert_int_equal(fake_memory()[0x30001], 4);
	assert_int_equal(fake_memory()[0x40000], 0);
}

/* Channels 5 to 7 count words; bit 0 of their page is not used. */
static void test_words(void **state)
{
	u8 data[4] = { 1, 2, 3, 4 };
	bool tc = false;
	program(5, 0xb, 0x40 | TO_MEMORY, 0x30010, 1);
	assert_int_equal(dma_transfer(&d, 5, true, data, 4, &tc), 4);
	assert_true(tc);
	assert_memory_equal(fake_memory() + 0x20020, data, 4);
	assert_int_equal(dma_read(&d, 1, 8), 0x02);
}

static void ready(void *arg)
{
	readies++;
}

static void test_ready(void **state)
{
	dma_on_ready(&d, 2, ready, NULL);
	program(2, 1, 0x40 | TO_MEMORY, 0, 3);
	assert_true(readies > 0);
	readies = 0;
	dma_write(&d, 0, 10, 4 | 2);
	assert_int_equal(readies, 0);
	dma_write(&d, 0, 10, 2);
	assert_int_equal(readies, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_registers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transfer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_words, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ready, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

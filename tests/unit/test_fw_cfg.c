/*
 * test_fw_cfg.c - firmware configuration as QEMU's specification has it: selecting, reading, the directory, requests in memory.
 */
/* objs: devices/device.o devices/emulated/fw_cfg.o tests/unit/fake_vm.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "devices/emulated/fw_cfg.h"
#include "monitor/mem.h"
#include "tests/unit/fake_vm.h"

static u8 ram[0x4000];
static u64 lost;		/* bytes written elsewhere */
static struct vm *vm;
static struct fw_cfg cfg;

void mem_read(struct vm *v, gpa_t gpa, void *buf, u64 len)
{
	memset(buf, 0xff, len);
	if (gpa < sizeof(ram) && len <= sizeof(ram) - gpa)
		memcpy(buf, ram + gpa, len);
}

void mem_write(struct vm *v, gpa_t gpa, const void *buf, u64 len)
{
	if (gpa < sizeof(ram) && len <= sizeof(ram) - gpa)
		memcpy(ram + gpa, buf, len);
	else
		lost += len;
}

static int setup(void **state)
{
	vm = fake_vm_new();
	memset(ram, 0xee, sizeof(ram));
	lost = 0;
	fw_cfg_init(&cfg, vm, "fw_cfg");
	return 0;
}

static int teardown(void **state)
{
	fw_cfg_fini(&cfg);
	fake_vm_free(vm);
	return 0;
}

static void pick(u16 key) { fw_cfg_write(&cfg, 0, key, 2); }
static u8 next(void) { return (u8)fw_cfg_read(&cfg, 1, 1); }
static u32 next_be32(void) { u32 v = 0; for (int i = 0; i < 4; i++) v = v << 8 | next(); return v; }

static void put_be32(u32 at, u32 v) { v = __builtin_bswap32(v); memcpy(ram + at, &v, 4); }
static u32 be32(u32 at) { u32 v; memcpy(&v, ram + at, 4); return __builtin_bswap32(v); }

static u32 request(u32 control, u32 len, u64 addr)
{
	put_be32(0x100, control);
	put_be32(0x104, len);
	put_be32(0x108, (u32)(addr >> 32));
	put_be32(0x10c, (u32)addr);
	fw_cfg_dma_write(&cfg, 0, 0, 4);
	fw_cfg_dma_write(&cfg, 4, __builtin_bswap32(0x100), 4);
	return be32(0x100);
}

static void by_port(void **state)
{
	pick(FW_CFG_SIGNATURE);
	assert_int_equal(next_be32(), 0x51454d55);	/* "QEMU" */
	assert_int_equal(next(), 0);			/* behind the end */
	pick(FW_CFG_ID);
	assert_int_equal(next_be32(), 0x03000000);
	fw_cfg_set_u16(&cfg, FW_CFG_CPUS, 0x1234);
	fw_cfg_set_u64(&cfg, FW_CFG_RAM_SIZE, 0x8877665544332211);
	pick(FW_CFG_CPUS);
	assert_int_equal(next_be32(), 0x34120000);
	pick(FW_CFG_RAM_SIZE);
	assert_int_equal(next_be32(), 0x11223344);
	assert_int_equal(next_be32(), 0x55667788);
	fw_cfg_set_u16(&cfg, FW_CFG_CPUS, 1);		/* replaced */
	pick(FW_CFG_CPUS);
	assert_int_equal(next(), 1);
	fw_cfg_write(&cfg, 0, FW_CFG_SIGNATURE, 1);	/* only words select */
	fw_cfg_write(&cfg, 1, 'x', 1);			/* and nothing is written */
	assert_int_equal(next(), 0);
	for (u32 key = 0; key < 0x10000; key += 0x1f) {
		pick((u16)key);
		next();
	}
	pick(0x8000);					/* an item of the architecture, not item 0 */
	assert_int_equal(next(), 0);
	pick(0xffff);
	assert_int_equal(next(), 0);
	assert_int_equal(fw_cfg_read(&cfg, 0, 1), 0);
}

static void files(void **state)
{
	char name[FW_CFG_NAME_MAX] = "";
	fw_cfg_add_file(&cfg, "etc/one", "abc", 3);
	fw_cfg_add_file(&cfg, "two", "defgh", 5);
	fw_cfg_add_file(&cfg, "empty", NULL, 0);
	fw_cfg_add_file(&cfg, "etc/one", "ABCD", 4);	/* in place of the first */
	pick(FW_CFG_FILE_DIR);
	assert_int_equal(next_be32(), 3);
	assert_int_equal(next_be32(), 4);
	assert_int_equal(next_be32(), FW_CFG_FILE_FIRST << 16);
	for (u32 i = 0; i < FW_CFG_NAME_MAX; i++)
		name[i] = (char)next();
	assert_string_equal(name, "etc/one");
	assert_int_equal(next_be32(), 5);
	assert_int_equal(next_be32(), (FW_CFG_FILE_FIRST + 1) << 16);
	pick(FW_CFG_FILE_FIRST);
	assert_int_equal(next_be32(), 0x41424344);
	assert_int_equal(next(), 0);
	pick(FW_CFG_FILE_FIRST + 2);
	assert_int_equal(next(), 0);
}

static void by_request(void **state)
{
	assert_int_equal(fw_cfg_dma_read(&cfg, 0, 4), 0x554d4551);	/* "QEMU CFG" */
	assert_int_equal(fw_cfg_dma_read(&cfg, 4, 4), 0x47464320);
	fw_cfg_add_file(&cfg, "f", "0123456789", 10);
	assert_int_equal(request(FW_CFG_FILE_FIRST << 16 | 8 | 2, 4, 0x200), 0);	/* select and read */
	assert_memory_equal(ram + 0x200, "0123\xee", 5);
	assert_int_equal(request(4, 2, 0x200), 0);		/* skip */
	assert_int_equal(request(2, 8, 0x200), 0);		/* goes on, zeroes behind the end */
	assert_memory_equal(ram + 0x200, "6789\0\0\0\0\xee", 9);
	assert_int_equal(next(), 0);				/* one position for both ways */
	assert_int_equal(request(8, 0, 0), 0);
	assert_int_equal(next(), 'Q');
	assert_int_equal(request(16, 4, 0x200), 1);		/* writing is refused */
	assert_int_equal(request(2, 0xffffffff, 0x200), 1);	/* more than any item has */
	assert_int_equal(request(FW_CFG_FILE_FIRST << 16 | 8 | 4, 0xffffffff, 0), 1);
	assert_int_equal(request(0, 0, 0), 0);
	assert_int_equal(lost, 0);
	assert_int_equal(request(FW_CFG_FILE_FIRST << 16 | 8 | 2, 0x3000, 0xfffffffffffff000), 0);	/* the guest's own affair */
	fw_cfg_dma_write(&cfg, 0, ~0u, 4);
	fw_cfg_dma_write(&cfg, 4, ~0u, 4);
	fw_cfg_dma_write(&cfg, 5, 0, 2);
	cfg.dev.cls->reset(&cfg);
	assert_int_equal(next(), 'Q');
}

/* A copy through the field table goes on where the original stands. */
static void state_copied(void **state)
{
	struct fw_cfg twin;
	fw_cfg_init(&twin, vm, "twin");
	pick(FW_CFG_SIGNATURE);
	next();
	fw_cfg_dma_write(&cfg, 0, 0x01000000, 4);
	fake_copy_state(&twin.dev, &cfg.dev);
	assert_int_equal(fw_cfg_read(&twin, 1, 1), 'E');
	assert_true(twin.dma == 1ull << 32);
	twin.at = ~0u;			/* a snapshot may say anything */
	twin.selected = 0xbfff;
	assert_int_equal(fw_cfg_read(&twin, 1, 1), 0);
	fw_cfg_fini(&twin);
}

#define CHIP(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = { CHIP(by_port), CHIP(files), CHIP(by_request), CHIP(state_copied) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}

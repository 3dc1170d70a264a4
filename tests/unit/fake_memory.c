/*
 * fake_memory.c - mem_read() and mem_write() for tests of chips that master the bus.
 */
#include "monitor/mem.h"
#include "tests/unit/fake_disk.h"

static u8 memory[FAKE_MEMORY];
u8 *fake_memory(void) { return memory; }

void mem_read(struct vm *vm, gpa_t gpa, void *buf, u64 len)
{
	for (u64 i = 0; i < len; i++)
		((u8 *)buf)[i] = gpa + i < FAKE_MEMORY ? memory[gpa + i] : 0xff;
}

void mem_write(struct vm *vm, gpa_t gpa, const void *buf, u64 len)
{
	for (u64 i = 0; i < len; i++)
		if (gpa + i < FAKE_MEMORY)
			memory[gpa + i] = ((const u8 *)buf)[i];
}

/*
 * loader_rom.c - firmware: a ROM image that the processor starts by itself, from its reset vector.
 *
 * A PC decodes its boot ROM at two places: all of it ends at 4 GiB, where the processor begins (FFFFFFF0h), and its last
 * 128 KiB end at 1 MiB too, where real-mode code can reach them (82371SB (PIIX3) datasheet, XBCS register, bits 2 and 6).
 * The copies are made again at each reset, because what shadows them then may have been changed.
 */
#include <stdio.h>
#include "monitor/loader_plan.h"
#include "monitor/mem.h"

#define FOUR_GIB     (1ull << 32)
#define ONE_MIB      0x100000u
#define LOW_ROM_SIZE 0x20000u

bool rom_plan(struct load_plan *p, const struct load_file *rom)
{
	if (rom->len & PAGE_MASK)
		return plan_fail(p, "%.200s: is no ROM image: its size, %llu bytes, is not a multiple of 4096", rom->name, (unsigned long long)rom->len);
	snprintf(p->kind, sizeof(p->kind), "firmware of %llu KiB", (unsigned long long)(rom->len >> 10));
	return true;
}

void rom_load(struct vm *vm, const struct load_file *rom)
{
	u64 low = rom->len < LOW_ROM_SIZE ? rom->len : LOW_ROM_SIZE;

	mem_map_rom(vm, FOUR_GIB - rom->len, rom->data, rom->len);
	mem_map_rom(vm, ONE_MIB - low, rom->data + rom->len - low, low);
}

/*
 * loader_rom.c - firmware: a ROM image that the processor starts by itself, from its reset vector.
 *
 * A PC decodes its boot ROM at two places: all of it ends at 4 GiB, where the processor begins (FFFFFFF0h), and its last
 * 128 KiB end at 1 MiB too, where real-mode code can reach them (82371SB (PIIX3) datasheet, XBCS register, bits 2 and 6).
 * The copies are made again at each reset, because what shadows them then may have been changed.
 *
 * Behind firmware a kernel is a boot device: an option ROM of ours offers it, and its boot entry only tells the monitor.
 */
#include <stdio.h>
#include <string.h>
#include "monitor/loader.h"
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

static void sum_to_zero(u8 *bytes, u32 len, u8 *last)
{
	u8 sum = 0;
	*last = 0;
	for (u32 i = 0; i < len; i++)
		sum += bytes[i];
	*last = (u8)-sum;
}

void loader_boot_rom(u8 rom[LOADER_ROM_BYTES], u16 port)
{
	enum { INIT = 0x03, PNP_AT = 0x1a, PNP = 0x20, PNP_BYTES = 0x20, BEV = 0x40, NAME = 0x50 };
	static const char name[] = "Ringfence kernel";
	static const u8 init[] = { 0xb8, 0x20, 0x00, 0xcb };	/* mov ax, 20h: a boot device is here; retf */
	const u8 bev[] = {
		0xfa,						/* cli */
		0xba, (u8)port, (u8)(port >> 8), 0xee,		/* mov dx, port; out dx, al */
		0xeb, 0xfe,					/* here: jmp here, until the monitor has heard */
	};
	u8 *pnp = rom + PNP;
	memset(rom, 0, LOADER_ROM_BYTES);
	put16(rom, 0xaa55);
	rom[2] = LOADER_ROM_BYTES / 512;
	memcpy(rom + INIT, init, sizeof(init));
	put16(rom + PNP_AT, PNP);
	memcpy(pnp, "$PnP\1\2", 6);		/* Plug and Play BIOS Specification 1.0A, 3.2: version, length in paragraphs */
	put16(pnp + 0x10, NAME);			/* product */
	pnp[0x12] = 0x01;				/* class: mass storage */
	pnp[0x15] = 0x64;				/* can be shadowed, is an input that boots */
	put16(pnp + 0x1a, BEV);
	memcpy(rom + BEV, bev, sizeof(bev));
	memcpy(rom + NAME, name, sizeof(name));
	sum_to_zero(pnp, PNP_BYTES, pnp + 9);
	sum_to_zero(rom, LOADER_ROM_BYTES, rom + LOADER_ROM_BYTES - 1);
}

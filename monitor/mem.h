/*
 * mem.h - guest-physical memory: RAM (one memfd, mapped once), ROM, and holes where the bus answers.
 *
 * Layout of a PC: RAM from 0 to 640 KiB, from 1 MiB up to at most 3.5 GiB; VGA and ROM windows between. A20 is applied to
 * every physical address of the CPU (mmu.c) by mem->a20_mask.
 */
#ifndef RF_MEM_H
#define RF_MEM_H
#include "monitor/lib/types.h"

struct vm;
enum mem_kind { MEM_NONE, MEM_RAM, MEM_ROM, MEM_MMIO };

#define MEM_MIN_BYTES (1ull << 20)
#define MEM_MAX_BYTES (3584ull << 20)	/* 3.5 GiB: above are PCI holes and firmware */

struct mem {
	u8 *ram;		/* host mapping of the memfd; guest-physical address = offset */
	u64 ram_size;
	int memfd;
	u64 a20_mask;		/* ~0 or ~(1 << 20) */
	u8 *kind;		/* enum mem_kind of each 4 KiB page below 4 GiB */
	u8 **rom;		/* host page of MEM_ROM pages, by page number, sparse */
};

/* False with a sentence in err when the host cannot give that much. */
bool mem_init(struct vm *vm, u64 ram_size, char *err, size_t errsize);
void mem_fini(struct vm *vm);
/* Marks [gpa, gpa+len) (page-aligned) as ROM with these contents, or as MMIO or nothing. */
void mem_map_rom(struct vm *vm, gpa_t gpa, const void *data, u64 len);
void mem_set_kind(struct vm *vm, gpa_t gpa, u64 len, enum mem_kind kind);
/* Host address of RAM or ROM at gpa, valid to the end of the page; NULL elsewhere. Writable only if RAM. */
static inline enum mem_kind mem_kind(const struct mem *m, gpa_t gpa)
{
	return gpa >> 32 ? MEM_NONE : (enum mem_kind)m->kind[gpa >> PAGE_SHIFT];
}
u8 *mem_host(struct vm *vm, gpa_t gpa);
/* Physical accesses by devices, loaders and page walks: any length, through the bus where it is no RAM; writes drop translated code.
 * Reads from nowhere give 0xff, writes vanish. */
void mem_read(struct vm *vm, gpa_t gpa, void *buf, u64 len);
void mem_write(struct vm *vm, gpa_t gpa, const void *buf, u64 len);
void mem_set_a20(struct vm *vm, bool on);
#endif

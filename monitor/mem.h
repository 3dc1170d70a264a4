/*
 * mem.h - guest-physical memory: RAM (one memfd, mapped once), ROM, RAM of devices, and holes where the bus answers.
 *
 * Layout of a PC: RAM from 0 to 640 KiB, from 1 MiB up to at most 3.5 GiB; VGA and ROM windows between, which the host bridge can
 * shadow with the RAM that lies under them. A20 is applied to every physical address of the CPU (mmu.c) by mem->a20_mask.
 */
#ifndef RF_MEM_H
#define RF_MEM_H
#include "monitor/lib/types.h"

struct vm;
enum mem_kind {
	MEM_NONE,	/* reads all ones, writes vanish */
	MEM_RAM,	/* ram + gpa */
	MEM_ROM,	/* reads from a host page, writes vanish: ROM, and shadow RAM that is write-protected */
	MEM_MMIO,	/* the bus answers */
	MEM_SHADOW,	/* writes go to RAM, reads to what the bus has there: a host page (ROM) or, without one, bus handlers */
	MEM_DEVICE,	/* RAM of a device with a dirty log, struct mem_device_ram */
};

#define MEM_MIN_BYTES (1ull << 20)
#define MEM_MAX_BYTES (3584ull << 20)	/* 3.5 GiB: above are PCI holes and firmware */
#define MEM_LOW_PAGES 256u		/* below 1 MiB, where shadowing is possible */

/* RAM of a device at a place of the guest's memory (a window). One piece of host memory may be seen through several windows that share
 * it and the dirty log. The device owns this struct and sets the first five members; they must not change while it is mapped. */
struct mem_device_ram {
	u8 *host;		/* page-aligned */
	u64 len;		/* bytes, a multiple of 4 KiB */
	u8 *dirty;		/* a byte for each 4 KiB page of host: 1 since the guest wrote to it after mem_device_ram_clean() */
	void (*written)(void *arg);	/* a page has become dirty; vCPU thread, must not change mappings. May be NULL. */
	void *arg;
	/* mem_device.c's; all zero before the first mapping */
	bool mapped, fetched;	/* fetched: code was run from it */
	gpa_t at;
	struct mem_device_ram *next;
};

struct mem {
	u8 *ram;		/* host mapping of the memfd; guest-physical address = offset */
	u64 ram_size;
	int memfd;
	u64 a20_mask;		/* ~0 or ~(1 << 20) */
	u8 *kind;		/* enum mem_kind of each 4 KiB page below 4 GiB */
	u8 **host;		/* host page that MEM_ROM, MEM_SHADOW (may be NULL) and MEM_DEVICE pages are read from, by page number */
	u8 **rom;		/* contents of ROM, by page number; owned */
	u8 below[MEM_LOW_PAGES];	/* enum mem_kind of a low page without its shadow */
	u8 shadow[MEM_LOW_PAGES];	/* enum mem_shadow of a low page */
	struct mem_device_ram *device;	/* windows that are mapped */
};

/* False with a sentence in err when the host cannot give that much. */
bool mem_init(struct vm *vm, u64 ram_size, char *err, size_t errsize);
void mem_fini(struct vm *vm);
/* Marks [gpa, gpa+len) (page-aligned) as ROM with these contents, or as MMIO or nothing. Shadow RAM stays in front of it. */
void mem_map_rom(struct vm *vm, gpa_t gpa, const void *data, u64 len);
void mem_set_kind(struct vm *vm, gpa_t gpa, u64 len, enum mem_kind kind);
/* Reads and writes of [gpa, gpa+len), in the hole below 1 MiB, go to the RAM under it or to what mem_set_kind(), mem_map_rom() and
 * mem_map_device_ram() put there (82441FX datasheet: PAM and SMRAM registers). */
enum mem_shadow { MEM_SHADOW_NONE = 0, MEM_SHADOW_READ = 1, MEM_SHADOW_WRITE = 2 };
void mem_shadow(struct vm *vm, gpa_t gpa, u64 len, int shadow);

/*
 * mem_device.c: makes the pages at gpa (page-aligned) the device's where neither RAM, ROM nor another window is; what lies beyond 4 GiB is
 * left out. Moving a window is unmapping and mapping, and cheap. All on the vCPU thread, or before it runs.
 */
void mem_map_device_ram(struct vm *vm, struct mem_device_ram *r, gpa_t gpa);
/* Nothing happens if it is not mapped. The bus answers at these addresses again. */
void mem_unmap_device_ram(struct vm *vm, struct mem_device_ram *r);
/* Clears the dirty bytes of `count` pages from page `first` of the window, so that the next write to each is noticed. With several windows
 * on the same memory, to be called for each of them. */
void mem_device_ram_clean(struct vm *vm, struct mem_device_ram *r, u64 first, u64 count);
/* The window that a MEM_DEVICE page belongs to. */
static inline struct mem_device_ram *mem_device_at(const struct mem *m, gpa_t gpa)
{
	struct mem_device_ram *r = m->device;

	while (gpa - r->at >= r->len || m->host[gpa >> PAGE_SHIFT] != r->host + ((gpa - r->at) & ~(u64)PAGE_MASK))
		r = r->next;
	return r;
}
static inline u8 *mem_device_dirty(const struct mem *m, gpa_t gpa)
{
	const struct mem_device_ram *r = mem_device_at(m, gpa);

	return &r->dirty[(gpa - r->at) >> PAGE_SHIFT];
}
/* The guest writes to this MEM_DEVICE page: logs it. */
void mem_device_written(struct vm *vm, gpa_t gpa);

static inline enum mem_kind mem_kind(const struct mem *m, gpa_t gpa)
{
	return gpa >> 32 ? MEM_NONE : (enum mem_kind)m->kind[gpa >> PAGE_SHIFT];
}
/* What is there without shadow RAM. */
static inline enum mem_kind mem_kind_below(const struct mem *m, gpa_t gpa)
{
	return gpa >> PAGE_SHIFT < MEM_LOW_PAGES ? (enum mem_kind)m->below[gpa >> PAGE_SHIFT] : mem_kind(m, gpa);
}
/* Host address that a read at gpa comes from, valid to the end of the page; NULL where the bus answers. Writable only if RAM. */
u8 *mem_host(struct vm *vm, gpa_t gpa);
/* Physical accesses by devices, loaders and page walks: any length, through the bus where it is no RAM; writes drop translated code.
 * Reads from nowhere give 0xff, writes vanish. */
void mem_read(struct vm *vm, gpa_t gpa, void *buf, u64 len);
void mem_write(struct vm *vm, gpa_t gpa, const void *buf, u64 len);
void mem_set_a20(struct vm *vm, bool on);

/* mem.c and mem_device.c only: makes the page what it is on the bus, or what shadows that, and drops its code. Returns whether the
 * virtual TLB may have entries of what it was. */
bool mem_page_update(struct vm *vm, u64 page, enum mem_kind below);
#endif

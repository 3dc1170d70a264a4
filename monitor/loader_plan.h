/*
 * loader_plan.h - between loader.c and the two kernel formats: what goes where in the guest's memory.
 *
 * A format's function turns files, which nobody vouches for, into a plan; a plan that was made is safe to carry out:
 * every piece lies in guest RAM and inside its file.
 */
#ifndef RF_LOADER_PLAN_H
#define RF_LOADER_PLAN_H
#include "monitor/lib/types.h"

/* A file in memory. */
struct load_file {
	const char *name;	/* for messages; for Multiboot also what the kernel is told */
	const char *args;	/* of a module; NULL: none */
	const u8 *data;
	u64 len;
};

/* `len` bytes of data at gpa, then zeroes up to `size`. */
struct load_piece {
	gpa_t gpa;
	u64 size, len;
	const u8 *data;
	u8 *owned;		/* the same if the plan made it, else NULL */
};

struct load_plan {
	struct load_piece *piece;
	u32 count, room;
	u64 ram_size;
	u32 eip, esp, eax, ebx, esi;
	gpa_t gdt;		/* where boot_gdt is; its code and data selectors are loaded */
	bool behind_firmware;	/* the BIOS is there: its memory stays free, and its services can be called */
	u16 real_seg, real_sp;	/* the kernel starts in real mode at real_seg + 20h:0; 0: at eip */
	char kind[64];
	char *err;
	size_t errsize;
};

/* Usable and reserved ranges below 4 GiB, as firmware would report them. */
struct mem_range {
	u64 base, len;
	u32 type;		/* of INT 15h, E820h */
};
enum { E820_RAM = 1, E820_RESERVED = 2, MEM_RANGES_MAX = 4 };
#define LOW_RAM_END  0x9fc00u	/* conventional memory; the last KiB below the VGA window is the BIOS data area's extension */
#define HIGH_RAM     0x100000u
#define EBDA_FIRST   0x90000u	/* firmware may take conventional memory from here on */
#define FIRMWARE_TOP (512u << 10)	/* and this much at the end of RAM, for tables */
u32 loader_mem_map(u64 ram_size, struct mem_range out[MEM_RANGES_MAX]);

enum kernel_kind { KERNEL_UNKNOWN, KERNEL_LINUX, KERNEL_MULTIBOOT };
enum kernel_kind loader_recognise(const struct load_file *kernel);
/* Makes the plan, or returns false with a sentence in plan->err. The caller has set ram_size, err and errsize, zeroed
 * the rest, and ends with plan_fini() in both cases. The files must outlive the plan. */
bool loader_plan(struct load_plan *p, const struct load_file *kernel, const struct load_file *initrd, u32 initrds, const char *append);
void plan_fini(struct load_plan *p);

bool linux_recognise(const struct load_file *kernel);
bool linux_plan(struct load_plan *p, const struct load_file *kernel, const struct load_file *initrd, const char *append);
bool multiboot_recognise(const struct load_file *kernel);
bool multiboot_plan(struct load_plan *p, const struct load_file *kernel, const struct load_file *mod, u32 mods, const char *append);

/* loader_rom.c: is this an image that can be mapped; and map it. */
#define ROM_MAX_BYTES (16ull << 20)
bool rom_plan(struct load_plan *p, const struct load_file *rom);
struct vm;
void rom_load(struct vm *vm, const struct load_file *rom);

/* Returns false, with the sentence in p->err. */
bool plan_fail(struct load_plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Is [gpa, gpa+size) all usable RAM? */
bool plan_in_ram(const struct load_plan *p, u64 gpa, u64 size);
/* Adds a piece of a file; the caller has checked both ranges. */
bool plan_add(struct load_plan *p, gpa_t gpa, const u8 *data, u64 len, u64 size);
/* Adds `size` zeroed bytes that the caller fills in, or NULL with the sentence. */
u8  *plan_add_blob(struct load_plan *p, gpa_t gpa, u64 size);
bool plan_add_gdt(struct load_plan *p, gpa_t gpa);
/* The end of conventional memory that a kernel's parts may take. */
static inline u64 plan_low_end(const struct load_plan *p) { return p->behind_firmware ? EBDA_FIRST : LOW_RAM_END; }
/* The lowest or highest free place for `size` bytes in usable RAM within [lo, hi), touching no piece; 0: none. */
gpa_t plan_find(const struct load_plan *p, u64 size, u64 align, u64 lo, u64 hi, bool highest);

enum { GDT_CODE = 0x10, GDT_DATA = 0x18, GDT_BYTES = 0x20 };

static inline u32 get16(const u8 *p) { return p[0] | p[1] << 8; }
static inline u32 get32(const u8 *p) { return get16(p) | get16(p + 2) << 16; }
static inline u64 get64(const u8 *p) { return get32(p) | (u64)get32(p + 4) << 32; }
static inline void put16(u8 *p, u32 v) { p[0] = (u8)v; p[1] = (u8)(v >> 8); }
static inline void put32(u8 *p, u32 v) { put16(p, v); put16(p + 2, v >> 16); }
static inline void put64(u8 *p, u64 v) { put32(p, (u32)v); put32(p + 4, (u32)(v >> 32)); }
#endif

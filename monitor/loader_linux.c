/*
 * loader_linux.c - Linux bzImages, by the 32-bit boot protocol, or behind firmware by the 16-bit one, zImages too
 * (Documentation/arch/x86/boot.rst in the kernel).
 *
 * A bzImage is real-mode setup code, which we skip, and protected-mode code, which we load at code32_start (1 MiB) and
 * enter with ESI pointing to struct boot_params, the "zero page". That holds the setup header, copied from the file and
 * filled in, and what the setup code would have asked the BIOS. The fixed low addresses are those of the oldest loaders:
 * kernels before protocol 2.02 find their parameters only there.
 */
#include <stdio.h>
#include <string.h>

#include "monitor/loader_plan.h"

enum {
	ZERO_PAGE = 0x90000,
	CMDLINE   = 0x91000,
	CMDLINE_ROOM = 0x8000,
	GDT       = 0x99000,
};

/* Offsets in the file and in the zero page alike (boot.rst, "The Real-Mode Kernel Header"). */
enum {
	BP_EXT_MEM_K	= 0x002,	/* in screen_info */
	BP_OLD_CL_MAGIC	= 0x020,
	BP_OLD_CL_OFF	= 0x022,
	BP_ALT_MEM_K	= 0x1e0,
	BP_E820_COUNT	= 0x1e8,
	HDR_START	= 0x1f1,
	HDR_SETUP_SECTS	= 0x1f1,
	HDR_SYSSIZE	= 0x1f4,
	HDR_VID_MODE	= 0x1fa,
	HDR_BOOT_FLAG	= 0x1fe,
	HDR_JUMP_LEN	= 0x201,
	HDR_MAGIC	= 0x202,
	HDR_VERSION	= 0x206,
	HDR_LOADER	= 0x210,
	HDR_LOADFLAGS	= 0x211,
	HDR_CODE32	= 0x214,
	HDR_HEAP_END	= 0x224,
	HDR_INITRD	= 0x218,
	HDR_INITRD_SIZE	= 0x21c,
	HDR_CMDLINE	= 0x228,
	HDR_INITRD_MAX	= 0x22c,
	HDR_ALIGN	= 0x230,
	HDR_RELOCATABLE	= 0x234,
	HDR_XLOADFLAGS	= 0x236,
	HDR_CMDLINE_MAX	= 0x238,
	HDR_SETUP_DATA	= 0x250,
	HDR_PREF_ADDR	= 0x258,
	HDR_INIT_SIZE	= 0x260,
	HDR_END_MAX	= 0x290,	/* edd_mbr_sig_buffer begins here */
	BP_E820_TABLE	= 0x2d0,
};

enum { LOADED_HIGH = 1, CAN_USE_HEAP = 0x80, XLF_KERNEL_64 = 1 };

/* The 16-bit protocol (boot.rst, "Sample Boot Configuration"): setup code, heap and stack, then the command line. A zImage lies at
 * 10000h, so its setup code goes where the oldest kernels had it. */
enum { REAL_BASE = 0x10000, REAL_HEAP_END = 0xe000, ZIMAGE_BASE = 0x10000, ZIMAGE_REAL_BASE = 0x90000, ZIMAGE_HEAP_END = 0x9000,
	ZIMAGE_CMDLINE_ROOM = 0x1000 };

/* The header, with what older protocols lack filled in. */
struct linux_header {
	u32 version, setup_bytes, code32, initrd_max, cmdline_max;
	u64 code_len;		/* bytes of protected-mode code in the file */
	bool high;		/* a bzImage, loaded at 1 MiB; else a zImage */
	u64 run_start, run_end;	/* memory that the kernel uses before it looks at the memory map */
};

bool linux_recognise(const struct load_file *k)
{
	return k->len >= HDR_MAGIC + 4 && get16(k->data + HDR_BOOT_FLAG) == 0xaa55 && !memcmp(k->data + HDR_MAGIC, "HdrS", 4);
}

static bool header_read(struct load_plan *p, const struct load_file *k, struct linux_header *h)
{
	if (k->len < 0x400)
		return plan_fail(p, "%.200s: Linux kernel is truncated in its header", k->name);
	const u8 *d = k->data;
	h->version = get16(d + HDR_VERSION);
	h->setup_bytes = (1 + (d[HDR_SETUP_SECTS] ? d[HDR_SETUP_SECTS] : 4)) * 512;
	h->high = h->version >= 0x200 && d[HDR_LOADFLAGS] & LOADED_HIGH;
	if (!h->high && !p->behind_firmware)
		return plan_fail(p, "%.200s: is a zImage, which is loaded low and needs firmware to start", k->name);
	if (h->version >= 0x20c && get16(d + HDR_XLOADFLAGS) & XLF_KERNEL_64)
		return plan_fail(p, "%.200s: is a 64-bit Linux kernel; this version runs 32-bit guests", k->name);
	if (k->len <= h->setup_bytes)
		return plan_fail(p, "%.200s: Linux kernel is truncated: %llu bytes, the setup code alone has %u", k->name,
			(unsigned long long)k->len, h->setup_bytes);
	h->code_len = k->len - h->setup_bytes;
	u64 said = (u64)get32(d + HDR_SYSSIZE) * 16;	/* 16 bits before 2.04: too few for a bzImage, so not used then */
	if (h->version >= 0x204 && said) {
		if (said > h->code_len + 15)		/* the unit is a paragraph */
			return plan_fail(p, "%.200s: Linux kernel is truncated: %llu bytes of %llu", k->name, (unsigned long long)k->len,
				(unsigned long long)(said + h->setup_bytes));
		if (said < h->code_len)
			h->code_len = said;		/* behind it: signatures */
	}
	h->code32 = p->behind_firmware ? HIGH_RAM : get32(d + HDR_CODE32);	/* setup code has been known to leave it empty */
	h->initrd_max = h->version >= 0x203 ? get32(d + HDR_INITRD_MAX) : 0x37ffffff;
	h->cmdline_max = h->version >= 0x206 ? get32(d + HDR_CMDLINE_MAX) : 255;
	return true;
}

/* Where the kernel runs after it moved itself (boot.rst, init_size): there must be RAM, and no initrd. */
static bool header_run_range(struct load_plan *p, const struct load_file *k, struct linux_header *h)
{
	const u8 *d = k->data;
	h->run_start = h->code32;
	u64 size = h->code_len;
	if (h->version >= 0x20a) {
		u64 align = get32(d + HDR_ALIGN), pref = get64(d + HDR_PREF_ADDR);
		if (d[HDR_RELOCATABLE]) {
			if (!align || (align & (align - 1)))
				return plan_fail(p, "%.200s: Linux kernel's alignment 0x%llx is no power of two", k->name, (unsigned long long)align);
			h->run_start = (h->code32 + align - 1) & -align;
		}
		if (!d[HDR_RELOCATABLE] || h->run_start < pref)	/* 32-bit kernels never run below the address they prefer */
			h->run_start = pref;
		size = get32(d + HDR_INIT_SIZE);
		size = size > h->code_len ? size : h->code_len;
	}
	h->run_end = h->run_start + size;
	if (h->code32 < HIGH_RAM)
		return plan_fail(p, "%.200s: Linux kernel wants to be loaded at 0x%x, below 1 MiB", k->name, h->code32);
	if (h->run_start < HIGH_RAM || h->run_end < h->run_start || h->run_end > 1ull << 32)
		return plan_fail(p, "%.200s: Linux kernel wants to run at 0x%llx, where there never is memory", k->name,
			(unsigned long long)h->run_start);
	if (!plan_in_ram(p, h->code32, h->code_len) || !plan_in_ram(p, h->run_start, size)) {
		u64 end = h->code32 + h->code_len;
		end = end > h->run_end ? end : h->run_end;
		return plan_fail(p, "%.200s: Linux kernel needs at least %llu MiB of memory to start (-m)", k->name,
			(unsigned long long)((end + (1 << 20) - 1) >> 20));
	}
	return true;
}

/* The highest page that the kernel takes: it then stays clear of what the kernel puts low. */
static bool initrd_add(struct load_plan *p, const struct linux_header *h, const struct load_file *f, u32 *at)
{
	u64 hi = (u64)h->initrd_max + 1, lo = h->code32 + h->code_len;
	lo = lo > h->run_end ? lo : h->run_end;
	*at = (u32)plan_find(p, f->len, PAGE_SIZE, lo, hi, true);
	if (!*at)
		return plan_fail(p, "%.200s: initrd of %llu KiB does not fit beside the kernel, which may use memory up to %llu MiB; "
			"the guest has %llu MiB (-m)", f->name, (unsigned long long)(f->len >> 10), (unsigned long long)(lo >> 20),
			(unsigned long long)(p->ram_size >> 20));
	return plan_add(p, *at, f->data, f->len, f->len);
}

static bool cmdline_add(struct load_plan *p, const struct load_file *k, const struct linux_header *h, const char *append)
{
	u64 len = strlen(append), max = h->cmdline_max < CMDLINE_ROOM - 1 ? h->cmdline_max : CMDLINE_ROOM - 1;
	if (len > max)
		return plan_fail(p, "--append: %llu characters; %.200s takes at most %llu", (unsigned long long)len, k->name, (unsigned long long)max);
	u8 *text = plan_add_blob(p, CMDLINE, len + 1);
	if (text)
		memcpy(text, append, len);
	return text;
}

/*
 * The rest of the zero page is zero, and means it: no lines and columns in screen_info say that there is no screen, so the
 * kernel takes its dummy console; no EDD, no APM, no video modes, hardware_subarch 0 (a PC).
 */
static bool zero_page_add(struct load_plan *p, const struct load_file *k, const struct linux_header *h, u32 initrd, u64 initrd_len)
{
	u8 *bp = plan_add_blob(p, ZERO_PAGE, PAGE_SIZE);
	if (!bp)
		return false;
	u32 end = HDR_MAGIC + k->data[HDR_JUMP_LEN];
	end = end < HDR_CMDLINE ? HDR_CMDLINE : end > HDR_END_MAX ? HDR_END_MAX : end;
	memcpy(bp + HDR_START, k->data + HDR_START, end - HDR_START);
	bp[HDR_LOADER] = 0xff;			/* a loader without a number */
	put16(bp + HDR_VID_MODE, 0xffff);	/* "normal" */
	put32(bp + HDR_INITRD, initrd);
	put32(bp + HDR_INITRD_SIZE, (u32)initrd_len);
	if (h->version >= 0x202) {
		put32(bp + HDR_CMDLINE, CMDLINE);
	} else {
		put16(bp + BP_OLD_CL_MAGIC, 0xa33f);
		put16(bp + BP_OLD_CL_OFF, CMDLINE - ZERO_PAGE);
	}
	if (h->version >= 0x209)
		put64(bp + HDR_SETUP_DATA, 0);
	u64 above_k = (p->ram_size - HIGH_RAM) >> 10;
	put16(bp + BP_EXT_MEM_K, (u32)(above_k < 0xfc00 ? above_k : 0xfc00));
	put32(bp + BP_ALT_MEM_K, (u32)above_k);
	struct mem_range map[MEM_RANGES_MAX];
	u32 n = loader_mem_map(p->ram_size, map);
	bp[BP_E820_COUNT] = (u8)n;
	for (u32 i = 0; i < n; i++) {
		u8 *e = bp + BP_E820_TABLE + i * 20;
		put64(e, map[i].base);
		put64(e + 8, map[i].len);
		put32(e + 16, map[i].type);
	}
	return true;
}

/* Setup code with a filled-in header, the command line, the kernel. */
static bool real_mode_add(struct load_plan *p, const struct load_file *k, const struct linux_header *h, const struct load_file *initrd,
	const char *append)
{
	u32 base = h->high ? REAL_BASE : ZIMAGE_REAL_BASE, heap_end = h->high ? REAL_HEAP_END : ZIMAGE_HEAP_END, initrd_at = 0;
	u32 room = h->high ? CMDLINE_ROOM : ZIMAGE_CMDLINE_ROOM, code = h->high ? HIGH_RAM : ZIMAGE_BASE;
	u64 len = strlen(append), max = h->cmdline_max < room - 1 ? h->cmdline_max : room - 1;
	if (len > max)
		return plan_fail(p, "--append: %llu characters; %.200s takes at most %llu", (unsigned long long)len, k->name, (unsigned long long)max);
	if (h->setup_bytes > 0x8000 || (!h->high && h->code_len > ZIMAGE_REAL_BASE - ZIMAGE_BASE) || !plan_in_ram(p, code, h->code_len))
		return plan_fail(p, "%.200s: Linux kernel of %llu KiB does not fit where it wants to be loaded", k->name,
			(unsigned long long)(k->len >> 10));
	u8 *setup = plan_add_blob(p, base, h->setup_bytes), *text = plan_add_blob(p, base + heap_end, len + 1);
	if (!setup || !text || !plan_add(p, code, k->data + h->setup_bytes, h->code_len, h->code_len))
		return false;
	if (initrd && !initrd_add(p, h, initrd, &initrd_at))
		return false;
	memcpy(text, append, len);
	memcpy(setup, k->data, h->setup_bytes);
	setup[HDR_LOADER] = 0xff;
	put16(setup + HDR_VID_MODE, 0xffff);
	put32(setup + HDR_INITRD, initrd_at);
	put32(setup + HDR_INITRD_SIZE, initrd ? (u32)initrd->len : 0);
	if (h->version >= 0x201) {
		setup[HDR_LOADFLAGS] |= CAN_USE_HEAP;
		put16(setup + HDR_HEAP_END, heap_end - 0x200);
	}
	if (h->version >= 0x202) {
		put32(setup + HDR_CMDLINE, base + heap_end);
	} else {
		put16(setup + BP_OLD_CL_MAGIC, 0xa33f);
		put16(setup + BP_OLD_CL_OFF, heap_end);
	}
	p->real_seg = (u16)(base >> 4);
	p->real_sp = (u16)heap_end;
	snprintf(p->kind, sizeof(p->kind), "Linux %s, boot protocol %u.%02u, behind firmware", h->high ? "bzImage" : "zImage",
		h->version >> 8, h->version & 0xff);
	return true;
}

bool linux_plan(struct load_plan *p, const struct load_file *k, const struct load_file *initrd, const char *append)
{
	struct linux_header h = { 0 };
	u32 initrd_at = 0;
	if (!header_read(p, k, &h) || (h.high && !header_run_range(p, k, &h)))
		return false;
	if (p->behind_firmware)
		return real_mode_add(p, k, &h, initrd, append);
	if (!plan_add(p, h.code32, k->data + h.setup_bytes, h.code_len, h.code_len))
		return false;
	if (initrd && !initrd_add(p, &h, initrd, &initrd_at))
		return false;
	if (!cmdline_add(p, k, &h, append) || !zero_page_add(p, k, &h, initrd_at, initrd ? initrd->len : 0) || !plan_add_gdt(p, GDT))
		return false;
	p->eip = h.code32;
	p->esi = ZERO_PAGE;
	p->esp = ZERO_PAGE;
	snprintf(p->kind, sizeof(p->kind), "Linux bzImage, boot protocol %u.%02u", h.version >> 8, h.version & 0xff);
	return true;
}

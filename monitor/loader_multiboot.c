/*
 * loader_multiboot.c - Multiboot 1 kernels (Multiboot Specification 0.6.96): ELF by its program headers, or any file whose
 * header says itself where it goes (the a.out kludge); modules, memory map, command line.
 *
 * The kernel's own parts come first; the modules go above them, the information structure into conventional memory, each
 * where nothing else is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/loader_plan.h"

enum {
	MB_MAGIC = 0x1badb002, MB_BOOTED = 0x2badb002, MB_SEARCH = 8192,
	MB_WANT_MEMORY = 1 << 1, MB_WANT_PAGES = 1 << 0, MB_WANT_VIDEO = 1 << 2, MB_MUST = 0xffff, MB_ADDRESSES = 1 << 16,
	PHDRS_MAX = 128,
};

/* The information structure (specification, 3.3). */
enum {
	MBI_FLAGS = 0, MBI_MEM_LOWER = 4, MBI_MEM_UPPER = 8, MBI_CMDLINE = 16, MBI_MODS_COUNT = 20, MBI_MODS_ADDR = 24,
	MBI_MMAP_LEN = 44, MBI_MMAP_ADDR = 48, MBI_LOADER = 64, MBI_BYTES = 120,
	MBI_HAS_MEM = 1 << 0, MBI_HAS_CMDLINE = 1 << 2, MBI_HAS_MODS = 1 << 3, MBI_HAS_MMAP = 1 << 6, MBI_HAS_LOADER = 1 << 9,
	MOD_BYTES = 16, MMAP_BYTES = 24,
};
static const char loader_name[] = "Ringfence";

/* Offset of the header, or -1: on a 4-byte border in the first 8 KiB, magic, flags and checksum adding up to 0. */
static s64 header_find(const struct load_file *k)
{
	u64 end = k->len < MB_SEARCH ? k->len : MB_SEARCH;
	for (u64 at = 0; at + 12 <= end; at += 4) {
		const u8 *h = k->data + at;
		if (get32(h) == MB_MAGIC && get32(h) + get32(h + 4) + get32(h + 8) == 0)
			return (s64)at;
	}
	return -1;
}

bool multiboot_recognise(const struct load_file *k)
{
	return header_find(k) >= 0;
}

static bool no_ram(struct load_plan *p, const struct load_file *k, u64 at, u64 size)
{
	return plan_fail(p, "%.200s: Multiboot kernel wants 0x%llx to 0x%llx, which is not all memory of a guest with %llu MiB (-m)", k->name,
		(unsigned long long)at, (unsigned long long)(at + size), (unsigned long long)(p->ram_size >> 20));
}

/* One program header of type PT_LOAD. Returns false with the sentence; *entry is translated if it lies in it. */
static bool segment_add(struct load_plan *p, const struct load_file *k, const u8 *ph, u32 virt_entry, u32 *entry)
{
	u64 off = get32(ph + 4), vaddr = get32(ph + 8), paddr = get32(ph + 12), filesz = get32(ph + 16), memsz = get32(ph + 20);
	if (filesz > memsz)
		return plan_fail(p, "%.200s: ELF segment at 0x%llx is larger in the file than in memory", k->name, (unsigned long long)paddr);
	if (off > k->len || filesz > k->len - off)
		return plan_fail(p, "%.200s: ELF file is truncated: segment at 0x%llx ends behind the file's end", k->name, (unsigned long long)paddr);
	if (memsz == 0)
		return true;
	if (!plan_in_ram(p, paddr, memsz))
		return no_ram(p, k, paddr, memsz);
	if (virt_entry >= vaddr && virt_entry - vaddr < memsz)	/* the entry point is a virtual address (as GRUB takes it) */
		*entry = (u32)(virt_entry - vaddr + paddr);
	return plan_add(p, paddr, k->data + off, filesz, memsz);
}

static bool elf_add(struct load_plan *p, const struct load_file *k)
{
	const u8 *d = k->data;
	if (k->len < 52 || memcmp(d, "\x7f" "ELF", 4))
		return plan_fail(p, "%.200s: Multiboot kernel is neither ELF nor has load addresses in its header", k->name);
	if (d[4] == 2)
		return plan_fail(p, "%.200s: is a 64-bit ELF file; Multiboot kernels are 32-bit", k->name);
	if (d[4] != 1 || d[5] != 1 || get16(d + 18) != 3 || get16(d + 16) != 2)
		return plan_fail(p, "%.200s: is no ELF executable for 32-bit x86", k->name);
	u64 phoff = get32(d + 28), phnum = get16(d + 44);
	if (get16(d + 42) != 32 || phnum == 0 || phnum > PHDRS_MAX || phoff > k->len || phnum * 32 > k->len - phoff)
		return plan_fail(p, "%.200s: ELF file has bad program headers, or is truncated", k->name);
	u32 virt_entry = get32(d + 24), parts = p->count;
	p->eip = virt_entry;
	for (u64 i = 0; i < phnum; i++) {
		const u8 *ph = d + phoff + i * 32;
		if (get32(ph) == 1 && !segment_add(p, k, ph, virt_entry, &p->eip))
			return false;
	}
	if (p->count == parts)
		return plan_fail(p, "%.200s: ELF file has no segment to load", k->name);
	snprintf(p->kind, sizeof(p->kind), "Multiboot kernel (ELF)");
	return true;
}

/* The a.out kludge (specification, 3.1.3): the header tells where it lies itself, and by that where the file begins. */
static bool raw_add(struct load_plan *p, const struct load_file *k, u64 header)
{
	if (k->len - header < 32)
		return plan_fail(p, "%.200s: Multiboot kernel is truncated in its header", k->name);
	const u8 *h = k->data + header;
	u64 header_addr = get32(h + 12), load = get32(h + 16), load_end = get32(h + 20), bss_end = get32(h + 24);
	if (load > header_addr || header_addr - load > header)
		return plan_fail(p, "%.200s: Multiboot header's load address 0x%llx does not match its own address 0x%llx", k->name,
			(unsigned long long)load, (unsigned long long)header_addr);
	u64 start = header - (header_addr - load), len = load_end ? load_end - load : k->len - start;
	if (load_end && load_end <= load)
		return plan_fail(p, "%.200s: Multiboot header's load addresses are in the wrong order", k->name);
	if (len > k->len - start)
		return plan_fail(p, "%.200s: Multiboot kernel is truncated: its header wants %llu bytes more than the file has", k->name,
			(unsigned long long)(len - (k->len - start)));
	u64 size = bss_end > load + len ? bss_end - load : len;
	if (!plan_in_ram(p, load, size))
		return no_ram(p, k, load, size);
	p->eip = get32(h + 28);
	snprintf(p->kind, sizeof(p->kind), "Multiboot kernel (addresses in its header)");
	return plan_add(p, load, k->data + start, len, size);
}

static bool entry_ok(const struct load_plan *p)
{
	for (u32 i = 0; i < p->count; i++)
		if (p->eip >= p->piece[i].gpa && p->eip - p->piece[i].gpa < p->piece[i].size)
			return true;
	return false;
}

static u64 kernel_end(const struct load_plan *p)
{
	u64 end = HIGH_RAM;
	for (u32 i = 0; i < p->count; i++)
		end = p->piece[i].gpa + p->piece[i].size > end ? p->piece[i].gpa + p->piece[i].size : end;
	return end;
}

/* Modules on page borders, which is what those kernels that ask for it need and the others do not mind. */
static bool modules_add(struct load_plan *p, const struct load_file *mod, u32 mods, u32 *at)
{
	u64 lo = kernel_end(p);
	for (u32 i = 0; i < mods; i++) {
		at[i] = (u32)plan_find(p, mod[i].len, PAGE_SIZE, lo, p->ram_size, false);
		if (!at[i])
			return plan_fail(p, "%.200s: module of %llu KiB does not fit behind the kernel; the guest has %llu MiB (-m)", mod[i].name,
				(unsigned long long)(mod[i].len >> 10), (unsigned long long)(p->ram_size >> 20));
		if (!plan_add(p, at[i], mod[i].data, mod[i].len, mod[i].len))
			return false;
	}
	return true;
}

/* "NAME ARGS" at offset *at of the blob; returns its guest address. */
static u32 text_put(u8 *blob, gpa_t blob_at, u64 *at, const char *name, const char *args)
{
	u32 addr = (u32)(blob_at + *at);
	*at += (u64)sprintf((char *)blob + *at, "%s%s%s", name, args && *args ? " " : "", args ? args : "") + 1;
	return addr;
}

static u64 text_len(const char *name, const char *args)
{
	return strlen(name) + 1 + (args ? strlen(args) : 0) + 1;
}

static u64 mmap_put(const struct load_plan *p, u8 *to)
{
	struct mem_range map[MEM_RANGES_MAX];
	u32 n = loader_mem_map(p->ram_size, map);
	for (u32 i = 0; i < n; i++, to += MMAP_BYTES) {
		put32(to, MMAP_BYTES - 4);	/* the size does not count itself */
		put64(to + 4, map[i].base);
		put64(to + 12, map[i].len);
		put32(to + 20, map[i].type);
	}
	return n * MMAP_BYTES;
}

/* One block: information structure, GDT, memory map, module list, texts. */
static bool info_add(struct load_plan *p, const struct load_file *k, const struct load_file *mod, u32 mods, const u32 *mod_at,
	const char *append)
{
	u64 mmap_at = MBI_BYTES, mods_at = mmap_at + MEM_RANGES_MAX * MMAP_BYTES, text = mods_at + mods * MOD_BYTES;
	u64 size = text + text_len(k->name, append) + sizeof(loader_name) + 1;
	for (u32 i = 0; i < mods; i++)
		size += text_len(mod[i].name, mod[i].args);
	gpa_t gdt = plan_find(p, GDT_BYTES, 16, 0x1000, plan_low_end(p), true);
	if (!gdt || !plan_add_gdt(p, gdt))
		return plan_fail(p, "%.200s: Multiboot kernel fills all memory below 640 KiB", k->name);
	gpa_t at = plan_find(p, size, 16, 0x1000, plan_low_end(p), true);
	if (!at)
		return plan_fail(p, "%.200s: no room below 640 KiB for the %llu bytes of boot information", k->name, (unsigned long long)size);
	u8 *b = plan_add_blob(p, at, size);
	if (!b)
		return false;
	put32(b + MBI_FLAGS, MBI_HAS_MEM | MBI_HAS_CMDLINE | MBI_HAS_MODS | MBI_HAS_MMAP | MBI_HAS_LOADER);
	put32(b + MBI_MEM_LOWER, LOW_RAM_END >> 10);
	put32(b + MBI_MEM_UPPER, (u32)((p->ram_size - HIGH_RAM) >> 10));
	put32(b + MBI_CMDLINE, text_put(b, at, &text, k->name, append));
	put32(b + MBI_LOADER, text_put(b, at, &text, loader_name, NULL));
	put32(b + MBI_MMAP_ADDR, (u32)(at + mmap_at));
	put32(b + MBI_MMAP_LEN, (u32)mmap_put(p, b + mmap_at));
	put32(b + MBI_MODS_COUNT, mods);
	put32(b + MBI_MODS_ADDR, (u32)(at + mods_at));
	for (u32 i = 0; i < mods; i++) {
		u8 *m = b + mods_at + i * MOD_BYTES;
		put32(m, mod_at[i]);
		put32(m + 4, (u32)(mod_at[i] + mod[i].len));
		put32(m + 8, text_put(b, at, &text, mod[i].name, mod[i].args));
	}
	p->ebx = (u32)at;
	return true;
}

bool multiboot_plan(struct load_plan *p, const struct load_file *k, const struct load_file *mod, u32 mods, const char *append)
{
	s64 header = header_find(k);
	u32 flags = get32(k->data + header + 4), unknown = flags & MB_MUST & ~(u32)(MB_WANT_PAGES | MB_WANT_MEMORY | MB_WANT_VIDEO);
	if (unknown)
		return plan_fail(p, "%.200s: Multiboot kernel requires features that no version 1 loader has (flags 0x%x)", k->name, unknown);
	if (p->ram_size < HIGH_RAM)
		return plan_fail(p, "%.200s: Multiboot kernels need at least 1 MiB of memory (-m)", k->name);
	if (!(flags & MB_ADDRESSES ? raw_add(p, k, (u64)header) : elf_add(p, k)))
		return false;
	if (!entry_ok(p))
		return plan_fail(p, "%.200s: Multiboot kernel's entry point 0x%x is in none of its parts", k->name, p->eip);
	u32 *mod_at = calloc(mods + 1, sizeof(*mod_at));
	bool ok = mod_at ? modules_add(p, mod, mods, mod_at) && info_add(p, k, mod, mods, mod_at, append) : plan_fail(p, "out of memory");
	free(mod_at);
	p->eax = MB_BOOTED;
	p->esp = 0;
	return ok;
}

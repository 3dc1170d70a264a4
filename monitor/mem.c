/*
 * mem.c - guest-physical memory: what is at each physical page, and accesses by physical address.
 *
 * RAM is one sealed memfd mapped once between guards; RAM at guest-physical address g is ram + g, so the part of it that lies under
 * the PC's hole (640 KiB to 1 MiB) is reachable as soon as the board makes those pages RAM (shadowing).
 * What a low page is follows from two things: what the bus has there (`below`), and whether the host bridge sends reads or writes to
 * the RAM instead (`shadow`).
 * Invariants: pages of kind MEM_RAM lie below ram_size. Whoever changes what a page is ends in mem_page_update(), which drops the code made
 * from it, and empties the virtual TLB. Every write to RAM that does not go through a write entry of the virtual TLB ends in
 * mmu_phys_written().
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "monitor/bus.h"
#include "monitor/lib/hostmem.h"
#include "monitor/mem.h"
#include "monitor/mmu.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"

#define MEM_PAGES  (1ull << 20)		/* 4 KiB pages below 4 GiB */
#define HOLE_FIRST 0xa0000u		/* VGA memory, option ROMs, BIOS */
#define HOLE_END   0x100000u
#define A20_BIT    (1ull << 20)

static const char *const kind_names[] = { [MEM_NONE] = "nothing", [MEM_RAM] = "RAM", [MEM_ROM] = "ROM", [MEM_MMIO] = "devices",
	[MEM_DEVICE] = "RAM of a device" };

static void set_kinds(struct mem *m, gpa_t gpa, u64 len, enum mem_kind kind)
{
	memset(m->kind + (gpa >> PAGE_SHIFT), (int)kind, len >> PAGE_SHIFT);
}

bool mem_init(struct vm *vm, u64 ram_size, char *err, size_t errsize)
{
	struct mem *m;

	if (ram_size < MEM_MIN_BYTES || ram_size > MEM_MAX_BYTES || (ram_size & PAGE_MASK)) {
		snprintf(err, errsize, "guest memory of %llu KiB is not possible: it must be 1 MiB to 3584 MiB, in steps of 4 KiB",
			 (unsigned long long)(ram_size >> 10));
		return false;
	}
	m = calloc(1, sizeof(*m));
	if (!m)
		goto fail;
	vm->mem = m;
	m->ram_size = ram_size;
	m->a20_mask = ~0ull;
	m->memfd = hostmem_file("ringfence-ram", ram_size);
	if (m->memfd < 0)
		goto fail;
	m->ram = hostmem_map_file(m->memfd, ram_size);
	m->kind = calloc(MEM_PAGES, 1);
	m->rom = calloc(MEM_PAGES, sizeof(*m->rom));
	m->host = calloc(MEM_PAGES, sizeof(*m->host));
	if (!m->ram || !m->kind || !m->rom || !m->host)
		goto fail;
	set_kinds(m, 0, HOLE_FIRST, MEM_RAM);
	memcpy(m->below, m->kind, sizeof(m->below));
	set_kinds(m, HOLE_END, ram_size - HOLE_END, MEM_RAM);
	vm_trace(vm, TRACE_MEM, "mem: RAM 0 to %x and %x to %llx\n", HOLE_FIRST - 1, HOLE_END, (unsigned long long)ram_size - 1);
	return true;
fail:
	snprintf(err, errsize, "the host does not give %llu MiB of memory to the guest: %s",
		 (unsigned long long)(ram_size >> 20), strerror(errno));
	mem_fini(vm);
	return false;
}

void mem_fini(struct vm *vm)
{
	struct mem *m = vm->mem;

	if (!m)
		return;
	for (u64 i = 0; m->rom && i < MEM_PAGES; i++)
		free(m->rom[i]);
	free(m->rom);
	free(m->host);
	free(m->kind);
	hostmem_unmap(m->ram, m->ram_size);
	if (m->memfd >= 0)
		close(m->memfd);
	free(m);
	vm->mem = NULL;
}

static bool has_host_page(const struct mem *m, u64 page)
{
	return m->kind[page] == MEM_RAM || m->host[page];
}

static void flush(struct vm *vm)
{
	if (vm->vcpu && vm->vcpu->mmu)
		mmu_flush_all(vm->vcpu->mmu);
}

static bool page_set(struct vm *vm, u64 page, enum mem_kind kind, u8 *host)
{
	struct mem *m = vm->mem;
	bool had = has_host_page(m, page);

	if (m->kind[page] == kind && m->host[page] == host)
		return false;
	if (had && vm->vcpu && vm->vcpu->tr)
		tr_write_notify(vm->vcpu->tr, page << PAGE_SHIFT, PAGE_SIZE);
	m->kind[page] = (u8)kind;
	m->host[page] = host;
	return had;
}

/* The page that the bus has in place of shadow RAM; NULL: none. */
static u8 *host_below(const struct mem *m, u64 page, enum mem_kind kind)
{
	gpa_t gpa = page << PAGE_SHIFT;

	if (kind == MEM_ROM)
		return m->rom[page];
	for (struct mem_device_ram *r = m->device; kind == MEM_DEVICE && r; r = r->next)
		if (gpa - r->at < r->len)
			return r->host + (gpa - r->at);
	return NULL;
}

bool mem_page_update(struct vm *vm, u64 page, enum mem_kind below)
{
	struct mem *m = vm->mem;
	u8 *host = host_below(m, page, below);

	if (page >= MEM_LOW_PAGES)
		return page_set(vm, page, below, host);
	m->below[page] = (u8)below;
	switch (m->shadow[page]) {
	case MEM_SHADOW_READ | MEM_SHADOW_WRITE:
		return page_set(vm, page, MEM_RAM, NULL);
	case MEM_SHADOW_READ:
		return page_set(vm, page, MEM_ROM, m->ram + (page << PAGE_SHIFT));
	case MEM_SHADOW_WRITE:
		return page_set(vm, page, MEM_SHADOW, host);
	default:
		return page_set(vm, page, below, host);
	}
}

void mem_set_kind(struct vm *vm, gpa_t gpa, u64 len, enum mem_kind kind)
{
	struct mem *m = vm->mem;
	bool changed = false;

	vm_trace(vm, TRACE_MEM, "mem: %llx to %llx is %s\n", (unsigned long long)gpa, (unsigned long long)(gpa + len - 1), kind_names[kind]);
	bug_on((gpa | len) & PAGE_MASK || gpa + len > MEM_PAGES << PAGE_SHIFT, "memory range %llx+%llx",
	       (unsigned long long)gpa, (unsigned long long)len);
	bug_on(kind == MEM_RAM && gpa + len > m->ram_size, "RAM beyond the memory file");
	for (u64 p = gpa >> PAGE_SHIFT; p < (gpa + len) >> PAGE_SHIFT; p++) {
		bug_on(kind == MEM_ROM && !m->rom[p], "ROM page without contents");
		changed |= mem_page_update(vm, p, kind);
	}
	if (changed)
		flush(vm);
}

void mem_shadow(struct vm *vm, gpa_t gpa, u64 len, int shadow)
{
	struct mem *m = vm->mem;
	bool changed = false;

	vm_trace(vm, TRACE_MEM, "mem: %llx to %llx: RAM is %s, %s\n", (unsigned long long)gpa, (unsigned long long)(gpa + len - 1),
		 shadow & MEM_SHADOW_READ ? "read" : "not read", shadow & MEM_SHADOW_WRITE ? "written" : "not written");
	bug_on((gpa | len) & PAGE_MASK || gpa < HOLE_FIRST || gpa + len > HOLE_END, "shadow range %llx+%llx",
	       (unsigned long long)gpa, (unsigned long long)len);
	for (u64 p = gpa >> PAGE_SHIFT; p < (gpa + len) >> PAGE_SHIFT; p++) {
		m->shadow[p] = (u8)shadow;
		changed |= mem_page_update(vm, p, (enum mem_kind)m->below[p]);
	}
	if (changed)
		flush(vm);
}

void mem_map_rom(struct vm *vm, gpa_t gpa, const void *data, u64 len)
{
	struct mem *m = vm->mem;

	bug_on((gpa | len) & PAGE_MASK || gpa + len > MEM_PAGES << PAGE_SHIFT, "ROM range");
	for (u64 off = 0; off < len; off += PAGE_SIZE) {
		u64 p = (gpa + off) >> PAGE_SHIFT;

		if (!m->rom[p])
			m->rom[p] = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
		else if (m->host[p] == m->rom[p] && vm->vcpu && vm->vcpu->tr)
			tr_write_notify(vm->vcpu->tr, p << PAGE_SHIFT, PAGE_SIZE);
		bug_on(!m->rom[p], "no host memory for a ROM page");
		memcpy(m->rom[p], (const u8 *)data + off, PAGE_SIZE);
	}
	mem_set_kind(vm, gpa, len, MEM_ROM);
}

u8 *mem_host(struct vm *vm, gpa_t gpa)
{
	struct mem *m = vm->mem;
	u8 *host;

	if (gpa >> 32)
		return NULL;
	if (mem_kind(m, gpa) == MEM_RAM)
		return m->ram + gpa;
	host = m->host[gpa >> PAGE_SHIFT];
	return host ? host + (gpa & PAGE_MASK) : NULL;
}

/* How much of an access of `left` bytes goes to the bus at once. */
static u64 bus_chunk(u64 left)
{
	return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

void mem_read(struct vm *vm, gpa_t gpa, void *buf, u64 len)
{
	u8 *to = buf;

	while (len) {
		const u8 *from = mem_host(vm, gpa);
		u64 n = PAGE_SIZE - (gpa & PAGE_MASK);

		n = n < len ? n : len;
		if (from) {
			memcpy(to, from, n);
		} else {
			n = bus_chunk(n);
			u32 v = bus_mmio_read(vm, gpa, (int)n);

			memcpy(to, &v, n);
		}
		to += n, gpa += n, len -= n;
	}
}

/* A piece of a write, within a page that is no hole. */
static void page_write(struct vm *vm, gpa_t gpa, const void *from, u64 n, enum mem_kind kind)
{
	struct mem *m = vm->mem;

	if (kind == MEM_ROM)
		return;
	if (kind == MEM_DEVICE)
		mem_device_written(vm, gpa);
	if (vm->vcpu && vm->vcpu->mmu)
		mmu_phys_writing(&vm->vcpu->cs, gpa);
	memcpy(kind == MEM_DEVICE ? mem_host(vm, gpa) : m->ram + gpa, from, n);
	if (kind != MEM_SHADOW && vm->vcpu && vm->vcpu->mmu)
		mmu_phys_written(&vm->vcpu->cs, gpa, (u32)n);
}

void mem_write(struct vm *vm, gpa_t gpa, const void *buf, u64 len)
{
	const u8 *from = buf;

	while (len) {
		enum mem_kind kind = mem_kind(vm->mem, gpa);
		u64 n = PAGE_SIZE - (gpa & PAGE_MASK);

		n = n < len ? n : len;
		if (kind == MEM_NONE || kind == MEM_MMIO) {
			u32 v = 0;

			n = bus_chunk(n);
			memcpy(&v, from, n);
			bus_mmio_write(vm, gpa, v, (int)n);
		} else {
			page_write(vm, gpa, from, n, kind);
		}
		from += n, gpa += n, len -= n;
	}
}

/* The A20 gate is part of the virtual TLB's address space key, so switching it back and forth (HIMEM, BIOS) throws nothing away. */
void mem_set_a20(struct vm *vm, bool on)
{
	u64 mask = on ? ~0ull : ~A20_BIT;

	if (vm->mem->a20_mask == mask)
		return;
	vm_trace(vm, TRACE_MEM, "mem: A20 %s\n", on ? "on" : "off");
	vm->mem->a20_mask = mask;
	if (vm->vcpu && vm->vcpu->mmu)
		mmu_mode_changed(&vm->vcpu->cs);
}

/*
 * mem.c - guest-physical memory: what is at each physical page, and accesses by physical address.
 *
 * RAM is one sealed memfd mapped once between guards; RAM at guest-physical address g is ram + g, so the part of it that lies under
 * the PC's hole (640 KiB to 1 MiB) is reachable as soon as the board makes those pages RAM (shadowing).
 * Invariants: pages of kind MEM_RAM lie below ram_size. Whoever changes what a page is goes through mem_set_kind() or mem_map_rom(),
 * which drop the code made from it and empty the virtual TLB. Every write to RAM that does not go through a write entry
 * of the virtual TLB ends in mmu_phys_written().
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

static const char *const kind_names[] = { [MEM_NONE] = "nothing", [MEM_RAM] = "RAM", [MEM_ROM] = "ROM", [MEM_MMIO] = "devices" };

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
	if (!m->ram || !m->kind || !m->rom)
		goto fail;
	set_kinds(m, 0, HOLE_FIRST, MEM_RAM);
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
	free(m->kind);
	hostmem_unmap(m->ram, m->ram_size);
	if (m->memfd >= 0)
		close(m->memfd);
	free(m);
	vm->mem = NULL;
}

static bool has_host_page(enum mem_kind kind)
{
	return kind == MEM_RAM || kind == MEM_ROM;
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
		if (m->kind[p] == kind)
			continue;
		if (has_host_page(m->kind[p]) && vm->vcpu && vm->vcpu->tr)
			tr_write_notify(vm->vcpu->tr, p << PAGE_SHIFT, PAGE_SIZE);
		changed |= has_host_page(m->kind[p]) || has_host_page(kind);
		m->kind[p] = (u8)kind;
	}
	if (changed && vm->vcpu && vm->vcpu->mmu)
		mmu_flush_all(vm->vcpu->mmu);
}

void mem_map_rom(struct vm *vm, gpa_t gpa, const void *data, u64 len)
{
	struct mem *m = vm->mem;

	bug_on((gpa | len) & PAGE_MASK || gpa + len > MEM_PAGES << PAGE_SHIFT, "ROM range");
	for (u64 off = 0; off < len; off += PAGE_SIZE) {
		u64 p = (gpa + off) >> PAGE_SHIFT;

		if (!m->rom[p])
			m->rom[p] = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
		bug_on(!m->rom[p], "no host memory for a ROM page");
		memcpy(m->rom[p], (const u8 *)data + off, PAGE_SIZE);
	}
	mem_set_kind(vm, gpa, len, MEM_ROM);
}

u8 *mem_host(struct vm *vm, gpa_t gpa)
{
	struct mem *m = vm->mem;

	switch (mem_kind(m, gpa)) {
	case MEM_RAM:
		return m->ram + gpa;
	case MEM_ROM:
		return m->rom[gpa >> PAGE_SHIFT] + (gpa & PAGE_MASK);
	default:
		return NULL;
	}
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

void mem_write(struct vm *vm, gpa_t gpa, const void *buf, u64 len)
{
	const u8 *from = buf;

	while (len) {
		enum mem_kind kind = mem_kind(vm->mem, gpa);
		u64 n = PAGE_SIZE - (gpa & PAGE_MASK);

		n = n < len ? n : len;
		if (kind == MEM_RAM) {
			memcpy(vm->mem->ram + gpa, from, n);
			if (vm->vcpu && vm->vcpu->mmu)
				mmu_phys_written(&vm->vcpu->cs, gpa, (u32)n);
		} else if (kind != MEM_ROM) {
			u32 v = 0;

			n = bus_chunk(n);
			memcpy(&v, from, n);
			bus_mmio_write(vm, gpa, v, (int)n);
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

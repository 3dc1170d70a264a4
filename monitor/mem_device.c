/*
 * mem_device.c - RAM of devices in the guest's memory (frame buffers): windows, and the log of what the guest wrote.
 *
 * A clean page has no entry in any write table of the virtual TLB. The first write to it takes the slow path, which marks it and fills the
 * entry; until it is cleaned all further writes cost what writes to RAM cost.
 * Code may run from such a page: it is dropped when the page is written through the same window, and with the window.
 */
#include <string.h>
#include "monitor/mem.h"
#include "monitor/mmu.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"

static struct mmu *mmu_if_any(struct vm *vm)
{
	return vm->vcpu ? vm->vcpu->mmu : NULL;
}

static u64 pages_end(const struct mem_device_ram *r)
{
	u64 end = (r->at + r->len) >> PAGE_SHIFT;

	return end < 1u << 20 ? end : 1u << 20;
}

void mem_map_device_ram(struct vm *vm, struct mem_device_ram *r, gpa_t gpa)
{
	struct mem *m = vm->mem;

	bug_on(r->mapped, "device RAM is mapped twice");
	bug_on(((u64)r->host | r->len | gpa) & PAGE_MASK, "device RAM is not made of pages");
	vm_trace(vm, TRACE_MEM, "mem: RAM of a device at %llx to %llx\n", (unsigned long long)gpa, (unsigned long long)(gpa + r->len - 1));
	r->mapped = true;
	r->at = gpa;
	r->next = m->device;
	m->device = r;
	for (u64 p = gpa >> PAGE_SHIFT; p < pages_end(r); p++) {
		enum mem_kind kind = mem_kind_below(m, p << PAGE_SHIFT);

		if (kind == MEM_NONE || kind == MEM_MMIO)
			mem_page_update(vm, p, MEM_DEVICE);	/* the virtual TLB has no entries of these */
	}
}

static void unlink_window(struct mem *m, struct mem_device_ram *r)
{
	struct mem_device_ram **link = &m->device;

	while (*link != r)
		link = &(*link)->next;
	*link = r->next;
	r->next = NULL;
	r->mapped = false;
}

/* Another window may have been behind this one. */
static bool covered(const struct mem *m, gpa_t gpa)
{
	for (const struct mem_device_ram *r = m->device; r; r = r->next)
		if (gpa - r->at < r->len)
			return true;
	return false;
}

void mem_unmap_device_ram(struct vm *vm, struct mem_device_ram *r)
{
	struct mem *m = vm->mem;
	struct mmu *mmu = mmu_if_any(vm);

	if (!r->mapped)
		return;
	vm_trace(vm, TRACE_MEM, "mem: no RAM of a device at %llx any more\n", (unsigned long long)r->at);
	if (mmu)
		mmu_device_purge(mmu, r->at, r->host, (pages_end(r) << PAGE_SHIFT) - r->at, true);
	unlink_window(m, r);
	for (u64 p = r->at >> PAGE_SHIFT; p < pages_end(r); p++)
		if (mem_kind_below(m, p << PAGE_SHIFT) == MEM_DEVICE)
			mem_page_update(vm, p, covered(m, p << PAGE_SHIFT) ? MEM_DEVICE : MEM_MMIO);
	if (r->fetched && mmu)
		mmu_flush_all(mmu);
	r->fetched = false;
}

void mem_device_ram_clean(struct vm *vm, struct mem_device_ram *r, u64 first, u64 count)
{
	u64 pages = r->len >> PAGE_SHIFT;
	struct mmu *mmu = mmu_if_any(vm);

	if (first >= pages)
		return;
	count = count < pages - first ? count : pages - first;
	memset(r->dirty + first, 0, count);
	if (r->mapped && mmu)
		mmu_device_purge(mmu, r->at + (first << PAGE_SHIFT), r->host + (first << PAGE_SHIFT), count << PAGE_SHIFT, false);
}

void mem_device_written(struct vm *vm, gpa_t gpa)
{
	const struct mem_device_ram *r = mem_device_at(vm->mem, gpa);
	u8 *dirty = mem_device_dirty(vm->mem, gpa);

	if (*dirty)
		return;
	*dirty = 1;
	if (r->written)
		r->written(r->arg);
}

/*
 * mmu_log.c - which pages the guest writes during a while, and whether they are in the end what they were (idle.c).
 *
 * While the log is on no write entry is in the tables but those of pages that it has: a page is copied before its first write. What is too
 * much for it (many pages, another address space, RAM of a device) ends the log: then nothing can be said.
 */
/* cflags: -mgeneral-regs-only */
#include "monitor/lib/hostmem.h"
#include "monitor/mmu_int.h"

#define LOG_PAGES 16

struct write_log {
	u32 count;
	u32 gpage[LOG_PAGES];
	u64 before[LOG_PAGES][PAGE_SIZE / 8];
};

static void copy_page(u64 *to, const u8 *from)
{
	u64 n = PAGE_SIZE / 8;

	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

bool vt_log_has(const struct mmu *mmu, u64 gpage)
{
	const struct write_log *log = mmu->log;

	for (u32 i = 0; i < log->count; i++)
		if (log->gpage[i] == gpage)
			return true;
	return false;
}

void vt_log_write(struct mmu *mmu, u64 gpage)
{
	struct write_log *log = mmu->log;

	if (vt_log_has(mmu, gpage))
		return;
	if (log->count == LOG_PAGES || mem_kind(mmu->mem, gpage << PAGE_SHIFT) != MEM_RAM) {
		mmu->log = NULL;
		return;
	}
	log->gpage[log->count] = (u32)gpage;
	copy_page(log->before[log->count++], mmu->mem->ram + (gpage << PAGE_SHIFT));
}

static void clear_writes(struct vt_half *h)
{
	for (u32 i = 1; i < h->rec_top; i++) {
		const struct vt_rec *r = &h->rec[i];

		for (u32 p = r->page; (r->flags & VT_WRITE) && p < r->page + r->run; p++)
			*vtlb_write_entry(h->table, p << PAGE_SHIFT) = 0;
	}
}

void mmu_log_writes(struct cpu_state *cs, bool on)
{
	struct mmu *mmu = mmu_of(cs);

	mmu->log = NULL;
	if (!on)
		return;
	if (!mmu->log_room)
		mmu->log_room = (struct write_log *)hostmem_reserve(sizeof(struct write_log));
	if (!mmu->log_room)
		return;
	mmu->log_room->count = 0;
	mmu->log = mmu->log_room;
	clear_writes(&mmu->cur->half[0]);
	clear_writes(&mmu->cur->half[1]);
}

void vt_log_fini(struct mmu *mmu)
{
	hostmem_unmap((u8 *)mmu->log_room, sizeof(struct write_log));
}

void mmu_phys_writing(struct cpu_state *cs, gpa_t gpa)
{
	struct mmu *mmu = mmu_of(cs);

	if (mmu->trap[gpa >> PAGE_SHIFT] & TRAP_CLEAN)
		vt_first_write(mmu, (u32)(gpa >> PAGE_SHIFT));
	if (mmu->log)
		vt_log_write(mmu, gpa >> PAGE_SHIFT);
}

bool mmu_log_unchanged(struct cpu_state *cs)
{
	const struct mmu *mmu = mmu_of(cs);
	const struct write_log *log = mmu->log;

	if (!log)
		return false;
	for (u32 i = 0; i < log->count; i++) {
		const u64 *now = (const u64 *)(mmu->mem->ram + ((u64)log->gpage[i] << PAGE_SHIFT));

		for (u32 k = 0; k < PAGE_SIZE / 8; k++)
			if (now[k] != log->before[i][k])
				return false;
	}
	return true;
}

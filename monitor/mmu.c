/*
 * mmu.c - guest memory by linear address: the slow path of translated code, code fetch, and accesses by the monitor's C code.
 *
 * Everything here may raise #PF and then does not return; what an access touches is checked whole before anything changes.
 * An operand that cannot be reached by one host address (it crosses a page, lies in a device, or is written on a page whose
 * writes are watched) is given to translated code in cs->bounce; mmu_commit() then writes it back, to the physical
 * addresses found when it was checked.
 */
#include <string.h>
#include "monitor/mmu_int.h"
#include "monitor/watch.h"

#define BOUNCE_ALIGN 63u	/* operands in bounce keep these bits of their address */

static gla_t wrap(const struct cpu_state *cs, gla_t lin)
{
	return cs->mode & MK_LONG ? lin : (u32)lin;
}

/* The walk may have set accessed bits in a page table that is also code. */
static void notify_ad(struct cpu_state *cs, const struct mmu *mmu, const struct walk *w)
{
	for (int i = 0; w->ad_set >> i; i++)
		if ((w->ad_set >> i & 1) && (mmu->trap[w->entry_gpa[i] >> PAGE_SHIFT] & TRAP_CODE))
			tr_write_notify(mmu->vcpu->tr, w->entry_gpa[i], 1);
}

static bool try_resolve(struct cpu_state *cs, gla_t lin, int acc, struct walk *w)
{
	struct mmu *mmu = mmu_of(cs);

	if (walk_page(&mmu->env, lin, acc, 0, w) != WALK_OK)
		return false;
	if (unlikely(w->ad_set))
		notify_ad(cs, mmu, w);
	return true;
}

static void resolve(struct cpu_state *cs, gla_t lin, int acc, struct walk *w)
{
	if (try_resolve(cs, lin, acc, w))
		return;
	cs->cr2 = lin;
	cpu_raise(cs, VEC_PF, (int)w->error);
}

/* Can there be an entry for this? What stands against a write entry is done now: a trusted page table is trusted no more, a clean page
 * becomes dirty. */
static bool fillable(struct mmu *mmu, gpa_t gpa, bool write)
{
	u64 gpage = gpa >> PAGE_SHIFT;
	enum mem_kind kind = mem_kind(mmu->mem, gpa);

	if (write && kind == MEM_RAM && mmu->trap[gpage] & TRAP_CLEAN)
		vt_first_write(mmu, (u32)gpage);
	if (write && kind == MEM_RAM && mmu->trap[gpage] == TRAP_PT)
		vt_untrack(mmu, (u32)gpage);
	if (write && ((kind != MEM_RAM && kind != MEM_DEVICE) || mmu->trap[gpage]))
		return false;
	if (write && kind == MEM_DEVICE)
		mem_device_written(mmu->vcpu->vm, gpa);
	return mem_host(mmu->vcpu->vm, gpa);
}

/* Fills an entry for a resolved address, making room if need be; 0 if there is none to have. */
static u64 fill(struct mmu *mmu, gla_t lin, int acc, const struct walk *w)
{
	u64 delta;

	if (vt_watched(mmu, (u32)(lin >> PAGE_SHIFT), 1) || !fillable(mmu, w->gpa, acc & ACC_WRITE))
		return 0;
	delta = vt_fill(mmu, lin, acc, w, false);
	if (delta)
		return delta;
	vt_clear_half(mmu, vt_half(mmu, acc));
	return vt_fill(mmu, lin, acc, w, false);
}

/* --- the slow path of translated code --- */

/* A device's registers are read only if the guest reads. */
static bool reads_data(const struct mmu *mmu, gpa_t gpa, u32 info)
{
	return (info & MEM_READ) || mem_host(mmu->vcpu->vm, gpa);
}

static u64 bounce(struct cpu_state *cs, struct mmu *mmu, gla_t lin, u32 info, const struct commit_piece piece[2])
{
	u8 *buf = cs->bounce + (lin & BOUNCE_ALIGN), *at = buf;

	for (int i = 0; i < 2; at += piece[i].len, i++)
		if (piece[i].len && reads_data(mmu, piece[i].gpa, info))
			mem_read(mmu->vcpu->vm, piece[i].gpa, at, piece[i].len);
	if (info & MEM_WRITE) {
		mmu->commit[0] = piece[0];
		mmu->commit[1] = piece[1];
		cs->commit_lin = lin;
		cs->commit_len = piece[0].len + piece[1].len;
	}
	return (u64)buf - lin;
}

static void check_alignment(struct cpu_state *cs, gla_t lin, u32 size)
{
	if (size <= 8 && !(size & (size - 1)) && (lin & (size - 1)))
		cpu_raise(cs, VEC_AC, 0);
}

static bool writes_code(const struct mmu *mmu, const struct commit_piece piece[2])
{
	for (int i = 0; i < 2; i++)
		if (piece[i].len && tr_overlaps_code(mmu->vcpu->tr, piece[i].gpa, piece[i].len))
			return true;
	return false;
}

u64 mmu_slow(struct cpu_state *cs, gla_t lin, u32 info)
{
	struct mmu *mmu = mmu_of(cs);
	u32 size = info & MEM_SIZE, first = PAGE_SIZE - (u32)(lin & PAGE_MASK), hits = 0;
	int acc = (info & MEM_WRITE ? ACC_WRITE : ACC_READ) | (info & MEM_SUPER ? 0 : acc_cpl(cs));
	struct commit_piece piece[2] = { { 0 } };
	struct walk w;

	lin = wrap(cs, lin);
	if ((cs->mode & MK_ALIGN) && (acc & ACC_USER))
		check_alignment(cs, lin, size);
	resolve(cs, lin, acc, &w);
	if (size <= first) {
		u64 delta = fill(mmu, lin, acc, &w);

		if (delta)
			return delta;
		first = size;
	}
	piece[0] = (struct commit_piece){ w.gpa, first };
	if (size > first) {
		resolve(cs, wrap(cs, lin + first), acc, &w);
		piece[1] = (struct commit_piece){ w.gpa, size - first };
	}
	if (unlikely(mmu->watches))
		hits = watch_data(cs, (u32)lin, size, info & MEM_WRITE);
	if (!(cs->mode & MK_STEP) && (hits || (info & MEM_MORE && writes_code(mmu, piece)))) {
		cs->inhibit = SHADOW_STI;	/* alone */
		cpu_leave(cs);
	}
	watch_hit(cs, hits);
	return bounce(cs, mmu, lin, info, piece);
}

void mmu_commit(struct cpu_state *cs)
{
	struct mmu *mmu = mmu_of(cs);
	const u8 *at = cs->bounce + (cs->commit_lin & BOUNCE_ALIGN);

	cs->commit_len = 0;
	for (int i = 0; i < 2; at += mmu->commit[i].len, i++)
		mem_write(mmu->vcpu->vm, mmu->commit[i].gpa, at, mmu->commit[i].len);
}

/* --- code fetch --- */

const u8 *mmu_fetch(struct cpu_state *cs, gla_t lin, gpa_t *gpa, bool probe)
{
	struct mmu *mmu = mmu_of(cs);
	struct vt_half *h = &mmu->cur->half[cs->cpl == 3];
	u32 page = (u32)lin >> PAGE_SHIFT, offset = lin & PAGE_MASK;
	struct vt_code *c = &h->code[page % VT_EXEC];
	const u8 *host;
	struct walk w;

	lin = wrap(cs, lin);
	if (c->page1 == page + 1) {
		*gpa = c->gpa + offset;
		return c->host + offset;
	}
	if (probe ? !try_resolve(cs, lin, ACC_EXEC | acc_cpl(cs), &w) : (resolve(cs, lin, ACC_EXEC | acc_cpl(cs), &w), false))
		return NULL;
	host = mem_host(mmu->vcpu->vm, w.gpa);
	if (!host)
		return NULL;
	if (mem_kind(mmu->mem, w.gpa) == MEM_DEVICE)
		mem_device_at(mmu->mem, w.gpa)->fetched = true;
	if (!vt_record(mmu, h, page, 1, VT_CODE, &w, false)) {
		vt_clear_half(mmu, h);
		vt_record(mmu, h, page, 1, VT_CODE, &w, false);
	}
	*c = (struct vt_code){ page + 1, w.gpa - offset, host - offset };
	*gpa = w.gpa;
	return host;
}

/* --- accesses by C code --- */

/* Host address for an access within one page through the tables; NULL: not filled. */
static u8 *lookup(struct mmu *mmu, gla_t lin, int acc)
{
	struct vt_half *h = vt_half(mmu, acc);
	u64 delta = acc & ACC_WRITE ? *vtlb_write_entry(h->table, (u32)lin) : *vtlb_read_entry(h->table, (u32)lin);

	return delta ? (u8 *)(delta + lin) : NULL;
}

/* Checks all pages of an operand of at most a page; returns the number of pieces. */
static int resolve_pieces(struct cpu_state *cs, gla_t lin, u32 len, int acc, struct commit_piece piece[2])
{
	u32 first = PAGE_SIZE - (u32)(lin & PAGE_MASK);
	struct walk w;

	resolve(cs, lin, acc, &w);
	piece[0] = (struct commit_piece){ w.gpa, len < first ? len : first };
	if (len <= first) {
		fill(mmu_of(cs), lin, acc, &w);
		piece[1] = (struct commit_piece){ 0 };
	} else {
		resolve(cs, wrap(cs, lin + first), acc, &w);
		piece[1] = (struct commit_piece){ w.gpa, len - first };
	}
	if (unlikely(mmu_of(cs)->watches))
		watch_hit(cs, watch_data(cs, (u32)lin, len, acc & ACC_WRITE));
	return len <= first ? 1 : 2;
}

u64 mmu_read(struct cpu_state *cs, gla_t lin, int size, int acc)
{
	struct mmu *mmu = mmu_of(cs);
	struct commit_piece piece[2];
	u64 value = 0;
	u8 *at = (u8 *)&value, *host;

	lin = wrap(cs, lin);
	acc = (acc & ACC_USER) | ACC_READ;
	host = (lin & PAGE_MASK) + (u32)size <= PAGE_SIZE ? lookup(mmu, lin, acc) : NULL;
	if (likely(host)) {
		memcpy(&value, host, (size_t)size);
		return value;
	}
	for (int i = 0, n = resolve_pieces(cs, lin, (u32)size, acc, piece); i < n; at += piece[i].len, i++)
		mem_read(mmu->vcpu->vm, piece[i].gpa, at, piece[i].len);
	return value;
}

void mmu_write(struct cpu_state *cs, gla_t lin, u64 value, int size, int acc)
{
	struct mmu *mmu = mmu_of(cs);
	struct commit_piece piece[2];
	u8 *at = (u8 *)&value, *host;

	lin = wrap(cs, lin);
	acc = (acc & ACC_USER) | ACC_WRITE;
	host = (lin & PAGE_MASK) + (u32)size <= PAGE_SIZE ? lookup(mmu, lin, acc) : NULL;
	if (likely(host)) {
		memcpy(host, &value, (size_t)size);
		return;
	}
	for (int i = 0, n = resolve_pieces(cs, lin, (u32)size, acc, piece); i < n; at += piece[i].len, i++)
		mem_write(mmu->vcpu->vm, piece[i].gpa, at, piece[i].len);
}

void mmu_probe(struct cpu_state *cs, gla_t lin, u32 len, int acc)
{
	gla_t page = lin & ~(gla_t)PAGE_MASK;
	struct walk w;

	for (u64 n = len ? ((lin & PAGE_MASK) + len + PAGE_MASK) >> PAGE_SHIFT : 0; n; n--, page += PAGE_SIZE) {
		gla_t at = wrap(cs, page < lin ? lin : page);

		if ((acc & ACC_EXEC) || !lookup(mmu_of(cs), at, acc))
			resolve(cs, at, acc, &w);
	}
}

u8 *mmu_host(struct cpu_state *cs, gla_t lin, int acc)
{
	struct mmu *mmu = mmu_of(cs);
	u8 *host;
	struct walk w;
	u64 delta;

	lin = wrap(cs, lin);
	host = lookup(mmu, lin, acc);
	if (host || !try_resolve(cs, lin, acc, &w))
		return host;
	delta = fill(mmu, lin, acc, &w);
	return delta ? (u8 *)(delta + lin) : NULL;
}

bool mmu_translate(struct cpu_state *cs, gla_t lin, gpa_t *gpa)
{
	struct walk w;

	if (walk_page(&mmu_of(cs)->env, wrap(cs, lin), ACC_READ, WALK_PEEK, &w) != WALK_OK)
		return false;
	*gpa = w.gpa;
	return true;
}

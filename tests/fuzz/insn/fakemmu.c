/* cflags: -mgeneral-regs-only */
/*
 * fakemmu.c - memory accesses of the fake monitor (fakemmu.h). mmu_fill() runs with the guest's FPU state in the registers:
 * no libc there.
 */
#include "tests/fuzz/insn/fakemmu.h"
#include "tests/fuzz/insn/insn.h"

enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_I = 16 };

static int page_rights(u32 lin)
{
	u32 page = lin >> PAGE_SHIFT;

	if (page - (GUEST_CODE >> PAGE_SHIFT) < CODE_PAGES)
		return ACC_READ | ACC_WRITE | ACC_EXEC;
	if (page - (GUEST_DATA >> PAGE_SHIFT) < DATA_RW_PAGES || page - (GUEST_STACK >> PAGE_SHIFT) < STACK_PAGES || page == COUNTER >> PAGE_SHIFT)
		return ACC_READ | ACC_WRITE;
	return page - (GUEST_DATA >> PAGE_SHIFT) < DATA_PAGES ? ACC_READ : 0;
}

static bool has_code(const struct mmu *m, u32 lin)
{
	u32 page = (lin - GUEST_CODE) >> PAGE_SHIFT;

	return page < CODE_PAGES && m->code[page];
}

_Noreturn void fake_end(struct cpu_state *cs, int vector, int error)
{
	struct mmu *m = vcpu_of(cs)->mmu;

	m->vector = vector;
	m->error = error == TR_NO_ERR ? 0 : (u32)error;
	m->address = (u32)cs->cr2;
	m->ended = true;
	__builtin_longjmp(m->jmp, 1);
}

_Noreturn void cpu_raise(struct cpu_state *cs, int vector, int error) { fake_end(cs, vector, error); }
_Noreturn void cpu_leave(struct cpu_state *cs) { __builtin_longjmp(vcpu_of(cs)->mmu->jmp, 1); }

static void check(struct cpu_state *cs, u32 lin, int acc)
{
	int rights = page_rights(lin);

	if (rights & acc & (ACC_READ | ACC_WRITE | ACC_EXEC))
		return;
	cs->cr2 = lin;
	cpu_raise(cs, VEC_PF, PF_U | (rights ? PF_P : 0) | (acc & ACC_WRITE ? PF_W : 0) | (acc & ACC_EXEC ? PF_I : 0));
}

void mmu_probe(struct cpu_state *cs, gla_t lin, u32 len, int acc)
{
	u32 last = (u32)lin + len - 1;

	check(cs, (u32)lin, acc);
	if ((last ^ (u32)lin) & ~PAGE_MASK)
		check(cs, last & ~PAGE_MASK, acc);
}

const u8 *mmu_fetch(struct cpu_state *cs, gla_t lin, gpa_t *gpa, bool probe)
{
	if (probe && !(page_rights((u32)lin) & ACC_EXEC))
		return NULL;
	check(cs, (u32)lin, ACC_EXEC);
	*gpa = (u32)lin;
	return vcpu_of(cs)->mmu->window + (u32)lin;
}

void mmu_code_page(struct cpu_state *cs, gpa_t page, bool yes)
{
	struct mmu *m = vcpu_of(cs)->mmu;

	m->code[((u32)page - GUEST_CODE) >> PAGE_SHIFT] = yes;
	*vtlb_write_entry(m->half, (u32)page) = 0;
}

u64 mmu_fill(struct cpu_state *cs, gla_t lin, u32 info)
{
	struct mmu *m = vcpu_of(cs)->mmu;
	u32 at = (u32)lin, size = info & MEM_SIZE;
	int rights = page_rights(at);

	if ((at & PAGE_MASK) + size > PAGE_SIZE || !(rights & ACC_READ))
		return 0;
	if (info & MEM_WRITE && (!(rights & ACC_WRITE) || has_code(m, at)))
		return 0;
	*vtlb_read_entry(m->half, at) = (u64)m->window;
	if (info & MEM_WRITE)
		*vtlb_write_entry(m->half, at) = (u64)m->window;
	return (u64)m->window;
}

/* Accesses that cross a page always go through the bounce buffer, though the window is contiguous: that is the path to test. */
u64 mmu_slow(struct cpu_state *cs, gla_t lin, u32 info)
{
	struct mmu *m = vcpu_of(cs)->mmu;
	u32 at = (u32)lin, size = info & MEM_SIZE;
	u8 *bounce = cs->bounce + (at & 63);

	mmu_probe(cs, at, size, info & MEM_WRITE ? ACC_WRITE : ACC_READ);
	if ((at & PAGE_MASK) + size <= PAGE_SIZE && !(info & MEM_WRITE && has_code(m, at)))
		return (u64)m->window;
	if (info & MEM_MORE && !(cs->mode & MK_STEP) && tr_overlaps_code(vcpu_of(cs)->tr, at, size)) {
		cs->inhibit = 1;	/* as translator.h says: alone, in a block of its own */
		cpu_leave(cs);
	}
	for (u32 i = 0; i < size; i++)
		bounce[i] = m->window[(u32)(at + i)];
	if (info & MEM_WRITE) {
		cs->commit_lin = at;
		cs->commit_len = size;
	}
	return (u64)bounce - at;
}

static void written(struct cpu_state *cs, u32 at, u32 len)
{
	for (u32 i = 0; i < len; i++)
		if (has_code(vcpu_of(cs)->mmu, at + i))
			tr_write_notify(vcpu_of(cs)->tr, at + i, 1);
}

void mmu_commit(struct cpu_state *cs)
{
	u32 at = (u32)cs->commit_lin, len = cs->commit_len;

	cs->commit_len = 0;
	for (u32 i = 0; i < len; i++)
		vcpu_of(cs)->mmu->window[(u32)(at + i)] = cs->bounce[(at & 63) + i];
	written(cs, at, len);
}

u64 mmu_read(struct cpu_state *cs, gla_t lin, int size, int acc)
{
	u64 v = 0;

	mmu_probe(cs, lin, (u32)size, ACC_READ);
	for (int i = 0; i < size; i++)
		v |= (u64)vcpu_of(cs)->mmu->window[(u32)(lin + (u32)i)] << 8 * i;
	return v;
}

void mmu_write(struct cpu_state *cs, gla_t lin, u64 value, int size, int acc)
{
	mmu_probe(cs, lin, (u32)size, ACC_WRITE);
	for (int i = 0; i < size; i++)
		vcpu_of(cs)->mmu->window[(u32)(lin + (u32)i)] = (u8)(value >> 8 * i);
	written(cs, (u32)lin, (u32)size);
}

u8 *mmu_host(struct cpu_state *cs, gla_t lin, int acc)
{
	struct mmu *m = vcpu_of(cs)->mmu;
	int need = acc & (ACC_READ | ACC_WRITE);

	if ((page_rights((u32)lin) & need) != need || (acc & ACC_WRITE && has_code(m, (u32)lin)))
		return NULL;
	return m->window + (u32)lin;
}

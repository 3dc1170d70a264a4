/*
 * translated.c - runs a case through the translator, with a fake monitor of one address space (fakemmu.h) around it and the real
 * callouts for what ring 3 may do.
 */
#define _GNU_SOURCE	/* MAP_NORESERVE */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "monitor/callouts.h"
#include "tests/fuzz/insn/fakemmu.h"
#include "tests/fuzz/insn/insn.h"

#define WINDOW_SIZE 0x100000000ull

struct translated {
	struct vcpu vcpu;
	struct mmu mmu;
	struct tr_ops ops;
	u8 *image[MEMORY_IMAGES];
};

/* The signal handler must find the one that runs. */
static struct translated *running;

static void end_here(struct cpu_state *cs, u32 arg)
{
	if (cs->op[0] == END_SELECTOR)
		fake_end(cs, -1, 0);
	fake_end(cs, OUT_WEIRD, 0);
}

static void raise_it(struct cpu_state *cs, u32 arg) { fake_end(cs, (int)(arg & 0xff), arg >> 8 ? (int)cs->op[0] : TR_NO_ERR); }
static void not_for_ring_3(struct cpu_state *cs, u32 arg) { fake_end(cs, VEC_GP, 0); }
static void unexpected(struct cpu_state *cs, u32 arg) { fake_end(cs, OUT_WEIRD, 0); }

/* INT3 and INTO are traps: EIP is behind them. */
static void interrupt(struct cpu_state *cs, u32 arg)
{
	cs->rip = cs->next_rip;
	fake_end(cs, (int)(arg & 0xff), TR_NO_ERR);
}

static void host_fault(struct cpu_state *cs, int vector, int error) { fake_end(cs, vector, error); }
static bool has_feature(struct cpu_state *cs, int feature) { return feature != TF_NEVER; }

static void fill_ops(struct tr_ops *ops)
{
	static const struct { int id; callout_fn *fn; } callouts[] = {
		{ CO_FAR_JMP, end_here }, { CO_RAISE, raise_it }, { CO_INT, interrupt }, { CO_CLI, callout_CLI }, { CO_STI, callout_STI },
		{ CO_HLT, callout_HLT }, { CO_MOV_TO_CR, not_for_ring_3 }, { CO_MOV_FROM_CR, not_for_ring_3 }, { CO_MOV_TO_DR, not_for_ring_3 },
		{ CO_MOV_FROM_DR, not_for_ring_3 }, { CO_SEG_FAULT, callout_SEG_FAULT }, { CO_BOUND, callout_BOUND }, { CO_ARPL, callout_ARPL },
		{ CO_PUSHF, callout_PUSHF }, { CO_POPF, callout_POPF }, { CO_REP_MOVS, callout_REP_MOVS }, { CO_REP_STOS, callout_REP_STOS },
		{ CO_REP_LODS, callout_REP_LODS }, { CO_REP_CMPS, callout_REP_CMPS }, { CO_REP_SCAS, callout_REP_SCAS }, { CO_DAA, callout_DAA },
		{ CO_DAS, callout_DAS }, { CO_AAA, callout_AAA }, { CO_AAS, callout_AAS }, { CO_AAM, callout_AAM }, { CO_AAD, callout_AAD },
		{ CO_ENTER, callout_ENTER }, { CO_GATHER, callout_GATHER }, { CO_MASKED_MOVE, callout_MASKED_MOVE },
		{ CO_IN, not_for_ring_3 }, { CO_OUT, not_for_ring_3 }, { CO_INS, callout_INS }, { CO_OUTS, callout_OUTS },
	};

	for (int i = 0; i < CO_MAX; i++)
		ops->callout[i] = unexpected;
	for (size_t i = 0; i < ARRAY_SIZE(callouts); i++)
		ops->callout[callouts[i].id] = callouts[i].fn;
	ops->fetch = mmu_fetch;
	ops->code_page = mmu_code_page;
	ops->mem_fill = mmu_fill;
	ops->mem_slow = mmu_slow;
	ops->mem_commit = mmu_commit;
	ops->host_fault = host_fault;
	ops->has_feature = has_feature;
}

struct translated *translated_init(const char **err)
{
	struct translated *t = aligned_alloc(64, (sizeof(*t) + 63) & ~63ul);
	struct tr_options opt = { 0 };

	*err = "out of memory";
	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	t->mmu.window = mmap(NULL, WINDOW_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	t->mmu.half = mmap(NULL, VTLB_HALF_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (t->mmu.window == MAP_FAILED || t->mmu.half == MAP_FAILED)
		return NULL;
	for (int i = 0; i < MEMORY_IMAGES; i++) {
		t->image[i] = malloc((DATA_PAGES + STACK_PAGES) * 4096);
		if (!t->image[i])
			return NULL;
		memory_image(i, t->image[i], t->image[i] + DATA_PAGES * 4096);
	}
	memcpy(t->mmu.window + GUEST_DATA, t->image[0], DATA_PAGES * 4096);
	t->vcpu.mmu = &t->mmu;
	t->vcpu.half[0] = t->vcpu.half[1] = t->mmu.half;
	fill_ops(&t->ops);
	t->vcpu.tr = tr_init(&t->vcpu.cs, &t->ops, &opt, err);
	if (!t->vcpu.tr)
		return NULL;
	tr_half_add(t->vcpu.tr, t->mmu.half);
	return t;
}

void translated_fini(struct translated *t)
{
	tr_fini(t->vcpu.tr);
	munmap(t->mmu.window, WINDOW_SIZE);
	munmap(t->mmu.half, VTLB_HALF_SIZE);
	for (int i = 0; i < MEMORY_IMAGES; i++)
		free(t->image[i]);
	free(t);
}

static void set_segment(struct cpu_state *cs, int seg, u16 sel, u32 base, u32 limit, u16 attr)
{
	cs->seg[seg] = (struct cpu_seg){ .base = base, .limit = limit, .sel = sel, .attr = attr };
	seg_update(cs, seg);
}

static void set_segments(struct cpu_state *cs, bool code16)
{
	const u16 data = SA_P | SA_DPL | SA_S | SA_RW | SA_ACCESSED, code = data | SA_CODE;

	if (code16) {
		set_segment(cs, S_CS, LDT_SELECTOR(LDT_CODE16), GUEST_CODE, 0xffff, code);
		set_segment(cs, S_DS, LDT_SELECTOR(LDT_DATA16), GUEST_DATA, 0xffff, data);
		set_segment(cs, S_ES, LDT_SELECTOR(LDT_DATA16), GUEST_DATA, 0xffff, data);
		set_segment(cs, S_SS, LDT_SELECTOR(LDT_STACK16), GUEST_STACK, 0xffff, data);
	} else {
		set_segment(cs, S_CS, FLAT_CODE, 0, ~0u, code | SA_DB | SA_G);
		set_segment(cs, S_DS, FLAT_DATA, 0, ~0u, data | SA_DB | SA_G);
		set_segment(cs, S_ES, FLAT_DATA, 0, ~0u, data | SA_DB | SA_G);
		set_segment(cs, S_SS, FLAT_DATA, 0, ~0u, data | SA_DB | SA_G);
	}
	set_segment(cs, S_FS, 0, 0, 0, 0);
	set_segment(cs, S_GS, LDT_SELECTOR(LDT_GS), GS_BASE, GS_LIMIT, data | SA_DB);
}

static void set_state(struct translated *t, const struct insn_case *c)
{
	struct cpu_state *cs = &t->vcpu.cs;

	for (int i = 0; i < 8; i++)
		cs->gpr[i] = c->in.gpr[i];
	cs->rip = c->in.eip;
	cs->cr0 = 0x80000033;	/* PG NE ET MP PE */
	cs->cr4 = 0x40600;	/* OSXSAVE OSXMMEXCPT OSFXSR */
	cs->xcr0 = 7;
	cs->cpl = 3;
	cs->fpu_live = 0;
	cs->commit_len = 0;
	cs->inhibit = 0;
	cs->resync = 0;
	memcpy(cs->fpu, &c->fpu, FPU_BYTES);
	set_segments(cs, c->code16);
	cpu_set_eflags(cs, c->in.eflags | FL_IF);
}

/* Code appears as a device's DMA would bring it: the translator is told. */
static void set_memory(struct translated *t, const struct insn_case *c)
{
	u8 *w = t->mmu.window, *code = w + GUEST_CODE + c->at;

	memcpy(w + GUEST_DATA, t->image[c->memory], DATA_RW_PAGES * 4096);
	memcpy(w + GUEST_STACK, t->image[c->memory] + DATA_PAGES * 4096, STACK_PAGES * 4096);
	memset(w + COUNTER, 0, 4096);
	memset(w + GUEST_CODE, CODE_FILL, CODE_PAGES * 4096);
	memcpy(code, c->code, c->len);
	case_end(c, code + c->len);
	for (u32 page = 0; page < CODE_PAGES; page++)
		tr_write_notify(t->vcpu.tr, GUEST_CODE + page * 4096, 4096);
}

static void run(struct translated *t)
{
	struct cpu_state *cs = &t->vcpu.cs;

	t->mmu.ended = false;
	if (__builtin_setjmp(t->mmu.jmp)) {
		tr_abandoned(t->vcpu.tr);
		if (t->mmu.ended)
			return;
	}
	for (;;) {
		cs->go = 1;
		if (cs->inhibit)
			cs->mode |= MK_STEP;
		cs->inhibit = 0;
		switch (tr_run(t->vcpu.tr)) {
		case TR_EXIT_STEP:
			if (cs->eflags_sys & FL_TF)
				fake_end(cs, VEC_DB, TR_NO_ERR);
			cpu_update_mode(cs);
			break;
		case TR_EXIT_PEND:
			if (t->mmu.timeout)
				fake_end(cs, OUT_TIMEOUT, TR_NO_ERR);
			break;
		default:
			break;
		}
	}
}

void translated_run(struct translated *t, const struct insn_case *c, struct outcome *out)
{
	struct cpu_state *cs = &t->vcpu.cs;
	const u8 *w = t->mmu.window;

	running = t;
	t->mmu.serial++;
	t->mmu.timeout = false;
	set_memory(t, c);
	set_state(t, c);
	run(t);
	tr_fpu_save(cs);
	running = NULL;
	for (int i = 0; i < 8; i++)
		out->r.gpr[i] = (u32)cs->gpr[i];
	out->r.eip = (u32)cs->rip;
	out->r.eflags = cpu_eflags(cs);
	memcpy(&out->fpu, cs->fpu, FPU_BYTES);
	out->vector = t->mmu.vector;
	out->error = t->mmu.error;
	out->address = t->mmu.address;
	outcome_code(c, out, w + GUEST_CODE);
	memcpy(out->data, w + GUEST_DATA, sizeof(out->data));
	memcpy(out->stack, w + GUEST_STACK, sizeof(out->stack));
}

bool translated_signal(int sig, void *info, void *ucontext)
{
	struct translated *t = running;

	if (!t)
		return false;
	if (sig == SIGALRM) {
		if (t->mmu.seen == t->mmu.serial) {
			t->mmu.timeout = true;
			t->vcpu.cs.go = 0;
		}
		t->mmu.seen = t->mmu.serial;
		return true;
	}
	return tr_recover(t->vcpu.tr, ucontext);
}

void translated_dump(struct translated *t, FILE *f)
{
	tr_dump(t->vcpu.tr, f, 0, ~0ull);
}

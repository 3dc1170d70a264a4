/*
 * stubs.c - host code that is generated once: the ways into and out of translated code, and into C from inside it.
 *
 * Inside translated code rsp is 16-byte aligned and everything is as regs.h says. C functions are called with the guest's
 * registers written back to struct cpu_state as far as the callee may look at them:
 *
 *     mem       the quick table fill sees nothing; only when it fails the slow path gets the full state, FPU included
 *     callouts  get the full state, may change it, and everything is loaded again afterwards
 */
#include "translator/rules.h"

#define GPR(n) ST_OFF(8 * (n))
#define SCRATCH(n) ST_OFF(CS_OFF(scratch) + 8 * (n))

static const struct { u8 host, guest; } all_regs[] = {
	{ RAX, R_EAX }, { R11, R_ECX }, { RDX, R_EDX }, { RBX, R_EBX }, { R15, R_ESP }, { RBP, R_EBP }, { RSI, R_ESI }, { RDI, R_EDI },
};

static void store_regs(struct emit *e)
{
	for (unsigned k = 0; k < ARRAY_SIZE(all_regs); k++)
		em_store(e, 1, GPR(all_regs[k].guest), all_regs[k].host);
}

static void load_regs(struct emit *e)
{
	for (unsigned k = 0; k < ARRAY_SIZE(all_regs); k++)
		em_load(e, 1, all_regs[k].host, GPR(all_regs[k].guest));
}

/* cs->cc from the host's flags: ah = SF ZF AF PF CF as in EFLAGS, al = OF. rax is stored already. Clobbers rax, rcx. */
static void store_flags(struct emit *e)
{
	em_lahf(e);
	em8(e, 0x0f), em8(e, 0x90), em8(e, 0xc0);	/* seto al */
	em8(e, 0x0f), em8(e, 0xb6), em8(e, 0xcc);	/* movzx ecx, ah */
	em_alu_ri(e, 0, 4, RAX, 1);
	em_shift_ri(e, 0, 4, RAX, 11);
	em_rr(e, 0, 0x0b, RCX, RAX);			/* or ecx, eax */
	em_alu_ri(e, 0, 4, RCX, FL_ARITH);
	em_store(e, 0, ST(cc), RCX);
}

/* The host's flags from cs->cc. Clobbers rax, rcx. */
static void load_flags(struct emit *e)
{
	em_load(e, 0, RCX, ST(cc));
	em_mov_rr(e, 0, RAX, RCX);
	em_shift_ri(e, 0, 5, RAX, 11);
	em_alu_ri(e, 0, 4, RAX, 1);
	em8(e, 0x88), em8(e, 0xcc);			/* mov ah, cl */
	em8(e, 0x04), em8(e, 0x7f);			/* add al, 0x7f: OF if al was 1 */
	em_sahf(e);
}

static void call_c(struct emit *e, const void *fn)
{
	em_mov_ri(e, RAX, (u64)(uintptr_t)fn);
	em_rr(e, 0, 0xff, 2, RAX);
}

static void cs_argument(struct emit *e) { em_lea(e, 1, RDI, HM(HOST_STATE, -STATE_BIAS)); }

static const u8 callee_saved[] = { RBX, RBP, R12, R13, R14, R15 };

static void gen_enter(struct translator *tr, struct emit *e)
{
	*(u8 **)&tr->stub.enter = e->p;
	for (unsigned k = 0; k < ARRAY_SIZE(callee_saved); k++)
		em_push(e, callee_saved[k]);
	em_alu_ri(e, 1, 5, RSP, 8);
	em_lea(e, 1, HOST_STATE, HM(RDI, STATE_BIAS));
	em_mov_rr(e, 1, R12, RSI);
	em_store(e, 1, ST(host_sp), RSP);
	em_load(e, 1, HOST_TABLE, ST(half));
	load_flags(e);
	em_load(e, 1, R8, ST(rip));
	load_regs(e);
	em_jmp_reg(e, R12);
}

/* Leaves to the C caller of enter(): the reason is in ecx. `state`: registers and flags must still be stored. */
static void gen_leave(struct emit *e, bool state)
{
	em_store(e, 0, ST(exit_info), RCX);
	if (state) {
		store_regs(e);
		store_flags(e);
	}
	em_load(e, 1, RSP, ST(host_sp));
	em_alu_ri(e, 1, 0, RSP, 8);
	for (int k = ARRAY_SIZE(callee_saved) - 1; k >= 0; k--)
		em_pop(e, callee_saved[k]);
	em_ret(e);
}

static void gen_exits(struct translator *tr, struct emit *e)
{
	static const u8 reasons[] = { EX_AGAIN, EX_PEND, EX_STEP, EX_SHADOW };
	u8 **entry[] = { &tr->stub.exit_again, &tr->stub.exit_pend, &tr->stub.exit_step, &tr->stub.exit_shadow };
	u8 *leave = e->p;

	gen_leave(e, true);
	for (unsigned k = 0; k < ARRAY_SIZE(reasons); k++) {
		*entry[k] = e->p;
		em_mov_ri(e, RCX, reasons[k]);
		em_jmp(e, leave);
	}
	tr->stub.exit_link = e->p;
	em_store(e, 1, ST(exit_arg), RCX);
	em_mov_ri(e, RCX, EX_LINK);
	em_jmp(e, leave);
	tr->stub.exit_group = e->p;
	em_store(e, 1, ST(exit_arg), RCX);
	em_mov_ri(e, RCX, EX_GROUP);
	em_jmp(e, leave);
	tr->stub.exit_stale = e->p;
	em_store(e, 1, ST(exit_arg), RCX);
	em_mov_ri(e, RCX, EX_STALE);
	em_jmp(e, leave);
	tr->stub.ibt_miss = e->p;
	em_store(e, 1, ST(rip), R8);
	em_mov_ri(e, RCX, EX_MISS);
	em_jmp(e, leave);
}

/* XSAVE or XRSTOR of the guest's FPU state; clobbers eax and edx. ext: 4 save, 5 load. */
static void fpu_move(struct translator *tr, struct emit *e, bool load)
{
	if (tr->fpu_mask) {
		em_mov_ri(e, RAX, tr->fpu_mask);
		em_mov_ri(e, RDX, 0);
		em_rm(e, 0, 0x0fae, load ? 5 : 4, ST(fpu));
	} else {
		em_rm(e, 0, 0x0fae, load ? 1 : 0, ST(fpu));
	}
	em_store_i8(e, ST(fpu_live), load);
}

/* Saves the FPU state if it is in the host's registers, and notes in scratch 3 that it was. Clobbers what C functions clobber. */
static void save_fpu(struct emit *e)
{
	u8 *not_live;

	em_rm(e, 0, 0x0fb6, RAX, ST(fpu_live));
	em_store(e, 1, SCRATCH(3), RAX);
	em_rr(e, 0, 0x85, RAX, RAX);
	not_live = em_jcc8(e, CC_E);
	cs_argument(e);
	call_c(e, tr_fpu_save);
	em_here8(e, not_live);
}

/* From a block's cold part: the state comes into the host's registers. */
static void gen_fpu_load(struct translator *tr, struct emit *e)
{
	tr->stub.fpu_load = e->p;
	em_mov_rr(e, 1, R9, RAX);
	em_mov_rr(e, 1, R10, RDX);
	fpu_move(tr, e, true);
	em_mov_rr(e, 1, RAX, R9);
	em_mov_rr(e, 1, RDX, R10);
	em_ret(e);
}

/* r8 = linear address, ecx = info. Returns the delta in rcx; keeps everything but r9. `try`: only fills the table; 0 if it cannot. */
static void gen_mem(struct translator *tr, struct emit *e, bool try)
{
	static const struct { u8 host, guest; } volatile_regs[] = { { RDX, R_EDX }, { RSI, R_ESI }, { RDI, R_EDI }, { R11, R_ECX } };
	static const struct { u8 host, guest; } saved_regs[] = { { RBX, R_EBX }, { RBP, R_EBP }, { R15, R_ESP } };
	u8 *slow, *restore, *back;

	*(try ? &tr->stub.mem_try : &tr->stub.mem) = e->p;
	em_store(e, 1, GPR(R_EAX), RAX);
	for (unsigned k = 0; k < ARRAY_SIZE(volatile_regs); k++)
		em_store(e, 1, GPR(volatile_regs[k].guest), volatile_regs[k].host);
	em_store(e, 1, SCRATCH(0), R8);
	em_store(e, 1, SCRATCH(1), R10);
	em_mov_rr(e, 0, R10, RCX);
	em_store(e, 1, SCRATCH(2), R10);
	store_flags(e);
	cs_argument(e);
	em_mov_rr(e, 1, RSI, R8);
	em_mov_rr(e, 0, RDX, R10);
	em_alu_ri(e, 1, 5, RSP, 8);
	call_c(e, tr->check ? check_mem_fill : tr->ops->mem_fill);
	em_rr(e, 1, 0x85, RAX, RAX);
	slow = try ? NULL : em_jcc(e, CC_E, NULL);
	em_mov_rr(e, 1, R9, RAX);
	restore = e->p;
	em_alu_ri(e, 1, 0, RSP, 8);
	load_flags(e);
	em_mov_rr(e, 1, RCX, R9);
	em_load(e, 1, RAX, GPR(R_EAX));
	for (unsigned k = 0; k < ARRAY_SIZE(volatile_regs); k++)
		em_load(e, 1, volatile_regs[k].host, GPR(volatile_regs[k].guest));
	em_load(e, 1, R8, SCRATCH(0));
	em_load(e, 1, R10, SCRATCH(1));
	em_ret(e);
	if (try)
		return;
	em_patch(slow, e->p);
	for (unsigned k = 0; k < ARRAY_SIZE(saved_regs); k++)
		em_store(e, 1, GPR(saved_regs[k].guest), saved_regs[k].host);
	save_fpu(e);
	cs_argument(e);
	em_load(e, 1, RSI, SCRATCH(0));
	em_load(e, 0, RDX, SCRATCH(2));
	em_load(e, 1, RAX, HM(RSP, 8));		/* where the stub was called from */
	em_store(e, 1, SCRATCH(4), RAX);
	call_c(e, tr->check ? check_mem_slow : tr->ops->mem_slow);
	em_mov_rr(e, 1, R9, RAX);
	em_rm(e, 0, 0x83, 7, SCRATCH(3));		/* cmp dword [scratch 3], 0 */
	em8(e, 0);
	back = em_jcc(e, CC_E, restore);
	(void)back;
	fpu_move(tr, e, true);
	em_jmp(e, restore);
}

/* Look-up of r8 for an access that need not be aligned: rcx = delta, or 0 if it crosses a page or is not in the table. Clobbers r9. */
static void gen_misaligned(struct translator *tr, struct emit *e)
{
	for (int k = 0; k < 4; k++) {
		tr->stub.misaligned[k >> 1][k & 1] = e->p;
		mem_index(e, k >> 1 ? 4 : 2);
		em_load(e, 1, RCX, HMX(HOST_TABLE, R9, 8, k & 1 ? VTLB_WRITE : VTLB_READ));
		em_ret(e);
	}
}

/* Behind a write that may have landed in the bounce buffer; cs->next_rip is set. If code was written it leaves the block, or not
 * (`stay`). */
static void gen_commit(struct translator *tr, struct emit *e, bool stay)
{
	u8 *none, *some, *resync = NULL, *not_live;

	*(stay ? &tr->stub.commit_stay : &tr->stub.commit) = e->p;
	em_load(e, 0, RCX, ST(commit_len));
	none = em_jecxz(e);
	some = em_jmp8(e);
	em_here8(e, none);
	em_ret(e);
	em_here8(e, some);
	em_store(e, 1, SCRATCH(0), R8);
	em_store(e, 1, SCRATCH(1), R10);
	store_regs(e);
	store_flags(e);
	em_alu_ri(e, 1, 5, RSP, 8);
	save_fpu(e);
	cs_argument(e);
	em_store_i8(e, ST(resync), 0);
	call_c(e, tr->ops->mem_commit);
	if (!stay) {
		em_alu_mi8(e, 7, ST(resync), 0);
		resync = em_jcc(e, CC_NE, NULL);
	}
	em_rm(e, 0, 0x83, 7, SCRATCH(3));
	em8(e, 0);
	not_live = em_jcc8(e, CC_E);
	fpu_move(tr, e, true);
	em_here8(e, not_live);
	em_alu_ri(e, 1, 0, RSP, 8);
	load_flags(e);
	load_regs(e);
	em_load(e, 1, R8, SCRATCH(0));
	em_load(e, 1, R10, SCRATCH(1));
	em_ret(e);
	if (stay)
		return;
	em_patch(resync, e->p);
	em_load(e, 1, RAX, ST(next_rip));
	em_store(e, 1, ST(rip), RAX);
	em_mov_ri(e, RCX, EX_AGAIN);
	gen_leave(e, false);
}

/* One callout: ecx = argument. The return address is on the stack. */
static void gen_callout(struct translator *tr, struct emit *e, enum callout_id id, bool ends)
{
	u8 *not_live, *resync;

	tr->stub.callout[id] = e->p;
	store_regs(e);
	em_mov_rr(e, 0, R10, RCX);
	store_flags(e);
	em_alu_ri(e, 1, 5, RSP, 8);
	em_alu_mi8(e, 7, ST(fpu_live), 0);
	not_live = em_jcc8(e, CC_E);
	em_store(e, 1, SCRATCH(0), R10);
	cs_argument(e);
	call_c(e, tr_fpu_save);
	em_load(e, 1, R10, SCRATCH(0));
	em_here8(e, not_live);
	em_store_i8(e, ST(resync), 0);
	if (!ends) {
		em_load(e, 0, RAX, ST(mode));
		em_store(e, 0, SCRATCH(2), RAX);
	}
	cs_argument(e);
	em_mov_rr(e, 0, RSI, R10);
	call_c(e, tr->ops->callout[id]);
	if (ends) {
		em_mov_ri(e, RCX, EX_AGAIN);
		gen_leave(e, false);
		return;
	}
	em_load(e, 0, RAX, SCRATCH(2));
	em_rm(e, 0, 0x3b, RAX, ST(mode));
	resync = em_jcc8(e, CC_NE);
	em_alu_mi8(e, 7, ST(resync), 0);
	not_live = em_jcc8(e, CC_NE);
	em_alu_ri(e, 1, 0, RSP, 8);
	load_flags(e);
	load_regs(e);
	em_ret(e);
	em_here8(e, resync);
	em_here8(e, not_live);
	em_load(e, 1, RAX, ST(next_rip));
	em_store(e, 1, ST(rip), RAX);
	em_mov_ri(e, RCX, EX_AGAIN);
	gen_leave(e, false);
}

/* r10d = EFLAGS as PUSHF stores it, from its four parts; flags stay. Clobbers rcx, r9. */
static void gen_get_eflags(struct translator *tr, struct emit *e)
{
	tr->stub.get_eflags = e->p;
	em_pushfq(e);
	em_pop(e, RCX);
	em_mov_ri(e, R10, FL_ARITH);
	em_pext(e, 0, RCX, RCX, R10);
	em_pdep(e, 0, RCX, RCX, R10);
	em_load(e, 0, R10, ST(eflags_sys));
	em_mov_ri(e, R9, ~(FL_RF | FL_VM));
	em_pext(e, 0, R10, R10, R9);
	em_pdep(e, 0, R10, R10, R9);
	em_lea(e, 0, R10, HMX(R10, RCX, 1, 0));
	em_rm(e, 0, 0x0fb6, RCX, ST(iflag));
	em_rorx(e, 0, RCX, RCX, 32 - 9);
	em_lea(e, 0, R10, HMX(R10, RCX, 1, 0));
	em_load(e, 0, RCX, ST(df));
	em_mov_ri(e, R9, FL_DF);
	em_pext(e, 0, RCX, RCX, R9);
	em_pdep(e, 0, RCX, RCX, R9);
	em_lea(e, 0, R10, HMX(R10, RCX, 1, 0));
	em_ret(e);
}

bool stubs_init(struct translator *tr)
{
	enum { NEXT, MODE, END };
	static const u8 flow[] = {
#define CALLOUT(name, flow, what) [CO_##name] = flow,
#include "translator/callouts.def"
#undef CALLOUT
	};
	struct emit e = { .p = tr->cache, .end = tr->cache + 64 * 1024 };

	gen_enter(tr, &e);
	gen_exits(tr, &e);
	gen_fpu_load(tr, &e);
	gen_mem(tr, &e, false);
	gen_mem(tr, &e, true);
	gen_misaligned(tr, &e);
	gen_commit(tr, &e, false);
	gen_commit(tr, &e, true);
	gen_get_eflags(tr, &e);
	for (int id = 0; id < CO_MAX; id++)
		gen_callout(tr, &e, id, flow[id] == END);
	tr->stubs_end = e.p;
	return !e.full;
}

/*
 * rule_sys.c - privileged and system instructions: mostly operand fetch and a callout; CLI, STI and RDTSC are inline.
 */
#include "translator/rules.h"

void rule_cli(struct tctx *t, const struct insn *i)
{
	if (t->mk & MK_IOPL_OK)
		em_store_i8(&t->e, ST(iflag), 0);
	else
		callout(t, CO_CLI, 0);
}

/* sti: IF = 1; an interrupt that waits already is taken behind the next instruction */
void rule_sti(struct tctx *t, const struct insn *i)
{
	struct emit *e = &t->e;
	u8 *idle;
	int c;

	if (!(t->mk & MK_IOPL_OK) || t->mk & MK_STEP) {
		callout(t, CO_STI, 0);
		return;
	}
	cold_room(t, 40);
	em_store_i8(e, ST(iflag), 1);
	em_rm(e, 0, 0x0fb6, RCX, ST(irq_line));
	idle = em_jecxz(e);
	c = cold_exit(t, t->tr->stub.exit_shadow, t->next);
	t->cold[c].jumps[t->cold[c].njumps++] = em_jmp(e, NULL);
	em_here8(e, idle);
}

/* The port number to op[0]. */
void rule_io(struct tctx *t, const struct insn *i)
{
	bool in = insn_is(i, MN_IN);
	int size = i->opcode & 1 ? i->opsize : 1;

	if (i->opcode & 8) {
		em_movzx16(&t->e, R10, gpr_host(t, R_EDX));
		store_op(t, 0, R10);
	} else {
		store_op_imm(t, 0, (u8)i->imm);
	}
	callout(t, in ? CO_IN : CO_OUT, size);
}

/* 16-bit r/m operand into r10; `access` may ask for a write check too. */
static void load_selector(struct tctx *t, const struct insn *i, const struct operand *o, u32 access)
{
	int h;

	if (o->kind == OPK_GPR) {
		em_movzx16(&t->e, R10, gpr_host(t, o->reg));
		return;
	}
	h = mem_operand(t, i, 2, access);
	em_rm(&t->e, 0, 0x0fb7, R10, MEM_OP);
	mem_end(t, h);
}

/* op[n] to a 16-bit r/m operand; a register gets `reg_size` bytes. */
static void store_result(struct tctx *t, const struct insn *i, const struct operand *o, int n, int reg_size)
{
	if (o->kind == OPK_GPR) {
		em_load(&t->e, 0, R10, ST_OFF(CS_OFF(op) + 8 * n));
		gpr_write(t, o->reg, R10, reg_size);
		return;
	}
	mem_offset(t, i);
	mem_segment(t, i->seg, 2, MEM_WRITE);
	em_load(&t->e, 0, R10, ST_OFF(CS_OFF(op) + 8 * n));
	mem_store(t, R10, 2);
}

/* Processors write the destination only if it changes: without, a read-only segment or page does not matter. */
static void arpl(struct tctx *t, const struct insn *i)
{
	u8 *same;

	load_selector(t, i, &i->op[0], MEM_READ);
	store_op(t, 0, R10);
	em_movzx16(&t->e, R10, gpr_host(t, i->op[1].reg));
	store_op(t, 1, R10);
	callout(t, CO_ARPL, 0);
	same = em_jcc(&t->e, CC_NE, NULL);
	store_result(t, i, &i->op[0], 0, 2);
	if (!t->e.full)
		em_patch(same, t->e.p);
}

void rule_selector(struct tctx *t, const struct insn *i)
{
	if (insn_is(i, MN_ARPL)) {
		arpl(t, i);
	} else if (insn_is(i, MN_VERR) || insn_is(i, MN_VERW)) {
		load_selector(t, i, &i->op[0], MEM_READ);
		store_op(t, 0, R10);
		callout(t, insn_is(i, MN_VERR) ? CO_VERR : CO_VERW, 0);
	} else {
		load_selector(t, i, &i->op[1], MEM_READ);
		store_op(t, 0, R10);
		callout(t, insn_is(i, MN_LAR) ? CO_LAR : CO_LSL, i->opsize | i->op[0].reg << 8);
	}
}

/* Six bytes in memory: a 16-bit limit and a 32-bit base. */
void rule_dtr(struct tctx *t, const struct insn *i)
{
	struct emit *e = &t->e;
	bool gdt = insn_is(i, MN_LGDT) || insn_is(i, MN_SGDT);

	if (insn_is(i, MN_LGDT) || insn_is(i, MN_LIDT)) {
		mem_offset(t, i);
		mem_segment(t, i->seg, 6, MEM_READ);
		mem_load(t, R10, 2);
		store_op(t, 0, R10);
		em_lea(e, 0, R8, HM(R8, 2));
		mem_load(t, R10, 4);
		store_op(t, 1, R10);
		callout(t, gdt ? CO_LGDT : CO_LIDT, i->opsize);
		return;
	}
	callout(t, gdt ? CO_SGDT : CO_SIDT, i->opsize);
	mem_offset(t, i);
	mem_segment(t, i->seg, 6, MEM_WRITE);
	em_load(e, 0, R10, ST(op[0]));
	mem_store(t, R10, 2);
	em_lea(e, 0, R8, HM(R8, 2));
	em_load(e, 0, R10, ST(op[1]));
	mem_store(t, R10, 4);
}

void rule_sysreg(struct tctx *t, const struct insn *i)
{
	static const struct { enum mnemonic m; enum callout_id id; bool reads; } map[] = {
		{ MN_LLDT, CO_LLDT, true }, { MN_LTR, CO_LTR, true }, { MN_LMSW, CO_LMSW, true },
		{ MN_SLDT, CO_SLDT, false }, { MN_STR, CO_STR, false }, { MN_SMSW, CO_SMSW, false },
	};

	for (unsigned k = 0; k < ARRAY_SIZE(map); k++) {
		if (!insn_is(i, map[k].m))
			continue;
		if (map[k].reads) {
			load_selector(t, i, &i->op[0], MEM_READ);
			store_op(t, 0, R10);
		}
		callout(t, map[k].id, i->opsize);
		if (!map[k].reads)
			store_result(t, i, &i->op[0], 0, i->opsize);
	}
}

void rule_system(struct tctx *t, const struct insn *i)
{
	static const struct { enum mnemonic m; enum callout_id id; u32 arg; } map[] = {
		{ MN_HLT, CO_HLT, 0 }, { MN_CLTS, CO_CLTS, 0 }, { MN_INVD, CO_CACHE_CTL, 0 }, { MN_WBINVD, CO_CACHE_CTL, 0 },
		{ MN_RDMSR, CO_RDMSR, 0 }, { MN_WRMSR, CO_WRMSR, 0 }, { MN_RDPMC, CO_RDPMC, 0 }, { MN_CPUID, CO_CPUID, 0 },
		{ MN_XGETBV, CO_XGETBV, 0 }, { MN_XSETBV, CO_XSETBV, 0 }, { MN_SYSENTER, CO_SYSENTER, 0 }, { MN_SYSEXIT, CO_SYSEXIT, 4 },
		{ MN_SYSCALL, CO_SYSCALL, 0 }, { MN_SYSRET, CO_SYSRET, 4 }, { MN_RSM, CO_RSM, 0 }, { MN_MONITOR, CO_MWAIT, 0 }, { MN_MWAIT, CO_MWAIT, 1 },
	};

	if (insn_is(i, MN_INVLPG) || insn_is(i, MN_INVPCID)) {
		bool one = insn_is(i, MN_INVLPG);

		mem_offset(t, i);
		mem_segment(t, i->seg, 1, MEM_READ);
		store_op(t, 0, R8);
		callout(t, one ? CO_INVLPG : CO_INVPCID, one ? 0 : i->op[0].reg);
		return;
	}
	for (unsigned k = 0; k < ARRAY_SIZE(map); k++)
		if (insn_is(i, map[k].m))
			callout(t, map[k].id, map[k].arg);
}

/*
 * rdtsc: edx:eax as one 64-bit number, plus the guest's offset; flags stay.
 *     rdtsc; rorx rdx, rdx, 32; lea rax, [rax + rdx]; mov rcx, [tsc_offset]; lea rax, [rax + rcx]
 *     rorx rdx, rax, 32; mov edx, edx; mov eax, eax
 */
void rule_rdtsc(struct tctx *t, const struct insn *i)
{
	struct emit *e = &t->e;

	bool aux = insn_is(i, MN_RDTSCP);

	if (t->mk & MK_TSC_TRAP) {
		callout(t, aux ? CO_RDTSCP : CO_RDTSC, 0);
		return;
	}
	if (aux) {	/* waits for all earlier instructions: lfence */
		em8(e, 0x0f);
		em8(e, 0xae);
		em8(e, 0xe8);
		em_load(e, 0, gpr_host(t, R_ECX), ST(tsc_aux));
	}
	em8(e, 0x0f);
	em8(e, 0x31);
	em_rorx(e, 1, RDX, RDX, 32);
	em_lea(e, 1, RAX, HMX(RAX, RDX, 1, 0));
	em_load(e, 1, RCX, ST(tsc_offset));
	em_lea(e, 1, RAX, HMX(RAX, RCX, 1, 0));
	em_rorx(e, 1, RDX, RAX, 32);
	em_mov_rr(e, 0, RDX, RDX);
	em_mov_rr(e, 0, RAX, RAX);
}

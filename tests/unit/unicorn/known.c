/*
 * known.c - where Unicorn 2.0 is wrong: one row each, with the place in the SDM that says so.
 *
 * A row tells exactly when it applies: from the instruction that made the two differ, the state before it, and both outcomes.
 */
#ifdef HAVE_UNICORN
#include "tests/unit/unicorn/case.h"

enum { TS = 10, SS = 12, GP = 13, ATTR_P = 0x80, ATTR_CODE = 8,
	ATTR_EXPAND = 4, ATTR_RW = 2, ATTR_ACCESSED = 1, CR4_CORE2 = 0x7ff, ATTR_DB = 1 << 14, R_SP = 4, R_BP = 5, SEG_CS = 1, SEG_SS = 2 };

#define CR0_DEFINED 0xe005003fu

static bool faulted(const struct cpu_image *s, int vector) { return s->end == END_EXCEPTION && s->vector == vector; }

static u32 reg_value(const struct cpu_image *s, ZydisRegister r)
{
	ZydisRegister wide = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LEGACY_32, r);

	if (r == ZYDIS_REGISTER_NONE || wide < ZYDIS_REGISTER_EAX || wide > ZYDIS_REGISTER_EDI)
		return 0;
	switch (ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LEGACY_32, r)) {
	case 8: return (u8)s->gpr[wide - ZYDIS_REGISTER_EAX];	/* AL, of XLAT */
	case 16: return (u16)s->gpr[wide - ZYDIS_REGISTER_EAX];
	default: return s->gpr[wide - ZYDIS_REGISTER_EAX];
	}
}

/* May [first, last] not be accessed so? */
static bool outside(const struct cpu_image *s, const struct seg_state *g, u64 first, u64 last, bool write)
{
	bool protected = (s->cr0 & 1) && !(s->eflags & 0x20000);

	if (protected) {
		u16 kind = g->attr & (ATTR_CODE | ATTR_RW);

		if (!(g->attr & ATTR_P) || (write ? kind != ATTR_RW : kind == ATTR_CODE))
			return true;
		if ((g->attr & (ATTR_CODE | ATTR_EXPAND)) == ATTR_EXPAND)
			return first <= g->limit || last > (g->attr & ATTR_DB ? 0xffffffff : 0xffff);
	}
	return last > g->limit || last < first;
}

static bool operand_outside(const struct parting *p, const ZydisDecodedOperand *op)
{
	const struct cpu_image *s = p->before;
	bool write = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE, read = op->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
	bool wide = p->insn->address_width == 32;
	const struct seg_state *g = &s->seg[op->mem.segment - ZYDIS_REGISTER_ES];
	u32 size = op->size / 8, count = 1;
	u64 first;

	first = reg_value(s, op->mem.base) + (u64)reg_value(s, op->mem.index) * op->mem.scale;
	if (p->insn->mnemonic == ZYDIS_MNEMONIC_XLAT)
		first = reg_value(s, op->mem.base) + (u64)(u8)s->gpr[0];
	if (op->mem.disp.has_displacement)
		first += (u64)op->mem.disp.value;
	if (p->insn->mnemonic >= ZYDIS_MNEMONIC_BT && p->insn->mnemonic <= ZYDIS_MNEMONIC_BTS &&
	    p->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
		s32 bit = (s32)reg_value(s, p->op[1].reg.value);	/* bit strings reach far */

		if (p->insn->operand_width == 16)
			bit = (s16)bit;
		first += (u64)(s64)((bit >> (p->insn->operand_width == 16 ? 4 : 5)) * (s32)size);
	}
	first &= wide ? 0xffffffff : 0xffff;
	if (p->insn->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE))
		count = wide ? s->gpr[1] : (u16)s->gpr[1];
	if (count > 1) {	/* the whole way that a repeated instruction may go */
		u64 way = (u64)(count - 1) * size;

		if (s->eflags & 0x400)
			return first < way || outside(s, g, first - way, first + size - 1, write);
		return outside(s, g, first, first + way + size - 1, write);
	}
	return outside(s, g, first, first + size - 1, write) || (read && outside(s, g, first, first + size - 1, false));
}

/* Stack frames of up to 256 bytes around ESP or EBP that leave the stack segment. */
static bool stack_outside(const struct parting *p)
{
	const struct seg_state *g = &p->before->seg[SEG_SS];
	u32 mask = g->attr & ATTR_DB && p->before->cr0 & 1 ? 0xffffffff : 0xffff;
	u32 sp = p->before->gpr[R_SP] & mask, bp = p->before->gpr[R_BP] & mask;

	u32 frame = p->insn->mnemonic == ZYDIS_MNEMONIC_ENTER ? (u32)p->insn->raw.imm[0].value.u : 0;

	return sp < 256 + frame || sp + 256ull > g->limit ||
		(p->insn->mnemonic == ZYDIS_MNEMONIC_ENTER && (bp < 256 || bp > g->limit - 4ull)) ||
		(p->insn->mnemonic == ZYDIS_MNEMONIC_LEAVE && bp > g->limit - 4ull) || outside(p->before, g, sp, sp, true);
}

static bool no_limits(const struct parting *p)
{
	bool stack = p->insn->mnemonic == ZYDIS_MNEMONIC_LEAVE;

	if (!faulted(p->ours, GP) && !faulted(p->ours, SS))
		return false;
	if (p->ours->error)
		return false;
	for (int i = 0; i < p->insn->operand_count; i++) {
		const ZydisDecodedOperand *op = &p->op[i];

		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
			continue;
		if (op->mem.base == ZYDIS_REGISTER_SP || op->mem.base == ZYDIS_REGISTER_ESP)
			stack = true;
		if (operand_outside(p, op))
			return true;
	}
	return stack && stack_outside(p);
}

/* The target of a transfer, not the instruction itself. */
static bool no_code_limit(const struct parting *p)
{
	bool transfer = p->insn->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE || p->insn->meta.category == ZYDIS_CATEGORY_RET;

	return transfer && faulted(p->ours, GP) && !p->ours->error && p->theirs->eip > p->theirs->seg[SEG_CS].limit;
}

static bool no_io_permission(const struct parting *p)
{
	return (p->insn->mnemonic == ZYDIS_MNEMONIC_IN || p->insn->mnemonic == ZYDIS_MNEMONIC_OUT) && faulted(p->ours, GP) && !p->ours->error &&
		(p->before->eflags & 0x20000 || mode_cpl(p->c->mode) > (int)(p->before->eflags >> 12 & 3));
}

static bool iret_to_v86(const struct parting *p)
{
	return p->insn->mnemonic == ZYDIS_MNEMONIC_IRETD && p->ours->end == END_EXCEPTION && !(p->before->eflags & 0x20000) &&
		(p->theirs->eflags & 0x20000) && (mode_cpl(p->c->mode) || !p->ours->error);
}

static bool far_limit_error(const struct parting *p)
{
	return p->insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR && faulted(p->ours, GP) && !p->ours->error && faulted(p->theirs, GP) &&
		p->theirs->error && p->theirs->eip == p->ours->eip;
}

static bool ltr_null(const struct parting *p) { return p->insn->mnemonic == ZYDIS_MNEMONIC_LTR && faulted(p->ours, GP) && !p->ours->error; }

static bool writes_cr0(const struct parting *p)
{
	return p->insn->mnemonic == ZYDIS_MNEMONIC_MOV && p->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		p->op[0].reg.value == ZYDIS_REGISTER_CR0;
}

static bool cr0_reserved(const struct parting *p)
{
	return writes_cr0(p) && ((p->ours->cr0 ^ p->theirs->cr0) & ~CR0_DEFINED) == (p->ours->cr0 ^ p->theirs->cr0);
}

/* PG without PE, NW without CD. */
static bool cr0_combination(const struct parting *p)
{
	u32 v = reg_value(p->before, p->op[1].reg.value);

	return writes_cr0(p) && faulted(p->ours, GP) && !p->ours->error && (v >> 31 > (v & 1) || (v >> 29 & 1) > (v >> 30 & 1));
}

static bool test_alias(const struct parting *p)
{
	return p->insn->mnemonic == ZYDIS_MNEMONIC_TEST && p->insn->raw.modrm.reg == 1 && p->insn->opcode >= 0xf6 && faulted(p->theirs, 6);
}

static bool int1_undefined(const struct parting *p) { return p->insn->mnemonic == ZYDIS_MNEMONIC_INT1 && p->theirs->vector == 6; }

static bool ret_signed(const struct parting *p)
{
	return p->insn->mnemonic == ZYDIS_MNEMONIC_RET && p->insn->raw.imm[0].size == 16 && p->insn->raw.imm[0].value.u & 0x8000;
}

static bool cr4_reserved(const struct parting *p)
{
	return p->insn->mnemonic == ZYDIS_MNEMONIC_MOV && p->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		p->op[0].reg.value == ZYDIS_REGISTER_CR4 && faulted(p->ours, GP) && !p->ours->error &&
		(reg_value(p->before, p->op[1].reg.value) & ~CR4_CORE2);
}

static bool enter_sizes(const struct parting *p)
{
	bool stack32 = p->before->seg[SEG_SS].attr & ATTR_DB && p->c->mode > IN_BIG_REAL && p->c->mode != IN_V86;

	return p->insn->mnemonic == ZYDIS_MNEMONIC_ENTER && (p->insn->operand_width == 32) != stack32;
}

static bool is_int(const struct parting *p)
{
	return p->insn->mnemonic == ZYDIS_MNEMONIC_INT || p->insn->mnemonic == ZYDIS_MNEMONIC_INT3 || p->insn->mnemonic == ZYDIS_MNEMONIC_INTO;
}

static bool int_not_delivered(const struct parting *p)
{
	return is_int(p) && p->ours->end == END_EXCEPTION && p->ours->vector >= TS && p->theirs->end == END_EXCEPTION && p->ours->eip == p->eip;
}

static bool int_6(const struct parting *p) { return is_int(p) && p->ours->end == END_INT && p->ours->vector == 6 && faulted(p->theirs, 6); }

/* "The upper 16 bits are undefined." */
static bool smsw_upper(const struct parting *p)
{
	return p->insn->mnemonic == ZYDIS_MNEMONIC_SMSW && p->insn->operand_width == 32;
}

/* "If a count is greater than the operand size, the result is undefined": ours is the host's, and hosts differ. */
static bool shift_double_16(const struct parting *p)
{
	u32 count = p->op[2].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? (u32)p->op[2].imm.value.u : p->before->gpr[1];

	return (p->insn->mnemonic == ZYDIS_MNEMONIC_SHLD || p->insn->mnemonic == ZYDIS_MNEMONIC_SHRD) && p->insn->operand_width == 16 &&
		(count & 31) > 16;
}

static bool lock_neg(const struct parting *p)
{
	return p->insn->mnemonic == ZYDIS_MNEMONIC_NEG && p->insn->attributes & ZYDIS_ATTRIB_HAS_LOCK && p->ours->end == p->theirs->end;
}

static bool pushfd_v86(const struct parting *p)
{
	return p->insn->mnemonic == ZYDIS_MNEMONIC_PUSHFD && p->c->mode == IN_V86;
}

static bool local_tss(const struct parting *p)
{
	return p->insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR && faulted(p->ours, GP) && p->ours->error & 4 && faulted(p->theirs, TS) &&
		p->theirs->error == p->ours->error;
}

static bool new_task_eip(const struct parting *p)
{
	return p->ours->tr.sel != p->before->tr.sel && p->ours->tr.sel == p->theirs->tr.sel && p->ours->end == END_EXCEPTION &&
		faulted(p->theirs, p->ours->vector) && p->ours->error == p->theirs->error && p->theirs->eip == p->eip;
}

static bool cs_not_accessed(const struct parting *p)
{
	const struct seg_state *a = &p->ours->seg[SEG_CS], *b = &p->theirs->seg[SEG_CS];

	return p->insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR && a->sel == b->sel &&
		a->attr == (b->attr | ATTR_ACCESSED) && a->attr != b->attr;
}

static const struct { bool (*applies)(const struct parting *p); const char *what; } known[] = {
	{ no_limits, "data outside the segment's limit, or of a type that does not allow the access, is accessed (SDM vol. 3, 5.3 and 5.5)" },
	{ no_code_limit, "a transfer beyond the code segment's limit does not fault (SDM vol. 3, 5.3)" },
	{ no_io_permission, "IN and OUT are not checked against the TSS's I/O permission bit map (SDM vol. 1, 19.5.2)" },
	{ cs_not_accessed, "far transfers do not set the accessed bit of the code segment's descriptor (SDM vol. 3, 3.4.5.1)" },
	{ cr4_reserved, "MOV to CR4 sets reserved bits (SDM vol. 3, 2.5)" },
	{ enter_sizes, "ENTER writes as much of EBP as the stack is wide, not the operand (SDM vol. 2, ENTER; processors do as we do)" },
	{ cr0_combination, "MOV to CR0 takes PG without PE and NW without CD (SDM vol. 2, MOV to control registers)" },
	{ int_not_delivered, "INT is not delivered, so nothing is found wrong with its stack and gate (SDM vol. 2, INT)" },
	{ int_6, "INT 6 counts as an undefined opcode (SDM vol. 2, INT)" },
	{ smsw_upper, "SMSW to a 32-bit register leaves its upper half, processors store all of CR0 (SDM vol. 2, SMSW: undefined)" },
	{ shift_double_16, "SHLD and SHRD of 16 bits by more than 16 have a result of its own (SDM vol. 2, SHLD: undefined)" },
	{ lock_neg, "LOCK NEG sets flags of another result (SDM vol. 2, NEG; processors do as we do)" },
	{ pushfd_v86, "PUSHFD in V86 mode pushes VM (SDM vol. 2, PUSHF)" },
	{ local_tss, "a far transfer to a TSS in the LDT raises #TS in place of #GP (SDM vol. 2, JMP and CALL)" },
	{ new_task_eip, "a fault in a new task is reported at the old task's EIP (SDM vol. 3, 7.3)" },
	{ iret_to_v86, "IRET enters V86 mode from ring 3, and at an EIP above FFFFh (SDM vol. 2, IRET)" },
	{ far_limit_error, "a far transfer beyond its target's limit has the selector for error code, not 0 (SDM vol. 2, CALL, JMP, RET)" },
	{ ltr_null, "LTR takes a null selector (SDM vol. 2, LTR)" },
	{ cr0_reserved, "reserved bits of CR0 can be set (SDM vol. 2, MOV to control registers: ignored)" },
	{ test_alias, "F6 /1 and F7 /1 raise #UD (reserved in SDM vol. 2, table A-6; processors execute TEST)" },
	{ int1_undefined, "INT1 raises #UD in place of #DB (SDM vol. 2, INT)" },
	{ ret_signed, "RET imm16 takes its operand for a signed number (SDM vol. 2, RET)" },
};

const char *unicorn_is_wrong(const struct parting *p)
{
	for (u32 i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].applies(p))
			return known[i].what;
	return NULL;
}
#else
typedef int no_unicorn;	/* a file must hold something */
#endif

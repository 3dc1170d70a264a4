/*
 * gen.c - makes case number N of a seed: one instruction form with random operands, or a sequence of 2 to 12.
 *
 * Cases walk through all forms in turn; two thirds are a single instruction, the others begin with that form and go on with random
 * ones and with control transfers inside the sequence (skips, calls, indirect jumps, loops that count in memory).
 * Memory operands are steered: the displacement is chosen so that with the start registers the address falls where something
 * interesting is. Architecturally undefined flags are tracked along the sequence; an instruction that would read one is not taken.
 */
#include <stdlib.h>
#include <string.h>
#include "tests/fuzz/insn/forms.h"
#include "tests/fuzz/insn/insn.h"
#include "tests/fuzz/insn/prng.h"
#include "translator/cpustate.h"

struct generator {
	u64 seed;
	bool have_16;
	struct forms forms[2];	/* 32-bit code, 16-bit code */
};

/* A case being made. */
struct build {
	struct generator *g;
	struct forms *f;
	struct prng r;
	struct insn_case *c;
	u32 undef;	/* flags undefined here */
	u32 undef_ever;
};

/* --- start state ------------------------------------------------------------------------------------------------------ */

static u32 data_offset(struct prng *r)
{
	u32 kind = prng_below(r, 100), page = prng_below(r, DATA_RW_PAGES) * 4096;

	if (kind < 60)
		return page + (prng_below(r, 4096) & ~31u);
	if (kind < 75)
		return page + prng_below(r, 4096);
	if (kind < 88)
		return page + 4096 - prng_below(r, 34);		/* crossing into the next page, the last time into the read-only one */
	if (kind < 93)
		return DATA_RW_PAGES * 4096 + prng_below(r, 4096);
	if (kind < 97)
		return DATA_PAGES * 4096 - prng_below(r, 34);	/* crossing into nothing */
	return prng_below(r, 0x10000);
}

/* Mostly with room on both sides, else near or over an end. */
static u32 stack_offset(struct prng *r)
{
	if (prng_percent(r, 85))
		return 0x400 + (prng_below(r, 0x1400) & ~3u);
	if (prng_percent(r, 50))
		return prng_below(r, STACK_PAGES * 4096 + 1);
	return prng_percent(r, 50) ? prng_below(r, 48) : STACK_PAGES * 4096 - prng_below(r, 48);
}

static void random_registers(struct build *b)
{
	struct insn_case *c = b->c;
	struct prng *r = &b->r;
	u32 data = c->code16 ? 0 : GUEST_DATA, stack = c->code16 ? 0 : GUEST_STACK;

	for (int i = 0; i < 8; i++) {
		bool pointer = i == R_EBX || i == R_ESI || i == R_EDI || i == R_EBP;

		if (pointer && prng_percent(r, 75))
			c->in.gpr[i] = data + data_offset(r);
		else if (prng_percent(r, 60))
			c->in.gpr[i] = prng_edge32(r);
		else
			c->in.gpr[i] = (u32)prng_next(r);
	}
	if (prng_percent(r, 60))
		c->in.gpr[R_ECX] = prng_below(r, 40);
	if (prng_percent(r, 50))
		c->in.gpr[R_EBP] = stack + 0x800 + (prng_below(r, 0x1000) & ~3u);
	c->in.gpr[R_ESP] = stack + stack_offset(r);
	if (c->code16)
		c->in.gpr[R_ESP] |= prng_edge32(r) << 16;
	c->in.eflags = ((u32)prng_next(r) & FL_ARITH) | (prng_percent(r, 15) ? FL_DF : 0) | FL_R1;
}

static void random_fpu(struct build *b)
{
	static const struct { u64 m; u16 e; } edge[] = {
		{ 0, 0 }, { 0, 0x8000 }, { 1ull << 63, 0x3fff }, { 1ull << 63, 0xbfff }, { 1ull << 63, 0x7fff }, { 1ull << 63, 0xffff },
		{ 3ull << 62, 0x7fff },
		{ 0xa000000000000000, 0x7fff }, { 1, 0 }, { 1ull << 63, 0 }, { 1, 0x3fff }, { ~0ull, 0x7ffe }, { 1ull << 63, 1 },
		{ 0xc90fdaa22168c235, 0x4000 },
		{ 0xffffffffffffffff, 0x401d }, { 0x8000000000000000, 0x401e }, { 0x8000000000000000, 0xc03e }, { 0x9a00000000000000, 0x4005 },
	};
	struct insn_case *c = b->c;
	struct fpu_image *f = &c->fpu;
	struct prng *r = &b->r;

	memset(f, 0, sizeof(*f));
	f->xstate_bv = 7;
	f->fcw = (u16)(0x40 | (prng_percent(r, 60) ? 0x33f : prng_below(r, 0x10) << 8 | (prng_percent(r, 60) ? 0x3f : prng_below(r, 0x40))));
	f->fsw = (u16)(prng_next(r) & 0x7f7f);
	if (prng_percent(r, 90))
		f->fsw &= (u16)(0x7f00 | f->fcw);	/* no exception is pending */
	if (f->fsw & ~f->fcw & 0x3f)
		f->fsw |= 0x8080;
	f->ftw = (u8)(prng_percent(r, 30) ? 0xff : prng_next(r));
	f->mxcsr = prng_percent(r, 60) ? 0x1f80 : 0x1f80 | (prng_next(r) & 0xe07f);
	if (prng_percent(r, 8))
		f->mxcsr = (u32)(prng_next(r) & 0xffff);
	for (int i = 0; i < 8; i++) {
		u64 m = prng_next(r) | 1ull << 63;
		u16 e = (u16)(0x3fff - 20 + prng_below(r, 60));

		if (prng_percent(r, 50)) {
			u32 k = prng_below(r, ARRAY_SIZE(edge));

			m = edge[k].m;
			e = edge[k].e;
		}
		e |= (u16)(prng_below(r, 2) << 15);
		memcpy(f->st[i].b, &m, 8);
		memcpy(f->st[i].b + 8, &e, 2);
	}
	for (int i = 0; i < 8; i++)
		for (int j = 0; j < 4; j++) {
			u64 *q = j < 2 ? &f->xmm[i][j] : &f->ymmh[i][j - 2];
			u32 kind = prng_below(r, 5);
			double d = (double)(s64)prng_next(r) / (1ull << prng_below(r, 62));
			float s[2] = { (float)(s32)prng_next(r) / (1u << prng_below(r, 30)), (float)(s32)prng_next(r) };

			if (kind == 0)
				memcpy(q, &d, 8);
			else if (kind == 1)
				memcpy(q, s, 8);
			else if (kind == 2)
				*q = prng_edge32(r) | (u64)prng_edge32(r) << 32;
			else
				*q = kind == 3 ? 0 : prng_next(r);
		}
}

/* --- single instructions ---------------------------------------------------------------------------------------------- */

struct decoded {
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

static bool decode(struct build *b, const u8 *bytes, u32 len, struct decoded *d)
{
	return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&b->f->decoder, bytes, len, &d->insn, d->op));
}

static u32 gpr_value(const struct insn_case *c, ZydisRegister reg)
{
	return reg == ZYDIS_REGISTER_NONE || ZydisRegisterGetId(reg) < 0 ? 0 : c->in.gpr[ZydisRegisterGetId(reg) & 7];
}

/* Offset of the memory operand with the start registers. */
static u32 operand_offset(const struct insn_case *c, const struct decoded *d, const ZydisDecodedOperand *op)
{
	u32 ea = gpr_value(c, op->mem.base) + gpr_value(c, op->mem.index) * op->mem.scale + (u32)op->mem.disp.value;

	return d->insn.address_width == 16 ? ea & 0xffff : ea;
}

static const ZydisDecodedOperand *memory_operand(const struct decoded *d)
{
	for (int i = 0; i < d->insn.operand_count_visible; i++)
		if (d->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return &d->op[i];
	return NULL;
}

static u32 segment_base(const struct insn_case *c, ZydisRegister seg)
{
	if (seg == ZYDIS_REGISTER_GS)
		return GS_BASE;
	if (!c->code16 || seg == ZYDIS_REGISTER_FS)
		return 0;
	return seg == ZYDIS_REGISTER_CS ? GUEST_CODE : seg == ZYDIS_REGISTER_SS ? GUEST_STACK : GUEST_DATA;
}

/* Offset of something interesting in the operand's segment. */
static u32 random_target(struct build *b, ZydisRegister seg)
{
	if (b->c->code16 && seg == ZYDIS_REGISTER_SS)
		return prng_below(&b->r, STACK_PAGES * 4096 + 4);
	if (seg == ZYDIS_REGISTER_CS)
		return GUEST_CODE - segment_base(b->c, seg) + prng_below(&b->r, 0x2000);
	if (seg == ZYDIS_REGISTER_GS)
		return prng_percent(&b->r, 80) ? prng_below(&b->r, GS_LIMIT) & ~15u : GS_LIMIT - prng_below(&b->r, 40);
	return GUEST_DATA - segment_base(b->c, seg) + data_offset(&b->r);
}

/* A gather's indexes, so that its elements lie where memory is: all of them, in half of the cases. The upper halves of long ones do not
 * count. */
static void steer_indexes(struct build *b, const struct decoded *d, const ZydisDecodedOperand *op)
{
	int reg = ZydisRegisterGetId(op->mem.index) & 7;
	u32 base = gpr_value(b->c, op->mem.base) + (u32)op->mem.disp.value, scale = op->mem.scale;
	bool safe = prng_percent(&b->r, 50), wide = d->insn.opcode & 1;

	for (u32 k = 0; k < (wide ? 4 : 8); k++) {
		u32 target = safe ? GUEST_DATA - segment_base(b->c, op->mem.segment) + 16 + prng_below(&b->r, 0x3000) :
			     random_target(b, op->mem.segment);
		u32 delta = target - base, index = (u32)((s32)delta / (s32)scale);
		u64 *half = k < (wide ? 2 : 4) ? b->c->fpu.xmm[reg] : b->c->fpu.ymmh[reg];

		if (wide)
			half[k & 1] = index | (prng_percent(&b->r, 80) ? (u64)(s64)(s32)index : prng_next(&b->r)) >> 32 << 32;
		else
			memcpy((u8 *)half + 4 * (k & 3), &index, 4);
	}
}

/* Changes the displacement so that the operand lies where memory is. */
static void steer(struct build *b, u8 *bytes, struct decoded *d)
{
	const ZydisDecodedOperand *op = memory_operand(d);
	u32 target, delta, size = d->insn.raw.disp.size / 8;
	s32 disp;

	if (op && op->mem.type == ZYDIS_MEMOP_TYPE_VSIB)
		steer_indexes(b, d, op);
	if (!op || op->mem.type == ZYDIS_MEMOP_TYPE_VSIB || !size || prng_percent(&b->r, 4))
		return;
	target = random_target(b, op->mem.segment);
	delta = target - operand_offset(b->c, d, op);
	disp = (s32)((u32)d->op[op - d->op].mem.disp.value + delta);
	if (size == 1 && disp != (s8)disp)
		return;
	memcpy(bytes + d->insn.raw.disp.offset, &disp, size);
}

static u32 put_random(struct prng *r, u8 *p, u32 n)
{
	u64 v = prng_percent(r, 50) ? prng_edge32(r) : prng_next(r);

	memcpy(p, &v, n);
	return n;
}

/* Bytes of a random instance of the form: prefixes, opcode, operands. */
static u32 encode(struct build *b, const struct form *f, u8 *p)
{
	struct prng *r = &b->r;
	static const u8 segments[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x65, 0x65 };
	bool addr = f->vsib ? b->c->code16 : f->memory && prng_percent(r, 12);
	u32 n = 0;

	if (prng_percent(r, 4) && f->map < MAP_VEX1)
		p[n++] = 0xf0;
	if (addr)
		p[n++] = 0x67;
	if (addr && !b->c->code16 && prng_percent(r, 80))
		p[n++] = 0x65;	/* only GS makes 16-bit offsets reach the data */
	else if (prng_percent(r, 10))
		p[n++] = segments[prng_below(r, sizeof(segments))];
	n += (u32)form_opcode(f, p + n, f->vsib || prng_percent(r, 70) ? (int)prng_below(r, 8) : 0);
	if (f->modrm) {
		u32 mod = f->memory ? (prng_percent(r, 65) ? 2 : prng_below(r, 3)) : 3;
		u32 rm = f->rm == ANY_REG ? prng_below(r, 8) : f->rm;
		u32 reg = f->reg == ANY_REG ? prng_below(r, 8) : f->reg;

		p[n++] = (u8)(mod << 6 | reg << 3 | rm);
	}
	put_random(r, p + n, 8);
	put_random(r, p + n + 4, 8);
	return n + 12;
}

static bool dangerous(const u8 *p, u32 n)
{
	for (u32 i = 0; i + 1 < n; i++)	/* bytes that enter the host's kernel if a jump lands on them */
		if ((p[i] == 0xcd) || (p[i] == 0x0f && (p[i + 1] == 0x34 || p[i + 1] == 0x05)))
			return true;
	return false;
}

/* Flags along a sequence. False: the instruction reads an undefined one. */
static bool track_flags(struct build *b, const struct decoded *d)
{
	const ZydisAccessedFlags *f = d->insn.cpu_flags;
	bool maybe_none = d->insn.meta.category == ZYDIS_CATEGORY_SHIFT || d->insn.meta.category == ZYDIS_CATEGORY_ROTATE ||
		d->insn.meta.category == ZYDIS_CATEGORY_STRINGOP;	/* a count of 0 leaves the flags alone */
	u32 tested = f ? f->tested & FL_ARITH : 0, undef = f ? f->undefined & FL_ARITH : 0, set = f ? (f->modified | f->set_0 | f->set_1) : 0;

	if (d->insn.mnemonic == ZYDIS_MNEMONIC_PUSHF || d->insn.mnemonic == ZYDIS_MNEMONIC_PUSHFD)
		tested = FL_ARITH;
	if (tested & b->undef)
		return false;
	if (!maybe_none)
		b->undef &= ~set;
	b->undef |= undef;
	b->undef_ever |= b->undef;
	return true;
}

static bool room(const struct build *b, u32 n)
{
	return b->c->len + n + END_LEN <= MAX_CODE && b->c->units < MAX_UNITS;
}

/* Appends bytes as one unit; flags must have been tracked. */
static bool append(struct build *b, const u8 *p, u32 n)
{
	struct insn_case *c = b->c;

	if (!room(b, n) || dangerous(p, n))
		return false;
	memcpy(c->code + c->len, p, n);
	c->unit[c->units++] = (struct unit){ .at = (u16)c->len, .len = (u16)n };
	c->len += n;
	return true;
}

static bool add_form(struct build *b, const struct form *f, bool alone)
{
	u8 p[48];
	struct decoded d;
	u32 n = encode(b, f, p), undef = b->undef;
	u16 skip = 0, bytes = 0;

	if (!decode(b, p, n, &d) || !form_allowed(&d.insn, d.op))
		return false;
	steer(b, p, &d);
	if (!decode(b, p, n, &d) || !form_allowed(&d.insn, d.op))
		return false;
	if (form_stores_fpu_env(&d.insn, &skip, &bytes) && !alone)
		return false;
	if (!track_flags(b, &d))
		return false;
	if (!append(b, p, d.insn.length)) {
		b->undef = undef;
		return false;
	}
	if (bytes) {
		const ZydisDecodedOperand *op = memory_operand(&d);
		struct unit *u = &b->c->unit[b->c->units - 1];

		u->fpu_env = segment_base(b->c, op->mem.segment) + operand_offset(b->c, &d, op);
		u->env_skip = skip;
		u->env_bytes = bytes;
	}
	return true;
}

static void add_random(struct build *b)
{
	for (int tries = 0; tries < 50; tries++)
		if (add_form(b, &b->f->form[prng_below(&b->r, b->f->count)], false))
			return;
}

/* --- control transfers ------------------------------------------------------------------------------------------------ */

static u32 here(const struct build *b) { return b->c->in.eip + b->c->len; }

/* A relative jump of `size` bytes of displacement, whose target is set later by land(). */
static void land(struct build *b, u32 end_of_jump, u32 size)
{
	s32 disp = (s32)(b->c->len - end_of_jump);

	memcpy(b->c->code + end_of_jump - size, &disp, size);
}

/* Jcc, JMP, LOOPcc or JECXZ over one or two instructions. */
static void add_skip(struct build *b)
{
	struct decoded d;
	u8 p[12] = { 0 };
	u32 n = 0, size = 1, end, undef;

	switch (prng_below(&b->r, 4)) {
	case 0:
		p[n++] = (u8)(0x70 | prng_below(&b->r, 16));
		break;
	case 1:
		if (b->c->code16 && prng_percent(&b->r, 20))
			p[n++] = 0x66;
		p[n++] = 0x0f;
		p[n++] = (u8)(0x80 | prng_below(&b->r, 16));
		size = b->c->code16 && p[0] != 0x66 ? 2 : 4;
		break;
	case 2:
		p[n++] = prng_percent(&b->r, 50) ? 0xeb : 0xe9;
		size = p[0] == 0xeb ? 1 : b->c->code16 ? 2 : 4;
		break;
	default:
		if (prng_percent(&b->r, 20))
			p[n++] = 0x67;
		p[n++] = (u8)(0xe0 | prng_below(&b->r, 4));
	}
	if (!decode(b, p, sizeof(p), &d) || !track_flags(b, &d) || !append(b, p, n + size))
		return;
	end = b->c->len;
	undef = b->undef;
	add_random(b);
	if (prng_percent(&b->r, 40))
		add_random(b);
	b->undef |= undef;
	land(b, end, size);
}

/* call f; jmp over; f: instruction; ret */
static void add_call(struct build *b)
{
	u32 size = b->c->code16 ? 2 : 4, call_end, jmp_end;
	u8 call[5] = { 0xe8 }, jmp[2] = { 0xeb }, ret[3] = { 0xc3 };

	if (!append(b, call, 1 + size))
		return;
	call_end = b->c->len;
	if (!append(b, jmp, 2))
		return;
	jmp_end = b->c->len;
	land(b, call_end, size);
	add_random(b);
	if (prng_percent(&b->r, 30)) {
		ret[0] = 0xc2;
		ret[1] = (u8)(prng_below(&b->r, 8) * 4);
	}
	append(b, ret, ret[0] == 0xc2 ? 3 : 1);
	land(b, jmp_end, 1);
}

/* mov reg, target; jmp or call reg - or the same through a word on the data page, or push target; ret. */
static void add_indirect(struct build *b)
{
	u32 wide = b->c->code16 ? 2 : 4, reg = prng_below(&b->r, 4), n = 0, target, at;
	u32 slot = (b->c->code16 ? 0 : GUEST_DATA) + 0x3c00 + prng_below(&b->r, 16);
	u8 op = prng_percent(&b->r, 50) ? 4 : 2, p[24];

	switch (prng_below(&b->r, 3)) {
	case 0:
		p[n++] = (u8)(0xb8 | reg);
		at = n, n += wide;
		p[n++] = 0xff;
		p[n++] = (u8)(0xc0 | op << 3 | reg);
		break;
	case 1:
		p[n++] = 0xc7;
		p[n++] = b->c->code16 ? 0x06 : 0x05;
		memcpy(p + n, &slot, wide), n += wide;
		at = n, n += wide;
		p[n++] = 0xff;
		p[n++] = (u8)(op << 3 | (b->c->code16 ? 6 : 5));
		memcpy(p + n, &slot, wide), n += wide;
		break;
	default:
		p[n++] = 0x68;
		at = n, n += wide;
		p[n++] = 0xc3;
	}
	target = here(b) + n;
	memcpy(p + at, &target, wide);
	append(b, p, n);
}

/* mov [counter], n; body; sub [counter], 1; jns body. SUB defines all flags, so that nothing undefined flows back. */
static void add_loop(struct build *b)
{
	u32 n = 0, k, start, count = prng_percent(&b->r, 90) ? 1 + prng_below(&b->r, 4) : 20 + prng_below(&b->r, 80);
	u32 counter = b->c->code16 ? COUNTER - GUEST_STACK : COUNTER, wide = b->c->code16 ? 2 : 4;
	u8 p[16];
	s32 disp;

	counter += prng_below(&b->r, 8) * 4;
	if (b->c->code16)
		p[n++] = 0x36;
	p[n++] = 0xc7;
	p[n++] = b->c->code16 ? 0x06 : 0x05;
	memcpy(p + n, &counter, wide), n += wide;
	memcpy(p + n, &count, wide), n += wide;
	if (!room(b, n + 96) || !append(b, p, n))
		return;
	start = b->c->len;
	for (k = 1 + prng_below(&b->r, 2); k; k--)
		add_random(b);
	n = 0;
	if (b->c->code16)
		p[n++] = 0x36;
	p[n++] = 0x83;
	p[n++] = b->c->code16 ? 0x2e : 0x2d;
	memcpy(p + n, &counter, wide), n += wide;
	p[n++] = 1;
	p[n++] = 0x79;
	disp = (s32)(start - (b->c->len + n + 1));
	if (disp < -128)
		return;
	p[n++] = (u8)disp;
	if (append(b, p, n))
		b->undef = 0;
}

static void add_control(struct build *b)
{
	switch (prng_below(&b->r, 6)) {
	case 0: add_call(b); break;
	case 1: add_indirect(b); break;
	case 2: add_loop(b); break;
	default: add_skip(b);
	}
}

/* --- cases ------------------------------------------------------------------------------------------------------------ */

struct generator *gen_init(u64 seed, bool have_16)
{
	struct generator *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->seed = seed;
	g->have_16 = have_16;
	forms_init(&g->forms[0], false);
	forms_init(&g->forms[1], true);
	return g;
}

void gen_fini(struct generator *g)
{
	forms_fini(&g->forms[0]);
	forms_fini(&g->forms[1]);
	free(g);
}

u32 gen_form_count(const struct generator *g)
{
	return g->forms[0].count + (g->have_16 ? g->forms[1].count : 0);
}

static bool make(struct generator *g, u64 number, u64 attempt, struct insn_case *c)
{
	struct build b = { .g = g, .c = c };
	bool alone = number % 3 != 2;

	prng_init(&b.r, g->seed + attempt * 0x10001, number);
	memset(c, 0, offsetof(struct insn_case, fpu));
	c->number = number;
	c->code16 = g->have_16 && number % 4 == 3;
	b.f = &g->forms[c->code16];
	c->at = prng_percent(&b.r, 85) ? 0x100 + prng_below(&b.r, 0x800) : 4096 - prng_below(&b.r, 40);
	c->in.eip = c->at + (c->code16 ? 0 : GUEST_CODE);
	c->memory = (int)prng_below(&b.r, MEMORY_IMAGES);
	random_registers(&b);
	random_fpu(&b);
	if (!add_form(&b, &b.f->form[number / 4 % b.f->count], alone) && attempt < 40)
		return false;
	for (u32 k = alone ? 0 : 1 + prng_below(&b.r, 9); k && c->units < 11; k--) {
		if (prng_percent(&b.r, 25))
			add_control(&b);
		else
			add_random(&b);
	}
	if (c->units && dangerous(c->code, c->len))
		return false;
	c->undefined = b.undef_ever;
	return true;
}

void gen_case(struct generator *g, u64 number, struct insn_case *c)
{
	u64 attempt = 0;

	while (!make(g, number, attempt, c))
		attempt++;
}

bool gen_remove(const struct insn_case *c, int unit, struct insn_case *smaller)
{
	const struct unit *u = &c->unit[unit];

	*smaller = *c;
	for (int i = 0; i < u->len; i++)
		if (c->code[u->at + i] != 0x90) {
			memset(smaller->code + u->at, 0x90, u->len);
			return true;
		}
	return false;
}

/*
 * vectors_8086.c - where an 8086 differs from the processors after it (SDM vol. 3, 21.35 "Differences with the 8086").
 */
#include <string.h>
#include "monitor/vcpu.h"
#include "tests/ext/vectors.h"

const char *rule_name(enum rule rule)
{
	static const char *const names[RULES] = {
		[RULE_UNDEFINED] = "opcodes or operands that are others, or undefined, since the 80186",
		[RULE_WRAP] = "words or code over a segment's end, which wrap there: #GP or #SS",
		[RULE_PUSH_SP] = "PUSH SP, which pushes what SP is afterwards",
		[RULE_COUNT] = "shifts by 32 and more, which shift as often",
		[RULE_IDIV] = "IDIV with REP, which negates, or to -80h and -8000h, which does not fit",
		[RULE_AAM] = "AAM 0, whose flags are set before it faults",
		[RULE_BCD] = "DAA DAS AAA AAS of what no addition leaves",
		[RULE_SETMO] = "SETMO, which is SHL since",
		[RULE_FPU] = "ESC, which reads memory for a coprocessor that is not there",
	};

	return names[rule];
}

u16 final_reg(const struct moo_case *v, int reg)
{
	return v->fina.has >> reg & 1 ? v->fina.reg[reg] : v->init.reg[reg];
}

static u32 get32(const u8 *p) { u32 v; memcpy(&v, p, 4); return v; }
static u32 linear(u16 seg, u32 offset) { return ((u32)seg * 16 + (offset & 0xffff)) & 0xfffff; }

/* The byte of a state's memory, or -1. */
static int byte_at(const struct state *s, u32 at)
{
	for (u32 i = 0; i < s->bytes; i++)
		if (get32(s->ram + 5 * i) == at)
			return s->ram[5 * i + 4];
	return -1;
}

static bool not_nop(int byte) { return byte >= 0 && byte != NOP; }

bool find_end_8086(struct moo_case *v)
{
	v->end = linear(final_reg(v, V_CS), final_reg(v, V_IP));
	for (int i = 0; i < v->code_len; i++)
		if (linear(v->init.reg[V_CS], v->init.reg[V_IP] + (u32)i) == v->end)
			return false;
	v->next = linear(v->init.reg[V_CS], v->init.reg[V_IP] + (u32)v->code_len);
	if (byte_at(&v->init, v->next) != NOP)
		v->next = v->end;
	return v->end && !not_nop(byte_at(&v->init, v->end)) && !not_nop(byte_at(&v->fina, v->end));
}

struct parts { u8 op, modrm, reg; bool lock, rep; };

static struct parts parts_of(const struct moo_case *v)
{
	struct parts p = { 0 };

	for (int i = 0; i < v->code_len; i++) {
		u8 b = v->code[i];

		if (b == 0xf0 || b == 0xf1)
			p.lock = true;
		else if (b == 0xf2 || b == 0xf3)
			p.rep = true;
		else if ((b & 0xe7) != 0x26) {
			p.op = b;
			p.modrm = i + 1 < v->code_len ? v->code[i + 1] : 0;
			break;
		}
	}
	p.reg = p.modrm >> 3 & 7;
	return p;
}

static bool divides(struct parts p) { return ((p.op | 1) == 0xf7 && p.reg >= 6) || p.op == 0xd4; }

u8 open_8086(const struct moo_case *v, u32 at, u8 b, u32 undefined)
{
	struct parts p = parts_of(v);
	u16 ss = final_reg(v, V_SS), sp = final_reg(v, V_SP);
	bool pushf = p.op == 0x9c;

	if (at == v->end || at == v->next)
		return 0xff;
	if (!pushf && !divides(p) && p.op != 0xcc && p.op != 0xcd && p.op != 0xce)
		return 0;
	for (u32 k = 0; k < 2; k++) {
		if (divides(p) && at == linear(ss, sp + k))	/* the divide itself; the 8086: behind it */
			return b == (u8)(v->init.reg[V_IP] >> 8 * k) ? 0xff : 0;
		if (at == linear(ss, sp + k + (pushf ? 0 : 4)))
			return (u8)(((undefined & FL_ARITH) | 0xf000) >> 8 * k);
	}
	return 0;
}

/* Was there a byte at both ends of a segment, or does the code end there? */
static bool wraps(const struct moo_case *v)
{
	static const u8 segs[] = { V_CS, V_SS, V_DS, V_ES };

	if (v->init.reg[V_IP] + v->code_len > 0xffff)
		return true;
	for (size_t k = 0; k < ARRAY_SIZE(segs); k++) {
		u16 seg = v->init.reg[segs[k]];

		if ((byte_at(&v->init, linear(seg, 0xffff)) >= 0 || byte_at(&v->fina, linear(seg, 0xffff)) >= 0) &&
		    (byte_at(&v->init, linear(seg, 0)) >= 0 || byte_at(&v->fina, linear(seg, 0)) >= 0))
			return true;
	}
	return false;
}

bool reused_8086(const struct moo_case *v)
{
	u8 op = parts_of(v).op;

	return op == 0x0f || (op & 0xf0) == 0x60 || (op & 0xf6) == 0xc0;
}

static bool undefined_now(struct parts p)
{
	bool memory = p.modrm < 0xc0;

	switch (p.op) {
	case 0x8c: case 0x8e:
		return p.reg >= 4 || (p.op == 0x8e && p.reg == 1);
	case 0x8d: case 0xc4: case 0xc5:
		return !memory;
	case 0x8f: case 0xc6: case 0xc7:
		return p.reg;
	case 0xfe:
		return p.reg > 1;
	case 0xff:
		return p.reg == 7 || ((p.reg == 3 || p.reg == 5) && !memory);
	}
	return p.lock;
}

static bool odd_bcd(struct parts p, const struct moo_case *v)
{
	u8 al = (u8)v->init.reg[V_AX];
	bool af = v->init.reg[V_FLAGS] & FL_AF;

	switch (p.op) {
	case 0x27: case 0x2f:
		return af && ((al > 0x99 && al < 0xa0) || (p.op == 0x2f && al < 6));
	case 0x37:
		return al > 0xf9;
	case 0x3f:
		return al < 6 && af;
	}
	return false;
}

static bool odd_idiv(struct parts p, const u16 got[V_COUNT], int vector)
{
	if ((p.op | 1) != 0xf7 || p.reg != 7)
		return false;
	return p.rep || (vector < 0 && (p.op == 0xf6 ? (u8)got[V_AX] == 0x80 : got[V_AX] == 0x8000));
}

enum rule known_8086(const struct moo_case *v, const u16 got[V_COUNT], int vector)
{
	struct parts p = parts_of(v);

	if (undefined_now(p))
		return RULE_UNDEFINED;
	if ((vector == VEC_GP || vector == VEC_SS) && wraps(v))
		return RULE_WRAP;
	if (p.op == 0x54 || (p.op == 0xff && p.modrm == 0xf4))
		return RULE_PUSH_SP;
	if ((p.op & 0xfc) == 0xd0 && p.reg == 6)
		return RULE_SETMO;
	if ((p.op & 0xfe) == 0xd2 && (v->init.reg[V_CX] & 0xff) > 31)
		return RULE_COUNT;
	if (p.op == 0xd4 && !p.modrm)
		return RULE_AAM;
	if (odd_idiv(p, got, vector))
		return RULE_IDIV;
	if (odd_bcd(p, v))
		return RULE_BCD;
	return (p.op & 0xf8) == 0xd8 ? RULE_FPU : RULE_NONE;
}

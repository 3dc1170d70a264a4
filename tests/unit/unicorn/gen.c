/*
 * gen.c - cases: one to six instructions, encoded at random and kept when Zydis knows them and both sides could run them.
 *
 * Opcodes come from lists (all one-byte opcodes, the 0F opcodes of the integer and system set, the system ones once more), with random
 * prefixes and ModRM; displacements, immediates and registers are then drawn from what makes sense: offsets in the segments, selectors
 * good and bad, edge values. FPU, MMX and SSE are left to the first oracle (tests/fuzz/insn).
 */
#include <string.h>
#include "tests/unit/unicorn/case.h"

enum { FL_RESERVED = 2, FL_LOW = 0xcd5, FL_IF_BIT = 0x200, FL_IOPL3 = 0x3000, FL_VM_BIT = 0x20000 };

static const u8 twobyte[] = { 0x00, 0x01, 0x02, 0x03, 0x06, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x40, 0x42, 0x44, 0x47, 0x4c, 0x4f, 0x80,
	0x82, 0x84, 0x85, 0x8c,
	0x8f, 0x90, 0x92, 0x94, 0x9c, 0x9f, 0xa0, 0xa1, 0xa3, 0xa4, 0xa5, 0xa8, 0xa9, 0xab, 0xac, 0xad, 0xaf,
	0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6,
	0xb7, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf, 0xc0, 0xc1, 0xc7, 0xc8, 0xcb, 0xcd, 0xcf };
static const u8 system_one[] = { 0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x63, 0x8c, 0x8e, 0x9a, 0x9c, 0x9d, 0xc4, 0xc5, 0xc8, 0xc9,
	0xca, 0xcb, 0xcd, 0xcf, 0xea, 0xfa, 0xfb, 0xff };
static const u8 system_two[] = { 0x00, 0x01, 0x02, 0x03, 0x06, 0x20, 0x22, 0xa0, 0xa1, 0xa8, 0xa9, 0xb2, 0xb4, 0xb5 };
static const u8 prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };

static u32 selector(struct prng *r)
{
	static const u16 good[] = { 0, 3, SEL_CODE16, SEL_CODE32, SEL_DS, SEL_ES, SEL_STACK16, SEL_STACK32, SEL_CODE16_R3 | 3, SEL_CODE32_R3 | 3,
		SEL_DS_R3 | 3, SEL_DS_R3, SEL_STACK16_R3 | 3, SEL_TSS, SEL_LDT };

	switch (prng_below(r, 4)) {
	case 0: return good[prng_below(r, ARRAY_SIZE(good))];
	case 1: return (SEL_ODD + 8 * prng_below(r, ODD_COUNT)) | prng_below(r, 4);
	case 2: return (8 * prng_below(r, ODD_COUNT + 2)) | 4 | prng_below(r, 4);
	default: return prng_below(r, 0x10000);
	}
}

static u32 offset(struct prng *r) { return prng_percent(r, 4) ? 0xfffc + prng_below(r, 6) : prng_below(r, 0xf000); }

static u32 operand(struct prng *r)
{
	switch (prng_below(r, 5)) {
	case 0: return selector(r);
	case 1: return prng_edge32(r);
	case 2: return (u32)prng_next(r);
	default: return offset(r);
	}
}

static bool known_set(ZydisISASet s)
{
	return s == ZYDIS_ISA_SET_I86 || s == ZYDIS_ISA_SET_I186 || s == ZYDIS_ISA_SET_I286PROTECTED || s == ZYDIS_ISA_SET_I286REAL ||
		s == ZYDIS_ISA_SET_I386 || s == ZYDIS_ISA_SET_I486 || s == ZYDIS_ISA_SET_I486REAL || s == ZYDIS_ISA_SET_PENTIUMREAL ||
		s == ZYDIS_ISA_SET_CMOV || s == ZYDIS_ISA_SET_FAT_NOP;
}

/* What has no outcome that two machines share: time, identity, caches, debug registers. */
static bool comparable(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *op)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_CPUID: case ZYDIS_MNEMONIC_RDTSC: case ZYDIS_MNEMONIC_RDMSR: case ZYDIS_MNEMONIC_WRMSR: case ZYDIS_MNEMONIC_RSM:
	case ZYDIS_MNEMONIC_INVD: case ZYDIS_MNEMONIC_WBINVD: case ZYDIS_MNEMONIC_INSB: case ZYDIS_MNEMONIC_INSW: case ZYDIS_MNEMONIC_INSD:
	case ZYDIS_MNEMONIC_OUTSB: case ZYDIS_MNEMONIC_OUTSW: case ZYDIS_MNEMONIC_OUTSD:
		return false;
	case ZYDIS_MNEMONIC_MOV:
		for (int i = 0; i < 2; i++)
			if (op[i].type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(op[i].reg.value) == ZYDIS_REGCLASS_DEBUG)
				return false;
		return true;
	case ZYDIS_MNEMONIC_BSWAP:
		return insn->operand_width == 32;	/* of 16 bits: undefined (SDM vol. 2, BSWAP) */
	default:
		return known_set(insn->meta.isa_set);
	}
}

static int encode(struct prng *r, u8 *p)
{
	int n = 0;

	if (prng_percent(r, 25))
		p[n++] = 0x66;
	if (prng_percent(r, 15))
		p[n++] = 0x67;
	if (prng_percent(r, 15))
		p[n++] = prefixes[prng_below(r, sizeof(prefixes))];
	if (prng_percent(r, 12))
		p[n++] = prng_percent(r, 50) ? 0xf2 : 0xf3;
	if (prng_percent(r, 3))
		p[n++] = 0xf0;
	switch (prng_below(r, 8)) {
	case 0: p[n++] = 0x0f, p[n++] = twobyte[prng_below(r, sizeof(twobyte))]; break;
	case 1: p[n++] = 0x0f, p[n++] = system_two[prng_below(r, sizeof(system_two))]; break;
	case 2: p[n++] = system_one[prng_below(r, sizeof(system_one))]; break;
	default: p[n++] = (u8)prng_below(r, 256); break;
	}
	for (int i = 0; i < 12; i++)
		p[n++] = (u8)prng_next(r);
	return n;
}

static void put(u8 *p, u32 v, int bits) { memcpy(p, &v, (size_t)bits / 8); }

/* Displacements and immediates that lead somewhere. */
static void make_sensible(struct prng *r, const ZydisDecodedInstruction *insn, u8 *p)
{
	bool far = insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;

	if (insn->raw.disp.size >= 16)
		put(p + insn->raw.disp.offset, offset(r), insn->raw.disp.size);
	for (int i = 0; i < 2; i++) {
		int bits = insn->raw.imm[i].size;
		u32 v = operand(r);

		if (insn->raw.imm[i].is_relative)
			v = 0x48 + prng_below(r, 0x30);		/* behind the case */
		else if (far)
			v = i ? selector(r) : offset(r);
		if (bits)
			put(p + insn->raw.imm[i].offset, v, bits);
	}
	if (insn->mnemonic == ZYDIS_MNEMONIC_ENTER)	/* nesting copies frames: a few levels */
		p[insn->raw.imm[1].offset] &= 0x23;
}

/* One instruction; flags that it leaves undefined are defined again by a CMP, unless it is the last. */
static int gen_insn(const struct uc_gen *g, struct prng *r, bool code32, u8 *p, u32 *undefined)
{
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	int n;

	do
		n = encode(r, p);
	while (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&g->decoder[code32], p, (size_t)n, &insn, op)) || !comparable(&insn, op));
	make_sensible(r, &insn, p);
	*undefined = insn.cpu_flags ? insn.cpu_flags->undefined : 0;
	return insn.length;
}

void gen_start(struct uc_gen *g, u64 seed)
{
	g->seed = seed;
	ZydisDecoderInit(&g->decoder[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&g->decoder[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
}

void gen_unicorn_case(const struct uc_gen *g, u64 number, struct uc_case *c)
{
	static const u8 cmp_sp_bp[] = { 0x39, 0xec };
	struct prng r;
	u32 insns;

	memset(c, 0, sizeof(*c));
	prng_init(&r, g->seed, number);
	c->number = number;
	c->mode = (enum case_mode)(number % MODES);
	c->at = prng_percent(&r, 90) ? CODE_START : 0xff00 + prng_below(&r, 0x80);
	for (int i = 0; i < 8; i++)
		c->gpr[i] = operand(&r);
	c->gpr[4] = prng_percent(&r, 90) ? STACK_TOP + 2 * prng_below(&r, 64) : prng_below(&r, 0x10000);
	c->gpr[1] = prng_percent(&r, 70) ? prng_below(&r, 12) : c->gpr[1] & 0xffff;	/* ECX counts */
	c->eflags = FL_RESERVED | (prng_below(&r, 0x1000) & FL_LOW) | (prng_percent(&r, 15) ? FL_IF_BIT : 0);
	if (c->mode == IN_V86)
		c->eflags |= FL_VM_BIT;
	if (c->mode == IN_V86 || c->mode == IN_PM16_R3 || c->mode == IN_PM32_R3)
		c->eflags |= prng_percent(&r, 60) ? FL_IOPL3 : 0;
	insns = prng_percent(&r, 60) ? 1 : 2 + prng_below(&r, 5);
	for (u32 i = 0; i < insns && c->len + 32 < sizeof(c->code); i++) {
		c->len += (u32)gen_insn(g, &r, mode_is32(c->mode), c->code + c->len, &c->undefined);
		if (c->undefined && i + 1 < insns) {
			memcpy(c->code + c->len, cmp_sp_bp, 2);
			c->len += 2;
		}
	}
	memset(c->code + c->len, 0xf4, sizeof(c->code) - c->len);
	c->len = c->len + 1;
}

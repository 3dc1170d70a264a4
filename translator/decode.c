/*
 * decode.c - the one user of the decoder library: its result becomes struct insn.
 */
#include <Zydis/Zydis.h>
#include <stdlib.h>
#include <string.h>
#include "translator/decode.h"
#include "translator/modekey.h"
#include "translator/translator.h"
#include "translator/rules.h"

#define M(x) ZYDIS_MNEMONIC_##x
#define RULE(name, fn, flow, what, ...) static const u16 list_##name[] = { __VA_ARGS__ };
#include "translator/rules.def"
#undef RULE

const struct rule rules[RULE_MAX] = {
#define RULE(name, fn, flow, what, ...) [RULE_##name] = { fn, FLOW_##flow, #name },
#include "translator/rules.def"
#undef RULE
};

static const struct { const u16 *list; u16 n; } rule_lists[RULE_MAX] = {
#define RULE(name, fn, flow, what, ...) [RULE_##name] = { list_##name, ARRAY_SIZE(list_##name) },
#include "translator/rules.def"
#undef RULE
};

struct decoder {
	ZydisDecoder mode[4];			/* enum decoder_mode */
	u8 rule[ZYDIS_MNEMONIC_MAX_VALUE + 1];	/* RULE_MAX where no row of rules.def names the mnemonic */
};
enum decoder_mode { DEC_REAL16, DEC_PROT16, DEC_32, DEC_64 };

struct decoder *decoder_init(void)
{
	struct decoder *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	ZydisDecoderInit(&d->mode[DEC_REAL16], ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&d->mode[DEC_PROT16], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&d->mode[DEC_32], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(&d->mode[DEC_64], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	memset(d->rule, RULE_MAX, sizeof d->rule);
	for (int r = 0; r < RULE_MAX; r++)
		for (int k = 0; k < rule_lists[r].n; k++)
			d->rule[rule_lists[r].list[k]] = r;
	return d;
}

void decoder_fini(struct decoder *d)
{
	free(d);
}

static int isa_feature(const ZydisDecodedInstruction *z)
{
	switch (z->meta.isa_set) {
	case ZYDIS_ISA_SET_I86: case ZYDIS_ISA_SET_I186: case ZYDIS_ISA_SET_I286PROTECTED: case ZYDIS_ISA_SET_I286REAL:
	case ZYDIS_ISA_SET_I386: case ZYDIS_ISA_SET_LAHF: case ZYDIS_ISA_SET_PAUSE: case ZYDIS_ISA_SET_AMD: return TF_BASE;
	case ZYDIS_ISA_SET_LONGMODE:
		switch (z->mnemonic) {
		case ZYDIS_MNEMONIC_MOVSXD: case ZYDIS_MNEMONIC_CDQE: case ZYDIS_MNEMONIC_CQO: case ZYDIS_MNEMONIC_JRCXZ: return TF_BASE;
		default: return TF_NEVER;
		}
	case ZYDIS_ISA_SET_CMPXCHG16B: return TF_CX8;	/* 64-bit code only, and every processor that such guests run on has it */
	case ZYDIS_ISA_SET_I486: case ZYDIS_ISA_SET_I486REAL:
		return z->mnemonic == ZYDIS_MNEMONIC_CPUID ? TF_CPUID : TF_I486;
	case ZYDIS_ISA_SET_PENTIUMREAL:
		switch (z->mnemonic) {
		case ZYDIS_MNEMONIC_RDTSC: return TF_TSC;
		case ZYDIS_MNEMONIC_CMPXCHG8B: return TF_CX8;
		case ZYDIS_MNEMONIC_CPUID: return TF_CPUID;
		case ZYDIS_MNEMONIC_RSM: return TF_BASE;
		default: return TF_MSR;
		}
	case ZYDIS_ISA_SET_PENTIUMMMX: return TF_MMX;
	case ZYDIS_ISA_SET_CMOV: return TF_CMOV;
	case ZYDIS_ISA_SET_FCMOV: return TF_CMOV;
	case ZYDIS_ISA_SET_PPRO: case ZYDIS_ISA_SET_RDPMC:
		switch (z->mnemonic) {
		case ZYDIS_MNEMONIC_SYSENTER: case ZYDIS_MNEMONIC_SYSEXIT: return TF_SEP;
		case ZYDIS_MNEMONIC_RDPMC: return TF_PMC;
		case ZYDIS_MNEMONIC_FCOMI: case ZYDIS_MNEMONIC_FCOMIP: case ZYDIS_MNEMONIC_FUCOMI: case ZYDIS_MNEMONIC_FUCOMIP: return TF_CMOV;
		default: return TF_BASE;	/* UD0, UD1, UD2 */
		}
	case ZYDIS_ISA_SET_FAT_NOP: case ZYDIS_ISA_SET_PREFETCH_NOP: case ZYDIS_ISA_SET_CLDEMOTE: case ZYDIS_ISA_SET_CET:
		return z->mnemonic == ZYDIS_MNEMONIC_NOP || z->mnemonic == ZYDIS_MNEMONIC_CLDEMOTE || z->mnemonic == ZYDIS_MNEMONIC_ENDBR32 ||
		       z->mnemonic == ZYDIS_MNEMONIC_ENDBR64 || z->mnemonic == ZYDIS_MNEMONIC_PREFETCHW || z->mnemonic == ZYDIS_MNEMONIC_PREFETCH ?
		       TF_NOPL : TF_NEVER;
	case ZYDIS_ISA_SET_X87: return TF_FPU;
	case ZYDIS_ISA_SET_FXSAVE: return TF_FXSR;
	case ZYDIS_ISA_SET_SSE: case ZYDIS_ISA_SET_SSEMXCSR: case ZYDIS_ISA_SET_SSE_PREFETCH: return TF_SSE;
	case ZYDIS_ISA_SET_SSE2: case ZYDIS_ISA_SET_SSE2MMX: return TF_SSE2;
	case ZYDIS_ISA_SET_CLFSH: return TF_CLFSH;
	case ZYDIS_ISA_SET_SSE3: case ZYDIS_ISA_SET_SSE3X87: return TF_SSE3;
	case ZYDIS_ISA_SET_MONITOR: return TF_MONITOR;
	case ZYDIS_ISA_SET_SSSE3: case ZYDIS_ISA_SET_SSSE3MMX: return TF_SSSE3;
	case ZYDIS_ISA_SET_SSE4: return TF_SSE41;
	case ZYDIS_ISA_SET_SSE42: return TF_SSE42;
	case ZYDIS_ISA_SET_SSE4A: return TF_SSE4A;
	case ZYDIS_ISA_SET_POPCNT: return TF_POPCNT;
	case ZYDIS_ISA_SET_LZCNT: return TF_LZCNT;
	case ZYDIS_ISA_SET_MOVBE: return TF_MOVBE;
	case ZYDIS_ISA_SET_AES: return TF_AES;
	case ZYDIS_ISA_SET_PCLMULQDQ: return TF_PCLMUL;
	case ZYDIS_ISA_SET_XSAVE: return TF_XSAVE;
	case ZYDIS_ISA_SET_XSAVEOPT: return TF_XSAVEOPT;
	case ZYDIS_ISA_SET_XSAVEC: return TF_XSAVEC;
	case ZYDIS_ISA_SET_AVX: case ZYDIS_ISA_SET_AVXAES: return TF_AVX;
	case ZYDIS_ISA_SET_F16C: return TF_F16C;
	case ZYDIS_ISA_SET_FMA: return TF_FMA;
	case ZYDIS_ISA_SET_AVX2: case ZYDIS_ISA_SET_AVX2GATHER: return TF_AVX2;
	case ZYDIS_ISA_SET_BMI1: return TF_BMI1;
	case ZYDIS_ISA_SET_BMI2: return TF_BMI2;
	case ZYDIS_ISA_SET_ADOX_ADCX: return TF_ADX;
	case ZYDIS_ISA_SET_SHA: return TF_SHA;
	case ZYDIS_ISA_SET_RDRAND: return TF_RDRAND;
	case ZYDIS_ISA_SET_RDSEED: return TF_RDSEED;
	case ZYDIS_ISA_SET_RDTSCP: return TF_RDTSCP;
	case ZYDIS_ISA_SET_INVPCID: return TF_INVPCID;
	case ZYDIS_ISA_SET_CLFLUSHOPT: return TF_CLFLUSHOPT;
	case ZYDIS_ISA_SET_CLWB: return TF_CLWB;
	case ZYDIS_ISA_SET_GFNI: case ZYDIS_ISA_SET_AVX_GFNI: return TF_GFNI;
	case ZYDIS_ISA_SET_VAES: case ZYDIS_ISA_SET_VPCLMULQDQ: return z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX ? TF_VAES : TF_NEVER;
	default: return TF_NEVER;
	}
}

static bool is_vector_feature(int f)
{
	switch (f) {
	case TF_FPU: case TF_MMX: case TF_FXSR: case TF_SSE: case TF_SSE2: case TF_SSE3: case TF_SSSE3: case TF_SSE41: case TF_SSE42:
	case TF_SSE4A:
	case TF_AES: case TF_PCLMUL: case TF_AVX: case TF_F16C: case TF_FMA: case TF_AVX2: case TF_SHA: case TF_CMOV: case TF_VAES: case TF_GFNI:
		return true;
	}
	return false;
}

static u8 rule_of(const struct decoder *d, const ZydisDecodedInstruction *z, int feature)
{
	u8 r = d->rule[z->mnemonic];

	if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY && z->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
		return RULE_UNKNOWN;
	/* MOVSD and CMPSD name a string and an SSE2 instruction */
	if (r == RULE_STRING && is_vector_feature(feature))
		return RULE_VECTOR;
	if (r != RULE_MAX)
		return r;
	return is_vector_feature(feature) ? RULE_VECTOR : RULE_UNKNOWN;
}

static int reg_number(ZydisRegister r, struct operand *o)
{
	ZydisRegisterClass c = ZydisRegisterGetClass(r);
	int id = ZydisRegisterGetId(r);

	switch (c) {
	case ZYDIS_REGCLASS_GPR8:
		o->kind = OPK_GPR;
		if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH) {
			o->high = true;
			return r - ZYDIS_REGISTER_AH;
		}
		if (r >= ZYDIS_REGISTER_SPL)
			return r - ZYDIS_REGISTER_SPL + 4;
		return r - ZYDIS_REGISTER_AL;
	case ZYDIS_REGCLASS_GPR16: case ZYDIS_REGCLASS_GPR32: case ZYDIS_REGCLASS_GPR64:
		o->kind = OPK_GPR;
		return id;
	case ZYDIS_REGCLASS_SEGMENT:
		o->kind = OPK_SEG;
		return id;
	case ZYDIS_REGCLASS_CONTROL:
		o->kind = OPK_CR;
		return id;
	case ZYDIS_REGCLASS_DEBUG:
		o->kind = OPK_DR;
		return id;
	case ZYDIS_REGCLASS_MMX: case ZYDIS_REGCLASS_XMM: case ZYDIS_REGCLASS_YMM: case ZYDIS_REGCLASS_X87:
		o->kind = OPK_VEC;
		return id;
	default:
		o->kind = OPK_OTHER;
		return id;
	}
}

static s8 gpr_id(ZydisRegister r)
{
	return r == ZYDIS_REGISTER_NONE ? -1 : (s8)ZydisRegisterGetId(r);
}

static void set_operand(struct insn *i, const ZydisDecodedOperand *z)
{
	struct operand *o = &i->op[i->nops++];

	o->size = z->size / 8 > 255 ? 0 : z->size / 8;
	o->rd = z->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
	o->wr = z->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	switch (z->encoding) {
	case ZYDIS_OPERAND_ENCODING_MODRM_REG: o->enc = ENC_REG; break;
	case ZYDIS_OPERAND_ENCODING_MODRM_RM:  o->enc = ENC_RM; break;
	case ZYDIS_OPERAND_ENCODING_OPCODE:    o->enc = ENC_OPCODE; break;
	case ZYDIS_OPERAND_ENCODING_NDSNDD:    o->enc = ENC_VVVV; break;
	case ZYDIS_OPERAND_ENCODING_NONE:      o->enc = ENC_IMPLICIT; break;
	default:                               o->enc = ENC_IMM; break;
	}
	switch (z->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		o->reg = reg_number(z->reg.value, o);
		break;
	case ZYDIS_OPERAND_TYPE_MEMORY:
		o->kind = OPK_MEM;
		if (z->mem.type == ZYDIS_MEMOP_TYPE_MEM || z->mem.type == ZYDIS_MEMOP_TYPE_VSIB || z->mem.type == ZYDIS_MEMOP_TYPE_AGEN) {
			bool first = !i->has_mem;

			if (gpr_id(z->mem.base) == R_ESI)
				i->src_seg = ZydisRegisterGetId(z->mem.segment);
			if (!first && z->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
				break;
			i->has_mem = true;
			i->mem_agen = z->mem.type == ZYDIS_MEMOP_TYPE_AGEN;
			i->mem_vsib = z->mem.type == ZYDIS_MEMOP_TYPE_VSIB;
			i->mem_size = z->size / 8;
			i->mem_rd = o->rd;
			i->mem_wr = o->wr;
			i->rip_rel = z->mem.base == ZYDIS_REGISTER_RIP || z->mem.base == ZYDIS_REGISTER_EIP;
			i->base = i->rip_rel ? -1 : gpr_id(z->mem.base);
			i->index = gpr_id(z->mem.index);
			i->scale = z->mem.scale ? z->mem.scale : 1;
			i->disp = z->mem.disp.has_displacement ? z->mem.disp.value : 0;
			i->seg = z->mem.segment == ZYDIS_REGISTER_NONE ? S_DS : (u8)ZydisRegisterGetId(z->mem.segment);
		}
		break;
	case ZYDIS_OPERAND_TYPE_POINTER:
		o->kind = OPK_FAR;
		i->far_sel = z->ptr.segment;
		i->imm = z->ptr.offset;
		break;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		o->kind = OPK_IMM;
		break;
	default:
		o->kind = OPK_OTHER;
	}
}

static void set_prefixes(struct insn *i, const ZydisDecodedInstruction *z)
{
	for (int k = 0; k < z->raw.prefix_count; k++) {
		u8 v = z->raw.prefixes[k].value;

		if (z->raw.prefixes[k].type == ZYDIS_PREFIX_TYPE_MANDATORY) {
			if (v == 0x66)
				i->mand_66 = true;
			else
				i->mand_rep = v;
		}
		switch (z->raw.prefixes[k].value) {
		case 0x66: i->p66 = true; break;
		case 0x67: i->p67 = true; break;
		case 0xf0: i->plock = true; break;
		case 0xf2: i->pf2 = true; i->pf3 = false; break;	/* the last one counts */
		case 0xf3: i->pf3 = true; i->pf2 = false; break;
		}
	}
}

static enum decode_status convert(const struct decoder *d, struct insn *i, const ZydisDecodedInstruction *z, const ZydisDecodedOperand *ops)
{
	i->len = z->length;
	i->mnemonic = z->mnemonic;
	i->feature = isa_feature(z);
	i->opsize = z->operand_width / 8;
	i->adsize = z->address_width / 8;
	i->opcode = z->opcode;
	switch (z->opcode_map) {
	case ZYDIS_OPCODE_MAP_DEFAULT: i->map = 0; break;
	case ZYDIS_OPCODE_MAP_0F:      i->map = 1; break;
	case ZYDIS_OPCODE_MAP_0F38:    i->map = 2; break;
	case ZYDIS_OPCODE_MAP_0F3A:    i->map = 3; break;
	default: return DECODE_UD;
	}
	set_prefixes(i, z);
	if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
		i->vex = true;
		i->vex_l = z->raw.vex.L;
		i->vex_w = z->raw.vex.W;
		i->vex_pp = z->raw.vex.pp;
		i->vvvv = ~z->raw.vex.vvvv & 15;
	} else {
		i->rex_w = (z->attributes & ZYDIS_ATTRIB_HAS_REX) && z->raw.rex.W;
	}
	i->has_modrm = z->attributes & ZYDIS_ATTRIB_HAS_MODRM;
	if (i->has_modrm)
		i->modrm = z->raw.modrm.mod << 6 | z->raw.modrm.reg << 3 | z->raw.modrm.rm;
	if (z->raw.imm[0].size) {
		i->imm = z->raw.imm[0].value.u;
		i->imm2 = z->raw.imm[1].value.u;
	}
	i->tail_off = i->has_modrm ? z->raw.modrm.offset + 1 + !!(z->attributes & ZYDIS_ATTRIB_HAS_SIB) + z->raw.disp.size / 8 :
		      z->raw.imm[0].size ? z->raw.imm[0].offset : z->length;
	i->base = i->index = -1;
	for (int k = 0; k < z->operand_count && i->nops < ARRAY_SIZE(i->op); k++)
		set_operand(i, &ops[k]);
	if ((z->attributes & ZYDIS_ATTRIB_HAS_NOTRACK) && i->has_mem && z->machine_mode != ZYDIS_MACHINE_MODE_LONG_64)
		i->seg = S_DS;	/* 3E before an indirect branch is the DS override too, which the decoder library leaves out */
	i->rule = rule_of(d, z, i->feature);
	/* x87 forms that store an environment have an operand size; MMX and SSE have none */
	if (i->map == 1 && i->opcode == 0xae && i->feature != TF_FXSR && i->mem_size == 64)
		i->mem_size = 1;	/* CLFLUSH, CLFLUSHOPT, CLWB: the line is named by one byte, and no page behind it is touched */
	i->no_66 = (is_vector_feature(i->feature) && i->map != 0 && i->feature != TF_CMOV && z->mnemonic != ZYDIS_MNEMONIC_CRC32) ||
		z->mnemonic == ZYDIS_MNEMONIC_CMPXCHG8B;
	i->force_rex = i->rex_w || (z->attributes & ZYDIS_ATTRIB_HAS_REX);
	return DECODE_OK;
}

enum decode_status insn_decode(const struct decoder *d, struct insn *i, const u8 *bytes, unsigned avail, u64 eip, u32 mk)
{
	enum decoder_mode mode = mk & MK_LONG ? DEC_64 : mk & MK_CS32 ? DEC_32 : (mk & MK_PE) && !(mk & MK_V86) ? DEC_PROT16 : DEC_REAL16;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZyanStatus st;
	unsigned n = avail > 15 ? 15 : avail;

	memset(i, 0, sizeof *i);
	i->eip = eip;
	memcpy(i->bytes, bytes, n);
	st = ZydisDecoderDecodeFull(&d->mode[mode], bytes, n, &z, ops);
	if (ZYAN_SUCCESS(st))
		return convert(d, i, &z, ops);
	i->rule = RULE_UNKNOWN;
	if (st == ZYDIS_STATUS_NO_MORE_DATA)
		return avail >= 15 ? DECODE_TOO_LONG : DECODE_MORE;
	return st == ZYDIS_STATUS_INSTRUCTION_TOO_LONG ? DECODE_TOO_LONG : DECODE_UD;
}

const char *insn_name(const struct insn *i)
{
	const char *s = ZydisMnemonicGetString(i->mnemonic);

	return s ? s : "(bad)";
}

bool insn_is(const struct insn *i, enum mnemonic m)
{
	static const u16 numbers[] = {
#define MNEMONIC(x) [MN_##x] = ZYDIS_MNEMONIC_##x,
#include "translator/mnemonics.def"
#undef MNEMONIC
	};

	return i->mnemonic == numbers[m];
}

/*
 * forms.c - finds the instruction forms by asking Zydis about every combination.
 */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fuzz/insn/forms.h"

static bool host_has(ZydisISAExt ext)
{
	u32 a, b, c, d;

	switch (ext) {
	case ZYDIS_ISA_EXT_BASE: case ZYDIS_ISA_EXT_X87: case ZYDIS_ISA_EXT_MMX: case ZYDIS_ISA_EXT_SSE: case ZYDIS_ISA_EXT_SSE2:
	case ZYDIS_ISA_EXT_PAUSE: case ZYDIS_ISA_EXT_CLFSH: case ZYDIS_ISA_EXT_LONGMODE:
		return true;
	case ZYDIS_ISA_EXT_SSE3: return __builtin_cpu_supports("sse3");
	case ZYDIS_ISA_EXT_SSSE3: return __builtin_cpu_supports("ssse3");
	case ZYDIS_ISA_EXT_SSE4: return __builtin_cpu_supports("sse4.2");
	case ZYDIS_ISA_EXT_AES: return __builtin_cpu_supports("aes");
	case ZYDIS_ISA_EXT_AVXAES: return __builtin_cpu_supports("aes") && __builtin_cpu_supports("avx");
	case ZYDIS_ISA_EXT_PCLMULQDQ: return __builtin_cpu_supports("pclmul");
	case ZYDIS_ISA_EXT_AVX: return __builtin_cpu_supports("avx");
	case ZYDIS_ISA_EXT_AVX2: case ZYDIS_ISA_EXT_AVX2GATHER: return __builtin_cpu_supports("avx2");
	case ZYDIS_ISA_EXT_FMA: return __builtin_cpu_supports("fma");
	case ZYDIS_ISA_EXT_BMI1: return __builtin_cpu_supports("bmi");
	case ZYDIS_ISA_EXT_BMI2: return __builtin_cpu_supports("bmi2");
	case ZYDIS_ISA_EXT_LZCNT: return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & bit_LZCNT);
	case ZYDIS_ISA_EXT_F16C: return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
	case ZYDIS_ISA_EXT_MOVBE: return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_MOVBE);
	case ZYDIS_ISA_EXT_ADOX_ADCX: return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_ADX);
	default: return false;
	}
}

bool form_allowed(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *op)
{
	if (!host_has(insn->meta.isa_ext))
		return false;
	switch (insn->meta.category) {
	case ZYDIS_CATEGORY_SYSTEM: case ZYDIS_CATEGORY_SYSCALL: case ZYDIS_CATEGORY_SYSRET: case ZYDIS_CATEGORY_IO:
	case ZYDIS_CATEGORY_IOSTRINGOP: case ZYDIS_CATEGORY_CALL: case ZYDIS_CATEGORY_RET: case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_UNCOND_BR: case ZYDIS_CATEGORY_SEGOP: case ZYDIS_CATEGORY_RDPID: case ZYDIS_CATEGORY_CET:
		return false;
	default:
		break;
	}
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_INT: case ZYDIS_MNEMONIC_INT1: case ZYDIS_MNEMONIC_CPUID: case ZYDIS_MNEMONIC_RDTSC:
	case ZYDIS_MNEMONIC_UD0: case ZYDIS_MNEMONIC_UD1: case ZYDIS_MNEMONIC_MONITOR: case ZYDIS_MNEMONIC_MWAIT: case ZYDIS_MNEMONIC_RDPMC:
		return false;
	default:
		break;
	}
	if (insn->mnemonic == ZYDIS_MNEMONIC_PUSH && insn->operand_width == 32 && op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	    ZydisRegisterGetClass(op[0].reg.value) == ZYDIS_REGCLASS_SEGMENT)
		return false;	/* whether the upper half is written differs between processors (SDM vol. 2, PUSH) */
	for (int i = 0; i < insn->operand_count_visible; i++)	/* loads of segment registers: the host's selectors are not a guest's */
		if (op[i].type == ZYDIS_OPERAND_TYPE_REGISTER && op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE &&
		    ZydisRegisterGetClass(op[i].reg.value) == ZYDIS_REGCLASS_SEGMENT)
			return false;
	return true;
}

bool form_stores_fpu_env(const ZydisDecodedInstruction *insn, u16 *skip, u16 *bytes)
{
	bool small = insn->operand_width == 16;

	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_FNSTENV: case ZYDIS_MNEMONIC_FNSAVE:
		*skip = small ? 6 : 12;
		*bytes = small ? 8 : 16;
		return true;
	case ZYDIS_MNEMONIC_FXSAVE:
		*skip = 6;	/* FOP, FIP, FCS, FDP, FDS */
		*bytes = 18;
		return true;
	default:
		return false;
	}
}

int form_opcode(const struct form *f, u8 *out, int vvvv)
{
	static const u8 simple[] = { [PFX_66] = 0x66, [PFX_F3] = 0xf3, [PFX_F2] = 0xf2 };
	int n = 0;

	if (f->map >= MAP_VEX1) {
		out[n++] = 0xc4;
		out[n++] = (u8)(0xe0 | (f->map - MAP_VEX1 + 1));
		out[n++] = (u8)(f->vex_w << 7 | (~vvvv & 15) << 3 | f->vex_l << 2 | f->prefix);
	} else {
		if (f->prefix == PFX_66F3 || f->prefix == PFX_66F2) {
			out[n++] = 0x66;
			out[n++] = f->prefix == PFX_66F3 ? 0xf3 : 0xf2;
		} else if (f->prefix) {
			out[n++] = simple[f->prefix];
		}
		if (f->map >= MAP_0F)
			out[n++] = 0x0f;
		if (f->map >= MAP_0F38)
			out[n++] = f->map == MAP_0F38 ? 0x38 : 0x3a;
	}
	out[n++] = f->opcode;
	return n;
}

struct probe {
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	bool ok;
};

static void probe(const struct forms *f, const struct form *form, int reg, int rm, struct probe *p)
{
	u8 bytes[15] = { 0 };
	int n = form_opcode(form, bytes, 0);

	bytes[n] = (u8)((form->memory ? 0 : 3) << 6 | reg << 3 | rm);
	p->ok = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&f->decoder, bytes, sizeof(bytes), &p->insn, p->op));
	p->ok = p->ok && form_allowed(&p->insn, p->op);
}

static void add(struct forms *f, struct form form, int reg, int rm)
{
	if ((f->count & (f->count - 1)) == 0)
		f->form = realloc(f->form, (f->count ? 2 * f->count : 1) * sizeof(form));
	form.reg = (u8)reg;
	form.rm = (u8)rm;
	f->form[f->count++] = form;
}

/* A prefix that changes nothing (F2 and F3 before most integer instructions) would only repeat the form. */
static bool prefix_matters(const struct forms *f, const struct form *form, const struct probe *p)
{
	struct form plain = *form;
	struct probe q;

	if (form->map >= MAP_VEX1 || form->prefix == PFX_NONE)
		return true;
	if (p->insn.mnemonic == ZYDIS_MNEMONIC_NOP || form->map == MAP_ONE)	/* 66 on byte forms too: it must be ignored */
		return form->prefix == PFX_66 || p->insn.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE) ||
			p->insn.mnemonic == ZYDIS_MNEMONIC_PAUSE;
	plain.prefix = form->prefix == PFX_66F3 ? PFX_F3 : form->prefix == PFX_66F2 ? PFX_F2 : PFX_NONE;
	if (form->prefix >= PFX_66F3 && !(p->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && p->insn.operand_width == 16))
		return false;
	probe(f, &plain, form->reg & 7, 0, &q);
	return form->prefix == PFX_66 || !q.ok || q.insn.mnemonic != p->insn.mnemonic || form->prefix >= PFX_66F3;
}

static bool same_insn(const struct probe *a, const struct probe *b)
{
	return a->ok == b->ok && (!a->ok || a->insn.mnemonic == b->insn.mnemonic);
}

static void try_opcode(struct forms *f, struct form form)
{
	struct probe p[8], q;
	bool group = false;

	for (int reg = 0; reg < 8; reg++) {
		probe(f, &form, reg, 0, &p[reg]);
		group |= !same_insn(&p[reg], &p[0]);
	}
	form.modrm = p[0].ok ? p[0].insn.attributes & ZYDIS_ATTRIB_HAS_MODRM : group;
	if (!form.modrm && !form.memory)
		return;	/* counted once, as `memory` */
	for (int reg = 0; reg < (group ? 8 : 1); reg++) {
		bool by_rm = false;

		form.reg = (u8)reg;
		for (int rm = 1; rm < 8 && !form.memory; rm++) {
			probe(f, &form, reg, rm, &q);
			by_rm |= !same_insn(&q, &p[reg]);
		}
		for (int rm = 0; rm < (by_rm ? 8 : 1); rm++) {
			probe(f, &form, reg, rm, &q);
			if (q.ok && prefix_matters(f, &form, &q))
				add(f, form, group ? reg : ANY_REG, by_rm ? rm : ANY_REG);
		}
	}
}

/* Asked about with ModRM.rm 0 Zydis does not know them, and three different registers they need too: AVX2's gathers. */
static void add_gathers(struct forms *f)
{
	for (int opcode = 0x90; host_has(ZYDIS_ISA_EXT_AVX2GATHER) && opcode <= 0x93; opcode++)
		for (int v = 0; v < 4; v++)
			add(f, (struct form){ .map = MAP_VEX2, .opcode = (u8)opcode, .prefix = 1, .modrm = true, .memory = true, .vsib = true,
			    .vex_w = v & 1, .vex_l = v >> 1 }, ANY_REG, 4);
}

void forms_init(struct forms *f, bool code16)
{
	static const u8 prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x0f };

	memset(f, 0, sizeof(*f));
	__builtin_cpu_init();
	ZydisDecoderInit(&f->decoder, code16 ? ZYDIS_MACHINE_MODE_LEGACY_16 : ZYDIS_MACHINE_MODE_LEGACY_32,
			 code16 ? ZYDIS_STACK_WIDTH_16 : ZYDIS_STACK_WIDTH_32);
	for (int map = MAP_ONE; map <= MAP_VEX3; map++)
		for (int opcode = 0; opcode < 256; opcode++)
			for (int v = 0; v < (map >= MAP_VEX1 ? 4 : 1); v++)
				for (int prefix = 0; prefix < (map >= MAP_VEX1 ? 4 : (int)PFX_COUNT); prefix++)
					for (int memory = 1; memory >= 0; memory--) {
						if (map == MAP_ONE && memchr(prefixes, opcode, sizeof(prefixes)))
							continue;
						if (map == MAP_0F && (opcode == 0x38 || opcode == 0x3a || opcode == 0x0f))
							continue;
						if (map == MAP_ONE && (opcode == 0xc4 || opcode == 0xc5))
							continue;	/* LES, LDS, VEX */
						try_opcode(f, (struct form){ .map = (u8)map, .opcode = (u8)opcode, .prefix = (u8)prefix,
							   .memory = memory, .vex_w = v & 1, .vex_l = v >> 1 });
					}
	add_gathers(f);
}

void forms_fini(struct forms *f)
{
	free(f->form);
}

/*
 * compare.c - says whether two outcomes of a case agree, and prints what differs.
 *
 * Not compared, because the architecture leaves it open:
 *     flags that an instruction of the sequence leaves undefined (Zydis' list of the SDM's), where they are not defined again;
 *     IF, IOPL and RF: the host's own;
 *     FOP, FIP, FDP and their selectors, in the state and where one instruction stores them: translated x87 code runs at host addresses;
 *     padding of the XSAVE image, XMM8 to XMM15 and their place in FXSAVE's (reserved outside 64-bit mode);
 *     which of two faults of one instruction is raised when both are of the last class of SDM vol. 3, table 6-2 (page fault, #GP or #SS of
 *     the operand, #BR, #MF, #XM), and which of CMPS' two page faults;
 *     what a faulting ENTER has written below ESP and a faulting store of 10 bytes before the second page or the limit, what a
 *     faulting POPA has popped, what a faulting MMX or conversion instruction did to the x87 tag word, TOP and MXCSR; which byte of
 *     an FPU image, or of ENTER's, PUSHA's and POPA's part of the stack CR2 names;
 *     whether MASKMOVQ and MASKMOVDQU fault on a page of which they write nothing;
 *     of a faulting gather, the elements from the first on that is not loaded (SDM vol. 2, VPGATHERDD: "individual elements closer
 *     to the MSB may or may not be completed"), and the bits below the sign of their masks.
 * Not compared, because vendors differ: instructions of vendor_specific(); the flags at a fault of a repeated CMPS or SCAS (Intel's
 * restore them, SDM vol. 2, REP; AMD's have those of the last element).
 * Not as the processor, and listed in docs/: an x87 store that an unmasked exception suppresses faults on its operand; a masked move
 * checks the segment's limit for the elements too that it leaves out.
 */
#include <string.h>
#include <Zydis/Zydis.h>
#include "tests/fuzz/insn/insn.h"
#include "translator/cpustate.h"

#define COMPARED_FLAGS (FL_ARITH | FL_DF | FL_TF | FL_NT | FL_AC | FL_ID)

static const char *const gpr_names[] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };

/* State components that the header calls initial hold no data. */
static void normalize_fpu(struct fpu_image *f)
{
	if (!(f->xstate_bv & 1)) {
		f->fcw = 0x37f;
		f->fsw = 0;
		f->ftw = 0;
		memset(f->st, 0, sizeof(f->st));
	}
	if (!(f->xstate_bv & 2))
		memset(f->xmm, 0, sizeof(f->xmm));
	if (!(f->xstate_bv & 4))
		memset(f->ymmh, 0, sizeof(f->ymmh));
}

static bool is_gather(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_VGATHERDPD: case ZYDIS_MNEMONIC_VGATHERDPS: case ZYDIS_MNEMONIC_VGATHERQPD: case ZYDIS_MNEMONIC_VGATHERQPS:
	case ZYDIS_MNEMONIC_VPGATHERDD: case ZYDIS_MNEMONIC_VPGATHERDQ: case ZYDIS_MNEMONIC_VPGATHERQD: case ZYDIS_MNEMONIC_VPGATHERQQ:
		return true;
	default:
		return false;
	}
}

/* Four bytes of a YMM register. */
static u8 *ymm_part(struct fpu_image *f, int reg, int part)
{
	return (part < 4 ? (u8 *)f->xmm[reg] : (u8 *)f->ymmh[reg]) + 4 * (part & 3);
}

/* Makes equal what a faulting gather may leave in either way. */
static void forgive_gather(const ZydisDecodedInstruction *insn, struct fpu_image *a, struct fpu_image *b)
{
	int dest = insn->raw.modrm.reg, mask = ~insn->raw.vex.vvvv & 7, parts = insn->raw.vex.W ? 2 : 1, first = 0;

	while (first < 8 && !(ymm_part(a, mask, first + parts - 1)[3] & 0x80) &&
	       !(ymm_part(b, mask, first + parts - 1)[3] & 0x80))
		first += parts;
	for (int i = first; i < 8; i++) {
		memset(ymm_part(a, mask, i), 0, 4);
		memset(ymm_part(b, mask, i), 0, 4);
		if (i >= first + parts) {
			memset(ymm_part(a, dest, i), 0, 4);
			memset(ymm_part(b, dest, i), 0, 4);
		}
	}
}

static bool fpu_same(const struct fpu_image *x, const struct fpu_image *y, const ZydisDecodedInstruction *gather)
{
	struct fpu_image a = *x, b = *y;

	normalize_fpu(&a);
	normalize_fpu(&b);
	if (gather)
		forgive_gather(gather, &a, &b);
	if (a.fcw != b.fcw || a.fsw != b.fsw || a.ftw != b.ftw || a.mxcsr != b.mxcsr)
		return false;
	for (int i = 0; i < 8; i++)
		if (memcmp(a.st[i].b, b.st[i].b, 10) || memcmp(a.xmm[i], b.xmm[i], 16) || memcmp(a.ymmh[i], b.ymmh[i], 16))
			return false;
	return true;
}

static bool in_fpu_env(const struct insn_case *c, u32 lin)
{
	for (int i = 0; i < c->units; i++) {
		const struct unit *u = &c->unit[i];
		u32 off = lin - u->fpu_env;

		if (off - u->env_skip < u->env_bytes)
			return true;
	}
	return false;
}

/* The instruction at which it stopped. */
static bool stopped_at(const struct insn_case *c, const struct outcome *o, ZydisDecodedInstruction *insn)
{
	ZydisDecoder d;

	ZydisDecoderInit(&d, c->code16 ? ZYDIS_MACHINE_MODE_LEGACY_16 : ZYDIS_MACHINE_MODE_LEGACY_32,
			 c->code16 ? ZYDIS_STACK_WIDTH_16 : ZYDIS_STACK_WIDTH_32);
	return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&d, NULL, o->at_eip, sizeof(o->at_eip), insn));
}

/* The instruction that faulted. False if both did not stop at the same one. */
static bool faulting(const struct insn_case *c, const struct outcome *n, const struct outcome *t, ZydisDecodedInstruction *insn)
{
	return n->vector >= 0 && t->vector >= 0 && n->r.eip == t->r.eip && stopped_at(c, n, insn);
}

static bool is_string_compare(ZydisMnemonic m)
{
	return m == ZYDIS_MNEMONIC_CMPSB || m == ZYDIS_MNEMONIC_CMPSW || m == ZYDIS_MNEMONIC_CMPSD;
}

static bool is_masked_move(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_MASKMOVQ: case ZYDIS_MNEMONIC_MASKMOVDQU: case ZYDIS_MNEMONIC_VMASKMOVDQU: case ZYDIS_MNEMONIC_VMASKMOVPS:
	case ZYDIS_MNEMONIC_VMASKMOVPD: case ZYDIS_MNEMONIC_VPMASKMOVD: case ZYDIS_MNEMONIC_VPMASKMOVQ:
		return true;
	default:
		return false;
	}
}

static bool is_fpu_image(ZydisMnemonic m)
{
	return m == ZYDIS_MNEMONIC_FXSAVE || m == ZYDIS_MNEMONIC_FXRSTOR || m == ZYDIS_MNEMONIC_FNSAVE || m == ZYDIS_MNEMONIC_FRSTOR ||
		m == ZYDIS_MNEMONIC_FNSTENV || m == ZYDIS_MNEMONIC_FLDENV;
}

/* Several pushes or pops, in an order of the processor's own. */
static bool is_multi_stack(ZydisMnemonic m)
{
	return m == ZYDIS_MNEMONIC_ENTER || m == ZYDIS_MNEMONIC_PUSHA || m == ZYDIS_MNEMONIC_PUSHAD || m == ZYDIS_MNEMONIC_POPA ||
		m == ZYDIS_MNEMONIC_POPAD;
}

static bool operand_fault(int vector)
{
	return vector == 5 || vector == 12 || vector == 13 || vector == 14 || vector == 16 || vector == 19;
}

static bool fault_same(const struct insn_case *c, const struct outcome *n, const struct outcome *t)
{
	ZydisDecodedInstruction insn;

	if (n->vector == -1 || t->vector == -1)
		return n->vector == t->vector && n->r.eip == t->r.eip;
	if (n->r.eip != t->r.eip)
		return false;
	if (n->vector != t->vector)
		return operand_fault(n->vector) && operand_fault(t->vector);
	if (n->vector != 14 || (n->address == t->address && n->error == t->error))
		return n->error == t->error;
	return faulting(c, n, t, &insn) && (is_multi_stack(insn.mnemonic) || is_fpu_image(insn.mnemonic) ||
					    (n->error == t->error && (is_string_compare(insn.mnemonic) || is_masked_move(insn.mnemonic))));
}

/* Undefined opcodes on some vendors' processors, which others run and so do we. */
static bool vendor_specific(const struct insn_case *c, const struct outcome *n)
{
	ZydisDecodedInstruction insn;

	if (n->vector != 6 || !stopped_at(c, n, &insn))
		return false;
	switch (insn.mnemonic) {
	case ZYDIS_MNEMONIC_NOP:	/* PREFETCHW's group with a register: Intel's do nothing (0F 0D: reserved NOP), AMD's do not know it */
		return insn.opcode_map == ZYDIS_OPCODE_MAP_0F && insn.opcode == 0x0d;
	case ZYDIS_MNEMONIC_VPINSRD: case ZYDIS_MNEMONIC_VPEXTRD: case ZYDIS_MNEMONIC_VPINSRQ: case ZYDIS_MNEMONIC_VPEXTRQ:
		return insn.raw.vex.W;	/* Intel's ignore W outside 64-bit mode (SDM vol. 2, VPINSRD), AMD's refuse it */
	default:
		return false;
	}
}

/* What a fault may have changed although the instruction is restarted. */
struct forgiven { bool fpu, stack, data, gpr, flags; };

static struct forgiven forgive(const struct insn_case *c, const struct outcome *n, const struct outcome *t)
{
	ZydisDecodedInstruction insn;
	struct forgiven f = { 0 };

	if (!faulting(c, n, t, &insn))
		return f;
	f.fpu = insn.meta.isa_ext == ZYDIS_ISA_EXT_MMX || insn.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ || insn.meta.isa_ext == ZYDIS_ISA_EXT_F16C ||
		insn.mnemonic == ZYDIS_MNEMONIC_MOVNTQ;
	f.data = insn.mnemonic == ZYDIS_MNEMONIC_FBSTP || insn.mnemonic == ZYDIS_MNEMONIC_FSTP || insn.mnemonic == ZYDIS_MNEMONIC_ENTER;
	f.stack = f.data;
	f.flags = insn.attributes & (ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
	f.gpr = insn.mnemonic == ZYDIS_MNEMONIC_POPA || insn.mnemonic == ZYDIS_MNEMONIC_POPAD;
	return f;
}

/* Translated, the operand is looked up before the instruction knows that it will not touch all of it. */
static bool needless_fault(const struct insn_case *c, const struct outcome *n, const struct outcome *t)
{
	ZydisDecodedInstruction insn;

	if (!operand_fault(t->vector) || !stopped_at(c, t, &insn))
		return false;
	if (t->address - NATIVE_AREA < 8192)	/* natively there is memory */
		return true;
	if (is_masked_move(insn.mnemonic) && (t->vector == 12 || t->vector == 13))
		return true;
	return (insn.meta.isa_ext == ZYDIS_ISA_EXT_X87 || insn.mnemonic == ZYDIS_MNEMONIC_FISTTP) && n->fpu.fsw & 0x80;
}

/* Linear address of the first difference in memory, 0 if there is none. */
static u32 memory_difference(const struct insn_case *c, const struct outcome *n, const struct outcome *t)
{
	struct forgiven f = forgive(c, n, t);

	if (!f.data && memcmp(n->data, t->data, sizeof(n->data)))
		for (u32 i = 0; i < sizeof(n->data); i++)
			if (n->data[i] != t->data[i] && !in_fpu_env(c, GUEST_DATA + i))
				return GUEST_DATA + i;
	if (!f.stack && memcmp(n->stack, t->stack, sizeof(n->stack)))
		for (u32 i = 0; i < sizeof(n->stack); i++)
			if (n->stack[i] != t->stack[i] && !in_fpu_env(c, GUEST_STACK + i))
				return GUEST_STACK + i;
	return 0;
}

/* Random code that has changed itself may have become anything, what other hosts or rings do otherwise too. */
static bool became_other_code(const struct insn_case *c, const struct outcome *n)
{
	u32 at = n->r.eip - c->in.eip, left = c->len - at;

	if (n->vector < 0 || at >= c->len)
		return n->vector >= 0 && at < c->len + END_LEN;
	return memcmp(n->at_eip, c->code + at, left < sizeof(n->at_eip) ? left : sizeof(n->at_eip));
}

/*
 * Whether MASKMOVQ and MASKMOVDQU look at pages where they write nothing is the processor's own (SDM vol. 2, MASKMOVDQU), and so
 * is whether an operand that wraps around at 4 GiB faults (SDM vol. 3, 5.3).
 */
static bool maskmov_fault(const struct insn_case *c, const struct outcome *n)
{
	ZydisDecodedInstruction insn;

	return n->vector >= 12 && n->vector <= 14 && stopped_at(c, n, &insn) && (insn.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ ||
							      insn.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU || insn.mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU);
}

bool outcome_same(const struct insn_case *c, const struct outcome *n, const struct outcome *t)
{
	u32 flags = COMPARED_FLAGS & ~c->undefined;
	struct forgiven f = forgive(c, n, t);
	ZydisDecodedInstruction insn;
	const ZydisDecodedInstruction *gather = faulting(c, n, t, &insn) && is_gather(insn.mnemonic) ? &insn : NULL;

	if (n->vector == OUT_TIMEOUT || n->vector == OUT_WEIRD || n->vector == 17)
		return true;
	if (needless_fault(c, n, t) || maskmov_fault(c, n) || vendor_specific(c, n) || became_other_code(c, n))
		return true;
	return fault_same(c, n, t) && (f.gpr || !memcmp(n->r.gpr, t->r.gpr, sizeof(n->r.gpr))) &&
		(f.flags || !((n->r.eflags ^ t->r.eflags) & flags)) &&
		(f.fpu || fpu_same(&n->fpu, &t->fpu, gather)) && !memory_difference(c, n, t);
}

void case_print(FILE *f, const struct insn_case *c)
{
	ZydisMachineMode mode = c->code16 ? ZYDIS_MACHINE_MODE_LEGACY_16 : ZYDIS_MACHINE_MODE_LEGACY_32;

	fprintf(f, "case %llu, %d-bit code, memory image %d\n", (unsigned long long)c->number, c->code16 ? 16 : 32, c->memory);
	for (u32 at = 0; at < c->len;) {
		ZydisDisassembledInstruction d;
		u32 len = 1;

		if (c->code[at] == 0x90 && at + 1 < c->len) {	/* what shrinking took out */
			at++;
			continue;
		}
		fprintf(f, "  %08x ", c->in.eip + at);
		if (ZYAN_SUCCESS(ZydisDisassembleIntel(mode, c->in.eip + at, c->code + at, c->len - at, &d)))
			len = d.info.length;
		for (u32 i = 0; i < 15; i++)
			fprintf(f, i < len ? "%02x" : "  ", i < len ? c->code[at + i] : 0);
		fprintf(f, " %s\n", len == 1 && !d.info.length ? "?" : d.text);
		at += len;
	}
	for (int i = 0; i < 8; i++)
		fprintf(f, "  %s %08x%s", gpr_names[i], c->in.gpr[i], i == 7 ? "" : " ");
	fprintf(f, "\n  eflags %08x fcw %04x fsw %04x ftw %02x mxcsr %04x\n", c->in.eflags, c->fpu.fcw, c->fpu.fsw, c->fpu.ftw, c->fpu.mxcsr);
}

static void print_end(FILE *f, const char *who, const struct outcome *o)
{
	fprintf(f, "  %-10s ", who);
	if (o->vector == -1)
		fprintf(f, "ran to the end, eip %08x\n", o->r.eip);
	else if (o->vector == OUT_TIMEOUT)
		fprintf(f, "did not end, eip %08x\n", o->r.eip);
	else if (o->vector == OUT_WEIRD)
		fprintf(f, "unexpected callout, eip %08x\n", o->r.eip);
	else
		fprintf(f, "vector %d error %x eip %08x%s%08x\n", o->vector, o->error, o->r.eip, o->vector == 14 ? " address " : " (cr2 ", o->address);
}

static void print_bytes(FILE *f, const u8 *p, int n)
{
	while (n--)
		fprintf(f, "%02x", p[n]);
}

static void print_fpu(FILE *f, const struct fpu_image *x, const struct fpu_image *y)
{
	struct fpu_image a = *x, b = *y;

	normalize_fpu(&a);
	normalize_fpu(&b);
	if (a.fcw != b.fcw || a.fsw != b.fsw || a.ftw != b.ftw || a.mxcsr != b.mxcsr)
		fprintf(f, "  fcw %04x/%04x fsw %04x/%04x ftw %02x/%02x mxcsr %04x/%04x\n", a.fcw, b.fcw, a.fsw, b.fsw, a.ftw, b.ftw, a.mxcsr, b.mxcsr);
	for (int i = 0; i < 8; i++) {
		struct { const char *name; const void *n, *t; int len; } v[] = {
			{ "st", a.st[i].b, b.st[i].b, 10 }, { "xmm", a.xmm[i], b.xmm[i], 16 }, { "ymm high ", a.ymmh[i], b.ymmh[i], 16 } };

		for (size_t k = 0; k < ARRAY_SIZE(v); k++) {
			if (!memcmp(v[k].n, v[k].t, (size_t)v[k].len))
				continue;
			fprintf(f, "  %s%d ", v[k].name, i);
			print_bytes(f, v[k].n, v[k].len);
			fprintf(f, " / ");
			print_bytes(f, v[k].t, v[k].len);
			fprintf(f, "\n");
		}
	}
}

void outcome_print(FILE *f, const struct insn_case *c, const struct outcome *n, const struct outcome *t)
{
	u32 flags = (n->r.eflags ^ t->r.eflags) & COMPARED_FLAGS & ~c->undefined, lin = memory_difference(c, n, t);

	print_end(f, "native", n);
	print_end(f, "translated", t);
	for (int i = 0; i < 8; i++)
		if (n->r.gpr[i] != t->r.gpr[i])
			fprintf(f, "  %s: native %08x translated %08x\n", gpr_names[i], n->r.gpr[i], t->r.gpr[i]);
	if (flags)
		fprintf(f, "  eflags: native %08x translated %08x, differing %08x\n", n->r.eflags, t->r.eflags, flags);
	print_fpu(f, &n->fpu, &t->fpu);
	if (lin) {
		u32 off = lin >= GUEST_STACK ? lin - GUEST_STACK : lin - GUEST_DATA;
		u32 size = lin >= GUEST_STACK ? sizeof(n->stack) : sizeof(n->data);
		const u8 *a = (lin >= GUEST_STACK ? n->stack : n->data), *b = (lin >= GUEST_STACK ? t->stack : t->data);

		fprintf(f, "  memory at %08x: native", lin);
		for (u32 i = off; i < size && i < off + 16; i++)
			fprintf(f, " %02x", a[i]);
		fprintf(f, "  translated");
		for (u32 i = off; i < size && i < off + 16; i++)
			fprintf(f, " %02x", b[i]);
		fprintf(f, "\n");
	}
}

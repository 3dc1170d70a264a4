/*
 * test_emit.c - every form of the emitter, over all registers, addressing modes and immediates that change the encoding: decoded
 * by Zydis, which must find one instruction of exactly these bytes with the mnemonic, operands, sizes and displacement meant.
 */
/* objs: translator/emit.o monitor/lib/bug.o */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <Zydis/Zydis.h>
#include "translator/emit.h"

struct bench {
	ZydisDecoder dec;
	u8 buf[64];
	struct emit e;
	ZydisDecodedInstruction i;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

#define M(x) ZYDIS_MNEMONIC_##x

static const s32 disps[] = { 0, 1, -1, 127, 128, -128, -129, 0x7fffffff, -0x7fffffff - 1 };
static const s32 imms[] = { 0, 1, -1, 127, 128, -128, -129, 0x12345678, 0x7fffffff, -0x7fffffff - 1 };

static struct emit *begin(struct bench *b)
{
	b->e = (struct emit){ .p = b->buf, .end = b->buf + sizeof b->buf };
	return &b->e;
}

/* What was emitted since begin() must be one instruction. */
static void decode(struct bench *b, ZydisMnemonic m)
{
	size_t n = b->e.p - b->buf;

	assert_false(b->e.full);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&b->dec, b->buf, n, &b->i, b->op)))
		fail_msg("not an instruction: %zu bytes, %02x %02x %02x %02x", n, b->buf[0], b->buf[1], b->buf[2], b->buf[3]);
	assert_int_equal(b->i.length, n);
	if (b->i.mnemonic != m)
		fail_msg("%s instead of %s", ZydisMnemonicGetString(b->i.mnemonic), ZydisMnemonicGetString(m));
}

static ZydisRegister reg_of(int bytes, int n)
{
	switch (bytes) {
	case 1: return ZydisRegisterEncode(ZYDIS_REGCLASS_GPR8, n < 4 ? n : n + 4);	/* AH CH DH BH are numbers 4 to 7 there */
	case 2: return ZydisRegisterEncode(ZYDIS_REGCLASS_GPR16, n);
	case 4: return ZydisRegisterEncode(ZYDIS_REGCLASS_GPR32, n);
	default: return ZydisRegisterEncode(ZYDIS_REGCLASS_GPR64, n);
	}
}

static void want_reg(const struct bench *b, int k, int bytes, int n)
{
	assert_int_equal(b->op[k].type, ZYDIS_OPERAND_TYPE_REGISTER);
	if (b->op[k].reg.value != reg_of(bytes, n))
		fail_msg("%s: operand %d is %s instead of %s", ZydisMnemonicGetString(b->i.mnemonic), k,
			 ZydisRegisterGetString(b->op[k].reg.value), ZydisRegisterGetString(reg_of(bytes, n)));
}

static void want_mem(const struct bench *b, int k, int bytes, struct hmem m)
{
	const ZydisDecodedOperandMem *z = &b->op[k].mem;

	assert_int_equal(b->op[k].type, ZYDIS_OPERAND_TYPE_MEMORY);
	if (z->type == ZYDIS_MEMOP_TYPE_MEM)
		assert_int_equal(b->op[k].size, bytes * 8);
	assert_int_equal(z->base, m.base < 0 ? ZYDIS_REGISTER_NONE : reg_of(8, m.base));
	assert_int_equal(z->index, m.index < 0 ? ZYDIS_REGISTER_NONE : reg_of(8, m.index));
	if (m.index >= 0)
		assert_int_equal(z->scale, m.scale);
	assert_int_equal(z->disp.has_displacement ? z->disp.value : 0, m.disp);
	assert_int_equal(b->i.address_width, 64);
}

static void want_imm(const struct bench *b, int k, s64 value)
{
	assert_int_equal(b->op[k].type, ZYDIS_OPERAND_TYPE_IMMEDIATE);
	assert_int_equal(b->op[k].imm.value.s, value);
}

static struct bench *bench(void **state) { return *state; }

/* Calls fn with every addressing mode: all bases, indices, scales, and displacements at the borders between encodings. */
static void each_hmem(struct bench *b, void (*fn)(struct bench *b, struct hmem m))
{
	for (int base = 0; base < 16; base++)
		for (u32 d = 0; d < ARRAY_SIZE(disps); d++) {
			fn(b, HM(base, disps[d]));
			for (int index = 0; index < 16; index++)
				for (int scale = 1; scale <= 8 && index != RSP; scale *= 2)
					fn(b, HMX(base, index, scale, disps[d]));
		}
}

static void moves_with(struct bench *b, struct hmem m)
{
	for (int r = 0; r < 16; r++)
		for (int w = 0; w < 2; w++) {
			int bytes = w ? 8 : 4;

			em_load(begin(b), w, r, m);
			decode(b, M(MOV));
			want_reg(b, 0, bytes, r);
			want_mem(b, 1, bytes, m);
			em_store(begin(b), w, m, r);
			decode(b, M(MOV));
			want_mem(b, 0, bytes, m);
			want_reg(b, 1, bytes, r);
			em_lea(begin(b), w, r, m);
			decode(b, M(LEA));
			want_reg(b, 0, bytes, r);
			want_mem(b, 1, bytes, m);
		}
}

static void narrow_stores_with(struct bench *b, struct hmem m)
{
	for (int r = 0; r < 16; r++) {
		em_store16(begin(b), m, r);
		decode(b, M(MOV));
		want_mem(b, 0, 2, m);
		want_reg(b, 1, 2, r);
		em_store8(begin(b), m, r);
		decode(b, M(MOV));
		want_mem(b, 0, 1, m);
		want_reg(b, 1, 1, r);
		em_rm(begin(b), 0, 0x0fb6, r, m);
		decode(b, M(MOVZX));
		want_reg(b, 0, 4, r);
		want_mem(b, 1, 1, m);
		em_rm(begin(b), 1, 0x0fbf, r, m);
		decode(b, M(MOVSX));
		want_reg(b, 0, 8, r);
		want_mem(b, 1, 2, m);
	}
}

static void immediates_with(struct bench *b, struct hmem m)
{
	for (u32 k = 0; k < ARRAY_SIZE(imms); k++) {
		s32 v = imms[k];

		for (int w = 0; w < 2; w++) {
			em_store_i32(begin(b), w, m, v);
			decode(b, M(MOV));
			want_mem(b, 0, w ? 8 : 4, m);
			want_imm(b, 1, v);
		}
		em_store_i16(begin(b), m, v);
		decode(b, M(MOV));
		want_mem(b, 0, 2, m);
		assert_int_equal((u16)b->op[1].imm.value.u, (u16)v);
		em_store_i8(begin(b), m, v);
		decode(b, M(MOV));
		want_mem(b, 0, 1, m);
		assert_int_equal((u8)b->op[1].imm.value.u, (u8)v);
		em_alu_mi8(begin(b), 7, m, v);
		decode(b, M(CMP));
		want_mem(b, 0, 1, m);
		assert_int_equal((u8)b->op[1].imm.value.u, (u8)v);
	}
	em_jmp_mem(begin(b), m);
	decode(b, M(JMP));
	want_mem(b, 0, 8, m);
	em_call_mem(begin(b), m);
	decode(b, M(CALL));
	want_mem(b, 0, 8, m);
}

static void memory_moves(void **state)      { each_hmem(bench(state), moves_with); }
static void memory_narrow(void **state)     { each_hmem(bench(state), narrow_stores_with); }
static void memory_immediates(void **state) { each_hmem(bench(state), immediates_with); }

static void lea_index(void **state)
{
	struct bench *b = bench(state);

	for (int dst = 0; dst < 16; dst++)
		for (int index = 0; index < 16; index++)
			for (int scale = 1; scale <= 8 && index != RSP; scale *= 2)
				for (u32 d = 0; d < ARRAY_SIZE(disps); d++) {
					em_lea_index(begin(b), dst, index, scale, disps[d]);
					decode(b, M(LEA));
					want_reg(b, 0, 4, dst);
					want_mem(b, 1, 4, HMX(-1, index, scale, disps[d]));
				}
}

static void two_registers(void **state)
{
	static const struct { u32 opcode; ZydisMnemonic m; bool rm_first; } ops[] = {
		{ 0x8b, M(MOV), false }, { 0x89, M(MOV), true }, { 0x03, M(ADD), false }, { 0x0b, M(OR), false }, { 0x85, M(TEST), true },
		{ 0x0faf, M(IMUL), false }, { 0x0f42, M(CMOVB), false }, { 0x0fbc, M(BSF), false },
	};
	struct bench *b = bench(state);

	for (int reg = 0; reg < 16; reg++)
		for (int rm = 0; rm < 16; rm++)
			for (int w = 0; w < 2; w++) {
				int bytes = w ? 8 : 4;

				for (u32 k = 0; k < ARRAY_SIZE(ops); k++) {
					em_rr(begin(b), w, ops[k].opcode, reg, rm);
					decode(b, ops[k].m);
					want_reg(b, ops[k].rm_first, bytes, reg);
					want_reg(b, !ops[k].rm_first, bytes, rm);
				}
				em_mov_rr(begin(b), w, reg, rm);
				decode(b, M(MOV));
				want_reg(b, 0, bytes, reg);
				want_reg(b, 1, bytes, rm);
			}
}

static void narrow_registers(void **state)
{
	struct bench *b = bench(state);

	for (int reg = 0; reg < 16; reg++)
		for (int rm = 0; rm < 16; rm++) {
			em_rr8(begin(b), 0x8a, reg, rm);
			decode(b, M(MOV));
			want_reg(b, 0, 1, reg);
			want_reg(b, 1, 1, rm);
			em_movzx8(begin(b), reg, rm);
			decode(b, M(MOVZX));
			want_reg(b, 0, 4, reg);
			want_reg(b, 1, 1, rm);
			em_movzx16(begin(b), reg, rm);
			decode(b, M(MOVZX));
			want_reg(b, 0, 4, reg);
			want_reg(b, 1, 2, rm);
			em_movsx16(begin(b), reg, rm);
			decode(b, M(MOVSX));
			want_reg(b, 0, 4, reg);
			want_reg(b, 1, 2, rm);
			em_rr8(begin(b), 0x0f92, 0, rm);
			decode(b, M(SETB));
			want_reg(b, 0, 1, rm);
		}
}

static void register_immediates(void **state)
{
	static const ZydisMnemonic alu[8] = { M(ADD), M(OR), M(ADC), M(SBB), M(AND), M(SUB), M(XOR), M(CMP) };
	static const ZydisMnemonic shift[8] = { [4] = M(SHL), [5] = M(SHR), [7] = M(SAR) };
	struct bench *b = bench(state);

	for (int r = 0; r < 16; r++)
		for (int w = 0; w < 2; w++) {
			int bytes = w ? 8 : 4;

			for (int op = 0; op < 8; op++)
				for (u32 k = 0; k < ARRAY_SIZE(imms); k++) {
					em_alu_ri(begin(b), w, op, r, imms[k]);
					decode(b, alu[op]);
					want_reg(b, 0, bytes, r);
					want_imm(b, 1, imms[k]);
					assert_true(imms[k] < -128 || imms[k] > 127 || b->i.length <= 4);
				}
			for (int ext = 4; ext < 8; ext++)
				for (int n = 1; n < 32 && ext != 6; n++) {
					em_shift_ri(begin(b), w, ext, r, n);
					decode(b, shift[ext]);
					want_reg(b, 0, bytes, r);
					want_imm(b, 1, n);
				}
			em_not(begin(b), w, r);
			decode(b, M(NOT));
			want_reg(b, 0, bytes, r);
		}
}

/* The register's whole value counts, whatever form was chosen; no form may be longer than it need be. */
static void mov_ri(void **state)
{
	static const struct { u64 v; int bytes; } rows[] = {
		{ 0, 5 }, { 1, 5 }, { 0x7fffffff, 5 }, { 0x80000000, 5 }, { 0xffffffff, 5 }, { 0x100000000, 10 }, { ~0ull, 7 }, { -0x80000000ull, 7 },
		{ -0x80000001ull, 10 }, { 0x8000000000000000, 10 }, { 0x123456789abcdef0, 10 }, { 0x7fffffffffffffff, 10 },
	};
	struct bench *b = bench(state);

	for (int r = 0; r < 16; r++)
		for (u32 k = 0; k < ARRAY_SIZE(rows); k++) {
			bool wide;

			em_mov_ri(begin(b), r, rows[k].v);
			decode(b, M(MOV));
			wide = b->op[0].size == 64;
			want_reg(b, 0, wide ? 8 : 4, r);
			assert_int_equal(b->op[1].type, ZYDIS_OPERAND_TYPE_IMMEDIATE);
			assert_int_equal(wide ? b->op[1].imm.value.u : (u32)b->op[1].imm.value.u, rows[k].v);
			assert_int_equal(b->i.length, rows[k].bytes + (rows[k].bytes == 5 && r >= 8));
		}
}

static void bmi2(void **state)
{
	static const struct { void (*fn)(struct emit *e, int w, int dst, int src, int third); ZydisMnemonic m; } ops[] = {
		{ em_shrx, M(SHRX) }, { em_sarx, M(SARX) }, { em_shlx, M(SHLX) }, { em_pext, M(PEXT) }, { em_pdep, M(PDEP) },
	};
	struct bench *b = bench(state);

	for (int dst = 0; dst < 16; dst++)
		for (int src = 0; src < 16; src++)
			for (int w = 0; w < 2; w++) {
				for (u32 k = 0; k < ARRAY_SIZE(ops); k++)
					for (int third = 0; third < 16; third++) {
						ops[k].fn(begin(b), w, dst, src, third);
						decode(b, ops[k].m);
						want_reg(b, 0, w ? 8 : 4, dst);
						want_reg(b, 1, w ? 8 : 4, src);
						want_reg(b, 2, w ? 8 : 4, third);
					}
				em_rorx(begin(b), w, dst, src, 27);
				decode(b, M(RORX));
				want_reg(b, 0, w ? 8 : 4, dst);
				want_reg(b, 1, w ? 8 : 4, src);
				want_imm(b, 2, 27);
			}
}

static void pext_with_mask_in_memory(void **state)
{
	struct bench *b = bench(state);

	for (int dst = 0; dst < 16; dst++)
		for (int src = 0; src < 16; src++)
			for (int base = 0; base < 16; base++)
				for (u32 d = 0; d < ARRAY_SIZE(disps); d++) {
					em_pext_mem(begin(b), dst, src, HM(base, disps[d]));
					decode(b, M(PEXT));
					want_reg(b, 0, 4, dst);
					want_reg(b, 1, 4, src);
					want_mem(b, 2, 4, HM(base, disps[d]));
				}
}

static void single_register(void **state)
{
	struct bench *b = bench(state);

	for (int r = 0; r < 16; r++) {
		em_push(begin(b), r);
		decode(b, M(PUSH));
		want_reg(b, 0, 8, r);
		em_pop(begin(b), r);
		decode(b, M(POP));
		want_reg(b, 0, 8, r);
		em_jmp_reg(begin(b), r);
		decode(b, M(JMP));
		want_reg(b, 0, 8, r);
	}
}

static void no_operands(void **state)
{
	static const struct { void (*fn)(struct emit *e); ZydisMnemonic m; } ops[] = {
		{ em_pushfq, M(PUSHFQ) }, { em_popfq, M(POPFQ) }, { em_ret, M(RET) }, { em_lahf, M(LAHF) }, { em_sahf, M(SAHF) },
	};
	struct bench *b = bench(state);

	for (u32 k = 0; k < ARRAY_SIZE(ops); k++) {
		ops[k].fn(begin(b));
		decode(b, ops[k].m);
	}
}

static const ZydisMnemonic jcc[16] = {
	M(JO), M(JNO), M(JB), M(JNB), M(JZ), M(JNZ), M(JBE), M(JNBE), M(JS), M(JNS), M(JP), M(JNP), M(JL), M(JNL), M(JLE), M(JNLE),
};

static void want_target(const struct bench *b, const void *to)
{
	ZyanU64 at;

	assert_true(ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&b->i, &b->op[0], (ZyanU64)(uintptr_t)b->buf, &at)));
	assert_int_equal(at, (u64)(uintptr_t)to);
}

/* Jumps of 32 bits: to a target, and patched to another. */
static void near_jumps(void **state)
{
	struct bench *b = bench(state);
	const u8 *to[] = { b->buf - 0x123456, b->buf, b->buf + 0x7fffff00, b->buf - 0x7fffff00 };
	u8 *at;

	for (u32 k = 0; k < ARRAY_SIZE(to); k++) {
		at = em_jmp(begin(b), to[k]);
		decode(b, M(JMP));
		want_target(b, to[k]);
		assert_ptr_equal(at, b->buf + 1);
		em_patch(at, to[k ^ 1]);
		decode(b, M(JMP));
		want_target(b, to[k ^ 1]);
		em_call(begin(b), to[k]);
		decode(b, M(CALL));
		want_target(b, to[k]);
		for (int cc = 0; cc < 16; cc++) {
			at = em_jcc(begin(b), cc, to[k]);
			decode(b, jcc[cc]);
			want_target(b, to[k]);
			assert_ptr_equal(at, b->buf + 2);
		}
	}
	em_jmp(begin(b), NULL);
	decode(b, M(JMP));
	want_target(b, b->buf + 5);
}

static void short_jump_lands(struct bench *b, u8 *disp, ZydisMnemonic m)
{
	u8 *end = b->e.p;

	for (int k = 0; k < 37; k++)
		em8(&b->e, 0x90);
	em_here8(&b->e, disp);
	b->e.p = end;
	decode(b, m);
	want_target(b, end + 37);
}

static void short_jumps(void **state)
{
	struct bench *b = bench(state);

	for (int cc = 0; cc < 16; cc++)
		short_jump_lands(b, em_jcc8(begin(b), cc), jcc[cc]);
	short_jump_lands(b, em_jmp8(begin(b)), M(JMP));
	short_jump_lands(b, em_jrcxz(begin(b)), M(JRCXZ));
	short_jump_lands(b, em_jecxz(begin(b)), M(JECXZ));
}

/* A buffer that is too small says so, and nothing behind its end is written. */
static void overflow(void **state)
{
	struct bench *b = bench(state);

	for (u32 room = 0; room <= 10; room++) {
		memset(b->buf, 0x55, sizeof b->buf);
		b->e = (struct emit){ .p = b->buf, .end = b->buf + room };
		em_mov_ri(&b->e, R15, 0x123456789abcdef0);
		assert_int_equal(b->e.full, room < 10);
		assert_true(b->e.p <= b->e.end);
		for (u32 k = room; k < sizeof b->buf; k++)
			assert_int_equal(b->buf[k], 0x55);
		memset(b->buf, 0x55, sizeof b->buf);
		b->e = (struct emit){ .p = b->buf, .end = b->buf + room };
		em_jcc(&b->e, CC_G, b->buf);
		assert_int_equal(b->e.full, room < 6);
		for (u32 k = room; k < sizeof b->buf; k++)
			assert_int_equal(b->buf[k], 0x55);
	}
}

static int setup(void **state)
{
	static struct bench b;

	*state = &b;
	return !ZYAN_SUCCESS(ZydisDecoderInit(&b.dec, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_moves), cmocka_unit_test(memory_narrow), cmocka_unit_test(memory_immediates), cmocka_unit_test(lea_index),
		cmocka_unit_test(two_registers), cmocka_unit_test(narrow_registers), cmocka_unit_test(register_immediates),
		cmocka_unit_test(mov_ri), cmocka_unit_test(bmi2), cmocka_unit_test(pext_with_mask_in_memory), cmocka_unit_test(single_register),
		cmocka_unit_test(no_operands), cmocka_unit_test(near_jumps), cmocka_unit_test(short_jumps), cmocka_unit_test(overflow),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

/*
 * image.c - what both runners share: how memory looks at the start of a case, and the bytes of its end.
 */
#include <string.h>
#include "tests/fuzz/insn/insn.h"
#include "tests/fuzz/insn/prng.h"

void outcome_code(const struct insn_case *c, struct outcome *out, const u8 *code_pages)
{
	u32 at = out->r.eip - (c->in.eip - c->at);

	memset(out->at_eip, CODE_FILL, sizeof(out->at_eip));
	if (at <= CODE_PAGES * 4096 - sizeof(out->at_eip))
		memcpy(out->at_eip, code_pages + at, sizeof(out->at_eip));
}

/* jmp far END_SELECTOR:END_TARGET with a 32-bit offset, which 16-bit code needs a prefix for. */
void case_end(const struct insn_case *c, u8 *out)
{
	u32 target = END_TARGET;
	u16 sel = END_SELECTOR;

	if (c->code16)
		*out++ = 0x66;
	*out++ = 0xea;
	memcpy(out, &target, 4);
	memcpy(out + 4, &sel, 2);
}

/* Values at which instructions change their minds, as bytes of every kind of number. */
static void put_value(struct prng *r, u8 *p)
{
	static const u64 doubles[] = { 0, 1ull << 63, 0x3ff0000000000000, 0x7ff0000000000000, 0xfff8000000000000, 0x7ff0000000000001,
		0x0000000000000001, 0x43e0000000000000, 0xc1e0000000000000, 0x40590ccccccccccd };
	static const u32 floats[] = { 0, 0x80000000, 0x3f800000, 0x7f800000, 0xffc00000, 0x7f800001, 1, 0x4f000000, 0x42c86666 };
	u64 v;

	switch (prng_below(r, 6)) {
	case 0: v = doubles[prng_below(r, ARRAY_SIZE(doubles))]; break;
	case 1: v = floats[prng_below(r, ARRAY_SIZE(floats))] | (u64)floats[prng_below(r, ARRAY_SIZE(floats))] << 32; break;
	case 2: v = prng_edge32(r) | (u64)prng_edge32(r) << 32; break;
	default: v = prng_next(r);
	}
	memcpy(p, &v, 8);
}

/* Images 0 to 5 are mixed; in 6 every doubleword is small (selectors, counts, MXCSR without reserved bits); 7 has runs of equal bytes
 * for the string instructions. On the stacks TF and AC stay clear, or every POPF would end its case. */
void memory_image(int n, u8 *data, u8 *stack)
{
	struct prng r;

	prng_init(&r, 0x1357, (u64)n);
	for (u32 i = 0; i < DATA_PAGES * 4096; i += 8)
		put_value(&r, data + i);
	for (u32 i = 0; i < STACK_PAGES * 4096; i += 4) {
		u32 v = (u32)prng_next(&r) & ~(1u << 8 | 1u << 18);

		memcpy(stack + i, &v, 4);
	}
	for (u32 i = 0; n == 6 && i < DATA_PAGES * 4096; i += 4) {
		u32 v = prng_below(&r, 3) ? prng_below(&r, 0x8000) : 0;

		memcpy(data + i, &v, 4);
	}
	for (u32 i = 0; n == 7 && i < DATA_PAGES * 4096; i += 64)
		memset(data + i, prng_below(&r, 8) ? 0 : 0xff, 64);
}

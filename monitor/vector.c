/*
 * vector.c - vector instructions that touch memory element by element: AVX2 gathers, and masked moves whose operand is not one
 * present page of RAM.
 *
 * The guest's vector registers are in cs->fpu, in the layout of FXSAVE with XSAVE's header and AVX component behind it (SDM vol. 1, 13.4).
 * An element whose mask bit is clear is not touched, so it cannot fault (SDM vol. 2, VMASKMOV, MASKMOVDQU, VPGATHERDD). A gather
 * writes each element, and clears its mask, as soon as it is loaded: after a fault it goes on where it stopped. A masked move is
 * all or nothing.
 */
#include "monitor/callouts.h"
#include "monitor/segment.h"

enum { FPU_ST = 32, FPU_XMM = 160, FPU_XSTATE_BV = 512, FPU_YMMH = 576, XSTATE_SSE_AVX = 6, VEC_BYTES = 32 };
enum { SEG_LINEAR = 7 };	/* as segment number: the address is linear, its segment was checked */

/* Byte `at` of a YMM register. Elements do not cross its halves. */
static u8 *vec_byte(struct cpu_state *cs, u32 reg, u32 at)
{
	return cs->fpu + (at < 16 ? FPU_XMM + 16 * reg + at : FPU_YMMH + 16 * reg + at - 16);
}

static void vec_clear(struct cpu_state *cs, u32 reg, u32 from)
{
	for (u32 at = from; at < VEC_BYTES; at++)
		*vec_byte(cs, reg, at) = 0;
}

/* Its registers are written: they are no longer in the initial state, whatever the header says. */
static void vec_touched(struct cpu_state *cs) { cs->fpu[FPU_XSTATE_BV] |= XSTATE_SSE_AVX; }

static gla_t element_address(struct cpu_state *cs, u32 seg, u32 off, u32 size, bool write)
{
	if (seg == SEG_LINEAR)
		return off;
	seg_check(cs, (int)seg, off, size, write);
	return (u32)(cs->seg[seg].base + off);
}

/* --- gathers --- */
/* Each element becomes all ones or zero, as its top bit says, and what is behind them zero: a fault finds the mask so. */
static void mask_extend(struct cpu_state *cs, u32 mask, u32 esize, u32 bytes)
{
	for (u32 at = 0; at < bytes; at += esize)
		memset(vec_byte(cs, mask, at), *vec_byte(cs, mask, at + esize - 1) & 0x80 ? 0xff : 0, esize);
	vec_clear(cs, mask, bytes);
}

void callout_GATHER(struct cpu_state *cs, u32 arg)
{
	u32 dst = arg & 15, mask = arg >> 4 & 15, index = arg >> 8 & 15, scale = arg >> 12 & 3, seg = arg >> 16 & 7;
	u32 isize = arg & 1 << 20 ? 8 : 4, esize = arg & 1 << 21 ? 8 : 4, bytes = arg & 1 << 22 ? 32 : 16;
	u32 count = bytes / (isize > esize ? isize : esize);

	if (dst == mask || dst == index || mask == index)
		cpu_raise(cs, VEC_UD, TR_NO_ERR);
	vec_touched(cs);
	mask_extend(cs, mask, esize, bytes);
	for (u32 k = 0; k < count; k++) {
		u8 *m = vec_byte(cs, mask, k * esize);
		u32 off;

		if (!(m[esize - 1] & 0x80))
			continue;
		/* The sum is cut to 32 bits, so that the upper half of a long index does not count, nor the sign of a short one. */
		off = (u32)cs->op[0] + ((u32)host_load(vec_byte(cs, index, k * isize), 4) << scale);
		host_store(vec_byte(cs, dst, k * esize), acc_read(cs, element_address(cs, seg, off, esize, false), (int)esize, acc_cpl(cs)), (int)esize);
		memset(m, 0, esize);
		vec_clear(cs, dst, bytes);	/* as every write of a VEX-coded instruction */
	}
	vec_clear(cs, dst, count * esize);
	vec_clear(cs, mask, 0);
}

/* --- masked moves --- */
struct masked {
	u32 reg, mask, esize, bytes, seg;
	bool mmx;
};

static u8 *masked_byte(struct cpu_state *cs, const struct masked *m, u32 reg, u32 at)
{
	return m->mmx ? cs->fpu + FPU_ST + 16 * reg + at : vec_byte(cs, reg, at);
}

static bool selected(struct cpu_state *cs, const struct masked *m, u32 at)
{
	return *masked_byte(cs, m, m->mask, at + m->esize - 1) & 0x80;
}

static void masked_load(struct cpu_state *cs, const struct masked *m)
{
	u8 value[VEC_BYTES] = { 0 };

	for (u32 at = 0; at < m->bytes; at += m->esize)
		if (selected(cs, m, at)) {
			gla_t lin = element_address(cs, m->seg, (u32)cs->op[0] + at, m->esize, false);

			host_store(value + at, acc_read(cs, lin, (int)m->esize, acc_cpl(cs)), (int)m->esize);
		}
	vec_touched(cs);
	for (u32 at = 0; at < VEC_BYTES; at++)
		*vec_byte(cs, m->reg, at) = value[at];
}

static void masked_store(struct cpu_state *cs, const struct masked *m)
{
	gla_t lin[VEC_BYTES];

	for (u32 at = 0; at < m->bytes; at += m->esize)
		if (selected(cs, m, at)) {
			lin[at] = element_address(cs, m->seg, (u32)cs->op[0] + at, m->esize, true);
			acc_probe_write(cs, lin[at], m->esize, acc_cpl(cs));
		}
	for (u32 at = 0; at < m->bytes; at += m->esize)
		if (selected(cs, m, at))
			acc_write(cs, lin[at], host_load(masked_byte(cs, m, m->reg, at), (int)m->esize), (int)m->esize, acc_cpl(cs));
}

void callout_MASKED_MOVE(struct cpu_state *cs, u32 arg)
{
	struct masked m = {
		.reg = arg & 15, .mask = arg >> 4 & 15, .esize = arg >> 8 & 15, .bytes = arg >> 12 & 63, .seg = arg >> 20 & 7,
		.mmx = arg & 1 << 25,
	};

	if (arg & 1 << 24)
		masked_store(cs, &m);
	else
		masked_load(cs, &m);
}

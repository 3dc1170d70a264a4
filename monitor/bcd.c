/*
 * bcd.c - instructions that 64-bit hosts no longer have: DAA DAS AAA AAS AAM AAD, and ENTER with a nesting level.
 *
 * Flags as in the SDM's operation sections; those it calls undefined are what Intel processors since the P6 produce:
 * AAA and AAS: SF ZF PF of AL, OF clear; DAA and DAS: OF clear; AAM and AAD: CF AF OF clear.
 */
#include "monitor/callouts.h"
#include "monitor/segment.h"

static u32 flags_of_byte(u8 v)
{
	return (v ? 0 : FL_ZF) | (v & 0x80 ? FL_SF : 0) | (__builtin_parity(v) ? 0 : FL_PF);
}

static void put_al(struct cpu_state *cs, u8 al) { cs->gpr[R_EAX] = (gpr32(cs, R_EAX) & ~0xffu) | al; }
static void put_ax(struct cpu_state *cs, u32 ax) { gpr_put(cs, R_EAX, ax, 2); }

/* DAA (sign +1) and DAS (sign -1) are mirror images, but for the carry of the low digit's correction, which only DAS keeps. */
static void decimal_adjust(struct cpu_state *cs, int sign)
{
	u8 old = (u8)cs->gpr[R_EAX], al = old;
	bool low = (old & 15) > 9 || (cs->cc & FL_AF), high = old > 0x99 || (cs->cc & FL_CF);
	bool cf = high || (sign < 0 && low && old < 6);

	if (low)
		al = (u8)(al + sign * 6);
	if (high)
		al = (u8)(al + sign * 0x60);
	put_al(cs, al);
	cs->cc = flags_of_byte(al) | (low ? FL_AF : 0) | (cf ? FL_CF : 0);
}

void callout_DAA(struct cpu_state *cs, u32 arg) { decimal_adjust(cs, 1); }
void callout_DAS(struct cpu_state *cs, u32 arg) { decimal_adjust(cs, -1); }

static void ascii_adjust(struct cpu_state *cs, int delta)
{
	u32 ax = cs->gpr[R_EAX] & 0xffff;
	bool adjust = (ax & 15) > 9 || (cs->cc & FL_AF);

	if (adjust)
		ax += (u32)delta;
	put_ax(cs, ax & 0xff0f);
	cs->cc = flags_of_byte(ax & 15) | (adjust ? FL_AF | FL_CF : 0);
}

void callout_AAA(struct cpu_state *cs, u32 arg) { ascii_adjust(cs, 0x106); }
void callout_AAS(struct cpu_state *cs, u32 arg) { ascii_adjust(cs, -0x106); }

void callout_AAM(struct cpu_state *cs, u32 arg)
{
	u32 al = cs->gpr[R_EAX] & 0xff, base = arg & 0xff;

	if (!base)
		cpu_raise(cs, VEC_DE, TR_NO_ERR);
	put_ax(cs, al / base << 8 | al % base);
	cs->cc = flags_of_byte((u8)(al % base));
}

void callout_AAD(struct cpu_state *cs, u32 arg)
{
	u32 ax = cs->gpr[R_EAX] & 0xffff;
	u8 al = (u8)(ax + (ax >> 8) * (arg & 0xff));

	put_ax(cs, al);
	cs->cc = flags_of_byte(al);
}

/* Offset of the i-th outer frame's pointer, below EBP. */
static u32 display(u32 ebp, u32 i, u32 size, u32 mask) { return (ebp - i * size) & mask; }

void callout_ENTER(struct cpu_state *cs, u32 arg)
{
	u32 size = arg & 15, level = arg >> 8 & 31, ebp = gpr32(cs, R_EBP), frame_ptr;
	struct stack st = stack_current(cs), end;

	for (u32 i = 1; i < level; i++) {	/* everything that can fault comes first */
		seg_check(cs, S_SS, display(ebp, i, size, st.mask), size, false);
		acc_read(cs, st.ss->base + display(ebp, i, size, st.mask), (int)size, st.acc);
	}
	if (!stack_prepare(cs, &st, level + 1, size))
		cpu_raise(cs, VEC_SS, 0);
	end = st;
	stack_move(&end, -((level + 1) * size) - (u32)(cs->op[0] & 0xffff));
	if (!seg_in_limit(st.ss, end.sp & end.mask, size))
		cpu_raise(cs, VEC_SS, 0);
	acc_probe_write(cs, st.ss->base + (end.sp & end.mask), size, st.acc);

	stack_push(cs, &st, ebp, size);
	frame_ptr = st.sp;
	for (u32 i = 1; i < level; i++)		/* read one by one: the new frame may lie over the old ones */
		stack_push(cs, &st, (u32)acc_read(cs, st.ss->base + display(ebp, i, size, st.mask), (int)size, st.acc), size);
	if (level)
		stack_push(cs, &st, frame_ptr, size);
	gpr_put(cs, R_EBP, frame_ptr, size);
	cs->gpr[R_ESP] = end.sp;
}

/*
 * string.c - string instructions with REP, INS and OUTS.
 *
 * The work goes in runs: elements that lie in one page of plain RAM, inside the segment's limit and without a wrap of the offset, are
 * handled through host pointers; everything else (page crossings, devices, pages with code) goes one element at a time.
 * After each run ECX, ESI and EDI are written back, so that a fault finds them exact. One call does a bounded amount of
 * work and comes out early when something is waiting; then cs->rip stays at the instruction.
 */
#include "monitor/bus.h"
#include "monitor/callouts.h"
#include "monitor/io.h"
#include "monitor/segment.h"
#include "monitor/watch.h"

enum { CALL_BUDGET = 65536, SLOW_COST = 64 };	/* bytes a call; what a slow element counts for */
enum { USES_SI = 1, USES_DI = 2 };
enum { REP_NONE, REP_E, REP_NE };

struct string {
	u32 size, amask;
	s32 step;		/* +size or -size */
	int acc, seg, rep;
	bool stop;		/* CMPS, SCAS: the condition ended the loop */
	bool slow;		/* the last step took the slow way */
	u32 left, right;	/* CMPS, SCAS: what was compared last */
};
/* Does 1 to `want` elements and returns how many. */
typedef u32 step_fn(struct cpu_state *cs, struct string *s, u32 want);

static u32 min32(u32 a, u32 b) { return a < b ? a : b; }

static void reg_move(struct cpu_state *cs, int reg, u32 amask, u32 by)
{
	cs->gpr[reg] = (gpr32(cs, reg) & ~amask) | ((gpr32(cs, reg) + by) & amask);
}

/* What holds for the first element holds for all: they are `size` apart. */
static void check_aligned(struct cpu_state *cs, const struct string *s, u32 uses)
{
	if (uses & USES_SI)
		acc_check_aligned(cs, cs->seg[s->seg].base + (gpr32(cs, R_ESI) & s->amask), s->size, s->acc);
	if (uses & USES_DI)
		acc_check_aligned(cs, cs->seg[S_ES].base + (gpr32(cs, R_EDI) & s->amask), s->size, s->acc);
}

static void string_run(struct cpu_state *cs, u32 arg, step_fn *step, u32 uses, bool compares)
{
	struct string s = {
		.size = arg & 15, .amask = (arg >> 4 & 15) == 2 ? 0xffff : 0xffffffff, .seg = arg >> 12 & 7, .rep = arg >> 8 & 3,
		.step = cs->df < 0 ? -(s32)(arg & 15) : (s32)(arg & 15), .acc = acc_cpl(cs),
	};
	u32 count = s.rep ? gpr32(cs, R_ECX) & s.amask : 1, done;
	s32 budget = cs->eflags_sys & FL_TF ? 1 : CALL_BUDGET;	/* single-step sees every iteration */
	bool any = count;

	if (count)
		check_aligned(cs, &s, uses);
	while (count) {
		done = step(cs, &s, min32(count, ((u32)budget + s.size - 1) / s.size));
		if (uses & USES_SI)
			reg_move(cs, R_ESI, s.amask, (u32)(s.step * (s32)done));
		if (uses & USES_DI)
			reg_move(cs, R_EDI, s.amask, (u32)(s.step * (s32)done));
		if (s.rep)
			reg_move(cs, R_ECX, s.amask, -done);
		count -= done;
		budget -= (s32)(done * s.size) + (s.slow ? SLOW_COST : 0);
		if (s.stop || budget <= 0 || !__atomic_load_n(&cs->go, __ATOMIC_RELAXED))
			break;
	}
	if (compares && any) {
		u32 bits = 8 * s.size, a = s.left, b = s.right, r = a - b, sign = 1u << (bits - 1);
		u32 mask = bits == 32 ? ~0u : (1u << bits) - 1;

		cs->cc = (a < b ? FL_CF : 0) | (__builtin_parity(r & 0xff) ? 0 : FL_PF) | ((a ^ b ^ r) & FL_AF) | (r & mask ? 0 : FL_ZF) |
			 (r & sign ? FL_SF : 0) | ((a ^ b) & (a ^ r) & sign ? FL_OF : 0);
	}
	if (!count || s.stop) {
		cs->rip = cs->next_rip;
		cs->eflags_sys &= ~(u32)FL_RF;
	} else {
		cs->eflags_sys |= FL_RF;	/* a breakpoint on the instruction stands before its first iteration only (SDM vol. 3, 17.3.1.1) */
	}
}

/* How many elements from `off` on, in the direction of DF, lie in one page, below `lim1` and without a wrap; 0: the next one needs care. */
static u32 run_length(const struct string *s, const struct cpu_seg *seg, u64 lim1, u32 off, u32 want)
{
	u32 in_page = (u32)(seg->base + off) & PAGE_MASK;
	u64 end = lim1 < (u64)s->amask + 1 ? lim1 : (u64)s->amask + 1, n;

	if ((u64)off + s->size > end || in_page + s->size > PAGE_SIZE)
		return 0;
	if (s->step > 0) {
		n = (PAGE_SIZE - in_page) / s->size;
		if (n > (end - off) / s->size)
			n = (end - off) / s->size;
	} else {
		n = in_page / s->size + 1;
		if (n > off / s->size + 1)
			n = off / s->size + 1;
	}
	return min32((u32)n, want);
}

static u8 *host_for_read(struct cpu_state *cs, const struct string *s, gla_t lin)
{
	u8 *p = acc_table_read(cs, lin, s->acc);

	return likely(p) ? p : mmu_host(cs, (u32)lin, s->acc | ACC_READ);
}

static u8 *host_for_write(struct cpu_state *cs, const struct string *s, gla_t lin)
{
	u8 *p = acc_table_write(cs, lin, s->acc);

	return likely(p) ? p : mmu_host(cs, (u32)lin, s->acc | ACC_WRITE);
}

static u32 src_off(const struct cpu_state *cs, const struct string *s) { return gpr32(cs, R_ESI) & s->amask; }
static u32 dst_off(const struct cpu_state *cs, const struct string *s) { return gpr32(cs, R_EDI) & s->amask; }

/* One element by the slow way, with all checks. */
static u32 read_one(struct cpu_state *cs, struct string *s, int seg, u32 off)
{
	s->slow = true;
	seg_check(cs, seg, off, s->size, false);
	return (u32)acc_read(cs, cs->seg[seg].base + off, (int)s->size, s->acc);
}

static void write_one(struct cpu_state *cs, struct string *s, u32 off, u32 value)
{
	s->slow = true;
	seg_check(cs, S_ES, off, s->size, true);
	acc_write(cs, cs->seg[S_ES].base + off, value, (int)s->size, s->acc);
}

/* --- MOVS --- */
static void copy_elements(u8 *dst, const u8 *src, s32 step, u32 size, u32 n)
{
	for (u32 i = 0; i < n; i++, dst += step, src += step)
		host_store(dst, host_load(src, (int)size), (int)size);
}

/* What an element loop from dst, src (the first elements) in the direction of `step` leaves, also when the two overlap. */
static void copy_run(u8 *dst, const u8 *src, s32 step, u32 size, u32 n)
{
	u32 len = n * size, dist;

	if (step < 0) {
		const u8 *lo_src = src - (len - size);
		u8 *lo_dst = dst - (len - size);

		if (lo_dst >= lo_src || lo_dst + len <= lo_src)
			memmove(lo_dst, lo_src, len);
		else
			copy_elements(dst, src, step, size, n);
		return;
	}
	if (dst <= src || src + len <= dst) {
		if (len <= 16)
			copy_elements(dst, src, step, size, n);
		else
			memmove(dst, src, len);
		return;
	}
	dist = (u32)(dst - src);
	if (dist < size || dist % size) {
		copy_elements(dst, src, step, size, n);
		return;
	}
	for (u32 done = 0, chunk = dist; done < len; done += chunk, chunk *= 2)	/* replicates the first `dist` bytes */
		memcpy(dst + done, src, min32(chunk, len - done));
}

static u32 movs_step(struct cpu_state *cs, struct string *s, u32 want)
{
	const struct cpu_seg *from = &cs->seg[s->seg], *to = &cs->seg[S_ES];
	u32 so = src_off(cs, s), dof = dst_off(cs, s), value;
	u32 n = run_length(s, to, to->wlim1, dof, run_length(s, from, from->rlim1, so, want));
	u8 *src = n ? host_for_read(cs, s, from->base + so) : NULL, *dst = src ? host_for_write(cs, s, to->base + dof) : NULL;

	if (likely(dst)) {
		s->slow = false;
		copy_run(dst, src, s->step, s->size, n);
		return n;
	}
	value = read_one(cs, s, s->seg, so);
	write_one(cs, s, dof, value);
	return 1;
}

/* --- STOS, LODS --- */
static void fill_run(u8 *p, u32 value, u32 size, u32 n)
{
	if (size == 1) {
		memset(p, (int)value, n);
	} else if (size == 2) {
		for (u32 i = 0; i < n; i++)
			host_store(p + 2 * i, value, 2);
	} else {
		u64 two = value | (u64)value << 32;
		u32 i = 0;

		for (; i + 2 <= n; i += 2)
			host_store(p + 4 * i, two, 8);
		if (i < n)
			host_store(p + 4 * i, value, 4);
	}
}

static u32 stos_step(struct cpu_state *cs, struct string *s, u32 want)
{
	const struct cpu_seg *to = &cs->seg[S_ES];
	u32 off = dst_off(cs, s), n = run_length(s, to, to->wlim1, off, want);
	u8 *p = n ? host_for_write(cs, s, to->base + off) : NULL;

	if (likely(p)) {
		s->slow = false;
		fill_run(s->step > 0 ? p : p - (n - 1) * s->size, gpr32(cs, R_EAX), s->size, n);
		return n;
	}
	write_one(cs, s, off, gpr32(cs, R_EAX));
	return 1;
}

static void put_acc(struct cpu_state *cs, u32 value, u32 size)
{
	if (size == 1)
		cs->gpr[R_EAX] = (gpr32(cs, R_EAX) & ~0xffu) | (value & 0xff);
	else
		gpr_put(cs, R_EAX, value, size);
}

static u32 lods_step(struct cpu_state *cs, struct string *s, u32 want)
{
	const struct cpu_seg *from = &cs->seg[s->seg];
	u32 off = src_off(cs, s), n = run_length(s, from, from->rlim1, off, want);
	u8 *p = n ? host_for_read(cs, s, from->base + off) : NULL;

	if (likely(p)) {	/* only the last element is seen */
		s->slow = false;
		put_acc(cs, (u32)host_load(p + s->step * (s32)(n - 1), (int)s->size), s->size);
		return n;
	}
	put_acc(cs, read_one(cs, s, s->seg, off), s->size);
	return 1;
}

/*
 * --- REP MOVS and REP STOS at once: forward, all of the elements at each end in one page of plain RAM and inside the limit ---
 * Kernels copy the saved registers so at every entry, and clear small structures.
 */

/* Bytes of such an instruction, or 0. */
static u32 quick_length(const struct cpu_state *cs, u32 arg)
{
	u64 len = (u64)gpr32(cs, R_ECX) * (arg & 15);
	bool rep = arg >> 8 & 3, wide = (arg >> 4 & 15) == 4;

	return rep && wide && cs->df > 0 && !(cs->eflags_sys & FL_TF) && len <= PAGE_SIZE ? (u32)len : 0;
}

static u8 *quick_operand(struct cpu_state *cs, int seg, u32 off, u32 len, bool write)
{
	const struct cpu_seg *s = &cs->seg[seg];
	gla_t lin = s->base + off;

	if ((u64)off + len > (write ? s->wlim1 : s->rlim1) || !acc_in_page(lin, len))
		return NULL;
	return write ? acc_table_write(cs, lin, acc_cpl(cs)) : acc_table_read(cs, lin, acc_cpl(cs));
}

static void copy_small(u8 *dst, const u8 *src, u32 len)
{
	u32 k = 0;

	for (; k + 8 <= len; k += 8)
		host_store(dst + k, host_load(src + k, 8), 8);
	for (; k < len; k++)
		dst[k] = src[k];
}

static bool movs_quick(struct cpu_state *cs, u32 arg)
{
	u32 len = quick_length(cs, arg);
	u8 *src = len ? quick_operand(cs, arg >> 12 & 7, gpr32(cs, R_ESI), len, false) : NULL;
	u8 *dst = src ? quick_operand(cs, S_ES, gpr32(cs, R_EDI), len, true) : NULL;

	if (!dst || (u64)(dst - src) + len - 1 < 2 * (u64)len - 1)	/* they overlap */
		return false;
	if (len <= 128)
		copy_small(dst, src, len);
	else
		memcpy(dst, src, len);
	cs->gpr[R_ESI] = gpr32(cs, R_ESI) + len;
	cs->gpr[R_EDI] = gpr32(cs, R_EDI) + len;
	cs->gpr[R_ECX] = 0;
	cs->rip = cs->next_rip;
	return true;
}

static bool stos_quick(struct cpu_state *cs, u32 arg)
{
	u32 len = quick_length(cs, arg);
	u8 *dst = len ? quick_operand(cs, S_ES, gpr32(cs, R_EDI), len, true) : NULL;

	if (!dst)
		return false;
	fill_run(dst, gpr32(cs, R_EAX), arg & 15, gpr32(cs, R_ECX));
	cs->gpr[R_EDI] = gpr32(cs, R_EDI) + len;
	cs->gpr[R_ECX] = 0;
	cs->rip = cs->next_rip;
	return true;
}

/* --- CMPS, SCAS --- */
static bool ends(const struct string *s, u32 left, u32 right)
{
	return s->rep == REP_E ? left != right : s->rep == REP_NE ? left == right : false;
}

static u32 compared(struct string *s, u32 n, u32 left, u32 right)
{
	s->left = left;
	s->right = right;
	s->stop = ends(s, left, right);
	return n;
}

/* Compares up to n element pairs; returns how many, the last of which may have ended the loop. */
static u32 compare_run(struct string *s, const u8 *a, const u8 *b, u32 n)
{
	u32 i = 0, left = 0, right = 0;
	int size = (int)s->size;

	if (s->rep == REP_E && s->step > 0) {	/* skip what is equal, but leave the last element to the loop */
		u32 bytes = (n - 1) * s->size, k = 0;

		while (k + 8 <= bytes && host_load(a + k, 8) == host_load(b + k, 8))
			k += 8;
		i = k / s->size;
	}
	for (; i < n; i++) {
		left = (u32)host_load(a + (s64)s->step * i, size);
		right = (u32)host_load(b + (s64)s->step * i, size);
		if (ends(s, left, right)) {
			i++;
			break;
		}
	}
	return compared(s, i, left, right);
}

static u32 cmps_step(struct cpu_state *cs, struct string *s, u32 want)
{
	const struct cpu_seg *from = &cs->seg[s->seg], *to = &cs->seg[S_ES];
	u32 so = src_off(cs, s), dof = dst_off(cs, s), left, right;
	u32 n = run_length(s, to, to->rlim1, dof, run_length(s, from, from->rlim1, so, want));
	u8 *a = n ? host_for_read(cs, s, from->base + so) : NULL, *b = a ? host_for_read(cs, s, to->base + dof) : NULL;

	if (likely(b)) {
		s->slow = false;
		return compare_run(s, a, b, n);
	}
	left = read_one(cs, s, s->seg, so);
	right = read_one(cs, s, S_ES, dof);
	return compared(s, 1, left, right);
}

static u32 scan_run(struct string *s, u32 value, const u8 *p, u32 n)
{
	u32 i = 0, right = value;

	if (s->rep == REP_NE && s->step == 1) {
		const u8 *hit = memchr(p, (int)value, n);

		i = hit ? (u32)(hit - p) + 1 : n;
		return compared(s, i, value, p[i - 1]);
	}
	while (i < n) {
		right = (u32)host_load(p + (s64)s->step * i++, (int)s->size);
		if (ends(s, value, right))
			break;
	}
	return compared(s, i, value, right);
}

static u32 scas_step(struct cpu_state *cs, struct string *s, u32 want)
{
	const struct cpu_seg *to = &cs->seg[S_ES];
	u32 off = dst_off(cs, s), n = run_length(s, to, to->rlim1, off, want);
	u32 value = gpr32(cs, R_EAX) & (s->size == 4 ? ~0u : (1u << 8 * s->size) - 1);
	u8 *p = n ? host_for_read(cs, s, to->base + off) : NULL;

	if (likely(p)) {
		s->slow = false;
		return scan_run(s, value, p, n);
	}
	return compared(s, 1, value, read_one(cs, s, S_ES, off));
}

/*
 * --- INS, OUTS: the memory side is checked before the port is touched ---
 * Ports with a stream (bus.h) move a run at once, if nobody waits for the access with a breakpoint.
 */

static bool may_stream(struct cpu_state *cs, const struct string *s)
{
	return s->step > 0 && !(cs->eflags_sys & FL_TF) && !watch_io(cs, cs->gpr[R_EDX] & 0xffff, s->size);
}

static u32 ins_step(struct cpu_state *cs, struct string *s, u32 want)
{
	const struct cpu_seg *to = &cs->seg[S_ES];
	u32 off = dst_off(cs, s), value, done;
	gla_t lin = to->base + off;
	u32 n = may_stream(cs, s) ? run_length(s, to, to->wlim1, off, want) : 0;
	u8 *p = n > 1 ? host_for_write(cs, s, lin) : NULL;

	done = p ? bus_stream_read(vcpu_of(cs)->vm, (u16)cs->gpr[R_EDX], p, (int)s->size, n) : 0;
	if (done) {
		s->slow = false;
		return done;
	}
	s->slow = true;
	seg_check(cs, S_ES, off, s->size, true);
	acc_probe_write(cs, lin, s->size, s->acc);
	value = bus_io_read(vcpu_of(cs)->vm, (u16)cs->gpr[R_EDX], (int)s->size);
	acc_write(cs, lin, value, (int)s->size, s->acc);
	watch_hit(cs, watch_io(cs, cs->gpr[R_EDX] & 0xffff, s->size));
	return 1;
}

static u32 outs_step(struct cpu_state *cs, struct string *s, u32 want)
{
	const struct cpu_seg *from = &cs->seg[s->seg];
	u32 off = src_off(cs, s), value, done;
	u32 n = may_stream(cs, s) ? run_length(s, from, from->rlim1, off, want) : 0;
	u8 *p = n > 1 ? host_for_read(cs, s, from->base + off) : NULL;

	done = p ? bus_stream_write(vcpu_of(cs)->vm, (u16)cs->gpr[R_EDX], p, (int)s->size, n) : 0;
	if (done) {
		s->slow = false;
		return done;
	}
	value = read_one(cs, s, s->seg, off);
	bus_io_write(vcpu_of(cs)->vm, (u16)cs->gpr[R_EDX], value, (int)s->size);
	watch_hit(cs, watch_io(cs, cs->gpr[R_EDX] & 0xffff, s->size));
	return 1;
}

void callout_INS(struct cpu_state *cs, u32 arg)
{
	io_check(cs, cs->gpr[R_EDX] & 0xffff, arg & 15);
	string_run(cs, arg, ins_step, USES_DI, false);
}

void callout_OUTS(struct cpu_state *cs, u32 arg)
{
	io_check(cs, cs->gpr[R_EDX] & 0xffff, arg & 15);
	string_run(cs, arg, outs_step, USES_SI, false);
}

void callout_REP_MOVS(struct cpu_state *cs, u32 arg)
{
	if (!movs_quick(cs, arg))
		string_run(cs, arg, movs_step, USES_SI | USES_DI, false);
}

void callout_REP_STOS(struct cpu_state *cs, u32 arg)
{
	if (!stos_quick(cs, arg))
		string_run(cs, arg, stos_step, USES_DI, false);
}

void callout_REP_LODS(struct cpu_state *cs, u32 arg) { string_run(cs, arg, lods_step, USES_SI, false); }
void callout_REP_CMPS(struct cpu_state *cs, u32 arg) { string_run(cs, arg, cmps_step, USES_SI | USES_DI, true); }
void callout_REP_SCAS(struct cpu_state *cs, u32 arg) { string_run(cs, arg, scas_step, USES_DI, true); }

/*
 * memop.c - guest memory operands: effective address, segment, virtual TLB look-up, and the cold stubs behind them.
 *
 * A look-up leaves the flags alone and ends with the operand at [r8 + rcx]. Of 4 bytes:
 *
 *     lea   r8d, [guest address]              mem_offset()
 *     pext  r9d, r8d, [0xfffff003]            mem_begin(): page * 4 + low two bits (vtlb.h)
 *     mov   rcx, [r13 + r9 * 8 (+ VTLB_WRITE)]
 *     jrcxz cold                              not in the table, or misaligned
 *
 * The cold stub of a misaligned access first looks whether it really crosses a page (stub mis_*), inline and without C. Operands of
 * more than 4 bytes, which compilers align less strictly, look that up at once:
 *
 *     lea   rcx, [r8 + size - 1]
 *     shrx  rcx, rcx, r14                     (r14's low bits are 12, see regs.h)
 *     shrx  r9d, r8d, r14d
 *     lea   r9, [r9 + r9 * 2]
 *     lea   r9, [r9 + rcx]                    3 * first page + last page: slot 1, always empty, if it crosses
 *
 * 64-bit guests have a hashed table (vtlb.h), where one comparison also tells a page crossing:
 *
 *     pext  r9d, r8d, [VTLB_LONG_INDEX]
 *     lea   r9d, [r9 * 2]
 *     mov   rcx, [r13 + r9 * 8]               tag
 *     lea   rcx, [rcx + r8 + size - 1]
 *     shrx  rcx, rcx, r14
 *     jrcxz hit; jmp cold
 *     hit:  mov rcx, [r13 + r9 * 8 + 8]
 *
 * JRCXZ reaches 127 bytes only, so it goes to a JMP to the cold stub nearby: in one of a few slots before the block's body, or in
 * an island at its end or, when that is too far, jumped over in the middle. A cold stub asks the monitor for the delta and comes back,
 * or, for a write, repeats the access itself and then commits what landed in the bounce buffer.
 */
#include "translator/rules.h"

/* --- short jumps to cold stubs --- */

static void island_flush(struct tctx *t)
{
	struct emit *e = &t->e;
	u8 *over = t->ended ? NULL : em_jmp8(e);

	for (int k = 0; k < t->nfix; k++) {
		struct cold *c = &t->cold[t->fix[k].cold];

		em_here8(e, t->fix[k].disp);
		for (int j = k + 1; j < t->nfix;) {	/* others that go to the same stub */
			if (t->fix[j].cold == t->fix[k].cold) {
				em_here8(e, t->fix[j].disp);
				memmove(&t->fix[j], &t->fix[j + 1], (t->nfix - j - 1) * sizeof t->fix[0]);
				t->nfix--;
			} else {
				j++;
			}
		}
		bug_on(c->njumps == ARRAY_SIZE(c->jumps), "too many jumps into a cold stub");
		c->jumps[c->njumps++] = em_jmp(e, NULL);
	}
	t->nfix = 0;
	if (over)
		em_here8(e, over);
}

void cold_room(struct tctx *t, int bytes)
{
	if (t->nfix && t->e.p + bytes + 5 * t->nfix + 8 > t->fix[0].disp + 120)
		island_flush(t);
}

/* Jumps near the block's start can use the slots before it, which cost the straight path nothing. */
static bool early_slot(struct tctx *t, u8 *disp, int cold)
{
	u8 *slot = t->b->body - EARLY_SLOTS * JMP_BYTES;
	int k = 0;

	while (k < t->nearly && t->early[k] != cold)
		k++;
	slot += k * JMP_BYTES;
	if (k == EARLY_SLOTS || disp + 1 - slot > 128 || t->e.full)
		return false;
	if (k == t->nearly) {
		struct emit at = { .p = slot, .end = slot + JMP_BYTES };

		t->early[t->nearly++] = cold;
		t->cold[cold].jumps[t->cold[cold].njumps++] = em_jmp(&at, NULL);
	}
	*disp = (u8)(slot - (disp + 1));
	return true;
}

void short_jump(struct tctx *t, u8 *disp, int cold)
{
	if (early_slot(t, disp, cold))
		return;
	bug_on(t->nfix == MAX_FIX, "short jump table full");
	t->fix[t->nfix++] = (struct fix){ disp, cold };
}

int cold_new(struct tctx *t, int kind, u32 info)
{
	struct cold *c;

	if (t->ncold == MAX_COLD) {
		t->failed = true;
		t->ncold--;
	}
	c = &t->cold[t->ncold];
	memset(c, 0, sizeof *c);
	c->kind = kind;
	c->insn = t->cur;
	c->info = info;
	c->fpu = t->fpu_checked;
	return t->ncold++;
}

int cold_exit(struct tctx *t, u8 *stub, u64 rip)
{
	int n = cold_new(t, COLD_EXIT, 0);

	t->cold[n].target = stub;
	t->cold[n].rip = rip;
	return n;
}

/*
 * r9 = index of the slot for `size` bytes at r8 that may be misaligned: 3 * first page + last page, which is slot 0 of the page,
 * or, if the bytes cross into the next, the empty slot 1. Clobbers rcx.
 */
void mem_index(struct emit *e, u32 size)
{
	em_lea(e, 1, RCX, HM(R8, size - 1));
	em_shrx(e, 1, RCX, RCX, HOST_STATE);
	em_shrx(e, 0, R9, R8, HOST_STATE);
	em_lea(e, 1, R9, HMX(R9, R9, 2, 0));
	em_lea(e, 1, R9, HMX(R9, RCX, 1, 0));
}

/* --- addresses --- */

/* In 64-bit code: base and index may be homed in memory, an address may be relative to the next instruction. */
static void mem_offset_long(struct tctx *t, const struct insn *i)
{
	struct emit *e = &t->e;
	int w = i->adsize == 8, base, index;
	u64 disp = i->rip_rel ? i->eip + i->len + i->disp : (u64)i->disp;

	if (i->base < 0) {
		em_mov_ri(e, R8, w ? disp : (u32)disp);
		if (i->index < 0)
			return;
	}
	base = i->base < 0 ? R8 : gpr_borrow(t, i->base, R8);
	index = i->index < 0 ? -1 : gpr_borrow(t, i->index, R9);
	em_lea(e, w, R8, HMX(base, index, i->scale, i->base < 0 ? 0 : (s32)i->disp));
}

void mem_offset(struct tctx *t, const struct insn *i)
{
	struct emit *e = &t->e;
	int base, index;

	if (is_long(t)) {
		mem_offset_long(t, i);
		return;
	}
	base = i->base >= 0 ? gpr_host(t, i->base) : -1;
	index = i->index >= 0 ? gpr_host(t, i->index) : -1;
	if (base < 0 && index < 0) {
		em_mov_ri(e, R8, i->adsize == 2 ? (u16)i->disp : (u32)i->disp);
		return;
	}
	if (base < 0) {
		em_lea_index(e, R8, index, i->scale, i->disp);
	} else if (index < 0 && !i->disp) {
		em_mov_rr(e, 0, R8, base);
	} else {
		em_lea(e, 0, R8, HMX(base, index, i->scale, (s32)i->disp));
	}
	if (i->adsize == 2)
		em_movzx16(e, R8, R8);
}

static struct hmem seg_field(int seg, size_t field)
{
	return ST_OFF(offsetof(struct cpu_state, seg) + seg * sizeof(struct cpu_seg) + field);
}

void mem_segment(struct tctx *t, int seg, u32 size, u32 access)
{
	struct emit *e = &t->e;
	enum seg_kind kind = mk_seg(t->mk, seg);
	int cold;

	cold_room(t, 60);
	if (seg == S_CS && (access & MEM_WRITE) && (t->mk & (MK_PE | MK_V86 | MK_LONG)) == MK_PE)
		kind = SEG_CHECKED;	/* code segments are never writable in protected mode: wlim1 is 0 */
	if (kind == SEG_CHECKED) {
		/* ecx = 0 if offset + size > limit, in 64 bits */
		cold = cold_new(t, COLD_SEG, size | seg << 16 | (access & MEM_WRITE ? 1u << 20 : 0));
		t->cold[cold].rip = t->insns[t->cur].eip;
		em_mov_rr(e, 1, RCX, R8);
		em_not(e, 1, RCX);
		em_load(e, 1, R9, seg_field(seg, access & MEM_WRITE ? offsetof(struct cpu_seg, wlim1) : offsetof(struct cpu_seg, rlim1)));
		em_lea(e, 1, RCX, HMX(RCX, R9, 1, 1 - (s32)size));
		em_rorx(e, 1, RCX, RCX, 32);
		em_not(e, 0, RCX);
		short_jump(t, em_jrcxz(e), cold);
		t->cold[cold].back = e->p;
	}
	if (kind != SEG_FLAT) {
		em_load(e, 1, R9, seg_field(seg, offsetof(struct cpu_seg, base)));
		em_lea(e, is_long(t), R8, HMX(R8, R9, 1, 0));
	}
}

/* --- look-up --- */

/* r9 = index of the table's slot. */
static void page_index(struct tctx *t, u32 size)
{
	struct emit *e = &t->e;

	switch (size) {
	case 4:
		em_pext_mem(e, R9, R8, ST(index_mask[1]));
		return;
	case 2:
		em_pext_mem(e, R9, R8, ST(index_mask[0]));
		em_lea(e, 0, R9, HMX(R9, R9, 1, 0));
		return;
	case 1:
		em_shrx(e, 0, R9, R8, HOST_STATE);
		em_lea_index(e, R9, R9, VTLB_SLOTS, 0);
		return;
	default:
		mem_index(e, size);
	}
}

/* The look-up of 64-bit guests; a miss jumps to cold stub h. */
static void look_up_long(struct tctx *t, int h, u32 size, u32 table)
{
	struct emit *e = &t->e;
	struct cold *c = &t->cold[h];
	u8 *hit;

	em_pext_mem(e, R9, R8, ST(index_mask_long));
	em_lea_index(e, R9, R9, 2, 0);
	em_load(e, 1, RCX, HMX(HOST_TABLE, R9, 8, table + offsetof(struct vtlb_entry, tag)));
	em_lea(e, 1, RCX, HMX(RCX, R8, 1, size - 1));
	em_shrx(e, 1, RCX, RCX, HOST_STATE);
	hit = em_jrcxz(e);
	c->jumps[c->njumps++] = em_jmp(e, NULL);
	em_here8(e, hit);
	em_load(e, 1, RCX, HMX(HOST_TABLE, R9, 8, table + offsetof(struct vtlb_entry, delta)));
}

int mem_begin(struct tctx *t, u32 size, u32 access)
{
	struct emit *e = &t->e;
	int h;

	cold_room(t, 90);
	h = cold_new(t, COLD_MEM, size | access);
	t->cold[h].rip = t->insns[t->cur].eip;
	if (t->mk & MK_ALIGN) {
		em_mov_ri(e, RCX, 0);
		short_jump(t, em_jrcxz(e), h);
	} else if (is_long(t)) {
		look_up_long(t, h, size, access & MEM_WRITE ? VTLB_LONG_WRITE : VTLB_LONG_READ);
	} else {
		page_index(t, size);
		em_load(e, 1, RCX, HMX(HOST_TABLE, R9, 8, access & MEM_WRITE ? VTLB_WRITE : VTLB_READ));
		short_jump(t, em_jrcxz(e), h);
	}
	t->cold[h].back = e->p;
	t->mem_op = HMX(R8, RCX, 1, 0);
	return h;
}

void mem_end(struct tctx *t, int h)
{
	struct cold *c = h >= 0 ? &t->cold[h] : NULL;

	if (c && c->info & MEM_WRITE) {
		c->op = c->back;
		c->op_end = t->e.p;
		c->back = t->e.p;
	}
}

void mem_long_body(struct tctx *t, int h)
{
	island_flush(t);
	if (h >= 0)
		t->cold[h].back = t->e.p;
}

void mem_end_callout(struct tctx *t, int h, enum callout_id id, u32 arg)
{
	struct cold *c = &t->cold[h];

	c->kind = COLD_CALLOUT;
	c->callout = id;
	c->arg = arg;
	c->target = t->e.p;
}

int mem_operand(struct tctx *t, const struct insn *i, u32 size, u32 access)
{
	if (i->base >= 0 && i->index < 0 && i->adsize == 4 && mk_seg(t->mk, i->seg) == SEG_FLAT &&
	    group_operand(t, i->base, i->disp, size, access & MEM_WRITE))
		return NO_LOOKUP;
	mem_offset(t, i);
	mem_segment(t, i->seg, size, access);
	return mem_begin(t, size, access);
}

/* MEM_OP into dst, zero-extended. */
static void load_zx(struct tctx *t, int dst, u32 size)
{
	em_rm(&t->e, size == 8, size == 1 ? 0x0fb6 : size == 2 ? 0x0fb7 : 0x8b, dst, MEM_OP);
}

void operand_load(struct tctx *t, int dst, const struct insn *i, u32 size)
{
	int h = mem_operand(t, i, size, MEM_READ);

	load_zx(t, dst, size);
	mem_end(t, h);
}

void mem_load(struct tctx *t, int dst, u32 size)
{
	int h = mem_begin(t, size, MEM_READ);

	load_zx(t, dst, size);
	mem_end(t, h);
}

void mem_store(struct tctx *t, int src, u32 size)
{
	int h = mem_begin(t, size, MEM_WRITE | MEM_MORE);

	if (size == 1)
		em_store8(&t->e, MEM_OP, src);
	else if (size == 2)
		em_store16(&t->e, MEM_OP, src);
	else
		em_store(&t->e, size == 8, MEM_OP, src);
	mem_end(t, h);
}

void mem_store_imm(struct tctx *t, u32 imm, u32 size)
{
	int h = mem_begin(t, size, MEM_WRITE | MEM_MORE);

	if (size == 1)
		em_store_i8(&t->e, MEM_OP, imm);
	else if (size == 2)
		em_store_i16(&t->e, MEM_OP, imm);
	else
		em_store_i32(&t->e, size == 8, MEM_OP, imm);
	mem_end(t, h);
}

/* --- the cold part of a block --- */

static void cold_map(struct tctx *t, int insn)
{
	if (t->nmap < (int)ARRAY_SIZE(t->map))
		t->map[t->nmap++] = (struct insn_map){ t->e.p - t->b->host, t->insns[insn].eip - t->insns[0].eip };
	else
		t->failed = true;
}

static u64 insn_end(const struct tctx *t, int n) { return t->insns[n].eip + t->insns[n].len; }

static void cold_mem(struct tctx *t, struct cold *c)
{
	struct emit *e = &t->e;
	u32 size = c->info & MEM_SIZE;
	u8 *no;

	if ((size == 2 || size == 4) && !(t->mk & (MK_ALIGN | MK_LONG))) {
		em_call(e, t->tr->stub.misaligned[size == 4][c->info & MEM_WRITE ? 1 : 0]);
		no = em_jrcxz(e);
		em_jmp(e, c->op ? c->op : c->back);
		em_here8(e, no);
	}
	store_rip(t, c->rip);
	em_mov_ri(e, RCX, c->info);
	em_call(e, t->tr->stub.mem);
	if (c->op) {
		for (u8 *p = c->op; p < c->op_end; p++)
			em8(e, *p);
		store_next(t, insn_end(t, c->insn));
		em_call(e, t->mk & MK_STEP ? t->tr->stub.commit_stay : t->tr->stub.commit);
	}
	em_jmp(e, c->back);
}

/* The group's page comes into the table, or the instruction runs alone. */
static void cold_group(struct tctx *t, struct cold *c)
{
	struct emit *e = &t->e;
	u8 *no;

	store_rip(t, c->rip);
	em_mov_ri(e, RCX, c->info);
	em_call(e, t->tr->stub.mem_try);
	no = em_jrcxz(e);
	em_jmp(e, c->back);
	em_here8(e, no);
	em_mov_ri(e, RCX, (u64)(uintptr_t)t->b);
	em_jmp(e, t->tr->stub.exit_group);
}

/* Callouts leave the FPU state in memory; the block's own code relies on it. */
static void cold_fpu(struct tctx *t, const struct cold *c)
{
	if (c->fpu)
		em_call(&t->e, t->tr->stub.fpu_load);
}

/* The operand's page comes into the table, or the callout does the instruction. */
static void cold_callout(struct tctx *t, struct cold *c)
{
	struct emit *e = &t->e;
	u8 *no;

	store_rip(t, c->rip);
	em_mov_ri(e, RCX, c->info);
	em_call(e, t->tr->stub.mem_try);
	no = em_jrcxz(e);
	em_jmp(e, c->back);
	em_here8(e, no);
	em_store(e, 1, ST(op[0]), R8);
	store_next(t, insn_end(t, c->insn));
	em_mov_ri(e, RCX, c->arg);
	em_call(e, t->tr->stub.callout[c->callout]);
	cold_fpu(t, c);
	em_jmp(e, c->target);
}

static void cold_seg(struct tctx *t, struct cold *c)
{
	struct emit *e = &t->e;

	em_store(e, 1, ST(scratch[6]), R8);
	em_store(e, 1, ST(op[0]), R8);
	store_rip(t, c->rip);
	store_next(t, insn_end(t, c->insn));
	em_mov_ri(e, RCX, c->info);
	em_call(e, t->tr->stub.callout[CO_SEG_FAULT]);
	cold_fpu(t, c);
	em_load(e, 1, R8, ST(scratch[6]));
	em_jmp(e, c->back);
}

/* Emits what is left of islands, and the cold stubs. The block's own code has ended. */
void cold_emit(struct tctx *t)
{
	struct emit *e = &t->e;

	t->ended = true;
	island_flush(t);
	for (int k = 0; k < t->ncold && !e->full; k++) {
		struct cold *c = &t->cold[k];

		for (int j = 0; j < c->njumps; j++)
			em_patch(c->jumps[j], e->p);
		cold_map(t, c->insn);
		switch (c->kind) {
		case COLD_MEM:
			cold_mem(t, c);
			break;
		case COLD_SEG:
			cold_seg(t, c);
			break;
		case COLD_FPU:
			em_call(e, t->tr->stub.fpu_load);
			em_jmp(e, c->back);
			break;
		case COLD_GROUP:
			cold_group(t, c);
			break;
		case COLD_CALLOUT:
			cold_callout(t, c);
			break;
		case COLD_EXIT:
			store_rip(t, c->rip);
			em_jmp(e, c->target);
			break;
		}
	}
}

void fpu_check(struct tctx *t)
{
	int c;

	if (t->fpu_checked)
		return;
	cold_room(t, 40);
	c = cold_new(t, COLD_FPU, 0);
	em_rm(&t->e, 0, 0x0fb6, RCX, ST(fpu_live));
	short_jump(t, em_jrcxz(&t->e), c);
	t->cold[c].back = t->e.p;
	t->fpu_checked = true;
}

/*
 * recover.c - precise state: from a host exception inside a translated instruction back to the guest's state.
 *
 * Guest registers are never moved ahead of a possible fault, so at any instruction's start they are all in their host registers;
 * only EIP has to be looked up, in the block's instruction map. The signal handler gets the context changed so that it returns
 * into host_fault_landing(), on the C stack of the run loop, where raising a guest exception is an ordinary long jump.
 */
#define _GNU_SOURCE	/* names of the registers in a signal context */
#include <ucontext.h>
#include "translator/tr.h"

static const u8 greg_of[16] = {
	[RAX] = REG_RAX, [RCX] = REG_RCX, [RDX] = REG_RDX, [RBX] = REG_RBX, [RSP] = REG_RSP, [RBP] = REG_RBP, [RSI] = REG_RSI, [RDI] = REG_RDI,
	[R8] = REG_R8, [R9] = REG_R9, [R10] = REG_R10, [R11] = REG_R11, [R12] = REG_R12, [R13] = REG_R13, [R14] = REG_R14, [R15] = REG_R15,
};

/* The last entry that begins at or before host_off. */
const struct insn_map *blk_map_find(const struct blk *b, u32 host_off)
{
	u32 lo = 0, hi = b->nmap;

	while (lo + 1 < hi) {
		u32 mid = (lo + hi) / 2;

		if (b->map[mid].host_off <= host_off)
			lo = mid;
		else
			hi = mid;
	}
	return b->nmap ? &b->map[lo] : NULL;
}

static void landing(struct translator *tr, int vector, int error)
{
	tr_fpu_save(tr->cs);
	tr->ops->host_fault(tr->cs, vector, error);
	bug("host_fault() returned");
}

/* Host trap number to what the guest sees; -1 if no guest instruction can cause it. */
static int guest_vector(long trapno)
{
	switch (trapno) {
	case 0: case 6: case 13: case 16: case 19:	/* #DE #UD #GP (misaligned SSE operand) #MF #XM */
		return trapno;
	}
	return -1;
}

/* rule_xsave() runs these with the guest's EAX and EDX in r9 and r10: xsave, xrstor, xsaveopt, xsavec [r8]. */
static bool in_xsave(const u8 *pc)
{
	u8 ext = pc[3] >> 3 & 7;

	return pc[0] == 0x41 && pc[1] == 0x0f && pc[3] >> 6 != 3 && ((pc[2] == 0xae && ext >= 4 && ext <= 6) || (pc[2] == 0xc7 && ext == 4));
}

bool tr_recover(struct translator *tr, void *ucontext)
{
	ucontext_t *uc = ucontext;
	greg_t *g = uc->uc_mcontext.gregs;
	const u8 *pc = (const u8 *)g[REG_RIP];
	struct cpu_state *cs = tr->cs;
	struct blk *b = pc >= tr->stubs_end && pc < tr->cache + tr->cache_size ? tc_find(tr, pc) : NULL;
	const struct insn_map *m = b ? blk_map_find(b, pc - b->host) : NULL;
	int vector = guest_vector(g[REG_TRAPNO]);
	const struct regmap *map;
	u64 mask;

	if (!m || vector < 0)
		return false;
	map = b->mode & MK_LONG ? &regmap64 : &regmap32;
	mask = b->mode & MK_LONG ? ~0ull : ~0u;
	for (int r = 0; r < map->n; r++)
		if (map->home[r] != HOME_MEM)
			cs->gpr[r] = (u64)g[greg_of[map->home[r]]] & mask;
	if (in_xsave(pc)) {
		cs->gpr[R_EAX] = (u64)g[REG_R9] & mask;
		cs->gpr[R_EDX] = (u64)g[REG_R10] & mask;
	}
	cs->cc = g[REG_EFL] & FL_ARITH;
	cs->rip = (b->eip + m->guest_off) & mask;
	g[REG_RSP] = (cs->host_sp & ~15ull) - 8;
	g[REG_RIP] = (greg_t)(uintptr_t)landing;
	g[REG_RDI] = (greg_t)(uintptr_t)tr;
	g[REG_RSI] = vector;
	g[REG_RDX] = vector == 13 ? 0 : TR_NO_ERR;
	g[REG_EFL] &= ~(greg_t)(FL_DF | FL_TF | FL_AC);
	return true;
}

/* cflags: -mgeneral-regs-only */
/*
 * check_recover.c - --check=recover: proves that guest state is precise wherever a memory access may fault.
 *
 * Look-ups are made to miss all the time, and on the slow path every other instruction is abandoned and run again from the
 * written-back state: whatever a rule had changed too early would then happen twice. On the way the instruction map, by which
 * host exceptions find their guest instruction, is compared with the EIP that the cold stub stored.
 */
#include <stdlib.h>
#include "translator/tr.h"

#define KEPT_FILLS 64	/* entries that may stand in the tables at a time */

struct check_recover {
	u64 *filled[KEPT_FILLS];
	u32 fills, slow;
	u64 restarted;		/* EIP that was restarted last: it goes through the second time */
};

bool check_recover_init(struct translator *tr)
{
	if (!tr->opt.check_recover || !tr->ops->restart)
		return true;
	tr->check = calloc(1, sizeof *tr->check);
	return tr->check;
}

/* Every third fill is refused, and each one that is made pushes an older one out. */
u64 check_mem_fill(struct cpu_state *cs, gla_t lin, u32 info)
{
	struct translator *tr = cs->translator;
	struct check_recover *c = tr->check;
	u64 **slot = &c->filled[c->fills++ % KEPT_FILLS];
	u64 delta;

	if (c->fills % 3 == 0)
		return 0;
	delta = tr->ops->mem_fill(cs, lin, info);
	if (*slot)
		**slot = 0;
	*slot = !delta ? NULL : info & MEM_WRITE ? vtlb_write_entry(cs->half, (u32)lin) : vtlb_read_entry(cs->half, (u32)lin);
	return delta;
}

static void check_map(struct translator *tr, const u8 *pc)
{
	const struct blk *b = tc_find(tr, pc);
	const struct insn_map *m = b ? blk_map_find(b, (u32)(pc - b->host)) : NULL;

	bug_on(!m, "no block at host address %p", (const void *)pc);
	bug_on(b->eip + m->guest_off != tr->cs->rip, "host address %p is instruction %llx by the map, %llx by its cold stub", (const void *)pc,
	       (unsigned long long)(b->eip + m->guest_off), (unsigned long long)tr->cs->rip);
}

u64 check_mem_slow(struct cpu_state *cs, gla_t lin, u32 info)
{
	struct translator *tr = cs->translator;
	struct check_recover *c = tr->check;

	check_map(tr, (const u8 *)cs->scratch[4] - 1);
	if (cs->rip != c->restarted && !(cs->mode & MK_STEP) && ++c->slow & 1) {
		c->restarted = cs->rip;
		tr->stats.restarts++;
		tr->ops->restart(cs);
	}
	c->restarted = ~0ull;
	return tr->ops->mem_slow(cs, lin, info);
}

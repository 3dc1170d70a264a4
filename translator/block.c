/*
 * block.c - from guest bytes to a block of host code: decode a run of instructions, apply the rules, finish the cold part.
 *
 *     host:   indirect entry: is r8 this block's EIP, the mode the same, and cs->go 1? One sum that is zero only then, because the
 *             IBT indices of r8 and EIP agree (so they are equal or far apart), mode_id is even and small, and go is 0 or 1:
 *                 mov ecx, [go]; mov r9d, [mode_id]; lea r9d, [r9 + r8]; lea ecx, [rcx + r9 - (eip + mode_id + 1)]; jecxz body
 *     body:   the instructions
 *             islands, cold stubs, exit stubs
 *
 * In 64-bit code the sum is made in 64 bits, with the constant in r9.
 *
 * Where a page's code is written again and again (codepage.c), the body begins with a comparison of the block's bytes with those that
 * it was made from, eight at a time and without touching the flags:
 *                 mov r10, bytes; mov rcx, [r10]; mov r9, -made_from; lea rcx, [rcx + r9]; jrcxz same; jmp stale; same: ...
 * 32-bit immediates of MOV and the like are left out: the instructions read them there when they run (ident.c).
 * Such a block ends behind an instruction that may write memory, since that may change what follows.
 *
 * A block ends at a control transfer, at the page's end, or after max_insns instructions. An instruction that crosses into the
 * next page is a block of its own.
 */
#include <stdlib.h>
#include "translator/rules.h"

#define BLOCK_ROOM (256u * 1024)	/* host code of the largest block */

struct run { int n; u32 len, len2; gpa_t gpa2; const u8 *bytes2; };

static bool ends_block(const struct insn *i) { return rules[i->rule].flow == FLOW_END; }

/* Instructions that a model lacks: some bytes mean something else then, most are undefined. */
static void apply_features(struct translator *tr, struct insn *i)
{
	if (i->rule == RULE_UNKNOWN || tr->ops->has_feature(tr->cs, i->feature))
		return;
	if (insn_is(i, MN_LZCNT) || insn_is(i, MN_TZCNT)) {
		i->mand_rep = 0;	/* BSR, BSF */
		return;
	}
	i->rule = RULE_UNKNOWN;
}

/* The instruction at the page's end that goes on in the next page. */
static enum decode_status decode_crossing(struct translator *tr, struct insn *i, const u8 *bytes, unsigned avail, u64 eip, struct run *r)
{
	struct cpu_state *cs = tr->cs;
	u8 buf[16];
	const u8 *more = tr->ops->fetch(cs, code_linear(cs, eip + avail), &r->gpa2, false);
	enum decode_status st;

	if (!more)
		return DECODE_UD;
	r->bytes2 = more;
	memcpy(buf, bytes, avail);
	memcpy(buf + avail, more, 15 - avail);
	st = insn_decode(tr->dec, i, buf, 15, eip, cs->mode);
	r->len2 = st == DECODE_OK ? i->len - avail : 15 - avail;
	return st;
}

/* The bytes up to eip + len - 1 must lie within the CS limit. */
static bool cs_limit_ok(const struct cpu_state *cs, u64 eip, u32 len)
{
	return !(cs->mode & MK_CS_ODD) || eip + len - 1 <= cs->seg[S_CS].limit;
}

/* Could it change the code behind it? */
static bool may_write(const struct insn *i)
{
	switch (i->rule) {
	case RULE_IDENT: case RULE_BT:
		return i->mem_wr;
	case RULE_MOV: case RULE_POP:
		return i->mem_wr || i->op[0].kind != OPK_GPR;
	case RULE_LEA: case RULE_NOP: case RULE_FENCE: case RULE_JCC: case RULE_XLAT: case RULE_LEAVE: case RULE_CLI: case RULE_CLD:
		return false;
	default:
		return true;
	}
}

static struct run decode_run(struct translator *tr, u64 eip, const u8 *bytes, u32 avail, int max, bool checked)
{
	struct run r = { 0 };
	u32 off = 0;

	while (r.n < max && off < avail) {
		struct insn *i = &tr->insns[r.n];
		enum decode_status st = insn_decode(tr->dec, i, bytes + off, avail - off, eip + off, tr->cs->mode);

		if (st == DECODE_MORE) {
			if (r.n)
				break;
			st = decode_crossing(tr, i, bytes + off, avail - off, eip + off, &r);
		}
		if (st == DECODE_TOO_LONG || (st == DECODE_OK && !cs_limit_ok(tr->cs, i->eip, i->len))) {
			i->rule = RULE_UNKNOWN;
			i->len = 0;		/* marks #GP for emit_insns() */
			r.n++;
			off += 15;
			break;
		}
		if (st == DECODE_UD) {
			i->rule = RULE_UNKNOWN;
			i->len = 1;
		}
		apply_features(tr, i);
		r.n++;
		off += st == DECODE_UD ? 15 : i->len;	/* any of the bytes may have made it undefined */
		if (ends_block(i) || i->rule == RULE_UNKNOWN || r.len2 || (checked && may_write(i)))
			break;
	}
	r.len = off < avail ? off : avail;
	return r;
}

/* Leaves if the n bytes at `bytes`, which stay there as long as the block, are not what they are now. */
static void emit_check(struct tctx *t, const u8 *bytes, u32 n, const u8 *stale)
{
	struct emit *e = &t->e;

	if (n)
		em_mov_ri(e, R10, (u64)(uintptr_t)bytes);
	for (u32 off = 0, size; off < n; off += size) {
		u64 now = 0;
		u8 *same;

		size = n - off >= 8 ? 8 : n - off >= 4 ? 4 : n - off >= 2 ? 2 : 1;
		memcpy(&now, bytes + off, size);
		if (size >= 4)
			em_load(e, size == 8, RCX, HM(R10, (s32)off));
		else
			em_rm(e, 0, size == 2 ? 0x0fb7 : 0x0fb6, RCX, HM(R10, (s32)off));
		em_mov_ri(e, R9, -now);
		em_lea(e, 1, RCX, HMX(RCX, R9, 1, 0));
		same = em_jrcxz(e);
		em_jmp(e, stale);
		em_here8(e, same);
	}
}

/* All bytes but those that the instructions read themselves. */
static void emit_checks(struct tctx *t, const struct run *r, const u8 *stale)
{
	const u8 *from = t->code;

	for (int k = 0; k < t->n; k++) {
		const u8 *live = live_immediate(t, &t->insns[k]);

		if (live) {
			emit_check(t, from, (u32)(live - from), stale);
			from = live + 4;
		}
	}
	emit_check(t, from, (u32)(t->code + r->len - from), stale);
	emit_check(t, r->bytes2, r->len2, stale);
}

/* The way out of emit_checks(). */
static u8 *emit_stale(struct tctx *t)
{
	u8 *stale = t->e.p;

	em_mov_ri(&t->e, RCX, (u64)(uintptr_t)t->b);
	em_jmp(&t->e, t->tr->stub.exit_stale);
	return stale;
}

/* Returns emit_stale()'s code, for a block that checks itself. */
static u8 *emit_entry(struct tctx *t)
{
	struct emit *e = &t->e;
	u8 *ok, *stale = NULL;

	em_load(e, 0, RCX, ST(go));
	em_load(e, 0, R9, ST(mode_id));
	if (is_long(t)) {
		em_lea(e, 1, RCX, HMX(RCX, R9, 1, 0));
		em_mov_ri(e, R9, -(t->b->eip + t->tr->cs->mode_id + 1));
		em_lea(e, 1, RCX, HMX(RCX, R9, 1, 0));
		em_lea(e, 1, RCX, HMX(RCX, R8, 1, 0));
		ok = em_jrcxz(e);
	} else {
		em_lea(e, 0, R9, HMX(R9, R8, 1, 0));
		em_lea(e, 0, RCX, HMX(RCX, R9, 1, (s32)-(u32)(t->b->eip + t->tr->cs->mode_id + 1)));
		ok = em_jecxz(e);
	}
	em_jmp(e, t->tr->stub.ibt_miss);
	if (t->b->checked)
		stale = emit_stale(t);
	for (int k = 0; k < EARLY_SLOTS * JMP_BYTES; k++)
		em8(e, 0xcc);
	t->b->body = e->p;
	em_here8(e, ok);
	return stale;
}

static void map_insn(struct tctx *t)
{
	if (t->nmap < (int)ARRAY_SIZE(t->map))
		t->map[t->nmap++] = (struct insn_map){ t->e.p - t->b->host, t->insns[t->cur].eip - t->insns[0].eip };
}

static void emit_insns(struct tctx *t)
{
	for (t->cur = 0; t->cur < t->n && !t->ended && !t->failed; t->cur++) {
		const struct insn *i = &t->insns[t->cur];

		t->next = i->eip + i->len;
		if (!is_long(t))
			t->next = (u32)t->next;
		cold_room(t, 60);
		map_insn(t);
		group_begin(t);
		if (i->len == 0)
			raise_fault(t, 13, 0);
		else if (is_long(t) && !rule_has_long(i))
			rule_ud(t, i);
		else
			rules[i->rule].fn(t, i);
		group_advance(t);
	}
	t->cur = t->n - 1;
	if (!t->ended)
		exit_direct(t, t->next);
}

/* One attempt with at most `max` instructions. NULL: too much for the tables, try fewer. */
static struct blk *attempt(struct translator *tr, struct tctx *t, u64 eip, gpa_t gpa, const u8 *bytes, int max)
{
	bool checked = codepage_checked(tr, gpa);
	struct run r = decode_run(tr, eip, bytes, PAGE_SIZE - (gpa & PAGE_MASK), max, checked);
	struct blk *b = calloc(1, sizeof *b);
	u8 *stale;

	bug_on(!b, "out of memory for a block");
	memset(t, 0, offsetof(struct tctx, cold));
	t->ncold = t->nfix = t->nmap = t->nearly = 0;
	t->tr = tr;
	t->b = b;
	t->mk = tr->cs->mode;
	t->rm = is_long(t) ? &regmap64 : &regmap32;
	t->insns = tr->insns;
	t->code = bytes;
	t->n = r.n;
	t->e.p = b->host = tc_room(tr, BLOCK_ROOM, &t->e.end);
	b->gpa = gpa;
	b->gpa2 = r.len2 ? r.gpa2 : ~0ull;
	b->eip = eip;
	b->mode = t->mk;
	b->cs_id = t->mk & MK_CS_ODD ? tr->cs->cs_id : 0;
	b->len = r.len;
	b->len2 = r.len2;
	b->ninsns = r.n;
	b->checked = checked || (r.len2 && codepage_checked(tr, r.gpa2));
	stale = emit_entry(t);
	if (b->checked)
		emit_checks(t, &r, stale);
	emit_insns(t);
	cold_emit(t);
	exit_stubs(t);
	if (t->failed || t->e.full) {
		free(b);
		return NULL;
	}
	b->nmap = t->nmap;
	b->map = malloc(t->nmap * sizeof *b->map);
	bug_on(!b->map, "out of memory for a block");
	memcpy(b->map, t->map, t->nmap * sizeof *b->map);
	tc_commit(tr, b, t->e.p);
	tr->stats.blocks++;
	tr->stats.guest_bytes += r.len + r.len2;
	tr->stats.host_bytes += b->host_len;
	return b;
}

bool blk_still_crosses(struct translator *tr, const struct blk *b)
{
	gpa_t gpa;

	return tr->ops->fetch(tr->cs, code_linear(tr->cs, b->eip + b->len), &gpa, false) && gpa == b->gpa2;
}

struct blk *blk_translate(struct translator *tr, u64 eip, gpa_t gpa, const u8 *bytes)
{
	int max = tr->cs->mode & MK_STEP ? 1 : tr->opt.max_insns;
	struct blk *b;

	while (!(b = attempt(tr, tr->tctx, eip, gpa, bytes, max))) {
		bug_on(max == 1, "one instruction does not fit a block");
		max = max / 2 ? max / 2 : 1;
	}
	blk_insert(tr, b);
	return b;
}

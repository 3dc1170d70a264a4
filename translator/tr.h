/*
 * tr.h - the translator's own structures, shared by its files only.
 */
#ifndef RF_TR_H
#define RF_TR_H
#include "decode.h"
#include "emit.h"
#include "translator.h"

#define BLK_HASH_BITS 16
#define TR_UNITS      32		/* the cache is a ring of units; the oldest is evicted when the ring comes round */
#define MAX_LINKS     8
#define TR_MAX_HALVES 64
#define TR_CS_IDS     1024
#define MODE_ID_BITS  12

struct blk;

/* A direct jump out of a block to a place in the same page. Unlinked it goes to its exit stub. */
struct link {
	struct blk *from;
	u8 *site;		/* displacement of the jump */
	u8 *stub;		/* its exit stub */
	u64 eip;		/* where it goes */
	struct blk *to;		/* NULL while not linked */
	struct link *in_next, **in_prev;	/* list of jumps into `to` */
};

/* Where an instruction begins in host code, for precise state. */
struct insn_map { u32 host_off; u32 guest_off; };

struct blk {
	struct blk *hash_next;
	struct blk *page_next[2], **page_prev[2];	/* lists of the page(s) it was made from */
	gpa_t gpa;			/* of the first byte */
	gpa_t gpa2;			/* page of the bytes behind the page border, ~0: none */
	u64 eip;
	u32 mode, cs_id;
	u16 len, len2;			/* guest bytes in the first and in the second page */
	u8 unit;
	bool dead;
	bool checked;			/* compares its bytes at entry: codepage.c */
	bool in_ibt;			/* may stand in an indirect branch table */
	u8 nlinks;
	u8 group_fails;
	u16 nmap, ninsns;
	u8 *host;			/* indirect entry */
	u8 *body;			/* direct entry */
	u32 host_len;
	struct link *in;		/* jumps into this block */
	struct link links[MAX_LINKS];
	struct insn_map *map;
};

struct unit {
	u8 *start, *end;	/* host code */
	u8 *p;
	struct blk **blks;	/* blocks with code here */
	u32 n, cap;
};



enum exit_reason { EX_AGAIN, EX_LINK, EX_MISS, EX_PEND, EX_STEP, EX_SHADOW, EX_GROUP, EX_STALE };

struct stubs {
	void (*enter)(struct cpu_state *cs, const void *target);
	u8 *exit_link, *ibt_miss, *exit_again, *exit_pend, *exit_step, *exit_shadow, *exit_group, *exit_stale;
	u8 *mem, *mem_try, *commit, *commit_stay, *fpu_load, *get_eflags;
	u8 *misaligned[2][2];		/* [2 or 4 bytes][read, write] */
	u8 *callout[CO_MAX];
};

struct translator {
	struct cpu_state *cs;
	const struct tr_ops *ops;
	struct tr_options opt;
	struct decoder *dec;
	struct stubs stub;
	u8 *cache;			/* code memory, readable, writable and executable */
	size_t cache_size;
	u8 *stubs_end;
	struct unit unit[TR_UNITS];
	u32 cur_unit;
	struct blk *hash[1u << BLK_HASH_BITS];
	struct page_table *page_table;
	gpa_t thrashed;			/* page whose blocks shall check themselves from now on, with bit 0 set; 0: none */
	u8 *half[TR_MAX_HALVES];
	u32 nhalves;
	struct { u64 base; u32 limit; } cs_ids[TR_CS_IDS];
	u32 ncs_ids;
	struct mode_id { u32 mode, cs_id, id; } mode_ids[1u << MODE_ID_BITS];	/* open hash */
	u32 nmode_ids;
	struct mode_id recent_ids[32];	/* of those, by a hash of the mode; id 0: none */
	struct tr_stats stats;
	struct check_recover *check;	/* check_recover.c; NULL when off */
	u32 fpu_mask;
	gpa_t guilty[4096];		/* blocks that do without groups (group.c), by address */
	struct insn *insns;		/* scratch of the block builder */
	struct tctx *tctx;		/* the same */
	struct blk *last_blk;		/* most recently entered from the dispatcher, for diagnosis */
};

static inline u32 blk_hash(gpa_t gpa, u64 eip, u32 mode, u32 cs_id)
{
	u64 h = gpa * 0x9e3779b97f4a7c15ull ^ (eip + ((u64)mode << 32) + cs_id * 0x85ebca6bu) * 0xc2b2ae3d27d4eb4full;

	return h >> (64 - BLK_HASH_BITS);
}

/* Linear address of the code at EIP. */
static inline gla_t code_linear(const struct cpu_state *cs, u64 eip)
{
	return cs->mode & MK_LONG ? eip : (u32)(eip + cs->seg[S_CS].base);
}

/* group.c */
void group_failed(struct translator *tr, struct blk *b);
/* translator.c */
u32 tr_mode_id(struct translator *tr, u32 mode, u32 cs_id);
/* stubs.c */
bool stubs_init(struct translator *tr);
/* block.c */
/* Is b's second page still mapped where its bytes came from? */
bool blk_still_crosses(struct translator *tr, const struct blk *b);
struct blk *blk_translate(struct translator *tr, u64 eip, gpa_t gpa, const u8 *bytes);
/* exit.c */
void link_by_ibt(struct link *l);
/* tc.c: code memory */
bool tc_init(struct translator *tr, const char **err);
void tc_fini(struct translator *tr);
u8  *tc_room(struct translator *tr, size_t want, u8 **end);	/* evicts if need be; `want` bytes at least */
void tc_commit(struct translator *tr, struct blk *b, u8 *end);	/* code of b ends here */
struct blk *tc_find(struct translator *tr, const u8 *host_pc);
/* link.c */
struct blk *blk_find(struct translator *tr, gpa_t gpa, u64 eip, u32 mode, u32 cs_id);
void blk_insert(struct translator *tr, struct blk *b);
void blk_remove(struct translator *tr, struct blk *b);		/* unlinks it everywhere; its code stays until its unit is evicted */
void link_set(struct translator *tr, struct link *l, struct blk *to);
/* codepage.c */
bool codepage_init(struct translator *tr);
void codepage_fini(struct translator *tr);
void codepage_add(struct translator *tr, struct blk *b);
void codepage_del(struct translator *tr, struct blk *b);
bool codepage_checked(struct translator *tr, gpa_t gpa);	/* must blocks of this page check themselves? */
void codepage_turn(struct translator *tr);		/* makes tr->thrashed such a page; not while translated code runs */
/* ibt.c */
void ibt_set(struct translator *tr, u8 *half, struct blk *b);
void ibt_drop(struct translator *tr, struct blk *b);
/* check_recover.c: what the stubs call in place of tr_ops.mem_fill and mem_slow */
bool check_recover_init(struct translator *tr);
u64 check_mem_fill(struct cpu_state *cs, gla_t lin, u32 info);
u64 check_mem_slow(struct cpu_state *cs, gla_t lin, u32 info);
/* recover.c */
const struct insn_map *blk_map_find(const struct blk *b, u32 host_off);
#endif

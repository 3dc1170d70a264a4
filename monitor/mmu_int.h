/*
 * mmu_int.h - the virtual TLB's own structures, shared by mmu.c, mmu_as.c and mmu_fill.c only.
 *
 * An address space (CR3 value and paging mode) has a supervisor and a user half. Whatever is filled into a half's tables or fetched
 * as code is covered by a record with the page-table entry that it came from. The records of one 2 MiB region of
 * linear space form a group, which also holds the upper-level entries:
 *
 *     space -> half -> group (lin >> 21): upper entries -> record: leaf entry, linear pages -> record ...
 *
 * When a space is entered again, groups whose upper entries changed go as a whole, and records whose leaf entry changed go one by one. A
 * group that was found unchanged several times gets its page-table page write-protected in all write tables (TRAP_PT): until somebody
 * writes to that page its records need no comparison at all. Such a group is sealed when the pages of its upper entries are protected too:
 * as long as nobody wrote to any protected page a switch looks at the other, loose groups only. Dropping an entry is always
 * allowed; a real TLB may forget too.
 */
#ifndef RF_MMU_INT_H
#define RF_MMU_INT_H
#include "monitor/mem.h"
#include "monitor/mmu.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"
#include "monitor/walk.h"

#define VT_SPACES     16
#define VT_RECS       32768u		/* records a half; 0 is no record */
#define VT_GROUPS     2048u
#define VT_GROUP_RECS 1200u		/* records a group: a 2 MiB region has 512 pages, read, written and fetched */
#define VT_EXEC       4096u		/* code pages that mmu_fetch() remembers: a kernel is 10 to 16 MiB, and each miss makes a record */
#define VT_RUN        16		/* pages filled at once from a large page */
#define REGION_SHIFT  21

enum vt_rec_flags { VT_WRITE = 1, VT_READ = 2, VT_CODE = 4 };

struct vt_rec {
	const void *pte;	/* leaf entry in host memory */
	u64 value;		/* what it was */
	u32 page;		/* first linear page */
	u32 next;		/* in the group, or in the free list */
	u8  run;		/* pages; 0: free */
	u8  flags;		/* enum vt_rec_flags: what was filled */
};

struct vt_group {
	const void *up[WALK_LEVELS - 1];
	u64 up_value[WALK_LEVELS - 1];
	u32 up_page[WALK_LEVELS - 1];	/* guest-physical pages of the upper entries; 0: a register; VT_NOT_RAM */
	u8  levels;		/* upper entries */
	u8  large;		/* leaf entries map large pages */
	bool tracked;		/* relies on TRAP_PT while pt_gen[pt_page] is gen */
	bool loose;		/* stands in half->loose */
	s8  stable;		/* times found unchanged; tracked from VT_STABLE on */
	u32 head, count;	/* records */
	u32 active_at;		/* index in half->active */
	u32 pt_page;		/* guest-physical page of the leaf entries; 0: not in RAM */
	u32 gen;
};

struct vt_code { u32 page1; gpa_t gpa; const u8 *host; };	/* page1: linear page + 1 */

struct vt_half {
	u8 *table;		/* vtlb.h; what cs->half points to */
	struct vt_rec *rec;
	struct vt_group *group;
	u32 rec_top, rec_free;	/* records from rec_top on were never used */
	u32 active_count;
	u16 active[VT_GROUPS];	/* groups with records */
	u16 loose[VT_GROUPS];	/* groups that are not sealed, and some that are closed */
	u32 loose_count;
	u64 touched[2][VT_GROUPS / 64];	/* pages of the read and write table that may be populated */
	u32 touched_count;
	struct vt_code code[VT_EXEC];	/* recent code pages, for mmu_fetch() */
};

struct vt_space {
	u64 root;
	u32 key;		/* paging mode bits */
	bool live;		/* root and key are set */
	u64 used;		/* tick of the last switch to it */
	u64 stamp;		/* mmu->untracks at that time: while it is that, sealed groups need no look */
	u64 pdpte[4];		/* the PDPTE registers at that time */
	struct vt_half half[2];	/* supervisor, user */
};

struct commit_piece { gpa_t gpa; u32 len; };

struct mmu {
	struct walk_env env;
	struct vcpu *vcpu;
	struct mem *mem;
	struct vt_space *space[VT_SPACES];
	u64 root[VT_SPACES];	/* of each space, side by side for the search */
	struct vt_space *cur;
	u64 tick;
	u32 pdpte_key;		/* the control bits whose change reloads the PDPTEs */
	u8  *trap;		/* enum trap_write by guest-physical page below 4 GiB */
	u64 *rmap;		/* by page: where write entries of it may be, see rmap_add() */
	u64 untracks;		/* times that TRAP_PT was taken back from any page */
	u32 *pt_gen;		/* by page: counts the times that TRAP_PT was taken back */
	struct commit_piece commit[2];
	struct write_log *log;	/* mmu_log.c; NULL: off */
	struct write_log *log_room;
	void (*written)(void *arg, u32 gpage);	/* mmu_clean.c; may be NULL */
	void *written_arg;
	u32 watched[4];		/* linear pages that the tables must not hold */
	int watches;
};

#define RMAP_SLOT_BITS 21	/* linear page + 1 */
#define RMAP_SLOT_MASK ((1ull << RMAP_SLOT_BITS) - 1)
#define RMAP_MANY      (1ull << 63)
#define VT_STABLE      3	/* comparisons without a difference before the page table is write-protected */
#define VT_STABLE_MIN  6	/* records below which that is not worth it, unless VT_STABLE_SMALL comparisons found no difference */
#define VT_STABLE_SMALL 64
#define VT_NOT_RAM     (~0u)
#define VT_UP_BUSY     64	/* writes to an upper-level table after which it is not write-protected any more */
#define VT_WRITTEN     (-24)	/* `stable` after a tracked page table was written: more patience */

static inline struct mmu *mmu_of(struct cpu_state *cs) { return vcpu_of(cs)->mmu; }
static inline struct vt_half *vt_half(struct mmu *mmu, int acc) { return &mmu->cur->half[acc & ACC_USER ? 1 : 0]; }
static inline bool vt_touched(const struct vt_half *h, int table, u32 region)
{
	return h->touched[table][region / 64] >> (region % 64) & 1;
}

/* mmu_fill.c; with `quick` callable from translated code with live FPU registers */
/* Records the walk's entries for `run` pages from `page`. False: no room, or `quick` and code would have to be flushed. */
bool vt_record(struct mmu *mmu, struct vt_half *h, u32 page, int run, u8 flags, const struct walk *w, bool quick);
/* Fills the tables for lin after a walk for `acc` succeeded; returns (host address - linear address), or 0 if there is no entry to have. */
u64  vt_fill(struct mmu *mmu, gla_t lin, int acc, const struct walk *w, bool quick);

/* Is one of the `run` pages from `page` watched? */
static inline bool vt_watched(const struct mmu *mmu, u32 page, u32 run)
{
	for (int i = 0; unlikely(i < mmu->watches); i++)
		if (mmu->watched[i] - page < run)
			return true;
	return false;
}

/* Puts a group among those that every switch looks at. */
void vt_loosen(struct vt_half *h, u32 region);

/* mmu_log.c; the first two while mmu->log is there. A page is about to be written: notes it, or ends the log. */
bool vt_log_has(const struct mmu *mmu, u64 gpage);
void vt_log_write(struct mmu *mmu, u64 gpage);
void vt_log_fini(struct mmu *mmu);

/* mmu_clean.c: a TRAP_CLEAN page is about to be written. */
void vt_first_write(void *mmu, u32 gpage);

/* mmu_as.c */
void vt_clear_half(struct mmu *mmu, struct vt_half *h);
void vt_drop_group(struct mmu *mmu, struct vt_half *h, u32 region);
/* Removes all write entries of a guest-physical page. */
void vt_purge_writes(struct mmu *mmu, u32 gpage);
/* Somebody wrote to a page with TRAP_PT: its entries are compared again from now on. */
void vt_untrack(struct mmu *mmu, u32 gpage);
#endif

/*
 * walk.h - the page walk: from a linear to a physical address, through the guest's page tables as they are in memory.
 *
 * SDM vol. 3, chapter 4. The walk is pure but for accessed and dirty bits; it raises nothing.
 */
#ifndef RF_WALK_H
#define RF_WALK_H
#include "monitor/lib/types.h"
#include "monitor/mmu.h"

struct mem;
struct cpu_state;

enum paging { PAGING_NONE, PAGING_32, PAGING_PAE, PAGING_LONG, PAGING_MODES };

enum pte_bits {
	PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80,
};
#define PTE_NX (1ull << 63)

enum pf_error { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };	/* SDM vol. 3, 4.7 */

/* Why a physical page is kept out of all write tables. */
enum trap_write {
	TRAP_CODE = 1,	/* translated code was made from it */
	TRAP_PT   = 2,	/* a page table whose filled entries are trusted while nobody writes to it */
	TRAP_CLEAN = 4,	/* not written since the last snapshot (mmu_clean.c) */
};

/* What a walk depends on besides memory. Filled by walk_setup() when a control register changes. */
struct walk_env {
	struct mem *mem;
	const u8 *trap;		/* enum trap_write by physical page number below 4 GiB */
	void (*first_write)(void *arg, u32 gpage);	/* A or D is going to be set in a TRAP_CLEAN page; not with WALK_QUICK */
	void *first_write_arg;
	enum paging paging;
	bool pse, wp, nx, smep;
	u8 phys_bits;		/* MAXPHYADDR of the CPU model, 32 to 52 */
	u64 root;		/* physical address of the top table */
	u64 rsvd;		/* bits that must be 0 in 8-byte entries */
	u64 rsvd_pse;		/* bits that must be 0 in a 4 MiB page's entry (PSE-36) */
	u64 pdpte[4];		/* PAE: the PDPTE registers (SDM vol. 3, 4.4.1) */
	u64 none;		/* 0: what entries of unpaged mappings are compared with */
};

#define WALK_LEVELS 4
struct walk {
	gpa_t gpa;			/* of the linear address asked for, A20 applied */
	u32 error;			/* WALK_FAULT: the #PF error code */
	u8 shift;			/* log2 of the page's size; 32 when unpaged */
	u8 levels;			/* entries used */
	bool write_ok;			/* a write by the same ring needs no further walk: allowed, and D is set */
	u8 ad_set;			/* bit n: accessed or dirty bits of entry n were set by this walk */
	const void *entry[WALK_LEVELS];	/* host addresses of the entries, top first */
	u64 value[WALK_LEVELS];		/* their values, after setting A and D */
	gpa_t entry_gpa[WALK_LEVELS];	/* ~0: a register */
};

enum walk_result { WALK_OK, WALK_FAULT, WALK_SLOW /* WALK_QUICK only: would write to a page with translated code, or to a clean one */ };
enum walk_opt { WALK_QUICK = 1, WALK_PEEK = 2 /* leave A and D alone */ };

void walk_setup(struct walk_env *env, const struct cpu_state *cs);
/* Loads the PDPTE registers from memory at cr3; false (env unchanged) when one has reserved bits set. */
bool walk_load_pdptes(struct walk_env *env, u64 cr3, bool check_only);
/* `acc` is enum mmu_access. Callable from translated code with live FPU registers. */
enum walk_result walk_page(const struct walk_env *env, gla_t lin, int acc, int opt, struct walk *w);

/* The entry's present value; 4-byte entries in 32-bit paging. */
static inline u64 walk_entry(enum paging paging, const void *entry)
{
	return paging == PAGING_32 ? *(const u32 *)entry : *(const u64 *)entry;
}
#endif

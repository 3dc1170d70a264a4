/*
 * mmu.h - the MMU behind one interface: page walks, the virtual TLB, accesses by linear address.
 *
 * Rules of the architecture's TLB hold (SDM vol. 3, 4.10): entries appear only through walks, accessed and dirty bits are set
 * as hardware sets them, and INVLPG, CR3, CR0 and CR4 writes empty what they empty on hardware.
 * Recent address spaces (CR3 values) keep their halves; on the way back in every filled entry is re-validated by comparing
 * the page-table entries that it came from.
 */
#ifndef RF_MMU_H
#define RF_MMU_H
#include "translator/cpustate.h"

struct vm;
struct vcpu;
struct mmu;

enum mmu_access { ACC_READ = 1, ACC_WRITE = 2, ACC_EXEC = 4, ACC_USER = 8 };

struct mmu *mmu_init(struct vcpu *vcpu);
void mmu_fini(struct mmu *mmu);
/* What happened to the registers: */
void mmu_cr3_written(struct cpu_state *cs);	/* cs->cr3 is the new value (PAE: PDPTEs are loaded here; returns after raising nothing) */
bool mmu_pdptes_valid(struct cpu_state *cs, u64 cr3);	/* PAE: false = #GP for the writer */
void mmu_mode_changed(struct cpu_state *cs);	/* CR0.PG/WP, CR4.PSE/PAE/PGE/SMEP, EFER.NXE: flush everything that depends */
void mmu_invlpg(struct cpu_state *cs, gla_t lin);
void mmu_flush_all(struct mmu *mmu);		/* A20, memory map changes */

/* Pages of a device's RAM, [gpa, gpa+len), at `host`: writes to them take the slow path from now on, with `reads` reads too. */
void mmu_device_purge(struct mmu *mmu, gpa_t gpa, const u8 *host, u64 len, bool reads);

/* Registers and memory were replaced (a snapshot): all is forgotten. The PDPTE registers are not what memory has, so they come along. */
void mmu_restore(struct cpu_state *cs, const u64 pdpte[4]);
void mmu_pdptes(const struct cpu_state *cs, u64 pdpte[4]);

/*
 * mmu_clean.c: which pages of RAM were written since a moment. mmu_clean_all() is that moment: `written` will be called (vCPU thread)
 * before the first write to each page. Before the first such moment all pages count as written; those of the hole (A0000h to FFFFFh)
 * always do.
 */
void mmu_clean_all(struct cpu_state *cs, void (*written)(void *arg, u32 gpage), void *arg);
bool mmu_page_clean(const struct cpu_state *cs, u32 gpage);
void mmu_page_unclean(struct cpu_state *cs, u32 gpage);	/* counts as written, without `written` being called */

/* mmu_log.c: begins or ends to note which pages are written, by guest and devices. */
void mmu_log_writes(struct cpu_state *cs, bool on);
/* Have all pages that were written since the log began the contents that they had then? False if that is not known. */
bool mmu_log_unchanged(struct cpu_state *cs);
/* Bytes of this page are going to change otherwise than through a write entry. */
void mmu_phys_writing(struct cpu_state *cs, gpa_t gpa);

/* Implementations of tr_ops */
const u8 *mmu_fetch(struct cpu_state *cs, gla_t lin, gpa_t *gpa, bool probe);
void mmu_code_page(struct cpu_state *cs, gpa_t page, bool has_code);
u64  mmu_fill(struct cpu_state *cs, gla_t lin, u32 info);
u64  mmu_slow(struct cpu_state *cs, gla_t lin, u32 info);
void mmu_commit(struct cpu_state *cs);

/* Bytes of RAM changed otherwise than through a write entry (slow path, DMA, loader): drops translated code and what was remembered of
 * page tables there. [gpa, gpa+len) lies in one page. */
void mmu_phys_written(struct cpu_state *cs, gpa_t gpa, u32 len);

/* Accesses by C code at linear addresses. `acc`: ACC_USER for user rights, else supervisor (descriptor tables, TSS, stacks of ring 0).
 * Raise #PF (no return). Any size 1, 2, 4, 8; page crossings are right, and a write is checked on both pages before it changes anything. */
u64  mmu_read(struct cpu_state *cs, gla_t lin, int size, int acc);
void mmu_write(struct cpu_state *cs, gla_t lin, u64 value, int size, int acc);
/* Raises #PF if the range [lin, lin+len) cannot be accessed so; for check-then-commit. */
void mmu_probe(struct cpu_state *cs, gla_t lin, u32 len, int acc);
/* These linear pages (at most 4) must not be in any table from now on: their accesses are watched (watch.c). */
void mmu_watch(struct cpu_state *cs, const u32 *page, int count);
/* Host pointer for the bytes from lin to the end of its page when that is memory that may be accessed so, else NULL (no fault).
 * For string loops. A write pointer is given only for pages without code. */
u8  *mmu_host(struct cpu_state *cs, gla_t lin, int acc);
/* Page walk without side effects, for the debugger and tests: false if not mapped. */
bool mmu_translate(struct cpu_state *cs, gla_t lin, gpa_t *gpa);
static inline int acc_cpl(const struct cpu_state *cs) { return cs->cpl == 3 ? ACC_USER : 0; }
#endif

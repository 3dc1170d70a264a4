/*
 * translator.h - the binary translator's public face.
 *
 * The translator turns guest code into host code in a bounded code cache and runs it. It knows nothing of a VM: what it
 * needs comes through struct tr_ops, so blocks can be translated, dumped, fuzzed and tested alone. One translator serves
 * one virtual CPU; the vCPU thread owns it.
 */
#ifndef RF_TRANSLATOR_H
#define RF_TRANSLATOR_H
#include <stdio.h>
#include "cpustate.h"
#include "modekey.h"
#include "vtlb.h"

enum callout_id {
#define CALLOUT(name, flow, what) CO_##name,
#include "callouts.def"
#undef CALLOUT
	CO_MAX
};
typedef void callout_fn(struct cpu_state *cs, u32 arg);

/* Memory access kinds of the slow path; `info` of tr_ops.mem_slow. */
enum mem_info {
	MEM_SIZE  = 0xfff,	/* bytes, 1 to 4095 */
	MEM_WRITE = 1 << 12,	/* write, or read-modify-write when MEM_READ is set too */
	MEM_READ  = 1 << 13,
	MEM_SUPER = 1 << 14,	/* supervisor access whatever the CPL is */
	MEM_MORE  = 1 << 15,	/* the instruction is not done with this write: see below */
	MEM_LATER = 1 << 16,	/* mem_fill with MEM_WRITE: the write may never come, so fill only if it needs no dirty bit set */
};

enum tr_exit {
	TR_EXIT_PEND,	/* cs->go is 0; cs->rip is the next instruction */
	TR_EXIT_STEP,	/* MK_STEP: one instruction is done */
	TR_EXIT_AGAIN,	/* state or mode changed: run again from cs->rip */
	TR_EXIT_SHADOW,	/* STI or POPF enabled interrupts while one is waiting: run one instruction (STI: exit_arg 1) or none (POPF: 0),
			 * then take it */
};

/* Host events in translated code that the guest sees as exceptions. */
enum { TR_NO_ERR = -1 };

struct tr_ops {
	/* Host address of the byte at linear address `lin` for code fetch at the current CPL, its guest-physical address in *gpa; valid
	 * to the end of the 4 KiB page. If `probe` is false a fault is raised in the guest (does not return), if true NULL is returned.
	 * NULL without fault: the page is no RAM or ROM (code in MMIO): the translator raises #GP(0). */
	const u8 *(*fetch)(struct cpu_state *cs, gla_t lin, gpa_t *gpa, bool probe);
	/* The first block on a guest-physical page was made: no write table may hold the page from now on, writes must be reported with
	 * tr_write_notify(). / The last one is gone. */
	void (*code_page)(struct cpu_state *cs, gpa_t page, bool has_code);
	/* Fast half of the slow path, called with the FPU state still in the host's registers (must be compiled with
	 * -mgeneral-regs-only, no libc): fill the table for `lin` and return (host address - linear address), or 0 if it takes more. */
	u64 (*mem_fill)(struct cpu_state *cs, gla_t lin, u32 info);
	/* The whole slow path: page faults (raised, no return), page crossings, MMIO, pages with code. Returns a delta as above; it may
	 * point into cs->bounce (data read beforehand if MEM_READ, or if the operand is only partly written), with cs->commit_lin and
	 * cs->commit_len set for a write; then translated code calls mem_commit after the instruction. Offsets inside bounce keep the
	 * address's low six bits.
	 * A write into translated code ends the block behind the instruction. Where more of the instruction follows (MEM_MORE: CALL has yet to
	 * move ESP and to jump) that is impossible, so when tr_overlaps_code() says that it will happen mem_slow sets cs->inhibit and leaves:
	 * the run loop then executes the instruction alone, in a block of its own (MK_STEP), where no write ends the block. */
	u64 (*mem_slow)(struct cpu_state *cs, gla_t lin, u32 info);
	/* Writes commit_len bytes from bounce to commit_lin. Must call tr_write_notify() for RAM. */
	void (*mem_commit)(struct cpu_state *cs);
	callout_fn *callout[CO_MAX];
	/* The host processor raised an exception inside a translated instruction: deliver `vector` to the guest. No return. */
	void (*host_fault)(struct cpu_state *cs, int vector, int error);
	/* Abandon the instruction at cs->rip, of which nothing has happened yet, and run it again. No return. (--check=recover only.) */
	void (*restart)(struct cpu_state *cs);
	/* Does the guest's CPU model have this? `feature` is enum tr_feature. A missing one makes the instruction #UD. */
	bool (*has_feature)(struct cpu_state *cs, int feature);
};

enum tr_feature {
#define FEATURE(name, what) TF_##name,
#include "features.def"
#undef FEATURE
	TF_MAX
};

struct translator;
struct blk;

struct tr_options {
	size_t cache_size;	/* bytes of host code, default 64 MiB */
	bool check_recover;	/* --check=recover: see recover.c */
	bool check_links;	/* --check=links: never chain; every direct jump between blocks goes through the IBT, whose entries check their EIP */
	u32 max_insns;		/* guest instructions a block, default 64 */
	FILE *trace;		/* --trace=tc: a line for each block that is made or dropped; NULL: none */
};

/* Makes a translator for `cs`. Returns NULL and an English sentence in *err if the host lacks something. */
struct translator *tr_init(struct cpu_state *cs, const struct tr_ops *ops, const struct tr_options *opt, const char **err);
void tr_fini(struct translator *tr);

/* Runs guest code from cs->rip in mode cs->mode until something is for the monitor to do. The caller has set the
 * recovery point for cpu_raise(): callouts and slow paths may leave by a long jump; then call tr_abandoned() first. */
enum tr_exit tr_run(struct translator *tr);
void tr_abandoned(struct translator *tr);

/* Bytes of guest-physical memory changed (by the guest, a device or the host): drops the blocks made from them.
 * Cheap when the page holds no code. */
void tr_write_notify(struct translator *tr, gpa_t gpa, u32 len);
bool tr_overlaps_code(struct translator *tr, gpa_t gpa, u32 len);	/* would tr_write_notify() drop something? */
/* Drops every block. */
void tr_flush(struct translator *tr);

/* The MMU's address spaces: a half must be registered before cs->half points to it. Flush when translations change:
 * page_flush for one linear page, half_flush for all of them (only the IBT part is touched). */
void tr_half_add(struct translator *tr, u8 *half);
void tr_half_flush(struct translator *tr, u8 *half);
void tr_half_page_flush(struct translator *tr, u8 *half, gla_t lin);
/* `half` maps all code that was run in `from` as `from` does: what is known of indirect jumps there holds in `half` too. */
void tr_half_copy(struct translator *tr, u8 *half, u8 *from);

/* Identity of a code segment that is not flat, for cs->cs_id: equal (base, limit) give equal numbers, never 0. */
u32 tr_cs_id(struct translator *tr, u64 base, u32 limit);

/* FPU state between the host's registers and cs->fpu. Both are cheap when there is nothing to do. Translated code loads by itself. */
void tr_fpu_save(struct cpu_state *cs);

/* If `host_pc` (from a signal context) is in translated code: true, with the registers and EIP of the guest instruction
 * written to the CPU state. `ucontext` is the signal's. */
bool tr_recover(struct translator *tr, void *ucontext);

struct tr_stats {
#define STAT(name, what) u64 name;
#include "stats.def"
#undef STAT
};
const struct tr_stats *tr_stats(const struct translator *tr);
/* --dump=tc: guest and host code side by side, of blocks whose EIP lies in [lo, hi]. */
void tr_dump(struct translator *tr, FILE *out, u64 lo, u64 hi);
/* A line a block, of those that begin in [lo, hi]; at most `most`. Returns how many there are. */
u32 tr_list(const struct translator *tr, FILE *out, u64 lo, u64 hi, u32 most);
/* Prints the instruction at bytes[0], of len > 0 bytes that can be read; returns its length (1 when it is none). */
u32 tr_disas(const u8 *bytes, u32 len, u64 eip, bool is_32, FILE *out);
#endif

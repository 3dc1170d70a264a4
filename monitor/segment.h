/*
 * segment.h - descriptors, and loading segment registers with all checks (SDM vol. 3, chapters 3 and 5).
 *
 * Internal to the monitor's privileged instructions. Functions that can fail raise the exception and do not return;
 * nothing that a guest sees has changed then.
 */
#ifndef RF_SEGMENT_H
#define RF_SEGMENT_H
#include "monitor/access.h"

struct desc {
	u32 lo, hi;
	gla_t addr;
};

/* desc_type(): the S bit and the type field together. */
enum desc_kind {
	DT_TSS16 = 0x01, DT_LDT = 0x02, DT_TSS16_BUSY = 0x03, DT_CALL16 = 0x04, DT_TASK_GATE = 0x05, DT_INT16 = 0x06, DT_TRAP16 = 0x07,
	DT_TSS32 = 0x09, DT_TSS32_BUSY = 0x0b, DT_CALL32 = 0x0c, DT_INT32 = 0x0e, DT_TRAP32 = 0x0f,
	DT_GATE32 = 0x08,	/* the bit that tells 32-bit gates and TSSs from 16-bit ones */
	DT_BUSY = 0x02,
};

static inline u32  desc_type(const struct desc *d) { return d->hi >> 8 & 0x1f; }
static inline u32  desc_dpl(const struct desc *d) { return d->hi >> 13 & 3; }
static inline bool desc_present(const struct desc *d) { return d->hi & 1u << 15; }
static inline u32  desc_base(const struct desc *d) { return d->lo >> 16 | (d->hi & 0xff) << 16 | (d->hi & 0xff000000); }
static inline u32  desc_limit(const struct desc *d)
{
	u32 limit = (d->lo & 0xffff) | (d->hi & 0xf0000);

	return d->hi & 1u << 23 ? limit << 12 | 0xfff : limit;
}
static inline bool desc_code(const struct desc *d) { return (desc_type(d) & (SA_S | SA_CODE)) == (SA_S | SA_CODE); }
static inline bool desc_conforming_code(const struct desc *d)
{
	return (desc_type(d) & (SA_S | SA_CODE | SA_CE)) == (SA_S | SA_CODE | SA_CE);
}
static inline bool desc_writable_data(const struct desc *d) { return (desc_type(d) & (SA_S | SA_CODE | SA_RW)) == (SA_S | SA_RW); }
static inline bool desc_free_tss(const struct desc *d) { return desc_type(d) == DT_TSS16 || desc_type(d) == DT_TSS32; }
static inline bool desc_busy_tss(const struct desc *d) { return desc_type(d) == DT_TSS16_BUSY || desc_type(d) == DT_TSS32_BUSY; }
static inline u32  gate_selector(const struct desc *d) { return d->lo >> 16; }
static inline u32  gate_offset(const struct desc *d)
{
	return (d->lo & 0xffff) | (desc_type(d) & DT_GATE32 ? d->hi & 0xffff0000 : 0);
}

static inline bool sel_null(u16 sel) { return !(sel & 0xfffc); }

/* Raises with an error code that names a selector; EXT is set while an event is being delivered that no INT instruction caused. */
_Noreturn void raise_sel(struct cpu_state *cs, int vector, u16 sel);
/* Reads the descriptor that a selector names; false when it lies outside its table. */
bool desc_fetch(struct cpu_state *cs, u16 sel, struct desc *d);
/* The same, raising `vector` with the selector for a null selector (error code 0) or one outside the table. */
void desc_need(struct cpu_state *cs, u16 sel, struct desc *d, int vector);
void desc_set_accessed(struct cpu_state *cs, struct desc *d);
/* Fills a hidden part; no checks, nothing derived. */
static inline void desc_to_seg(struct cpu_seg *s, u16 sel, const struct desc *d)
{
	s->base = desc_base(d);
	s->limit = desc_limit(d);
	s->attr = (u16)(d->hi >> 8 & 0xf0ff);
	s->sel = sel;
}
/* Puts a checked descriptor into a segment register. */
void seg_set(struct cpu_state *cs, int seg, u16 sel, const struct desc *d);
void seg_set_null(struct cpu_state *cs, int seg, u16 sel);
/* A flat segment as SYSENTER and SYSCALL load it. */
void seg_set_flat(struct cpu_state *cs, int seg, u16 sel, u16 attr);
/* Checks that `sel` may become SS at privilege `cpl`: `vector` for everything but not present, which is #SS. */
void seg_check_stack(struct cpu_state *cs, u16 sel, u32 cpl, struct desc *d, int vector);
/* MOV to ES, SS, DS, FS, GS in any mode. `vector` is #GP, or #TS in a task switch. Does not call cpu_update_mode(). */
void seg_load(struct cpu_state *cs, int seg, u16 sel, int vector);
/* Full check of one access through a segment register: #GP(0) or #SS(0). */
void seg_check(struct cpu_state *cs, int seg, u32 off, u32 size, bool write);
#endif

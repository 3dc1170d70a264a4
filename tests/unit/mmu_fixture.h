/*
 * mmu_fixture.h - a machine of memory, bus and MMU only, with a pretended translator that counts what it is told, for tests and benchmarks.
 */
#ifndef RF_MMU_FIXTURE_H
#define RF_MMU_FIXTURE_H
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "monitor/bus.h"
#include "monitor/cpuid.h"
#include "monitor/mem.h"
#include "monitor/mmu.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"

enum { FIXTURE_LEFT = -2 };	/* fx.vector: the access left to the run loop without an exception */

static struct {
	struct vm vm;
	struct vcpu *vcpu;
	jmp_buf raise;
	int vector, error;
	int half_flushes, page_flushes, half_copies, notifies;
	gla_t flushed;
	gpa_t notified;
	bool overlaps_code;	/* what tr_overlaps_code() answers */
} fx;

void tr_half_add(struct translator *tr, u8 *half) { }
void tr_half_flush(struct translator *tr, u8 *half) { fx.half_flushes++; }
void tr_half_copy(struct translator *tr, u8 *half, u8 *from) { fx.half_copies++; }
void tr_half_page_flush(struct translator *tr, u8 *half, gla_t lin) { fx.page_flushes++; fx.flushed = lin; }
void tr_write_notify(struct translator *tr, gpa_t gpa, u32 len) { fx.notifies++; fx.notified = gpa; }
bool tr_overlaps_code(struct translator *tr, gpa_t gpa, u32 len) { return fx.overlaps_code; }
void cpu_model_cpuid(const struct cpu_model *m, const struct cpu_state *cs, u32 leaf, u32 sub, u32 out[4]) { memset(out, 0, 16); }
_Noreturn void cpu_raise(struct cpu_state *cs, int vector, int error)
{
	fx.vector = vector;
	fx.error = error;
	longjmp(fx.raise, 1);
}
_Noreturn void cpu_leave(struct cpu_state *cs)
{
	fx.vector = FIXTURE_LEFT;
	longjmp(fx.raise, 1);
}

/* Runs the expression; true if it raised. */
#define RAISES(expr) (fx.vector = -1, setjmp(fx.raise) ? true : ((void)(expr), false))

enum { CR0_PG_PE = (int)0x80000001, CR0_WP = 1 << 16, CR4_PSE = 1 << 4, CR4_PAE = 1 << 5, EFER_NXE = 1 << 11 };

static inline struct cpu_state *fixture_up(u64 ram)
{
	char err[200];

	memset(&fx, 0, sizeof(fx));
	fx.vcpu = aligned_alloc(64, (sizeof(*fx.vcpu) + 63) & ~63ul);
	memset(fx.vcpu, 0, sizeof(*fx.vcpu));
	fx.vcpu->vm = &fx.vm;
	bug_on(!bus_init(&fx.vm) || !mem_init(&fx.vm, ram, err, sizeof(err)), "fixture");
	fx.vm.vcpu = fx.vcpu;
	bug_on(!mmu_init(fx.vcpu), "fixture");
	return &fx.vcpu->cs;
}

static inline void fixture_down(void)
{
	mmu_fini(fx.vcpu->mmu);
	bus_fini(&fx.vm);
	mem_fini(&fx.vm);
	free(fx.vcpu);
}

static inline u8 *ram_at(gpa_t gpa) { return fx.vm.mem->ram + gpa; }
static inline u32 get32(gpa_t gpa) { u32 v; memcpy(&v, ram_at(gpa), 4); return v; }
static inline u64 get64(gpa_t gpa) { u64 v; memcpy(&v, ram_at(gpa), 8); return v; }
/* As the guest writes: through the paths that the MMU sees. */
static inline void put32(gpa_t gpa, u32 v) { mem_write(&fx.vm, gpa, &v, 4); }
static inline void put64(gpa_t gpa, u64 v) { mem_write(&fx.vm, gpa, &v, 8); }

static inline void set_paging(struct cpu_state *cs, u64 cr3, u64 cr4, u64 efer, bool wp)
{
	cs->cr3 = cr3;
	cs->cr4 = cr4;
	cs->efer = efer;
	cs->cr0 = (u32)CR0_PG_PE | (wp ? CR0_WP : 0);
	mmu_mode_changed(cs);
}
#endif

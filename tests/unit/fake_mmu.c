/*
 * fake_mmu.c - see fake_mmu.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fake_mmu.h"
#include "monitor/bus.h"
#include "monitor/clock.h"
#include "monitor/cpuid.h"
#include "monitor/mmu.h"
#include "translator/vtlb.h"

#define GDT_BASE 0x1000u

struct fake *fake_init(const char *model)
{
	struct fake *f = aligned_alloc(64, (sizeof *f + 63) & ~(size_t)63);

	memset(f, 0, sizeof *f);
	f->half = calloc(1, VTLB_HALF_SIZE);
	f->bad_page = f->ro_page = ~0u;
	f->vcpu.vm = &f->vm;
	f->vm.vcpu = &f->vcpu;
	f->vcpu.mmu = (struct mmu *)f;
	f->vcpu.half[0] = f->vcpu.half[1] = f->half;
	f->vcpu.msr = &f->msr;
	f->vcpu.model = cpu_model_find(model);
	f->vcpu.in_delivery = -1;
	f->vcpu.cs.go = 1;
	f->vcpu.cs.df = 1;
	f->vcpu.cs.eflags_sys = FL_R1;
	f->vcpu.cs.gdt.base = GDT_BASE;
	f->vcpu.cs.gdt.limit = 0xfff;
	msr_reset(&f->vcpu);
	return f;
}

void fake_fini(struct fake *f)
{
	cpu_model_free(f->vcpu.model);
	free(f->half);
	free(f);
}

u32 fake_get(struct fake *f, u32 lin, int size)
{
	u32 v = 0;

	memcpy(&v, f->ram + lin, (size_t)size);
	return v;
}

void fake_put(struct fake *f, u32 lin, u32 value, int size) { memcpy(f->ram + lin, &value, (size_t)size); }

void fake_desc(struct fake *f, u32 sel, u32 base, u32 limit, u32 attr)
{
	u32 field = attr & SA_G ? limit >> 12 : limit, addr = GDT_BASE + (sel & 0xfff8);

	fake_put(f, addr, (field & 0xffff) | base << 16, 4);
	fake_put(f, addr + 4, (base >> 16 & 0xff) | (attr & 0xf0ff) << 8 | (field & 0xf0000) | (base & 0xff000000), 4);
}

void fake_gate(struct fake *f, u32 addr, u32 sel, u32 offset, u32 attr, u32 count)
{
	fake_put(f, addr, (offset & 0xffff) | sel << 16, 4);
	fake_put(f, addr + 4, (offset & 0xffff0000) | attr << 8 | count, 4);
}

/* --- what the privileged instructions call --- */
_Noreturn void cpu_raise(struct cpu_state *cs, int vector, int error)
{
	fake_of(cs)->vector = vector;
	fake_of(cs)->error = error;
	longjmp(fake_of(cs)->jmp, 1);
}

_Noreturn void cpu_leave(struct cpu_state *cs)
{
	fake_of(cs)->vector = -2;
	longjmp(fake_of(cs)->jmp, 1);
}

void mmu_probe(struct cpu_state *cs, gla_t lin, u32 len, int acc)
{
	struct fake *f = fake_of(cs);

	for (u32 i = 0; i < len; i++) {
		u32 page = (u32)(lin + i) >> PAGE_SHIFT;

		if (page == f->bad_page || lin + i >= FAKE_RAM || ((acc & ACC_WRITE) && page == f->ro_page)) {
			cs->cr2 = lin + i;
			cpu_raise(cs, VEC_PF, (acc & ACC_WRITE ? 2 : 0) | (acc & ACC_USER ? 4 : 0));
		}
	}
}

u64 mmu_read(struct cpu_state *cs, gla_t lin, int size, int acc)
{
	u64 v = 0;

	mmu_probe(cs, lin, (u32)size, acc);
	memcpy(&v, fake_of(cs)->ram + lin, (size_t)size);
	return v;
}

void mmu_write(struct cpu_state *cs, gla_t lin, u64 value, int size, int acc)
{
	mmu_probe(cs, lin, (u32)size, acc | ACC_WRITE);
	memcpy(fake_of(cs)->ram + lin, &value, (size_t)size);
}

u8 *mmu_host(struct cpu_state *cs, gla_t lin, int acc)
{
	struct fake *f = fake_of(cs);
	u32 page = (u32)lin >> PAGE_SHIFT;

	return lin >= FAKE_RAM || page == f->bad_page || ((acc & ACC_WRITE) && page == f->ro_page) ? NULL : f->ram + lin;
}

bool mmu_pdptes_valid(struct cpu_state *cs, u64 cr3) { return cr3 != 0xbad000; }
void mmu_cr3_written(struct cpu_state *cs) { fake_of(cs)->flushes++; }
void mmu_mode_changed(struct cpu_state *cs) { fake_of(cs)->flushes++; }
void mmu_watch(struct cpu_state *cs, const u32 *page, int count) { fake_of(cs)->flushes++; }
void mmu_invlpg(struct cpu_state *cs, gla_t lin) { fake_of(cs)->flushes++; }
u32 tr_cs_id(struct translator *tr, u64 base, u32 limit) { return 1; }
u64 clock_tsc_hz(struct vm *vm) { return 2500000000ull; }

u32 bus_io_read(struct vm *vm, u16 port, int size)
{
	struct fake *f = (struct fake *)vm->vcpu;

	f->last_port = port;
	return f->port_value++;
}

void bus_io_write(struct vm *vm, u16 port, u32 value, int size)
{
	struct fake *f = (struct fake *)vm->vcpu;

	f->last_port = port;
	f->last_value = value;
}

u32 bus_stream_read(struct vm *vm, u16 port, void *buf, int size, u32 n)
{
	struct fake *f = (struct fake *)vm->vcpu;

	n = n < f->stream ? n : f->stream;
	memset(buf, 0x77, n * (u32)size);
	f->streamed += n;
	return n;
}

u32 bus_stream_write(struct vm *vm, u16 port, const void *buf, int size, u32 n)
{
	struct fake *f = (struct fake *)vm->vcpu;

	n = n < f->stream ? n : f->stream;
	if (n)
		memcpy(&f->last_value, buf, 4);
	f->streamed += n;
	return n;
}

void vm_trace_print(const char *fmt, ...) { }

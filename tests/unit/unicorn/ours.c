/*
 * ours.c - the case as the virtual CPU runs it: the whole monitor without a board.
 *
 * An exception is caught where the monitor traces it, before it is delivered: this file has the trace function in place of
 * monitor/trace.c. INT is delivered as always; its handler is a HLT, and the frame tells where it came from.
 */
#ifdef HAVE_UNICORN
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "monitor/bus.h"
#include "monitor/clock.h"
#include "monitor/cpuid.h"
#include "monitor/event.h"
#include "monitor/hostfault.h"
#include "monitor/mem.h"
#include "monitor/mmu.h"
#include "monitor/segment.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"
#include "tests/unit/unicorn/case.h"

enum { SLICE = 200000 /* ns */, SLICES = 25000 };

struct ours {
	struct vm vm;
	struct cpu_state start[MODES];
	struct timer timer;
	int slices;
	int vector;
	u32 error;
	void *jmp[5];
};

/* Whose exceptions are caught: the trace function is not told. */
static struct ours *running;

void vm_trace_print(const char *fmt, ...)
{
	va_list ap;

	if (strncmp(fmt, "exception ", 10))
		return;
	va_start(ap, fmt);
	running->vector = va_arg(ap, int);
	running->error = va_arg(ap, u32);
	va_end(ap);
	__builtin_longjmp(running->jmp, 1);
}

/* A HLT that waits for an interrupt ends the case, and so does running for five seconds. */
static void on_timer(void *arg, u64 now)
{
	struct ours *v = arg;

	if (v->vm.vcpu->cs.halted || ++v->slices == SLICES)
		vm_request_stop(&v->vm, v->slices == SLICES ? VM_ERROR : VM_QUIT);
	timer_arm(&v->timer, now + SLICE);
}

/* In a frame of its own: the builtins want no live locals. */
static __attribute__((noinline)) void run_to_end(struct ours *v)
{
	running = v;
	v->vector = -1;
	v->slices = 0;
	v->vm.stop = VM_RUNNING;
	timer_arm(&v->timer, clock_now(&v->vm) + SLICE);
	vcpu_kick(v->vm.vcpu);
	if (!__builtin_setjmp(v->jmp)) {
		vcpu_run(v->vm.vcpu);
		return;
	}
	v = running;
	tr_abandoned(v->vm.vcpu->tr);
	v->vm.vcpu->in_delivery = -1;
	v->vm.vcpu->delivery_external = false;
	cpu_update_mode(&v->vm.vcpu->cs);
	hostfault_leave();
}

static void ram_restored(struct ours *v, u32 at, const void *bytes, u32 len) { mem_write(&v->vm, at, bytes, len); }

static void flat_protected_mode(struct vcpu *vcpu)
{
	struct cpu_state *cs = &vcpu->cs;

	vcpu_reset(vcpu);
	cs->cr0 = 0x11;
	for (int s = 0; s < 6; s++)
		seg_set_flat(cs, s, s == S_CS ? SEL_FLAT_CODE : SEL_FLAT_DATA, SA_G | SA_DB | (s == S_CS ? 0x9b : 0x93));
	cs->gdt = (struct cpu_dtr){ .base = AT_GDT, .limit = GDT_BYTES - 1 };
	cs->idt = (struct cpu_dtr){ .base = AT_IDT, .limit = 0x7ff };
	mmu_mode_changed(cs);
	cs->rip = AT_START;
	cpu_update_mode(cs);
}

static bool reach(struct ours *v, enum case_mode mode, u8 *image)
{
	struct vcpu *vcpu = v->vm.vcpu;

	image_fill(image);
	image_start(mode, image);
	ram_restored(v, 0, image, RAM_BYTES);
	flat_protected_mode(vcpu);
	run_to_end(v);
	if (mode == IN_REAL || mode == IN_BIG_REAL)
		vcpu->cs.idt = (struct cpu_dtr){ .limit = 0x3ff };
	v->start[mode] = vcpu->cs;
	return (v->vector < 0 && vcpu->cs.halted) || (v->vector == VEC_GP && vcpu->cs.cpl == 3);
}

struct ours *ours_init(const char **err)
{
	struct ours *v = aligned_alloc(64, (sizeof(*v) + 63) & ~63ul);
	struct tr_options tr = { 0 };
	u8 *image = malloc(RAM_BYTES);

	*err = "out of memory";
	if (!v || !image)
		return NULL;
	memset(v, 0, sizeof(*v));
	v->vm = (struct vm){ .name = "unicorn", .trace = TRACE_EXC };
	if (!mem_init(&v->vm, RAM_BYTES, v->vm.error, sizeof(v->vm.error)) || !bus_init(&v->vm) || !clock_init(&v->vm) ||
	    !event_init(&v->vm, v->vm.error, sizeof(v->vm.error)) || !(v->vm.vcpu = vcpu_init(&v->vm, cpu_model_find("core2"), &tr, err)))
		return NULL;
	for (gpa_t a = 0xa0000; a < 0x100000; a += PAGE_SIZE)
		mem_set_kind(&v->vm, a, PAGE_SIZE, MEM_RAM);
	timer_init(&v->vm, &v->timer, on_timer, v);
	*err = "the virtual CPU does not get through the start-up code";
	for (int mode = 0; mode < MODES; mode++)
		if (!reach(v, (enum case_mode)mode, image))
			return NULL;
	image_fill(image);
	ram_restored(v, 0, image, RAM_BYTES);
	free(image);
	return v;
}

static struct seg_state segment(const struct cpu_seg *s)
{
	return (struct seg_state){ .base = s->base, .limit = s->limit, .sel = s->sel, .attr = s->attr };
}

static void read_state(const struct cpu_state *cs, struct cpu_image *out)
{
	for (int r = 0; r < 8; r++)
		out->gpr[r] = (u32)cs->gpr[r];
	out->eip = (u32)cs->rip;
	out->eflags = cpu_eflags(cs);
	out->cr0 = (u32)cs->cr0, out->cr2 = (u32)cs->cr2, out->cr3 = (u32)cs->cr3, out->cr4 = (u32)cs->cr4;
	for (int s = 0; s < 6; s++)
		out->seg[s] = segment(&cs->seg[s]);
	out->ldt = segment(&cs->ldt);
	out->tr = segment(&cs->tr);
	out->gdt.base = (u32)cs->gdt.base, out->gdt.limit = cs->gdt.limit;
	out->idt.base = (u32)cs->idt.base, out->idt.limit = cs->idt.limit;
}

/* Element n of the frame; the stack may wrap around. */
static u32 frame(struct ours *v, u32 n, u32 size)
{
	const struct cpu_state *cs = &v->vm.vcpu->cs;
	u32 off = (u32)cs->gpr[R_ESP] + n * size, value = 0;

	mem_read(&v->vm, cs->seg[S_SS].base + (cs->seg[S_SS].attr & SA_DB ? off : off & 0xffff), &value, size);
	return value;
}

/* The handler of an INT was reached: state as it was at the instruction, out of the frame. */
static void undo_int(struct ours *v, const struct uc_case *c, struct cpu_image *out)
{
	struct cpu_state *cs = &v->vm.vcpu->cs;
	u32 size = cs->cr0 & 1 ? 4 : 2;
	bool outer = size == 4 && (c->mode == IN_V86 || c->mode == IN_PM16_R3 || c->mode == IN_PM32_R3);

	out->end = END_INT;
	out->vector = (int)(cs->rip - 1 - (size == 4 ? AT_HANDLERS : 0));
	out->eip = frame(v, 0, size);
	out->seg[S_CS].sel = (u16)frame(v, 1, size);
	out->eflags = frame(v, 2, size);
	out->gpr[R_ESP] = outer ? frame(v, 3, size) : (u32)cs->gpr[R_ESP] + 3 * size;
	if (!outer && !(cs->seg[S_SS].attr & SA_DB))
		out->gpr[R_ESP] = (out->gpr[R_ESP] & 0xffff) | ((u32)cs->gpr[R_ESP] & 0xffff0000);
}

void ours_run(struct ours *v, const struct uc_case *c, struct cpu_image *out)
{
	struct cpu_state *cs = &v->vm.vcpu->cs;

	*cs = v->start[c->mode];
	v->vm.vcpu->traps = 0;
	for (int s = 0; s < 6; s++)
		seg_update(cs, s);
	mmu_mode_changed(cs);
	for (int r = 0; r < 8; r++)
		cs->gpr[r] = c->gpr[r];
	cs->rip = c->at;
	cs->halted = 0;
	cs->inhibit = 0;
	cpu_set_eflags(cs, c->eflags);
	ram_restored(v, AT_CODE + c->at, c->code, c->len);
	run_to_end(v);
	memset(out, 0, sizeof(*out));
	read_state(cs, out);
	out->end = v->vector >= 0 ? END_EXCEPTION : v->vm.stop == VM_ERROR ? END_SKIP : END_HLT;
	out->vector = v->vector;
	out->error = v->vector >= 0 && (s32)v->error != TR_NO_ERR ? v->error : 0;
	if (out->end == END_HLT && (cs->cr0 & 1 ? cs->seg[S_CS].sel == SEL_FLAT_CODE && cs->rip - 1 - AT_HANDLERS < 256 :
	    cs->seg[S_CS].sel == AT_HANDLERS >> 4 && cs->rip - 1 < 256))
		undo_int(v, c, out);
}

u8 *ours_ram(struct ours *v) { return v->vm.mem->ram; }

void ours_restore(struct ours *v, const u8 *golden)
{
	const u8 *ram = v->vm.mem->ram;

	for (u32 at = 0; at < RAM_BYTES; at += PAGE_SIZE)
		if (memcmp(ram + at, golden + at, PAGE_SIZE))
			ram_restored(v, at, golden + at, PAGE_SIZE);
}

void ours_fini(struct ours *v)
{
	event_fini(&v->vm);
	const struct cpu_model *model = v->vm.vcpu->model;
	vcpu_fini(v->vm.vcpu);
	cpu_model_free(model);
	clock_fini(&v->vm);
	bus_fini(&v->vm);
	mem_fini(&v->vm);
	free(v);
}
#else
typedef int no_unicorn;	/* a file must hold something */
#endif

/*
 * snap_state.c - guest clock and processor as bytes, and what a machine must be like to take them. See snap_state.h.
 *
 * What is derived is not saved: the mode key, segment limits in their fast form, the interrupt line (which the chips' load sets).
 * A file may be anybody's: what could lead the host astray (MXCSR, the XSAVE header, CPL, mode bits) is checked before anything changes.
 */
#include "monitor/snap_state.h"
#include "monitor/access.h"
#include "monitor/clock.h"
#include "monitor/cpuid.h"
#include "monitor/event.h"
#include "monitor/lib/zio.h"
#include "monitor/mem.h"
#include "monitor/mmu.h"
#include "monitor/msr.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"
#include "monitor/watch.h"
#include <stdio.h>
#include <string.h>

#define NEVER (~0ull)
#define FPU_BYTES 832u		/* x87 and SSE in FXSAVE's form, XSAVE's header, the upper halves of the YMM registers */
#define MXCSR_BITS 0xffffu	/* every processor with BMI2 has these, DAZ too */
enum { FPU_MXCSR = 24, FPU_HEADER = 512, FPU_HEADER_BYTES = 64 };
#define APIC_BASE_BITS 0xffffff900ull	/* those that the MSR has (msr.def) */
enum { CR0_PE = 1, EFER_SCE = 1, EFER_NXE = 1 << 11, PENDING_RESET = 1, PENDING_CPU_RESET = 2, PENDING_START = 4 };
#define CR0_PG (1u << 31)

/* All of it, in one form for both ways. */
struct cpu_image {
	u64 now, tsc;			/* guest ns, guest TSC */
	u64 gpr[16], rip, eflags;
	struct cpu_seg seg[6], ldt, tr;	/* base, limit, sel, attr */
	struct cpu_dtr gdt, idt;
	u64 cr0, cr2, cr3, cr4, cr8, xcr0, efer, dr[8], pdpte[4], tsc_aux, a20_mask;
	u64 cpl, halted, inhibit, nmi_pending, nmi_blocked, traps, pending, fpu_mask;
	u8 fpu[FPU_BYTES];
	u64 msr[MSR_MAX];
};

/* One way or the other. */
struct pass { struct blob *out; struct blob_reader *in; };

static void pass_number(struct pass *p, u64 *value)
{
	if (p->out)
		blob_number(p->out, *value, 8);
	else
		*value = blob_take_number(p->in, 8);
}

static void pass_numbers(struct pass *p, u64 *value, u32 count)
{
	for (u32 i = 0; i < count; i++)
		pass_number(p, &value[i]);
}

static void pass_seg(struct pass *p, struct cpu_seg *s)
{
	u64 v[4] = { s->base, s->limit, s->sel, s->attr };
	pass_numbers(p, v, 4);
	*s = (struct cpu_seg){ .base = v[0], .limit = (u32)v[1], .sel = (u16)v[2], .attr = (u16)v[3] };
}

static void pass_dtr(struct pass *p, struct cpu_dtr *d)
{
	u64 limit = d->limit;
	pass_number(p, &d->base);
	pass_number(p, &limit);
	d->limit = (u32)limit;
}

static void pass_bytes(struct pass *p, u8 *bytes, size_t len)
{
	const u8 *from = p->out ? NULL : blob_take(p->in, len);
	if (p->out)
		blob_put(p->out, bytes, len);
	else if (from)
		memcpy(bytes, from, len);
}

/* False: a register that there is not. */
static bool pass_msrs(struct pass *p, u64 value[MSR_MAX])
{
	u64 count = MSR_MAX;
	pass_number(p, &count);
	for (u64 i = 0; i < count && (p->out || !p->in->bad); i++) {
		u64 number = p->out ? msr_number((int)i) : 0;
		pass_number(p, &number);
		int at = msr_find((u32)number);
		u64 v = at >= 0 ? value[at] : 0;
		pass_number(p, &v);
		if (at < 0)
			return false;
		value[at] = v;
	}
	return true;
}

static bool pass_image(struct pass *p, struct cpu_image *c)
{
	pass_number(p, &c->now);
	pass_number(p, &c->tsc);
	pass_numbers(p, c->gpr, 16);
	pass_number(p, &c->rip);
	pass_number(p, &c->eflags);
	for (int i = 0; i < 6; i++)
		pass_seg(p, &c->seg[i]);
	pass_seg(p, &c->ldt);
	pass_seg(p, &c->tr);
	pass_dtr(p, &c->gdt);
	pass_dtr(p, &c->idt);
	u64 *const numbers[] = { &c->cr0, &c->cr2, &c->cr3, &c->cr4, &c->cr8, &c->xcr0, &c->efer, &c->tsc_aux, &c->a20_mask, &c->cpl,
		&c->halted, &c->inhibit, &c->nmi_pending, &c->nmi_blocked, &c->traps, &c->pending, &c->fpu_mask };
	for (u32 i = 0; i < ARRAY_SIZE(numbers); i++)
		pass_number(p, numbers[i]);
	pass_numbers(p, c->dr, 8);
	pass_numbers(p, c->pdpte, 4);
	pass_bytes(p, c->fpu, FPU_BYTES);
	return pass_msrs(p, c->msr);
}

/* --- saving --- */

void snap_cpu_save(struct vm *vm, struct blob *out)
{
	struct vcpu *v = vm->vcpu;
	struct cpu_state *cs = &v->cs;
	struct cpu_image c = {
		.now = clock_now(vm), .tsc = vcpu_tsc(v), .rip = cs->rip, .eflags = cpu_eflags(cs), .ldt = cs->ldt, .tr = cs->tr,
		.gdt = cs->gdt, .idt = cs->idt, .cr0 = cs->cr0, .cr2 = cs->cr2, .cr3 = cs->cr3, .cr4 = cs->cr4, .cr8 = cs->cr8,
		.xcr0 = cs->xcr0, .efer = cs->efer, .tsc_aux = cs->tsc_aux, .a20_mask = vm->mem->a20_mask, .cpl = cs->cpl,
		.halted = cs->halted, .inhibit = cs->inhibit, .nmi_pending = v->nmi_pending, .nmi_blocked = v->nmi_blocked,
		.traps = v->traps, .fpu_mask = cs->fpu_mask,
	};
	c.pending = (vm->reset_requested ? PENDING_RESET : 0) | (vm->reset_cpu ? PENDING_CPU_RESET : 0) |
		    (vm->start_requested ? PENDING_START : 0);
	tr_fpu_save(cs);
	memcpy(c.gpr, cs->gpr, sizeof(c.gpr));
	memcpy(c.seg, cs->seg, sizeof(c.seg));
	memcpy(c.dr, cs->dr, sizeof(c.dr));
	memcpy(c.fpu, cs->fpu, FPU_BYTES);
	memcpy(c.msr, v->msr->value, sizeof(c.msr));
	mmu_pdptes(cs, c.pdpte);
	pass_image(&(struct pass){ .out = out }, &c);
}

/* --- loading --- */

static bool fpu_valid(const struct cpu_image *c, const struct cpu_state *cs)
{
	u32 mxcsr;
	u64 header[FPU_HEADER_BYTES / 8];
	memcpy(&mxcsr, c->fpu + FPU_MXCSR, 4);
	memcpy(header, c->fpu + FPU_HEADER, sizeof(header));
	for (u32 i = 1; i < ARRAY_SIZE(header); i++)
		if (header[i])
			return false;
	return !(mxcsr & ~MXCSR_BITS) && !(header[0] & ~(u64)cs->fpu_mask);
}

static bool image_valid(struct vm *vm, const struct cpu_image *c)
{
	const struct cpu_state *cs = &vm->vcpu->cs;
	bool pe = c->cr0 & CR0_PE, pg = c->cr0 & CR0_PG, v86 = c->eflags & FL_VM;
	for (int i = 0; i < 6; i++)
		if (c->seg[i].base >> 32 || c->seg[i].attr & SA_L)
			return false;
	return c->cpl <= 3 && (pe || (!pg && !v86 && !c->cpl)) && (!v86 || c->cpl == 3) && c->inhibit <= SHADOW_SS &&
	       !(c->cr0 >> 32) && !(c->cr3 >> 32) && !(c->rip >> 32) && !(c->efer & ~(u64)(EFER_SCE | EFER_NXE)) &&
	       !(c->cr4 & ~cpu_model_cr4_mask(vm->vcpu->model)) && !(c->xcr0 & ~(cpu_model_xcr0_mask(vm->vcpu->model) | 1)) &&
	       (c->a20_mask | 1ull << 20) == ~0ull &&
	       c->fpu_mask == cs->fpu_mask && c->now < NEVER / 2 && fpu_valid(c, cs);
}

static bool read_image(struct blob_reader in, struct cpu_image *c)
{
	memset(c, 0, sizeof(*c));
	return pass_image(&(struct pass){ .in = &in }, c) && !in.bad && !in.left;
}

bool snap_cpu_check(struct vm *vm, struct blob_reader in, char *err, size_t errsize)
{
	struct cpu_image c;
	if (read_image(in, &c) && image_valid(vm, &c))
		return true;
	snprintf(err, errsize, "the processor's state in the snapshot is none that this machine's processor can have");
	return false;
}

void snap_cpu_prepare(struct vm *vm, struct blob_reader in)
{
	struct cpu_image c;
	bug_on(!read_image(in, &c), "the snapshot was checked");
	clock_set(vm, c.now);
	event_set_deadline(vm, NEVER);	/* is announced anew after the next round of timers */
	if (vm->apic_base_changed && cpu_model_has(vm->vcpu->model, TF_APIC))
		vm->apic_base_changed(vm->apic_arg, c.msr[MSR_APIC_BASE] & APIC_BASE_BITS);
}

void snap_cpu_load(struct vm *vm, struct blob_reader in)
{
	struct vcpu *v = vm->vcpu;
	struct cpu_state *cs = &v->cs;
	struct cpu_image c;
	bug_on(!read_image(in, &c), "the snapshot was checked");
	memcpy(v->msr->value, c.msr, sizeof(c.msr));
	memcpy(cs->gpr, c.gpr, sizeof(c.gpr));
	memcpy(cs->dr, c.dr, sizeof(c.dr));
	memcpy(cs->fpu, c.fpu, FPU_BYTES);
	cs->fpu_live = 0;
	cs->rip = c.rip;
	cs->cr0 = c.cr0, cs->cr2 = c.cr2, cs->cr3 = c.cr3, cs->cr4 = c.cr4, cs->cr8 = c.cr8, cs->xcr0 = c.xcr0, cs->efer = c.efer;
	cs->gdt = c.gdt, cs->idt = c.idt, cs->ldt = c.ldt, cs->tr = c.tr;
	cs->tsc_aux = (u32)c.tsc_aux;
	cs->cpl = (u8)c.cpl;
	cs->halted = c.halted != 0;
	cs->inhibit = (u8)c.inhibit;
	cs->commit_len = 0;
	v->nmi_pending = c.nmi_pending;
	v->nmi_blocked = c.nmi_blocked;
	v->traps = (u32)c.traps;
	v->in_delivery = -1;
	v->int_delivered = v->delivery_external = false;
	vm->reset_requested = c.pending & PENDING_RESET;
	vm->reset_cpu = c.pending & PENDING_CPU_RESET;
	vm->start_requested = c.pending & PENDING_START;
	vcpu_set_tsc(v, c.tsc);
	mem_set_a20(vm, c.a20_mask == ~0ull);

	tr_flush(v->tr);
	mmu_restore(cs, c.pdpte);
	for (int i = 0; i < 6; i++) {
		cs->seg[i] = c.seg[i];
		seg_update(cs, i);
	}
	cpu_set_eflags(cs, (u32)c.eflags);
	watch_update(cs);
	vm->activity++;
	vcpu_kick(v);
}

/* --- the machine --- */

#define HASH_LEAVES 4u

/* CPUID without what depends on the processor's state. */
static u32 cpuid_hash(const struct vcpu *v, u32 vendor[4])
{
	static const u32 leaves[HASH_LEAVES] = { 0, 1, 7, 0x80000001u };
	u32 hash = 0, r[4];
	for (u32 i = 0; i < HASH_LEAVES; i++) {
		cpu_model_cpuid(v->model, NULL, leaves[i], 0, r);
		if (!i)
			memcpy(vendor, r, sizeof(r));
		hash = zio_crc(hash, r, sizeof(r));
	}
	return hash;
}

static u32 rom_hash(const struct mem *m)
{
	u32 hash = 0;
	for (u64 p = 0; p < 1u << 20; p++)
		if (m->rom[p]) {
			hash = zio_crc(hash, &p, sizeof(p));
			hash = zio_crc(hash, m->rom[p], PAGE_SIZE);
		}
	return hash;
}

void snap_machine_text(struct vm *vm, struct blob *out)
{
	char text[200];
	u32 vendor[4] = { 0 }, hash = cpuid_hash(vm->vcpu, vendor);
	char name[13] = "";
	memcpy(name, &vendor[1], 4);
	memcpy(name + 4, &vendor[3], 4);
	memcpy(name + 8, &vendor[2], 4);
	int n = snprintf(text, sizeof(text), "memory=%llu KiB\nprocessor=%s %08x\nfirmware and tables=%08x\n",
			 (unsigned long long)vm->mem->ram_size >> 10, name, hash, rom_hash(vm->mem));
	blob_put(out, text, (size_t)n);
}

bool snap_machine_check(struct vm *vm, const struct blob *text, char *err, size_t errsize)
{
	struct blob mine = { 0 };
	bool same = true;
	snap_machine_text(vm, &mine);
	const char *a = (const char *)text->data, *b = (const char *)mine.data;
	const char *a_end = a + text->len, *b_end = b + mine.len;
	while (same && (a < a_end || b < b_end)) {
		const char *a_nl = a < a_end ? memchr(a, '\n', (size_t)(a_end - a)) : NULL;
		const char *b_nl = b < b_end ? memchr(b, '\n', (size_t)(b_end - b)) : NULL;
		if (!a_nl || !b_nl) {
			snprintf(err, errsize, "the snapshot is of another kind of machine");
			same = false;
		} else if (a_nl - a != b_nl - b || memcmp(a, b, (size_t)(a_nl - a))) {
			snprintf(err, errsize, "the snapshot is of another machine: it has %.*s, this one has %.*s", (int)(a_nl - a < 80 ? a_nl - a : 80), a,
				 (int)(b_nl - b), b);
			same = false;
		}
		a = a_nl ? a_nl + 1 : a_end;
		b = b_nl ? b_nl + 1 : b_end;
	}
	blob_free(&mine);
	return same;
}

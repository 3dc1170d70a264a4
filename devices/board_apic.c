/*
 * board_apic.c - wires local APIC, I/O APIC and HPET.
 *
 *     ISA inputs -+-> 8259s ---INTR---> LINT0 of the local APIC ---> CPU
 *                 +-> I/O APIC --------> local APIC
 *
 * A CPU without a local APIC has the 8259's INTR at its pin. Where the local APIC's registers answer, the guest can change.
 */
#include "devices/board_apic.h"
#include "devices/acpi_dsdt.h"
#include "monitor/bus.h"
#include "monitor/cpuid.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"

#define IOAPIC_AT 0xfec00000u
#define LAPIC_AT  0xfee00000u
enum { GSI_PIT = 2, LEAF_TSC = 0x15, CRYSTAL = 2 };
/* Of the Pentium's and of later processors' local APICs: the version, and the last LVT entry. */
enum { VERSION_P5 = 0x00030010, VERSION = 0x00050014 };
#define BUS_HZ 1000000000u

static u32 lapic_mem_read(void *dev, u32 offset, int size) { return lapic_read(dev, offset, size); }
static void lapic_mem_write(void *dev, u32 offset, u32 value, int size) { lapic_write(dev, offset, value, size); }
static u32 ioapic_mem_read(void *dev, u32 offset, int size) { return ioapic_read(dev, offset, size); }
static void ioapic_mem_write(void *dev, u32 offset, u32 value, int size) { ioapic_write(dev, offset, value, size); }
static u32 hpet_mem_read(void *dev, u32 offset, int size) { return hpet_read(dev, offset, size); }
static void hpet_mem_write(void *dev, u32 offset, u32 value, int size) { hpet_write(dev, offset, value, size); }
static const struct bus_ops lapic_ops = { lapic_mem_read, lapic_mem_write, 4 };
static const struct bus_ops ioapic_ops = { ioapic_mem_read, ioapic_mem_write, 4 };
static const struct bus_ops hpet_ops = { hpet_mem_read, hpet_mem_write, 4 };

/* --- between the chips --- */

static void to_cpu(void *to, int n, bool level)
{
	struct vm *vm = to;
	vcpu_set_intr(vm->vcpu, level);
}

static void nmi(void *arg)
{
	struct board_apic *a = arg;
	vcpu_nmi(a->lapic.dev.vm->vcpu);
}

static void init(void *arg)
{
	struct board_apic *a = arg;
	vm_request_cpu_reset(a->lapic.dev.vm);
}

static void end_of_interrupt(void *arg, u8 vector)
{
	struct board_apic *a = arg;
	ioapic_eoi(&a->ioapic, vector);
}

/* Only the PIT wants to know. */
static void vector_taken(void *arg, u8 vector)
{
	struct board_apic *a = arg;
	if (a->taken && vector == ioapic_vector(&a->ioapic, GSI_PIT))
		a->taken(a->taken_arg, GSI_PIT);
}

static bool to_lapic(void *arg, const struct ioapic_message *m)
{
	struct board_apic *a = arg;
	const struct apic_message message = { .dest = m->dest, .vector = m->vector, .mode = (enum apic_mode)m->mode, .logical = m->logical,
					      .level = m->level };
	return a->present && lapic_deliver(&a->lapic, &message);
}

int board_apic_waits(const struct board_apic *a, int pin)
{
	int vector = ioapic_vector(&a->ioapic, pin);
	return !a->present || vector < 0 ? -1 : lapic_pending(&a->lapic, (u8)vector);
}

void board_apic_irq(struct board_apic *a, int irq, bool level)
{
	ioapic_set_irq(&a->ioapic, irq ? irq : GSI_PIT, level);
}

void board_apic_intr(struct board_apic *a, bool level)
{
	if (a->present)
		lapic_set_lint(&a->lapic, 0, level);
	else
		vcpu_set_intr(a->lapic.dev.vm->vcpu, level);
}

/* --- what the CPU sees --- */

static void place(struct board_apic *a, u64 at)
{
	struct vm *vm = a->lapic.dev.vm;
	if (a->lapic_at == at)
		return;
	if (a->lapic_at)
		bus_remove(vm, &a->lapic);
	a->lapic_at = at && bus_add_mmio(vm, "lapic", at, LAPIC_BYTES, &lapic_ops, &a->lapic) ? at : 0;
}

static void base_changed(void *arg, u64 value)
{
	struct board_apic *a = arg;
	bool on = value & LAPIC_BASE_ENABLE;
	lapic_enable(&a->lapic, on);
	place(a, on ? value & ~(u64)PAGE_MASK : 0);
}

static u64 tsc_deadline(void *arg)
{
	struct board_apic *a = arg;
	return lapic_deadline(&a->lapic);
}

static void set_tsc_deadline(void *arg, u64 tsc)
{
	struct board_apic *a = arg;
	lapic_set_deadline(&a->lapic, tsc);
}

void board_apic_reset(struct board_apic *a)
{
	if (a->present)
		place(a, LAPIC_AT);
}

/* Software that knows the rate of the TSC's crystal takes it for the timer's, too. */
static u64 timer_hz(const struct cpu_model *model, const struct cpu_state *cs)
{
	u32 r[4];
	cpu_model_cpuid(model, cs, LEAF_TSC, 0, r);
	return r[CRYSTAL] ? r[CRYSTAL] : BUS_HZ;
}

bool board_apic_init(struct board_apic *a, struct vm *vm)
{
	const struct cpu_model *model = vm->vcpu->model;
	a->present = cpu_model_has(model, TF_APIC);
	lapic_init(&a->lapic, vm, "lapic", timer_hz(model, &vm->vcpu->cs), cpu_model_has(model, TF_TSC_DEADLINE),
		   cpu_model_has(model, TF_PMC) ? VERSION : VERSION_P5);
	a->lapic.intr = (struct line){ .set = to_cpu, .to = vm };
	a->lapic.nmi = nmi;
	a->lapic.init = init;
	a->lapic.eoi = end_of_interrupt;
	a->lapic.taken = vector_taken;
	a->lapic.arg = a;
	ioapic_init(&a->ioapic, vm, "ioapic");
	a->ioapic.deliver = to_lapic;
	a->ioapic.deliver_arg = a;
	hpet_init(&a->hpet, vm, "hpet");
	vm->apic_arg = a;
	vm->apic_base_changed = base_changed;
	vm->tsc_deadline = tsc_deadline;
	vm->set_tsc_deadline = set_tsc_deadline;
	board_apic_reset(a);
	return bus_add_mmio(vm, "ioapic", IOAPIC_AT, IOAPIC_BYTES, &ioapic_ops, &a->ioapic) &&
	       bus_add_mmio(vm, "hpet", ACPI_HPET_BASE, HPET_BYTES, &hpet_ops, &a->hpet);
}

/*
 * time.c - fuzzing what interrupts the processor and tells the time: 8259s, 8254, RTC, local APIC with I/O APIC, HPET, ACPI timer.
 */
#include "devices/emulated/hpet.h"
#include "devices/emulated/ioapic.h"
#include "devices/emulated/lapic.h"
#include "devices/emulated/pic.h"
#include "devices/emulated/piix4_pm.h"
#include "devices/emulated/pit.h"
#include "devices/emulated/rtc.h"
#include "tests/fuzz/dev/target.h"
#include <stdlib.h>

/* --- a chip by itself, in one space --- */

#define CHIP(name, what, init) \
	static struct device *name##_new(struct vm *vm) \
	{ \
		struct what *d = calloc(1, sizeof(*d)); \
		bug_on(!d, "out of memory"); \
		init; \
		return &d->dev; \
	} \
	static void name##_free(struct device *dev) { free(container_of(dev, struct what, dev)); }

CHIP(pic, pic, pic_init(d, vm, "pic"))
/* Offsets 0 to 3 are the ports, 4 and 5 the ELCR, 6 acknowledges or drives an input. */
static u32 pic_ports_read(void *dev, u32 offset, int size)
{
	return offset == 6 ? (u32)pic_ack(dev) : offset < 4 ? pic_read(dev, (int)offset >> 1, offset & 1) : pic_read_elcr(dev, offset & 1);
}
static void pic_ports_write(void *dev, u32 offset, u32 value, int size)
{
	if (offset < 4)
		pic_write(dev, (int)offset >> 1, offset & 1, (u8)value);
	else if (offset < 6)
		pic_write_elcr(dev, offset & 1, (u8)value);
	else
		pic_set_irq(dev, value & 15, value >> 4 & 1);
}

CHIP(pit, pit, pit_init(d, vm, "pit"))
static u32 pit_ports_read(void *dev, u32 offset, int size) { return offset < 4 ? pit_read(dev, offset) : pit_read_port61(dev); }
static void pit_ports_write(void *dev, u32 offset, u32 value, int size)
{
	if (offset < 4)
		pit_write(dev, offset, (u8)value);
	else
		pit_write_port61(dev, (u8)value);
}

CHIP(rtc, rtc, rtc_init(d, vm, "rtc"))
static u32 rtc_ports_read(void *dev, u32 offset, int size) { return rtc_read(dev, offset); }
static void rtc_ports_write(void *dev, u32 offset, u32 value, int size)
{
	rtc_write(dev, offset, (u8)(offset || value & 0x4000 ? value : value & 15));	/* mostly the clock's registers */
}

/* The ACPI registers at 0, the SMBus at 40h, ports B2h and B3h at 50h. */
CHIP(pm, piix4_pm, piix4_pm_init(d, vm, "pm"))
static u32 pm_ports_read(void *dev, u32 offset, int size)
{
	return offset < 0x40 ? piix4_pm_read(dev, offset, size) : offset < 0x50 ? piix4_smb_read(dev, offset - 0x40) :
							       piix4_apm_read(dev, offset - 0x50);
}
static void pm_ports_write(void *dev, u32 offset, u32 value, int size)
{
	if (offset < 0x40)
		piix4_pm_write(dev, offset, value, size);
	else if (offset < 0x50)
		piix4_smb_write(dev, offset - 0x40, (u8)value);
	else
		piix4_apm_write(dev, offset - 0x50, (u8)(value & 1 ? PIIX4_ACPI_ENABLE : value));
}
static void pm_now_and_then(struct device *dev, u32 random) { piix4_pm_button(container_of(dev, struct piix4_pm, dev)); }

CHIP(hpet, hpet, hpet_init(d, vm, "hpet"))
static u32 hpet_mem_read(void *dev, u32 offset, int size) { return hpet_read(dev, offset & ~3u, size); }
static void hpet_mem_write(void *dev, u32 offset, u32 value, int size) { hpet_write(dev, offset & ~3u, value, size); }

/* --- local APIC and I/O APIC together; space 2: their inputs, and the CPU --- */

struct apic_rig { struct lapic lapic; struct ioapic ioapic; };

static void apic_nothing(void *arg) { }
static void apic_taken(void *arg, u8 vector) { }
static void apic_eoi(void *arg, u8 vector) { ioapic_eoi(&((struct apic_rig *)arg)->ioapic, vector); }
static bool apic_deliver(void *arg, const struct ioapic_message *m)
{
	const struct apic_message message = { .dest = m->dest, .vector = m->vector, .mode = (enum apic_mode)m->mode, .logical = m->logical,
					      .level = m->level };
	return lapic_deliver(&((struct apic_rig *)arg)->lapic, &message);
}

static struct device *apic_new(struct vm *vm)
{
	struct apic_rig *r = calloc(1, sizeof(*r));
	bug_on(!r, "out of memory");
	lapic_init(&r->lapic, vm, "lapic", 1000000000, true, 0x00050014);
	ioapic_init(&r->ioapic, vm, "ioapic");
	r->lapic.nmi = r->lapic.init = apic_nothing;
	r->lapic.taken = apic_taken;
	r->lapic.eoi = apic_eoi;
	r->lapic.arg = r->ioapic.deliver_arg = r;
	r->ioapic.deliver = apic_deliver;
	lapic_enable(&r->lapic, true);
	return &r->lapic.dev;
}

static void apic_free(struct device *dev) { free(container_of(dev, struct apic_rig, lapic.dev)); }

static void apic_now_and_then(struct device *dev, u32 random)
{
	struct apic_rig *r = container_of(dev, struct apic_rig, lapic.dev);
	struct device *other = &r->ioapic.dev;
	switch (random & 63) {
	case 0:
		lapic_enable(&r->lapic, random & 64);
		break;
	case 1:
		other->cls->reset(other);
		break;
	case 2:
		for (const struct field *f = other->cls->fields; f->name; f++)
			field_put(other, f, random >> 8 & 15 % f->count, random);
		if (other->cls->loaded)
			other->cls->loaded(other);
		break;
	case 3:
		lapic_set_deadline(&r->lapic, random & 64 ? random : clock_tsc(dev->vm) + (random >> 8));
		break;
	default:	/* switched on, or little would be reached */
		lapic_enable(&r->lapic, true);
		lapic_write(&r->lapic, 0xf0, 0x1ff, 4);
	}
}

static u32 lapic_mem_read(void *dev, u32 offset, int size) { return lapic_read(dev, offset, size); }
static void lapic_mem_write(void *dev, u32 offset, u32 value, int size) { lapic_write(dev, offset, value, size); }
static u32 ioapic_mem_read(void *dev, u32 offset, int size) { return ioapic_read(&((struct apic_rig *)dev)->ioapic, offset, size); }
static void ioapic_mem_write(void *dev, u32 offset, u32 value, int size)
{
	ioapic_write(&((struct apic_rig *)dev)->ioapic, offset, offset < 4 ? value & 0x3f : value, size);
}
static u32 apic_cpu(void *dev, u32 offset, int size) { return (u32)lapic_ack(dev); }
static void apic_input(void *dev, u32 offset, u32 value, int size)
{
	struct apic_rig *r = dev;
	if (offset < IOAPIC_PINS)
		ioapic_set_irq(&r->ioapic, (int)offset, value & 1);
	else
		lapic_set_lint(&r->lapic, offset & 1, value & 1);
}

const struct target time_targets[] = {
	{ "pic", pic_new, pic_free, NULL, { { 7, 1, 1, pic_ports_read, pic_ports_write } } },
	{ "pit", pit_new, pit_free, NULL, { { 5, 1, 1, pit_ports_read, pit_ports_write } } },
	{ "rtc", rtc_new, rtc_free, NULL, { { 2, 1, 1, rtc_ports_read, rtc_ports_write } } },
	{ "pm", pm_new, pm_free, pm_now_and_then, { { 0x52, 4, 1, pm_ports_read, pm_ports_write } } },
	{ "apic", apic_new, apic_free, apic_now_and_then, {
		{ LAPIC_BYTES, 4, 4, lapic_mem_read, lapic_mem_write }, { IOAPIC_BYTES, 4, 3, ioapic_mem_read, ioapic_mem_write },
		{ IOAPIC_PINS + 2, 4, 2, apic_cpu, apic_input } } },
	{ "hpet", hpet_new, hpet_free, NULL, { { HPET_BYTES, 4, 1, hpet_mem_read, hpet_mem_write } } },
	{ 0 },
};

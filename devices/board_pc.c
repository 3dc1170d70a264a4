/*
 * board_pc.c - composes the PC and wires it.
 *
 * Chips know offsets and lines; here are the ports, the interrupt numbers and who resets whom. Interrupt inputs may be shared
 * (COM1 and COM3): an input is high while any of its sources is.
 *
 * What lies between C0000h and FFFFFh is the host bridge's business (PAM registers); firmware is mapped by the loader.
 */
#include "devices/board_pc.h"
#include "devices/board_apic.h"
#include "devices/board_drives.h"
#include "devices/board_isa.h"
#include "devices/board_power.h"
#include "devices/board_state.h"
#include "devices/board_video.h"
#include "devices/chardev.h"
#include "devices/emulated/debugcon.h"
#include "devices/emulated/debugexit.h"
#include "devices/emulated/fw_cfg.h"
#include "devices/emulated/i440fx.h"
#include "devices/emulated/i8042.h"
#include "devices/emulated/kbd.h"
#include "devices/emulated/mouse.h"
#include "devices/input.h"
#include "devices/pci.h"
#include "devices/emulated/pic.h"
#include "devices/emulated/piix3.h"
#include "devices/emulated/pit.h"
#include "devices/emulated/port92.h"
#include "devices/emulated/rtc.h"
#include "devices/emulated/uart.h"
#include "monitor/bus.h"
#include "monitor/event.h"
#include "monitor/mem.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { E820_RAM = 1, CMOS_SHUTDOWN = 0x0f };
enum { IRQ_PIT = 0, IRQ_KBD = 1, IRQ_FLOPPY = 6, IRQ_LPT = 7, IRQ_RTC = 8, IRQ_SCI = 9, IRQ_AUX = 12, IRQ_FPU = 13, IRQ_IDE0 = 14,
	IRQ_IDE1 = 15 };
#define IRQ_INPUTS 16
#define EQUIPMENT 0x02		/* a coprocessor, a display with its own BIOS (CMOS register 14h) */
#define GSI_PIT 2		/* input of the I/O APIC */
#define IRQ_SOURCE_HPET 6
#define IRQ_SOURCE_PCI 7	/* of every input that the PCI interrupt router can pull */

/* Which sources pull which interrupt input: the board's own state, as if it were a chip. */
struct irq_inputs {
	struct device dev;
	u8 sources[IRQ_INPUTS];		/* bit n: source n of the input is high */
	u8 cut[IRQ_INPUTS];		/* bit n: source n is cut off */
};

struct board {
	struct device *devices;
	struct pic pic;
	struct pit pit;
	struct rtc rtc;
	struct i8042 i8042;
	struct kbd kbd;
	struct mouse mouse;
	struct port92 port92;
	struct pci pci;
	struct i440fx i440fx;
	struct piix3 piix3;
	struct fw_cfg fw_cfg;
	struct board_drives drives;
	struct board_power power;
	struct board_isa isa;
	struct board_apic apic;
	struct uart uart[BOARD_UARTS];
	struct debugcon debugcon;
	struct debugexit debugexit;
	struct video *video;
	struct chardev *serial[BOARD_UARTS], *debugcon_chr;
	struct irq_inputs irq;
};

static const struct { const char *id; u16 port; int irq, source; } uarts[BOARD_UARTS] = {
	{ "uart0", 0x3f8, 4, 0 }, { "uart1", 0x2f8, 3, 0 }, { "uart2", 0x3e8, 4, 1 }, { "uart3", 0x2e8, 3, 1 },
};

/* --- lines --- */

/* Every ISA input goes to both kinds of controllers; guests mask one of them. */
static void irq_update(struct board *b, int irq)
{
	bool high = b->irq.sources[irq] & ~b->irq.cut[irq];
	pic_set_irq(&b->pic, irq, high);
	board_apic_irq(&b->apic, irq, high);
}

static void irq_loaded(void *dev)
{
	struct irq_inputs *i = dev;
	for (int irq = 0; irq < IRQ_INPUTS; irq++)
		irq_update(i->dev.vm->board, irq);
}

static const struct field irq_fields[] = {
	FIELD_ARRAY(struct irq_inputs, sources, FIELD_U8),
	FIELD_ARRAY(struct irq_inputs, cut, FIELD_U8),
	FIELD_END
};
static const struct device_class irq_class = {
	.name = "irq", .what = "interrupt inputs", .version = 1, .fields = irq_fields, .loaded = irq_loaded,
};

/* n: input, and in the upper bits which of its sources */
static void irq_changed(void *to, int n, bool level)
{
	struct board *b = to;
	int irq = n & 15;
	u8 bit = (u8)(1 << (n >> 4));
	vm_trace(b->pic.dev.vm, TRACE_DEV, "dev: irq %d source %d %s\n", irq, n >> 4, level ? "high" : "low");
	b->irq.sources[irq] = (u8)(level ? b->irq.sources[irq] | bit : b->irq.sources[irq] & ~bit);
	irq_update(b, irq);
}

static struct line irq_line(struct board *b, int irq, int source)
{
	return (struct line){ .set = irq_changed, .to = b, .n = irq | source << 4 };
}

/* In the HPET's legacy mode its first timers have the interrupts of PIT and RTC. */
static void hpet_legacy_changed(void *to, int n, bool level)
{
	struct board *b = to;
	b->irq.cut[IRQ_PIT] = b->irq.cut[IRQ_RTC] = level;	/* their source 0 */
	irq_update(b, IRQ_PIT);
	irq_update(b, IRQ_RTC);
}

static void hpet_irq_changed(void *to, int pin, bool level)
{
	struct board *b = to;
	if (pin < IRQ_INPUTS && pin != GSI_PIT)
		irq_changed(b, pin | IRQ_SOURCE_HPET << 4, level);
	else if (pin == GSI_PIT)
		irq_changed(b, IRQ_PIT | IRQ_SOURCE_HPET << 4, level);
	else
		ioapic_set_irq(&b->apic.ioapic, pin, level);
}

static bool hpet_waits(void *arg, int pin)
{
	struct board *b = arg;
	int irq = pin == GSI_PIT ? IRQ_PIT : pin;
	int state = board_apic_waits(&b->apic, irq ? pin : GSI_PIT);
	return state >= 0 ? state : irq < IRQ_INPUTS && pic_irq_state(&b->pic, irq) == PIC_PENDING;
}

static void intr_changed(void *to, int n, bool level)
{
	struct vm *vm = to;
	board_apic_intr(&vm->board->apic, level);
}

static int intr_ack(struct vm *vm)
{
	struct board *b = vm->board;
	int vector = b->apic.present ? lapic_ack(&b->apic.lapic) : -1;
	return vector >= 0 ? vector : pic_ack(&b->pic);
}

static enum pit_tick_state tick_state(void *arg)
{
	const struct board *b = arg;
	int apic = board_apic_waits(&b->apic, GSI_PIT);
	if (apic >= 0)
		return apic ? PIT_TICK_WAITING : PIT_TICK_TAKEN;
	switch (pic_irq_state(&b->pic, IRQ_PIT)) {
	case PIC_IDLE: return PIT_TICK_TAKEN;
	case PIC_MASKED: return PIT_TICK_MASKED;
	case PIC_PENDING: break;
	}
	return PIT_TICK_WAITING;
}

static void irq_taken(void *arg, int irq)
{
	struct board *b = arg;
	if (irq == IRQ_PIT || irq == GSI_PIT)	/* the number is that of the controller which had it */
		pit_tick_taken(&b->pit);
}

/* Two registers switch A20 and show its state: the last write counts. */
static void a20_changed(void *to, int n, bool level)
{
	struct vm *vm = to;
	i8042_set_a20(&vm->board->i8042, level);
	port92_set_a20(&vm->board->port92, level);
	mem_set_a20(vm, level);
}

/*
 * FERR# sets a latch, which holds IRQ13 until port F0h is written (the PC/AT's coprocessor error logic); that the CPU takes
 * the error away again does not clear it.
 */
static void ferr_changed(struct vm *vm, bool level)
{
	if (level)
		irq_changed(vm->board, IRQ_FPU, true);
}

static void hard_reset(void *arg)
{
	vm_request_reset(arg);
}

static void cpu_reset(void *arg)
{
	vm_request_cpu_reset(arg);
}

/*
 * The shutdown status byte says that firmware is to go on in real mode at 40:67 or to end a block move (IBM PC/AT Technical Reference,
 * "CMOS RAM"). Firmware can do so while it runs from shadow RAM.
 */
static bool cpu_restarts(struct vm *vm)
{
	u8 status = vm->board->rtc.cmos[CMOS_SHUTDOWN];
	bool shadowed = vm->mem->shadow[0xff000 >> PAGE_SHIFT] & MEM_SHADOW_READ;
	return shadowed && (status == 0x05 || status == 0x09 || status == 0x0a);
}

/* --- ports --- */

static u32 pic0_read(void *dev, u32 offset, int size) { return pic_read(dev, 0, offset); }
static u32 pic1_read(void *dev, u32 offset, int size) { return pic_read(dev, 1, offset); }
static u32 elcr_read(void *dev, u32 offset, int size) { return pic_read_elcr(dev, (int)offset); }
static u32 pit_ports_read(void *dev, u32 offset, int size) { return pit_read(dev, offset); }
static u32 port61_read(void *dev, u32 offset, int size) { return pit_read_port61(dev); }
static u32 kbd_data_read(void *dev, u32 offset, int size) { return i8042_read_data(dev); }
static u32 kbd_status_read(void *dev, u32 offset, int size) { return i8042_read_status(dev); }
static u32 rtc_ports_read(void *dev, u32 offset, int size) { return rtc_read(dev, offset); }
static u32 port92_port_read(void *dev, u32 offset, int size) { return port92_read(dev); }
static u32 pci_ports_read(void *dev, u32 offset, int size) { return pci_read(dev, offset, size); }
static u32 uart_ports_read(void *dev, u32 offset, int size) { return uart_read(dev, offset); }
static u32 debugcon_port_read(void *dev, u32 offset, int size) { return debugcon_read(dev); }
static u32 fw_cfg_ports_read(void *dev, u32 offset, int size) { return fw_cfg_read(dev, offset, size); }
static u32 fw_cfg_dma_ports_read(void *dev, u32 offset, int size) { return fw_cfg_dma_read(dev, offset, size); }
static u32 nothing_read(void *dev, u32 offset, int size) { return ~0u; }

static void pic0_write(void *dev, u32 offset, u32 value, int size) { pic_write(dev, 0, offset, (u8)value); }
static void pic1_write(void *dev, u32 offset, u32 value, int size) { pic_write(dev, 1, offset, (u8)value); }
static void elcr_write(void *dev, u32 offset, u32 value, int size) { pic_write_elcr(dev, (int)offset, (u8)value); }
static void pit_ports_write(void *dev, u32 offset, u32 value, int size) { pit_write(dev, offset, (u8)value); }
static void port61_write(void *dev, u32 offset, u32 value, int size) { pit_write_port61(dev, (u8)value); }
static void kbd_data_write(void *dev, u32 offset, u32 value, int size) { i8042_write_data(dev, (u8)value); }
static void kbd_command_write(void *dev, u32 offset, u32 value, int size) { i8042_write_command(dev, (u8)value); }
static void rtc_ports_write(void *dev, u32 offset, u32 value, int size) { rtc_write(dev, offset, (u8)value); }
static void port92_port_write(void *dev, u32 offset, u32 value, int size) { port92_write(dev, (u8)value); }
static void pci_ports_write(void *dev, u32 offset, u32 value, int size) { pci_write(dev, offset, value, size); }
static void uart_ports_write(void *dev, u32 offset, u32 value, int size) { uart_write(dev, offset, (u8)value); }
static void debugcon_port_write(void *dev, u32 offset, u32 value, int size) { debugcon_write(dev, (u8)value); }
static void debugexit_port_write(void *dev, u32 offset, u32 value, int size) { debugexit_write(dev, value); }
static void fw_cfg_ports_write(void *dev, u32 offset, u32 value, int size) { fw_cfg_write(dev, offset, value, size); }
static void fw_cfg_dma_ports_write(void *dev, u32 offset, u32 value, int size) { fw_cfg_dma_write(dev, offset, value, size); }
static void fpu_clear_write(void *dev, u32 offset, u32 value, int size) { irq_changed(dev, IRQ_FPU, false); }

static void start_port_write(void *dev, u32 offset, u32 value, int size)
{
	struct vm *vm = dev;
	vm->start_requested = true;
	vcpu_kick(vm->vcpu);
}

static const struct bus_ops start_port_ops = { nothing_read, start_port_write, 1 };
static const struct bus_ops pic0_ops = { pic0_read, pic0_write, 1 };
static const struct bus_ops pic1_ops = { pic1_read, pic1_write, 1 };
static const struct bus_ops elcr_ops = { elcr_read, elcr_write, 1 };
static const struct bus_ops pit_ops = { pit_ports_read, pit_ports_write, 1 };
static const struct bus_ops port61_ops = { port61_read, port61_write, 1 };
static const struct bus_ops kbd_data_ops = { kbd_data_read, kbd_data_write, 1 };
static const struct bus_ops kbd_command_ops = { kbd_status_read, kbd_command_write, 1 };
static const struct bus_ops rtc_ops = { rtc_ports_read, rtc_ports_write, 1 };
static const struct bus_ops port92_ops = { port92_port_read, port92_port_write, 1 };
static const struct bus_ops pci_ops = { pci_ports_read, pci_ports_write, 4 };
static const struct bus_ops uart_ops = { uart_ports_read, uart_ports_write, 1 };
static const struct bus_ops debugcon_ops = { debugcon_port_read, debugcon_port_write, 1 };
static const struct bus_ops debugexit_ops = { nothing_read, debugexit_port_write, 4 };
static const struct bus_ops fw_cfg_ops = { fw_cfg_ports_read, fw_cfg_ports_write, 2 };
static const struct bus_ops fw_cfg_dma_ops = { fw_cfg_dma_ports_read, fw_cfg_dma_ports_write, 4 };
static const struct bus_ops fpu_clear_ops = { nothing_read, fpu_clear_write, 1 };

static bool wire_ports(struct vm *vm)
{
	struct board *b = vm->board;
	return bus_add_io(vm, "pic", 0x20, 2, &pic0_ops, &b->pic) &&
	       bus_add_io(vm, "pic", 0xa0, 2, &pic1_ops, &b->pic) &&
	       bus_add_io(vm, "elcr", 0x4d0, 2, &elcr_ops, &b->pic) &&
	       bus_add_io(vm, "pit", 0x40, 4, &pit_ops, &b->pit) &&
	       bus_add_io(vm, "port61", 0x61, 1, &port61_ops, &b->pit) &&
	       bus_add_io(vm, "i8042", 0x60, 1, &kbd_data_ops, &b->i8042) &&
	       bus_add_io(vm, "i8042", 0x64, 1, &kbd_command_ops, &b->i8042) &&
	       bus_add_io(vm, "rtc", 0x70, 2, &rtc_ops, &b->rtc) &&
	       bus_add_io(vm, "port92", 0x92, 1, &port92_ops, &b->port92) &&
	       bus_add_io(vm, "fpu", 0xf0, 2, &fpu_clear_ops, b) &&
	       bus_add_io(vm, "fw_cfg", 0x510, 2, &fw_cfg_ops, &b->fw_cfg) &&
	       bus_add_io(vm, "fw_cfg", 0x514, 8, &fw_cfg_dma_ops, &b->fw_cfg) &&
	       bus_add_io(vm, "pci", 0xcf8, 8, &pci_ops, &b->pci);
}

/* --- composition --- */

static void add_device(struct board *b, struct device *dev)
{
	struct device **end = &b->devices;
	while (*end)
		end = &(*end)->next;
	*end = dev;
}

static void make_pci(struct vm *vm)
{
	struct board *b = vm->board;
	pci_init(&b->pci, vm, "pci");
	i440fx_init(&b->i440fx, vm, "i440fx");
	pci_add(&b->pci, 0, 0, &b->i440fx.func);
	piix3_init(&b->piix3, vm, "piix3");
	pci_add(&b->pci, 1, 0, &b->piix3.func);
	for (int n = 0; n < PIIX3_PIRQS; n++)
		b->pci.intx[n] = (struct line){ .set = piix3_set_pirq, .to = &b->piix3, .n = n };
	for (int irq = 0; irq < IRQ_INPUTS; irq++)
		b->piix3.irq[irq] = irq_line(b, irq, IRQ_SOURCE_PCI);
	add_device(b, &b->pci.dev);
	add_device(b, &b->i440fx.dev);
	add_device(b, &b->piix3.dev);
}

/* What firmware cannot see by itself: the memory map, that there is one processor, and that it is not to try again when there is nothing to
 * boot. */
static void make_fw_cfg(struct vm *vm)
{
	struct fw_cfg *f = &vm->board->fw_cfg;
	static const u8 for_ever[4] = { 0xff, 0xff, 0xff, 0xff };
	struct { u64 base, len; u32 type; } __attribute__((packed)) e820 = { 0, vm->mem->ram_size, E820_RAM };
	fw_cfg_init(f, vm, "fw_cfg");
	fw_cfg_set_u64(f, FW_CFG_RAM_SIZE, vm->mem->ram_size);
	fw_cfg_set_u16(f, FW_CFG_CPUS, 1);
	fw_cfg_set_u16(f, FW_CFG_MAX_CPUS, 1);
	fw_cfg_add_file(f, "etc/e820", &e820, sizeof(e820));
	fw_cfg_add_file(f, "etc/boot-fail-wait", for_ever, sizeof(for_ever));
	add_device(vm->board, &f->dev);
}

static void ps2_ready(void *to, int n, bool level) { i8042_port_changed(to); }
static void kbd_sink(void *kbd, u8 usage, bool down) { kbd_key(kbd, usage, down); }
static bool kbd_sink_idle(void *kbd) { return kbd_idle(kbd); }
static void mouse_sink(void *mouse, int dx, int dy, int dz, u8 buttons) { mouse_move(mouse, dx, dy, dz, buttons); }
static void leds_changed(void *in, u8 leds) { input_leds(in, leds); }

static void speaker(void *audio, const struct audio_wave *w) { audio_wave(audio, w); }

static void make_input(struct vm *vm)
{
	struct board *b = vm->board;
	kbd_init(&b->kbd, vm, "kbd");
	mouse_init(&b->mouse, vm, "mouse");
	b->i8042.port[0] = &b->kbd.port;
	b->i8042.port[1] = &b->mouse.port;
	b->kbd.port.ready = b->mouse.port.ready = (struct line){ .set = ps2_ready, .to = &b->i8042 };
	if (!vm->input)
		return;
	b->kbd.leds_changed = leds_changed;
	b->kbd.leds_arg = vm->input;
	input_sink(vm->input, &(struct input_sink){ .key = kbd_sink, .idle = kbd_sink_idle, .mouse = mouse_sink,
						    .kbd_dev = &b->kbd, .mouse_dev = &b->mouse });
}

static void make_chips(struct vm *vm)
{
	struct board *b = vm->board;
	pic_init(&b->pic, vm, "pic");
	b->pic.intr = (struct line){ .set = intr_changed, .to = vm };
	b->pic.taken = irq_taken;
	b->pic.taken_arg = b;
	pit_init(&b->pit, vm, "pit");
	b->pit.irq = irq_line(b, IRQ_PIT, 0);
	b->pit.tick_state = tick_state;
	b->pit.tick_arg = b;
	b->pit.speaker = vm->audio ? speaker : NULL;
	b->pit.speaker_arg = vm->audio;
	rtc_init(&b->rtc, vm, "rtc");
	b->rtc.irq = irq_line(b, IRQ_RTC, 0);
	rtc_set_ram_size(&b->rtc, vm->mem->ram_size);
	i8042_init(&b->i8042, vm, "i8042");
	b->i8042.kbd_irq = irq_line(b, IRQ_KBD, 0);
	b->i8042.aux_irq = irq_line(b, IRQ_AUX, 0);
	make_input(vm);
	port92_init(&b->port92, vm, "port92");
	b->i8042.a20 = b->port92.a20 = (struct line){ .set = a20_changed, .to = vm, .level = true };
	make_pci(vm);
	make_fw_cfg(vm);
	b->i8042.cpu_reset = b->port92.cpu_reset = cpu_reset;
	b->pci.cpu_reset = hard_reset;
	b->i8042.cpu_reset_arg = b->port92.cpu_reset_arg = b->pci.cpu_reset_arg = vm;

	b->irq.dev = (struct device){ .cls = &irq_class, .vm = vm, .id = "irq" };
	struct device *all[] = { &b->irq.dev, &b->pic.dev, &b->pit.dev, &b->rtc.dev, &b->i8042.dev, &b->kbd.dev, &b->mouse.dev, &b->port92.dev };
	for (u32 i = 0; i < ARRAY_SIZE(all); i++)
		add_device(b, all[i]);
}

static bool make_video(struct vm *vm, char *err, size_t errsize)
{
	struct board *b = vm->board;
	b->video = video_init(vm, &b->pci, err, errsize);
	if (b->video)
		add_device(b, video_device(b->video));
	return b->video;
}

static bool make_drives(struct vm *vm, const struct board_options *opt, char *err, size_t errsize)
{
	struct board *b = vm->board;
	const struct line irq[2] = { irq_line(b, IRQ_IDE0, 0), irq_line(b, IRQ_IDE1, 0) };
	if (!board_drives_init(&b->drives, vm, opt->ide, irq, err, errsize))
		return false;
	pci_add(&b->pci, 1, 1, &b->drives.pci.func);
	add_device(b, &b->drives.pci.dev);
	add_device(b, &b->drives.channel[0].dev);
	add_device(b, &b->drives.channel[1].dev);
	return true;
}

static bool make_power(struct vm *vm, const struct board_options *opt)
{
	struct board *b = vm->board;
	if (!board_power_init(&b->power, vm, &b->pci, irq_line(b, IRQ_SCI, 0), opt->no_firmware))
		return false;
	add_device(b, &b->power.pm.dev);
	return true;
}

static bool make_apic(struct vm *vm)
{
	struct board *b = vm->board;
	b->apic.taken = irq_taken;
	b->apic.taken_arg = b;
	if (!board_apic_init(&b->apic, vm))
		return false;
	for (int pin = 0; pin < HPET_PINS; pin++)
		b->apic.hpet.irq[pin] = (struct line){ .set = hpet_irq_changed, .to = b, .n = pin };
	b->apic.hpet.legacy = (struct line){ .set = hpet_legacy_changed, .to = b };
	b->apic.hpet.waiting = hpet_waits;
	b->apic.hpet.waiting_arg = b;
	if (b->apic.present)
		add_device(b, &b->apic.lapic.dev);
	add_device(b, &b->apic.ioapic.dev);
	add_device(b, &b->apic.hpet.dev);
	return true;
}

/* Last, when it is known what there is. */
static void make_tables(struct vm *vm, const struct board_options *opt)
{
	struct acpi_options acpi = { .ram_size = vm->mem->ram_size, .parallel = opt->parallel, .apic = vm->board->apic.present, .hpet = true };
	for (int i = 0; i < BOARD_UARTS; i++)
		acpi.uarts |= (u8)(!!opt->serial[i] << i);
	for (int i = 0; i < BOARD_FLOPPIES; i++)
		acpi.floppy |= opt->floppy[i].kind != BOARD_NO_DRIVE;
	board_power_tables(&vm->board->power, &vm->board->fw_cfg, &acpi);
}

static bool make_isa(struct vm *vm, const struct board_options *opt, const struct chardev_stdio *in, char *err, size_t errsize)
{
	struct board *b = vm->board;
	const struct line irq[2] = { irq_line(b, IRQ_FLOPPY, 0), irq_line(b, IRQ_LPT, 0) };
	if (!board_isa_init(&b->isa, vm, opt, irq, in, err, errsize))
		return false;
	rtc_set_cmos(&b->rtc, 0x10, board_isa_floppy_types(&b->isa));
	rtc_set_cmos(&b->rtc, 0x14, EQUIPMENT | board_isa_equipment(&b->isa));
	add_device(b, &b->isa.dma.dev);
	add_device(b, &b->isa.floppy.dev);
	if (opt->parallel)
		add_device(b, &b->isa.lpt.dev);
	return true;
}

static bool make_uart(struct vm *vm, int n, const char *spec, const struct chardev_stdio *in, char *err, size_t errsize)
{
	struct board *b = vm->board;
	struct uart *u = &b->uart[n];
	b->serial[n] = chardev_open(vm, spec, in, err, errsize);
	if (!b->serial[n] && err[0])
		return false;
	uart_init(u, vm, uarts[n].id, b->serial[n]);
	u->irq = irq_line(b, uarts[n].irq, uarts[n].source);
	add_device(b, &u->dev);
	return bus_add_io(vm, uarts[n].id, uarts[n].port, 8, &uart_ops, u);
}

static bool make_debugcon(struct vm *vm, const char *spec, const struct chardev_stdio *in, char *err, size_t errsize)
{
	struct board *b = vm->board;
	b->debugcon_chr = chardev_open(vm, spec, in, err, errsize);
	if (!b->debugcon_chr && err[0])
		return false;
	debugcon_init(&b->debugcon, vm, "debugcon", b->debugcon_chr);
	add_device(b, &b->debugcon.dev);
	return bus_add_io(vm, "debugcon", 0xe9, 1, &debugcon_ops, &b->debugcon) &&
	       bus_add_io(vm, "debugcon", 0x402, 1, &debugcon_ops, &b->debugcon);	/* SeaBIOS writes there */
}

/* SeaBIOS takes the kinds of boot devices that it tries, and their order, from three nibbles of the CMOS memory: of 3Dh both, of 38h the
 * upper one. Of a kind that is not named it tries nothing before it has tried all that are. */
static void set_boot(struct board *b, const char *order, bool menu)
{
	static const char letters[] = "acdn";	/* nibbles 1 to 4 */
	u32 nibbles = 0;
	for (u32 i = 0; order && i < 3 && order[i]; i++)
		nibbles |= (u32)(strchr(letters, order[i]) - letters + 1) << 4 * i;
	rtc_set_cmos(&b->rtc, 0x3d, (u8)nibbles);
	rtc_set_cmos(&b->rtc, 0x38, (u8)(nibbles >> 8 << 4));
	fw_cfg_set_u16(&b->fw_cfg, FW_CFG_BOOT_MENU, menu);
}

/* A kernel to start behind firmware is a boot device of its own, the first. */
static bool make_boot_rom(struct vm *vm, const u8 *rom, u32 size)
{
	static const char order[] = "/rom@genroms/ringfence.rom\n";
	struct fw_cfg *f = &vm->board->fw_cfg;
	fw_cfg_add_file(f, "genroms/ringfence.rom", rom, size);
	fw_cfg_add_file(f, "bootorder", order, sizeof(order));
	return bus_add_io(vm, "start", BOARD_START_PORT, 1, &start_port_ops, vm);
}

static bool make_debugexit(struct vm *vm, int port)
{
	struct board *b = vm->board;
	debugexit_init(&b->debugexit, vm, "debugexit");
	add_device(b, &b->debugexit.dev);
	return bus_add_io(vm, "--debug-exit", (u16)port, 4, &debugexit_ops, &b->debugexit);
}

static void board_reset(struct vm *vm)
{
	vm_trace(vm, TRACE_DEV, "dev: reset\n");
	for (struct device *d = vm->board->devices; d; d = d->next)
		if (d->cls->reset)
			d->cls->reset(d);
	irq_changed(vm->board, IRQ_FPU, false);
	mem_set_a20(vm, true);
	board_power_reset(&vm->board->power);
	board_apic_reset(&vm->board->apic);
}

static bool make_all(struct vm *vm, const struct board_options *opt, char *err, size_t errsize)
{
	struct chardev_stdio in = { .filter = opt->stdin_filter, .arg = opt->stdin_arg };
	if (!make_apic(vm))
		return false;
	make_chips(vm);
	if (opt->rtc_given)
		rtc_set_date(&vm->board->rtc, opt->rtc_date);
	set_boot(vm->board, opt->boot_order, opt->boot_menu);
	if (!wire_ports(vm) || !make_video(vm, err, errsize) || !make_drives(vm, opt, err, errsize) ||
	    !make_power(vm, opt) || !make_isa(vm, opt, &in, err, errsize))
		return false;
	for (int i = 0; i < BOARD_UARTS; i++)
		if (opt->serial[i] && !make_uart(vm, i, opt->serial[i], &in, err, errsize))
			return false;
	if (opt->debugcon && !make_debugcon(vm, opt->debugcon, &in, err, errsize))
		return false;
	if (opt->boot_rom && !make_boot_rom(vm, opt->boot_rom, opt->boot_rom_size))
		return false;
	if (opt->debug_exit >= 0 && !make_debugexit(vm, opt->debug_exit))
		return false;
	make_tables(vm, opt);
	return true;
}

bool board_init(struct vm *vm, const struct board_options *opt, char *err, size_t errsize)
{
	err[0] = 0;
	vm->board = calloc(1, sizeof(*vm->board));
	if (!vm->board) {
		snprintf(err, errsize, "out of memory for the board");
		return false;
	}
	vm->board_reset = board_reset;
	vm->cpu_restarts = cpu_restarts;
	vm->intr_ack = intr_ack;
	vm->ferr = ferr_changed;
	vm->state = &board_state_ops;
	if (make_all(vm, opt, err, errsize))
		return true;
	if (!err[0])	/* the bus has refused a port and says so there */
		snprintf(err, errsize, "%s", vm->error);
	board_fini(vm);
	return false;
}

void board_stop(struct vm *vm)
{
	board_drives_stop(&vm->board->drives);
	board_isa_stop(&vm->board->isa);
}

void board_fini(struct vm *vm)
{
	struct board *b = vm->board;
	if (!b)
		return;
	for (int i = 0; i < BOARD_UARTS; i++)
		chardev_close(b->serial[i]);
	chardev_close(b->debugcon_chr);
	board_drives_fini(&b->drives);
	board_isa_fini(&b->isa);
	fw_cfg_fini(&b->fw_cfg);
	video_fini(b->video);
	free(b);
	vm->board = NULL;
}

static void press_power_button(void *arg)
{
	struct board *b = arg;
	piix4_pm_button(&b->power.pm);
}

void board_power_button(struct vm *vm)
{
	event_post(vm, press_power_button, vm->board);
}

struct blockdev *board_blockdev(struct vm *vm, u32 n)
{
	struct board *b = vm->board;
	return n < BOARD_IDE_DRIVES ? b->drives.blk[n] : n < BOARD_DRIVES ? b->isa.blk[n - BOARD_IDE_DRIVES] : NULL;
}

struct video *board_video(struct vm *vm) { return vm->board->video; }
struct rtc *board_rtc(struct vm *vm) { return &vm->board->rtc; }

struct device *board_devices(struct vm *vm)
{
	return vm->board->devices;
}

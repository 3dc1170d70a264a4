/*
 * test_device.c - field tables are complete: a chip driven at random and copied through its table behaves as the original.
 */
/* objs: devices/device.o devices/emulated/pic.o devices/emulated/pit.o devices/emulated/rtc.o devices/emulated/i8042.o
 * devices/emulated/piix4_pm.o
 * devices/emulated/vga.o devices/emulated/vga_edid.o devices/emulated/vga_regs.o devices/emulated/vga_time.o devices/emulated/vga_draw.o
 * devices/emulated/vga_text.o devices/emulated/vbe.o devices/emulated/vbe_draw.o devices/emulated/vga_direct.o
 * devices/display.o devices/emulated/ide.o devices/emulated/ide_ata.o devices/emulated/ide_atapi.o devices/emulated/ide_mmc.o
 * devices/emulated/ide_identify.o devices/emulated/ide_dma.o tests/unit/fake_disk.o tests/unit/fake_memory.o monitor/trace.o
 * devices/emulated/kbd.o devices/emulated/mouse.o devices/emulated/dma.o devices/emulated/lpt.o
 * devices/emulated/floppy.o devices/emulated/floppy_data.o devices/emulated/floppy_media.o
 * devices/emulated/port92.o devices/pci.o devices/emulated/i440fx.o devices/emulated/uart.o tests/unit/fake_vm.o
 * devices/emulated/piix3.o devices/emulated/lapic.o devices/emulated/lapic_timer.o devices/emulated/ioapic.o devices/emulated/hpet.o
 * monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/chardev.h"
#include "devices/emulated/dma.h"
#include "devices/emulated/floppy.h"
#include "devices/emulated/hpet.h"
#include "devices/emulated/i440fx.h"
#include "devices/emulated/i8042.h"
#include "devices/emulated/kbd.h"
#include "devices/emulated/ioapic.h"
#include "devices/emulated/lapic.h"
#include "devices/emulated/lpt.h"
#include "devices/emulated/mouse.h"
#include "devices/emulated/ide.h"
#include "devices/pci.h"
#include "devices/emulated/pic.h"
#include "devices/emulated/piix3.h"
#include "devices/emulated/piix4_pm.h"
#include "devices/emulated/pit.h"
#include "devices/emulated/port92.h"
#include "devices/emulated/rtc.h"
#include "devices/emulated/uart.h"
#include "devices/emulated/vga.h"
#include "monitor/event.h"
#include "tests/unit/fake_disk.h"
#include "tests/unit/fake_vm.h"
#include <string.h>

/* The UARTs here have no back end. */
size_t chardev_write(struct chardev *c, const void *buf, size_t n) { return n; }
size_t chardev_read(struct chardev *c, void *buf, size_t n) { return 0; }
void chardev_attach(struct chardev *c, void (*event)(void *arg), void *arg) { }

/* Nobody looks at the display. */
bool event_post(struct vm *vm, void (*fn)(void *arg), void *arg) { return true; }

/* A chip's registers as one space of `ports` offsets. */
struct subject {
	const char *name;
	size_t size;
	int ports;
	void (*init)(void *dev, struct vm *vm);
	u32 (*read)(void *dev, u32 port);
	void (*write)(void *dev, u32 port, u8 value);
	bool (*output)(void *dev);
};

static void a_pic(void *d, struct vm *vm) { pic_init(d, vm, "a"); }
static u32 r_pic(void *d, u32 n) { return n == 6 ? (u32)pic_ack(d) : n < 4 ? pic_read(d, (int)n >> 1, n & 1) : pic_read_elcr(d, n & 1); }
static void w_pic(void *d, u32 n, u8 v)
{
	if (n < 4)
		pic_write(d, (int)n >> 1, n & 1, v);
	else if (n < 6)
		pic_write_elcr(d, n & 1, v);
	else
		pic_set_irq(d, v & 15, v >> 4 & 1);
}
static bool o_pic(void *d) { return ((struct pic *)d)->intr.level; }

static void a_pit(void *d, struct vm *vm) { pit_init(d, vm, "a"); }
static u32 r_pit(void *d, u32 n) { return n < 4 ? pit_read(d, n) : pit_read_port61(d); }
static void w_pit(void *d, u32 n, u8 v) { if (n < 4) pit_write(d, n, v); else pit_write_port61(d, v); }
static bool o_pit(void *d) { return ((struct pit *)d)->irq.level; }

/* Its ports at 0 to 3Fh, the SMBus at 40h, ports B2h and B3h at 50h. */
static void a_pm(void *d, struct vm *vm) { piix4_pm_init(d, vm, "a"); }
static u32 r_pm(void *d, u32 n)
{
	return n < 0x40 ? piix4_pm_read(d, n, 1) : n < 0x50 ? piix4_smb_read(d, n - 0x40) : piix4_apm_read(d, n - 0x50);
}
static void w_pm(void *d, u32 n, u8 v)
{
	if (n < 0x40)
		piix4_pm_write(d, n, v, 1);
	else if (n < 0x50)
		piix4_smb_write(d, n - 0x40, v);
	else
		piix4_apm_write(d, n - 0x50, v & 1 ? PIIX4_ACPI_ENABLE : v);
}
static bool o_pm(void *d) { return ((struct piix4_pm *)d)->sci.level; }

static void a_rtc(void *d, struct vm *vm) { rtc_init(d, vm, "a"); }
static u32 r_rtc(void *d, u32 n) { return rtc_read(d, n); }
static void w_rtc(void *d, u32 n, u8 v) { rtc_write(d, n, n || v & 0x40 ? v : v & 15); }
static bool o_rtc(void *d) { return ((struct rtc *)d)->irq.level; }

static void a_kbd(void *d, struct vm *vm) { i8042_init(d, vm, "a"); }
static u32 r_kbd(void *d, u32 n) { return n ? i8042_read_status(d) : i8042_read_data(d); }
static void w_kbd(void *d, u32 n, u8 v) { if (n) i8042_write_command(d, v); else i8042_write_data(d, v); }
static bool o_kbd(void *d) { return ((struct i8042 *)d)->kbd_irq.level; }

/* n: 0 and 1 the plug, then keys and movements */
static void a_keyboard(void *d, struct vm *vm) { kbd_init(d, vm, "a"); }
static u32 r_keyboard(void *d, u32 n) { return ((struct kbd *)d)->port.read(d); }
static void w_keyboard(void *d, u32 n, u8 v)
{
	if (n)
		kbd_key(d, v >> 1, v & 1);
	else
		((struct kbd *)d)->port.write(d, v & 0x40 ? v | 0xe0 : v & 7);
}
static bool o_keyboard(void *d) { return ((struct kbd *)d)->port.ready.level; }
static void a_mouse(void *d, struct vm *vm) { mouse_init(d, vm, "a"); }
static u32 r_mouse(void *d, u32 n) { return ((struct mouse *)d)->port.read(d); }
static void w_mouse(void *d, u32 n, u8 v)
{
	if (n)
		mouse_move(d, v, -(v & 15), v & 3, v & 31);
	else
		((struct mouse *)d)->port.write(d, v & 0x40 ? v | 0xe0 : v & 3);
}
static bool o_mouse(void *d) { return ((struct mouse *)d)->port.ready.level; }

static void a_92(void *d, struct vm *vm) { port92_init(d, vm, "a"); }
static u32 r_92(void *d, u32 n) { return port92_read(d); }
static void w_92(void *d, u32 n, u8 v) { port92_write(d, v); }
static bool o_92(void *d) { return ((struct port92 *)d)->a20.level; }

static void a_uart(void *d, struct vm *vm) { uart_init(d, vm, "a", NULL); }
static u32 r_uart(void *d, u32 n) { return uart_read(d, n); }
static void w_uart(void *d, u32 n, u8 v) { uart_write(d, n, n == 4 ? v | 0x18 : v); }	/* in loopback, OUT2 on */
static bool o_uart(void *d) { return ((struct uart *)d)->irq.level; }

/* Ports 3B0h to 3DFh, then VBE's index and data, whose values are small numbers here. Video memory is no part of the chip's state. */
static u8 vram[0x40000];
static void a_vga(void *d, struct vm *vm) { vga_init(d, vm, "a", vram, sizeof(vram)); }
static u32 r_vga(void *d, u32 n) { return n < 0x30 ? vga_read(d, n) : vbe_port_read(d, n & 1); }
static void w_vga(void *d, u32 n, u8 v)
{
	if (n < 0x30)
		vga_write(d, n, n == 0x12 ? v | 1 : v);
	else
		vbe_port_write(d, n & 1, n & 1 ? (u16)(v * 5) : v & 15);
}
static bool o_vga(void *d) { return false; }

/* A disk and a CD, whose media stay as they are between tests. Ports 0 to 7, 3F6h, and a whole command for the disk or CD. */
static struct blockdev *ide_media[2];
static void a_ide(void *d, struct vm *vm)
{
	ide_channel_init(d, vm, "a");
	for (int i = 0; i < 2; i++) {
		if (!ide_media[i])
			ide_media[i] = fake_disk_new(1000);
		ide_attach(d, i, i ? IDE_CD : IDE_DISK, ide_media[i]);
	}
}
static u32 r_ide(void *d, u32 n) { return n < 8 ? ide_read(d, n, n ? 1 : 2) : ide_read_alt_status(d); }
static void w_ide(void *d, u32 n, u8 v)
{
	static const u8 commands[] = { 0x20, 0x30, 0xc4, 0xc6, 0xec, 0xa1, 0xef, 0xe0 };
	if (n == 8)
		ide_write_control(d, v & 0x82);
	else if (n == 7)
		ide_write(d, 7, commands[v & 7], 1);
	else
		ide_write(d, n, n == 0 ? v * 0x101u : n > 3 && n < 6 ? v & 1 : v, n ? 1 : 2);
	if (n == 0)
		for (int i = 0; i < v; i++)
			v & 1 ? ide_write(d, 0, v, 2) : (void)ide_read(d, 0, 2);
}
static bool o_ide(void *d) { return ((struct ide_channel *)d)->irq.level; }

/* A bridge and a bus for it to be reached through */
struct piix3_rig { struct piix3 chip; struct pci pci; };
static void a_piix3(void *d, struct vm *vm)
{
	struct piix3_rig *r = d;
	piix3_init(&r->chip, vm, "a");
	pci_init(&r->pci, vm, "p");
	pci_add(&r->pci, 1, 0, &r->chip.func);
}
static u32 r_piix3(void *d, u32 n)
{
	struct piix3_rig *r = d;
	pci_write(&r->pci, 0, 0x80000800 | (n & 0xfc), 4);
	return pci_read(&r->pci, 4 + (n & 3), 1);
}
static void w_piix3(void *d, u32 n, u8 v)
{
	struct piix3_rig *r = d;
	if (n >= 0x100) {
		piix3_set_pirq(&r->chip, v & 3, v >> 2 & 1);
		return;
	}
	n = v & 1 ? 0x60 + n % 4 : n;
	pci_write(&r->pci, 0, 0x80000800 | (n & 0xfc), 4);
	pci_write(&r->pci, 4 + (n & 3), v >> 1, 1);
}
static bool o_piix3(void *d) { return ((struct piix3 *)d)->irq[5].level; }

static void a_dma(void *d, struct vm *vm) { dma_init(d, vm, "a"); }
static u32 r_dma(void *d, u32 n) { return n < 32 ? dma_read(d, (int)n >> 4, n & 15) : dma_read_page(d, n - 32); }
static void w_dma(void *d, u32 n, u8 v) { if (n < 32) dma_write(d, (int)n >> 4, n & 15, v); else dma_write_page(d, n - 32, v); }
static bool o_dma(void *d)
{
	u8 bytes[6] = { 1, 2, 3 };
	bool tc = false;
	dma_transfer(d, 2, false, bytes, 6, &tc);
	return tc;
}

static struct blockdev *floppy_medium;
static void a_floppy(void *d, struct vm *vm)
{
	if (!floppy_medium)
		floppy_medium = fake_disk_new(2880);
	floppy_init(d, vm, "a");
	floppy_attach(d, 0, floppy_medium);
	floppy_write(d, 2, 0x1c);
}
static u32 r_floppy(void *d, u32 n) { return floppy_read(d, n < 4 ? 5 : n); }
static void w_floppy(void *d, u32 n, u8 v)
{
	struct floppy *f = d;
	static const u8 commands[] = { 0x46, 0x45, 0x0f, 0x07, 0x08, 0x4a, 0x56, 0x04, 0x0e, 0x13, 0x03, 0x94, 0x8f, 0x4d, 0x42, 0x12 };
	if (n < 6 && n != 2)
		floppy_write(d, 5, f->phase == FLOPPY_COMMAND && !f->cmd_len ? commands[v & 15] : v & 0x83);
	else
		floppy_write(d, n, n == 2 && v & 0xf0 ? 0x1c : 0);
}
static bool o_floppy(void *d) { return ((struct floppy *)d)->irq.level; }

static struct chardev *const a_printer = (struct chardev *)&floppy_medium;	/* is never looked into */
static void a_lpt(void *d, struct vm *vm) { lpt_init(d, vm, "a", a_printer); }
static u32 r_lpt(void *d, u32 n) { return lpt_read(d, n); }
static void w_lpt(void *d, u32 n, u8 v) { lpt_write(d, n, v); }
static bool o_lpt(void *d) { return ((struct lpt *)d)->irq.level; }

/* Ports are registers of 32 bits, whose bytes are written as they are or four times; the last one is the CPU and the inputs. */
static u32 four(u8 v) { return v & 1 ? v * 0x01010101u : v; }
static void lapic_nothing(void *arg) { }
static void lapic_hears(void *arg, u8 vector) { }
static void a_lapic(void *d, struct vm *vm)
{
	struct lapic *l = d;
	lapic_init(l, vm, "a", 1000000000, true, 0x00050014);
	l->nmi = l->init = lapic_nothing;
	l->eoi = l->taken = lapic_hears;
	lapic_enable(l, true);
	lapic_write(l, 0xf0, 0x1ff, 4);
}
static u32 r_lapic(void *d, u32 n) { return n < 64 ? lapic_read(d, n * 16, 4) : (u32)lapic_ack(d); }
static void w_lapic(void *d, u32 n, u8 v)
{
	const struct apic_message m = { .vector = v | 0x10, .mode = APIC_FIXED, .level = v & 1 };
	if (n == 64)
		v & 0x80 ? lapic_set_lint(d, v & 1, v >> 1 & 1) : (void)lapic_deliver(d, &m);
	else if (n != 15)	/* stays switched on */
		lapic_write(d, n * 16, n >= 0x32 && n <= 0x37 ? v | (u32)(v & 0x60) << 12 : n == 0x38 ? v * 64u : four(v), 4);
}
static bool o_lapic(void *d) { return ((struct lapic *)d)->intr.level; }

static bool ioapic_goes(void *arg, const struct ioapic_message *m) { return m->vector & 1; }
static void a_ioapic(void *d, struct vm *vm)
{
	struct ioapic *a = d;
	ioapic_init(a, vm, "a");
	a->deliver = ioapic_goes;
}
static u32 r_ioapic(void *d, u32 n) { return ioapic_read(d, n & 1 ? 0x10 : 0, 4); }
static void w_ioapic(void *d, u32 n, u8 v)
{
	if (n < 2)
		ioapic_write(d, n ? 0x10 : 0, n ? v * 0x101u : v & 0x3f, 4);
	else if (n == 2)
		ioapic_eoi(d, v);
	else
		ioapic_set_irq(d, v % IOAPIC_PINS, v >> 7);
}
static bool o_ioapic(void *d) { return ioapic_vector(d, 3) >= 0; }

static void a_hpet(void *d, struct vm *vm) { hpet_init(d, vm, "a"); }
static u32 r_hpet(void *d, u32 n) { return hpet_read(d, n * 4, 4); }
static void w_hpet(void *d, u32 n, u8 v)
{
	u32 at = n * 4;
	hpet_write(d, at, at >= 0x100 && !(at & 8) ? four(v) & 0xffffu : at >= 0x100 ? v * 0x80u : four(v), 4);
}
static bool o_hpet(void *d)
{
	u32 levels = 0;
	for (int i = 0; i < HPET_PINS; i++)
		levels += ((struct hpet *)d)->irq[i].level;
	return levels & 1;
}

static const struct subject subjects[] = {
	{ "lapic", sizeof(struct lapic), 65, a_lapic, r_lapic, w_lapic, o_lapic },
	{ "ioapic", sizeof(struct ioapic), 4, a_ioapic, r_ioapic, w_ioapic, o_ioapic },
	{ "hpet", sizeof(struct hpet), 0x60, a_hpet, r_hpet, w_hpet, o_hpet },
	{ "dma", sizeof(struct dma), 48, a_dma, r_dma, w_dma, o_dma },
	{ "floppy", sizeof(struct floppy), 8, a_floppy, r_floppy, w_floppy, o_floppy },
	{ "lpt", sizeof(struct lpt), 3, a_lpt, r_lpt, w_lpt, o_lpt },
	{ "piix3", sizeof(struct piix3_rig), 0x110, a_piix3, r_piix3, w_piix3, o_piix3 },
	{ "pic", sizeof(struct pic), 7, a_pic, r_pic, w_pic, o_pic },
	{ "pit", sizeof(struct pit), 5, a_pit, r_pit, w_pit, o_pit },
	{ "piix4_pm", sizeof(struct piix4_pm), 0x52, a_pm, r_pm, w_pm, o_pm },
	{ "rtc", sizeof(struct rtc), 2, a_rtc, r_rtc, w_rtc, o_rtc },
	{ "i8042", sizeof(struct i8042), 2, a_kbd, r_kbd, w_kbd, o_kbd },
	{ "ide", sizeof(struct ide_channel), 9, a_ide, r_ide, w_ide, o_ide },
	{ "kbd", sizeof(struct kbd), 2, a_keyboard, r_keyboard, w_keyboard, o_keyboard },
	{ "mouse", sizeof(struct mouse), 2, a_mouse, r_mouse, w_mouse, o_mouse },
	{ "port92", sizeof(struct port92), 1, a_92, r_92, w_92, o_92 },
	{ "vga", sizeof(struct vga), 0x32, a_vga, r_vga, w_vga, o_vga },
	{ "uart", sizeof(struct uart), 8, a_uart, r_uart, w_uart, o_uart },
};

static u8 pool[2][sizeof(struct rtc) + sizeof(struct pit) + sizeof(struct pic) + sizeof(struct vga) + sizeof(struct ide_channel) + 4096]
	__attribute__((aligned(16)));

static u32 access_once(const struct subject *s, void *dev, u32 choice)
{
	u32 port = (choice >> 1) % (u32)s->ports;
	if (choice & 1)
		return s->read(dev, port);
	s->write(dev, port, (u8)(choice >> 8));
	return 0;
}

static void same_fields(const struct subject *s, const struct device *a, const struct device *b)
{
	for (const struct field *f = a->cls->fields; f->name; f++)
		for (u32 i = 0; i < f->count; i++)
			if (field_get(a, f, i) != field_get(b, f, i))
				fail_msg("%s.%s[%u]: %llx and %llx", s->name, f->name, i, (unsigned long long)field_get(a, f, i),
					 (unsigned long long)field_get(b, f, i));
}

static void diff_one(const struct subject *s, u32 seed)
{
	struct vm *vm = fake_vm_new();
	u32 random = seed;
	void *a = pool[0], *b = pool[1];
	s->init(a, vm);
	s->init(b, vm);
	for (int i = 0; i < 300; i++) {
		access_once(s, a, fake_random(&random));
		fake_advance(vm, fake_random(&random) % 100000);
	}
	fake_copy_state(b, a);
	same_fields(s, a, b);
	for (int i = 0; i < 300; i++) {
		u32 choice = fake_random(&random);
		assert_int_equal(access_once(s, a, choice), access_once(s, b, choice));
		assert_int_equal(s->output(a), s->output(b));
		fake_advance(vm, fake_random(&random) % 100000);
		assert_int_equal(s->output(a), s->output(b));
	}
	same_fields(s, a, b);
	fake_vm_free(vm);
}

static void test_state_diff(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(subjects); i++)
		for (u32 seed = 1; seed <= 200; seed++)
			diff_one(&subjects[i], seed * 7919);
}

static void count_line(void *arg, const char *text)
{
	int *n = arg;
	if (*n == 0)
		assert_string_equal(text, "a.value = 0x2");
	++*n;
}

static void test_dump(void **state)
{
	struct vm *vm = fake_vm_new();
	struct port92 p;
	struct pci pci;
	struct i440fx bridge;
	int n = 0;
	port92_init(&p, vm, "a");
	device_dump(&p.dev, count_line, &n);
	assert_int_equal(n, 1);
	port92_write(&p, 3);
	p.cpu_reset = fake_reset;
	p.cpu_reset_arg = vm;
	port92_write(&p, 0);
	assert_false(p.a20.level);
	port92_write(&p, 3);
	assert_int_equal(fake(vm)->resets, 1);

	pci_init(&pci, vm, "pci");
	i440fx_init(&bridge, vm, "i440fx");
	pci_add(&pci, 0, 0, &bridge.func);
	pci_write(&pci, 0, 0x80000000, 4);
	assert_int_equal(pci_read(&pci, 4, 4), 0x12378086);
	assert_int_equal(pci_read(&pci, 6, 2), 0x1237);
	pci_write(&pci, 4, 0, 4);
	assert_int_equal(pci_read(&pci, 4, 4), 0x12378086);
	pci_write(&pci, 0, 0x80000058, 4);
	pci_write(&pci, 5, 0xff, 1);			/* PAM0 */
	assert_int_equal(pci_read(&pci, 5, 1), 0x30);
	pci_write(&pci, 0, 0x80000800, 4);		/* nobody at slot 1 */
	assert_int_equal(pci_read(&pci, 4, 4), 0xffffffff);
	assert_int_equal(pci_read(&pci, 0, 4), 0x80000800);
	pci.cpu_reset = fake_reset;
	pci.cpu_reset_arg = vm;
	pci_write(&pci, 1, 0x02, 1);
	pci_write(&pci, 1, 0x06, 1);
	assert_int_equal(fake(vm)->resets, 2);
	assert_int_equal(pci_read(&pci, 0, 4), 0x80000800);
	fake_vm_free(vm);
}

static u64 bar_at;
static void moved(struct pci_func *f, int n, u64 at)
{
	bar_at = at;
}

static void test_pci_bars(void **state)
{
	struct vm *vm = fake_vm_new();
	struct pci pci;
	struct pci_func f = { .bar_moved = moved };
	pci_init(&pci, vm, "pci");
	pci_func_init(&f, 0x1234, 0x5678, 1, 0x020000);
	pci_func_bar(&f, 0, 0x100, 1);
	pci_add(&pci, 3, 0, &f);
	bar_at = 1;
	pci_write(&pci, 0, 0x80001810, 4);
	pci_write(&pci, 4, 0xffffffff, 4);		/* sizing */
	assert_int_equal(pci_read(&pci, 4, 4), 0xffffff01);
	pci_write(&pci, 4, 0xc000, 4);
	assert_int_equal(bar_at, 1);			/* decoding is off */
	pci_write(&pci, 0, 0x80001804, 4);
	pci_write(&pci, 4, 0xffff, 2);
	assert_int_equal(pci_read(&pci, 4, 2), 1);
	assert_int_equal(bar_at, 0xc000);
	pci_func_reset(&f);
	assert_true(bar_at == ~0ull);
	fake_vm_free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state_diff), cmocka_unit_test(test_dump), cmocka_unit_test(test_pci_bars),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

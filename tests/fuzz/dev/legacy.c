/*
 * legacy.c - fuzzing keyboard, mouse and their controller, fw_cfg, the bridges, UART and parallel port.
 */
#include "devices/chardev.h"
#include "devices/emulated/fw_cfg.h"
#include "devices/emulated/i440fx.h"
#include "devices/emulated/i8042.h"
#include "devices/emulated/kbd.h"
#include "devices/emulated/lpt.h"
#include "devices/emulated/mouse.h"
#include "devices/emulated/piix3.h"
#include "devices/emulated/uart.h"
#include "tests/fuzz/dev/target.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- keyboard controller with keyboard and mouse; space 1: keys and movements --- */

struct ps2_set { struct i8042 controller; struct kbd kbd; struct mouse mouse; };

static void ps2_ready(void *to, int n, bool level)
{
	i8042_port_changed(to);
}

static struct device *ps2_new(struct vm *vm)
{
	struct ps2_set *p = calloc(1, sizeof(*p));
	bug_on(!p, "out of memory");
	i8042_init(&p->controller, vm, "i8042");
	kbd_init(&p->kbd, vm, "kbd");
	mouse_init(&p->mouse, vm, "mouse");
	p->kbd.port.ready = p->mouse.port.ready = (struct line){ .set = ps2_ready, .to = &p->controller };
	p->controller.port[0] = &p->kbd.port;
	p->controller.port[1] = &p->mouse.port;
	return &p->controller.dev;
}

static void ps2_free(struct device *dev)
{
	free(container_of(dev, struct ps2_set, controller.dev));
}

static u32 ps2_read(void *dev, u32 offset, int size) { return offset ? i8042_read_status(dev) : i8042_read_data(dev); }
static void ps2_write(void *dev, u32 offset, u32 value, int size)
{
	if (offset)
		i8042_write_command(dev, (u8)(value & 0x100 ? 0xd4 : value));
	else
		i8042_write_data(dev, (u8)value);
}
static u32 ps2_nothing(void *dev, u32 offset, int size) { return 0; }
static void ps2_user(void *dev, u32 offset, u32 value, int size)
{
	struct ps2_set *p = container_of(dev, struct ps2_set, controller.dev);
	if (offset)
		kbd_key(&p->kbd, (u8)value, value >> 8 & 1);
	else
		mouse_move(&p->mouse, (int)value, (int)(value << 7), (s8)value, (u8)(value >> 9));
}

/* The chips behind the plug: any state, too. */
static void ps2_now_and_then(struct device *dev, u32 random)
{
	struct ps2_set *p = container_of(dev, struct ps2_set, controller.dev);
	struct device *other = random & 1 ? &p->kbd.dev : &p->mouse.dev;
	if (random % 64 < 2)
		other->cls->reset(other);
	if (random % 64 >= 4)
		return;
	for (const struct field *f = other->cls->fields; f->name; f++)
		if (f->kind != FIELD_TIMER)
			field_put(other, f, 0, random);
	other->cls->loaded(other);
}

/* --- fw_cfg, with requests that lie in the guest's memory --- */

static struct device *fw_cfg_new(struct vm *vm)
{
	struct fw_cfg *f = calloc(1, sizeof(*f));
	bug_on(!f, "out of memory");
	fw_cfg_init(f, vm, "fw_cfg");
	for (u32 i = 0; i < FW_CFG_FILES; i++) {
		char name[FW_CFG_NAME_MAX];
		snprintf(name, sizeof(name), "file/%u", i);
		fw_cfg_add_file(f, name, guest, i * 1000);
	}
	return &f->dev;
}

static void fw_cfg_free(struct device *dev)
{
	struct fw_cfg *f = container_of(dev, struct fw_cfg, dev);
	fw_cfg_fini(f);
	free(f);
}

static u32 cfg_read(void *dev, u32 offset, int size) { return fw_cfg_read(dev, offset, size); }
static void cfg_write(void *dev, u32 offset, u32 value, int size) { fw_cfg_write(dev, offset, value & 0xc07f, size); }
static u32 cfg_dma_read(void *dev, u32 offset, int size) { return fw_cfg_dma_read(dev, offset, size); }
static void cfg_dma_write(void *dev, u32 offset, u32 value, int size)
{
	u32 at = value & (GUEST_BYTES - 1);
	if (offset == 4 && at + 8 < GUEST_BYTES)	/* large ones only take time */
		guest[at + 4] = guest[at + 5] = 0;
	fw_cfg_dma_write(dev, offset, offset == 4 ? __builtin_bswap32(at) : value & 1, size);
}

/* --- the two bridges, through the configuration ports --- */

struct bridges { struct pci pci; struct i440fx host; struct piix3 isa; };

static struct device *bridges_new(struct vm *vm)
{
	struct bridges *b = calloc(1, sizeof(*b));
	bug_on(!b, "out of memory");
	pci_init(&b->pci, vm, "pci");
	i440fx_init(&b->host, vm, "i440fx");
	piix3_init(&b->isa, vm, "piix3");
	pci_add(&b->pci, 0, 0, &b->host.func);
	pci_add(&b->pci, 1, 0, &b->isa.func);
	return &b->pci.dev;
}

static void bridges_free(struct device *dev)
{
	free(container_of(dev, struct bridges, pci.dev));
}

static void bridges_now_and_then(struct device *dev, u32 random)
{
	struct bridges *b = container_of(dev, struct bridges, pci.dev);
	piix3_set_pirq(&b->isa, (int)random, random >> 8 & 1);
	if (random % 256 == 0)
		b->host.dev.cls->reset(&b->host);
	if (random % 256 == 1)
		b->isa.dev.cls->reset(&b->isa);
}

static u32 bridges_read(void *dev, u32 offset, int size) { return pci_read(dev, offset, size); }
static void bridges_write(void *dev, u32 offset, u32 value, int size)
{
	pci_write(dev, offset, offset == 0 && size == 4 ? 0x80000000 | (value & 0x8fc) : value, size);
}

/* --- UART and parallel port, whose other end takes and sends what it likes --- */

static u32 chatter;
static void (*chardev_told)(void *arg);
static void *chardev_told_arg;

size_t chardev_write(struct chardev *c, const void *buf, size_t n) { return n ? (chatter = chatter * 69069 + 1) >> 16 & 1 : 0; }
size_t chardev_read(struct chardev *c, void *buf, size_t n)
{
	chatter = chatter * 69069 + 1;
	n = n < (chatter >> 16 & 15) ? n : chatter >> 16 & 15;
	memset(buf, (u8)(chatter >> 8), n);
	return n;
}
void chardev_attach(struct chardev *c, void (*event)(void *arg), void *arg)
{
	chardev_told = event;
	chardev_told_arg = arg;
}

static struct chardev *const other_end = (struct chardev *)&chatter;	/* is never looked into */

static void chardev_now_and_then(struct device *dev, u32 random)
{
	if (chardev_told)
		chardev_told(chardev_told_arg);
}

static struct device *uart_new(struct vm *vm)
{
	struct uart *u = calloc(1, sizeof(*u));
	bug_on(!u, "out of memory");
	uart_init(u, vm, "uart", other_end);
	return &u->dev;
}
static void uart_free(struct device *dev) { free(container_of(dev, struct uart, dev)); }
static u32 uart_ports_read(void *dev, u32 offset, int size) { return uart_read(dev, offset); }
static void uart_ports_write(void *dev, u32 offset, u32 value, int size) { uart_write(dev, offset, (u8)value); }

static struct device *lpt_new(struct vm *vm)
{
	struct lpt *l = calloc(1, sizeof(*l));
	bug_on(!l, "out of memory");
	lpt_init(l, vm, "lpt", other_end);
	return &l->dev;
}
static void lpt_free(struct device *dev) { free(container_of(dev, struct lpt, dev)); }
static u32 lpt_ports_read(void *dev, u32 offset, int size) { return lpt_read(dev, offset); }
static void lpt_ports_write(void *dev, u32 offset, u32 value, int size) { lpt_write(dev, offset, (u8)value); }

const struct target legacy_targets[] = {
	{ "fw_cfg", fw_cfg_new, fw_cfg_free, NULL, { { 2, 2, 3, cfg_read, cfg_write }, { 8, 4, 1, cfg_dma_read, cfg_dma_write } } },
	{ "bridges", bridges_new, bridges_free, bridges_now_and_then, { { 8, 4, 1, bridges_read, bridges_write } } },
	{ "ps2", ps2_new, ps2_free, ps2_now_and_then, { { 2, 1, 8, ps2_read, ps2_write }, { 2, 4, 2, ps2_nothing, ps2_user } } },
	{ "uart", uart_new, uart_free, chardev_now_and_then, { { 8, 1, 1, uart_ports_read, uart_ports_write } } },
	{ "lpt", lpt_new, lpt_free, chardev_now_and_then, { { 3, 1, 1, lpt_ports_read, lpt_ports_write } } },
	{ 0 },
};

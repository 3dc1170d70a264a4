/*
 * piix4_pm.c - the 82371AB (PIIX4), function 3: power management and SMBus. Datasheet: Intel 290562-001, chapter 7; the meaning of
 * the ACPI registers: ACPI 1.0b, 4.7.
 *
 * The timer does not count: its value is computed from guest time when somebody reads it, and its status bit becomes 1 with each change
 * of bit 23. There is no system management mode, so ports B2h and B3h, which would enter it, switch ACPI mode by themselves. Sleep states
 * other than S5 are not offered. On the SMBus nobody answers.
 */
#include "devices/emulated/piix4_pm.h"
#include "monitor/bus.h"
#include "monitor/vm.h"
#include <string.h>

enum { PMBASE = 0x40, DEVACTB = 0x58, PMREGMISC = 0x80, SMBBASE = 0x90, SMBHSTCFG = 0xd2 };
enum { APMC_ENABLED = 0x02 /* in the high byte of DEVACTB */ };
enum { TMR = 0x0001, GBL = 0x0020, PWRBTN = 0x0100, SLPBTN = 0x0200, RTC = 0x0400, WAK = 0x8000 };
#define STATUS_BITS (TMR | 0x10 | GBL | PWRBTN | SLPBTN | RTC | WAK)
#define ENABLE_BITS (TMR | GBL | PWRBTN | SLPBTN | RTC)
enum { SCI_EN = 0x0001, SLP_EN = 0x2000, CONTROL_BITS = 0x1c03, SLP_TYP_SHIFT = 10, SLP_TYP_S5 = 0 };
#define HALF_PERIOD_BITS 23
#define TIMER_MASK 0xffffffu

/* SMBus host (7.2): status, control */
enum { SMB_STATUS = 0, SMB_CONTROL = 2, SMB_BUSY = 0x01, SMB_INTR = 0x02, SMB_DEV_ERR = 0x04, SMB_CLEARED = 0x1e, SMB_START = 0x40 };

static const struct field piix4_pm_fields[] = {
	FIELD_ARRAY(struct piix4_pm, func.config, FIELD_U8),
	FIELD(struct piix4_pm, pm1_status, FIELD_U16),
	FIELD(struct piix4_pm, pm1_enable, FIELD_U16),
	FIELD(struct piix4_pm, pm1_control, FIELD_U16),
	FIELD(struct piix4_pm, gpe_status, FIELD_U16),
	FIELD(struct piix4_pm, gpe_enable, FIELD_U16),
	FIELD(struct piix4_pm, half, FIELD_U64),
	FIELD(struct piix4_pm, timer, FIELD_TIMER),
	FIELD_ARRAY(struct piix4_pm, other, FIELD_U8),
	FIELD(struct piix4_pm, apm_command, FIELD_U8),
	FIELD(struct piix4_pm, apm_status, FIELD_U8),
	FIELD_ARRAY(struct piix4_pm, smb, FIELD_U8),
	FIELD_END
};

/* --- timer and interrupt --- */

static u64 ticks_now(const struct piix4_pm *p)
{
	return (u64)((unsigned __int128)clock_now(p->dev.vm) * PIIX4_PM_HZ / 1000000000u);
}

static u64 ns_of_ticks(u64 ticks)
{
	return (u64)(((unsigned __int128)ticks * 1000000000u + PIIX4_PM_HZ - 1) / PIIX4_PM_HZ);
}

static void update(struct piix4_pm *p)
{
	u64 half = ticks_now(p) >> HALF_PERIOD_BITS;
	if (half != p->half)
		p->pm1_status |= TMR;
	p->half = half;
	bool wanted = (p->pm1_enable & TMR) && !(p->pm1_status & TMR);
	timer_arm(&p->timer, wanted ? ns_of_ticks((half + 1) << HALF_PERIOD_BITS) : ~0ull);
	bool event = (p->pm1_status & p->pm1_enable & ENABLE_BITS) || (p->gpe_status & p->gpe_enable);
	line_set(&p->sci, event && (p->pm1_control & SCI_EN));
}

static void timer_due(void *arg, u64 now)
{
	update(arg);
}

void piix4_pm_button(struct piix4_pm *p)
{
	p->pm1_status |= PWRBTN;
	update(p);
}

/* --- ACPI registers --- */

static u8 read_byte(struct piix4_pm *p, u32 offset)
{
	switch (offset) {
	case 0x0: case 0x1: return (u8)(p->pm1_status >> 8 * offset);
	case 0x2: case 0x3: return (u8)(p->pm1_enable >> 8 * (offset - 2));
	case 0x4: case 0x5: return (u8)(p->pm1_control >> 8 * (offset - 4));
	case 0xc: case 0xd: return (u8)(p->gpe_status >> 8 * (offset - 0xc));
	case 0xe: case 0xf: return (u8)(p->gpe_enable >> 8 * (offset - 0xe));
	default: return p->other[offset % PIIX4_PM_PORTS];
	}
}

u32 piix4_pm_read(struct piix4_pm *p, u32 offset, int size)
{
	if (offset >= PIIX4_PM_TIMER && offset < PIIX4_PM_TIMER + 4)
		return (u32)(ticks_now(p) & TIMER_MASK) >> 8 * (offset - PIIX4_PM_TIMER);
	update(p);
	u32 value = 0;
	for (int i = 0; i < size; i++)
		value |= (u32)read_byte(p, offset + (u32)i) << 8 * i;
	return value;
}

static void write_control(struct piix4_pm *p, u16 value)
{
	p->pm1_control = value & CONTROL_BITS;
	if ((value & SLP_EN) && (value >> SLP_TYP_SHIFT & 7) == SLP_TYP_S5 && p->power_off)
		p->power_off(p->power_off_arg);
}

static u16 with_byte(u16 word, u32 high, u8 value)
{
	return high ? (u16)((word & 0xff) | value << 8) : (u16)((word & 0xff00) | value);
}

static void write_byte(struct piix4_pm *p, u32 offset, u8 value)
{
	u32 high = offset & 1;
	switch (offset) {
	case 0x0: case 0x1: p->pm1_status &= (u16)~(value << 8 * high); break;
	case 0x2: case 0x3: p->pm1_enable = with_byte(p->pm1_enable, high, value) & ENABLE_BITS; break;
	case 0x4: case 0x5: write_control(p, with_byte(p->pm1_control, high, value)); break;
	case 0x8: case 0x9: case 0xa: case 0xb: break;
	case 0xc: case 0xd: p->gpe_status &= (u16)~(value << 8 * high); break;
	case 0xe: case 0xf: p->gpe_enable = with_byte(p->gpe_enable, high, value); break;
	default: p->other[offset % PIIX4_PM_PORTS] = value;
	}
}

void piix4_pm_write(struct piix4_pm *p, u32 offset, u32 value, int size)
{
	update(p);	/* what has happened until now happened before the write */
	for (int i = 0; i < size; i++)
		write_byte(p, offset + (u32)i, (u8)(value >> 8 * i));
	update(p);
}

/* --- ports B2h and B3h --- */

u8 piix4_apm_read(struct piix4_pm *p, u32 offset)
{
	return offset ? p->apm_status : p->apm_command;
}

void piix4_apm_write(struct piix4_pm *p, u32 offset, u8 value)
{
	if (offset) {
		p->apm_status = value;
		return;
	}
	p->apm_command = value;
	if (value == PIIX4_ACPI_ENABLE)
		p->pm1_control |= SCI_EN;
	else if (value == PIIX4_ACPI_DISABLE)
		p->pm1_control &= (u16)~SCI_EN;
	update(p);
}

/* --- SMBus --- */

u8 piix4_smb_read(struct piix4_pm *p, u32 offset)
{
	return p->smb[offset % PIIX4_SMB_PORTS];
}

/* A transaction ends at once, and nobody has acknowledged its address. */
void piix4_smb_write(struct piix4_pm *p, u32 offset, u8 value)
{
	offset %= PIIX4_SMB_PORTS;
	if (offset == SMB_STATUS) {
		p->smb[SMB_STATUS] &= (u8)~(value & SMB_CLEARED);
		return;
	}
	p->smb[offset] = value;
	if (offset == SMB_CONTROL && (value & SMB_START)) {
		p->smb[SMB_CONTROL] &= (u8)~SMB_START;
		p->smb[SMB_STATUS] |= SMB_DEV_ERR;
	}
}

/* --- where the ports are --- */

static struct piix4_pm *of_pm(void *dev) { return container_of(dev, struct piix4_pm, pm_at); }
static struct piix4_pm *of_smb(void *dev) { return container_of(dev, struct piix4_pm, smb_at); }
static u32 pm_port_read(void *dev, u32 offset, int size) { return piix4_pm_read(of_pm(dev), offset, size); }
static void pm_port_write(void *dev, u32 offset, u32 value, int size) { piix4_pm_write(of_pm(dev), offset, value, size); }
static u32 smb_port_read(void *dev, u32 offset, int size) { return piix4_smb_read(of_smb(dev), offset); }
static void smb_port_write(void *dev, u32 offset, u32 value, int size) { piix4_smb_write(of_smb(dev), offset, (u8)value); }
static const struct bus_ops pm_ops = { pm_port_read, pm_port_write, 4 };
static const struct bus_ops smb_ops = { smb_port_read, smb_port_write, 1 };

/* A guest that puts the registers where others are finds the others. */
static void move(struct piix4_pm *p, u16 *at, u16 to, u32 ports, const struct bus_ops *ops)
{
	if (*at == to)
		return;
	if (*at)
		bus_remove(p->dev.vm, at);
	*at = to;
	if (to)
		bus_add_io(p->dev.vm, "piix4_pm", to, ports, ops, at);
}

static void update_places(struct piix4_pm *p)
{
	const u8 *c = p->func.config;
	u16 pm = (u16)((c[PMBASE] | c[PMBASE + 1] << 8) & ~(PIIX4_PM_PORTS - 1));
	u16 smb = (u16)((c[SMBBASE] | c[SMBBASE + 1] << 8) & ~(PIIX4_SMB_PORTS - 1));
	move(p, &p->pm_at, c[PMREGMISC] & 1 ? pm : 0, PIIX4_PM_PORTS, &pm_ops);
	move(p, &p->smb_at, c[SMBHSTCFG] & 1 ? smb : 0, PIIX4_SMB_PORTS, &smb_ops);
}

static void written(struct pci_func *f, u32 first, int size)
{
	update_places(container_of(f, struct piix4_pm, func));
}

/* --- reset --- */

static void set_base(struct piix4_pm *p, u32 reg, u16 base)
{
	p->func.config[reg] = (u8)base | 1;	/* I/O space */
	p->func.config[reg + 1] = (u8)(base >> 8);
}

static void piix4_pm_reset(void *dev)
{
	struct piix4_pm *p = dev;
	u8 *c = p->func.config;
	pci_func_reset(&p->func);
	memset(c + PMBASE, 0, 0x100 - PMBASE);
	set_base(p, PMBASE, 0);
	set_base(p, SMBBASE, 0);
	c[PCI_STATUS] = 0x80;		/* fast back-to-back, medium DEVSEL# timing */
	c[PCI_STATUS + 1] = 0x02;
	c[PCI_INT_PIN] = 1;
	c[DEVACTB + 3] = APMC_ENABLED;	/* firmware that sees this leaves system management mode alone */
	p->pm1_status = p->pm1_enable = p->pm1_control = p->gpe_status = p->gpe_enable = 0;
	memset(p->other, 0, sizeof(p->other));
	memset(p->smb, 0, sizeof(p->smb));
	p->apm_command = p->apm_status = 0;
	p->half = ticks_now(p) >> HALF_PERIOD_BITS;
	update_places(p);
	update(p);
}

static void piix4_pm_loaded(void *dev)
{
	struct piix4_pm *p = dev;
	pci_func_loaded(&p->func);
	update_places(p);
	update(p);
}

void piix4_pm_as_firmware(struct piix4_pm *p)
{
	set_base(p, PMBASE, PIIX4_PM_BASE);
	set_base(p, SMBBASE, PIIX4_SMB_BASE);
	p->func.config[PMREGMISC] = 1;
	p->func.config[SMBHSTCFG] = 0x09;	/* on, interrupt 9 */
	p->func.config[PCI_INT_LINE] = 9;
	update_places(p);
}

static const struct device_class piix4_pm_class = {
	.name = "piix4_pm", .what = "PIIX4 power management", .version = 1, .fields = piix4_pm_fields, .reset = piix4_pm_reset,
	.loaded = piix4_pm_loaded,
};

void piix4_pm_init(struct piix4_pm *p, struct vm *vm, const char *id)
{
	*p = (struct piix4_pm){ .dev = { .cls = &piix4_pm_class, .vm = vm, .id = id }, .func = { .name = "piix4_pm", .written = written } };
	pci_func_init(&p->func, 0x8086, 0x7113, 0x03, 0x068000);
	p->func.writable[PCI_COMMAND] = 0x01;
	memset(p->func.writable + PMBASE, 0xff, 0x100 - PMBASE);
	p->func.writable[PMBASE] = (u8)~(PIIX4_PM_PORTS - 1);
	p->func.writable[SMBBASE] = (u8)~(PIIX4_SMB_PORTS - 1);
	for (int i = 2; i < 4; i++)
		p->func.writable[PMBASE + i] = p->func.writable[SMBBASE + i] = 0;
	timer_init(vm, &p->timer, timer_due, p);
	piix4_pm_reset(p);
}

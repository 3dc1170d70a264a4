/*
 * piix4_pm.h - the power management function of the PIIX4 (PCI 01.3): ACPI registers, power management timer, SMBus host.
 */
#ifndef RF_PIIX4_PM_H
#define RF_PIIX4_PM_H
#include "devices/device.h"
#include "devices/pci.h"
#include "monitor/clock.h"

#define PIIX4_PM_HZ 3579545ull
/* Where firmware puts the registers: the ACPI tables say the same. */
enum { PIIX4_PM_BASE = 0x600, PIIX4_SMB_BASE = 0x700, PIIX4_PM_PORTS = 64, PIIX4_SMB_PORTS = 16 };
/* Offsets from the base, as in the tables */
enum { PIIX4_PM1_EVENT = 0x00, PIIX4_PM1_CONTROL = 0x04, PIIX4_PM_TIMER = 0x08, PIIX4_GPE0 = 0x0c };
/* Written to port B2h */
enum { PIIX4_ACPI_ENABLE = 0xf1, PIIX4_ACPI_DISABLE = 0xf0 };

struct piix4_pm {
	struct device dev;
	struct pci_func func;
	struct line sci;
	void (*power_off)(void *arg);	/* the guest entered S5 */
	void *power_off_arg;
	u16 pm1_status, pm1_enable, pm1_control;
	u16 gpe_status, gpe_enable;
	u64 half;		/* half periods of the 24-bit timer that its status bit has been told of */
	struct timer timer;	/* the next half period, when somebody wants an interrupt */
	u8 other[PIIX4_PM_PORTS];	/* registers that are stored only */
	u8 apm_command, apm_status;	/* ports B2h and B3h */
	u8 smb[PIIX4_SMB_PORTS];
	u16 pm_at, smb_at;	/* where the ports are; 0: nowhere */
};

void piix4_pm_init(struct piix4_pm *p, struct vm *vm, const char *id);
/* What firmware does, for machines without: both register blocks at their places. */
void piix4_pm_as_firmware(struct piix4_pm *p);
/* The button is pressed. */
void piix4_pm_button(struct piix4_pm *p);
/* Ports by offset from PMBASE, from SMBBASE, and B2h and B3h. size is 1, 2 or 4; accesses lie within the block. */
u32  piix4_pm_read(struct piix4_pm *p, u32 offset, int size);
void piix4_pm_write(struct piix4_pm *p, u32 offset, u32 value, int size);
u8   piix4_smb_read(struct piix4_pm *p, u32 offset);
void piix4_smb_write(struct piix4_pm *p, u32 offset, u8 value);
u8   piix4_apm_read(struct piix4_pm *p, u32 offset);
void piix4_apm_write(struct piix4_pm *p, u32 offset, u8 value);
#endif

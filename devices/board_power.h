/*
 * board_power.h - the board's power management, and the tables by which it describes itself (ACPI, SMBIOS).
 */
#ifndef RF_BOARD_POWER_H
#define RF_BOARD_POWER_H
#include "devices/board_acpi.h"
#include "devices/emulated/piix4_pm.h"

struct board_power {
	struct piix4_pm pm;
	bool no_firmware;
};

/* sci: the interrupt input that ACPI events pull. no_firmware: the tables are put into the BIOS's area, at once. False when the bus refuses
 * the ports. */
bool board_power_init(struct board_power *p, struct vm *vm, struct pci *pci, struct line sci, bool no_firmware);
/* Once all chips are known: publishes the tables. */
void board_power_tables(struct board_power *p, struct fw_cfg *f, const struct acpi_options *opt);
/* After the chips' reset: without firmware, what it would have set up. */
void board_power_reset(struct board_power *p);
#endif

/*
 * board_acpi.h - the ACPI tables that describe the board: RSDP, RSDT, FADT, FACS, MADT, HPET and DSDT (ACPI 1.0b; FADT with the reset
 * register of ACPI 2.0; IA-PC HPET specification 1.0a).
 */
#ifndef RF_BOARD_ACPI_H
#define RF_BOARD_ACPI_H
#include "monitor/lib/types.h"

struct fw_cfg;
struct acpi_options {
	u64 ram_size;
	bool apic;		/* the processor has a local APIC: tell of it and of the I/O APIC */
	u8 uarts;		/* bit n: COM n+1 is there */
	bool parallel, floppy, hpet;
};

#define ACPI_ROM_BYTES 0x8000u
/* For firmware: files etc/acpi/rsdp, etc/acpi/tables and etc/table-loader, by which it places and links the tables. */
void acpi_publish(struct fw_cfg *f, const struct acpi_options *opt);
/* For machines without firmware: the tables as firmware would have placed them at address `base` (a multiple of 16, in F0000h-FFFFFh),
 * RSDP first. */
void acpi_place(u8 rom[ACPI_ROM_BYTES], u32 base, const struct acpi_options *opt);
#endif

/*
 * acpi_dsdt.h - the DSDT: what of the board a guest cannot find out by itself.
 */
#ifndef RF_ACPI_DSDT_H
#define RF_ACPI_DSDT_H
#include "monitor/lib/types.h"

#define ACPI_HPET_BASE 0xfed00000u
struct aml;
struct acpi_options;
/* The definition block without its header. */
void acpi_dsdt(struct aml *a, const struct acpi_options *opt);
#endif

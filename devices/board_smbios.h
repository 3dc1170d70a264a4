/*
 * board_smbios.h - the SMBIOS tables (DMTF DSP0134, 2.8): what the machine calls itself, its processor and its memory.
 */
#ifndef RF_BOARD_SMBIOS_H
#define RF_BOARD_SMBIOS_H
#include "monitor/lib/types.h"

struct fw_cfg;
/* Files etc/smbios/smbios-tables and etc/smbios/smbios-anchor, which firmware places. name: of the machine, may be NULL; cpu_signature:
 * EAX of CPUID leaf 1. */
void smbios_publish(struct fw_cfg *f, const char *name, u32 cpu_signature, u64 ram_size);
#endif

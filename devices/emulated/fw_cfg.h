/*
 * fw_cfg.h - the configuration device through which firmware learns what machine it runs on: numbered items and named files.
 * Source: QEMU's specification "fw_cfg", docs/specs/fw_cfg (the interface that SeaBIOS and guests know).
 */
#ifndef RF_FW_CFG_H
#define RF_FW_CFG_H
#include "devices/device.h"

/* Numbers of items */
enum { FW_CFG_SIGNATURE = 0x00, FW_CFG_ID = 0x01, FW_CFG_RAM_SIZE = 0x03, FW_CFG_CPUS = 0x05, FW_CFG_BOOT_MENU = 0x0e,
	FW_CFG_MAX_CPUS = 0x0f, FW_CFG_FILE_DIR = 0x19, FW_CFG_FILE_FIRST = 0x20 };
#define FW_CFG_FILES     64
#define FW_CFG_NAME_MAX  56	/* with the zero at its end */

struct fw_cfg_item { const u8 *data; u32 len; };	/* data is owned */
struct fw_cfg_file { char name[FW_CFG_NAME_MAX]; };

struct fw_cfg {
	struct device dev;
	struct fw_cfg_item item[FW_CFG_FILE_FIRST + FW_CFG_FILES];
	struct fw_cfg_file file[FW_CFG_FILES];
	u32 files;
	u16 selected;
	u32 at;			/* next byte of the selected item */
	u64 dma;		/* address register */
};

void fw_cfg_init(struct fw_cfg *f, struct vm *vm, const char *id);
void fw_cfg_fini(struct fw_cfg *f);
/* Sets an item or a file (a copy is kept; what had that number or name goes), before the machine runs. Numbers are little-endian. */
void fw_cfg_set(struct fw_cfg *f, u16 key, const void *data, u32 len);
void fw_cfg_set_u16(struct fw_cfg *f, u16 key, u16 value);
void fw_cfg_set_u64(struct fw_cfg *f, u16 key, u64 value);
void fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *data, u32 len);

/* Ports 510h and 511h: selector (written as a word), data (read as bytes). */
u32  fw_cfg_read(struct fw_cfg *f, u32 offset, int size);
void fw_cfg_write(struct fw_cfg *f, u32 offset, u32 value, int size);
/* Ports 514h to 51Bh: address of a DMA request, big-endian; its last doubleword starts it. */
u32  fw_cfg_dma_read(struct fw_cfg *f, u32 offset, int size);
void fw_cfg_dma_write(struct fw_cfg *f, u32 offset, u32 value, int size);
#endif

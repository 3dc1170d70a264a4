/*
 * floppy_int.h - what the controller's files share. floppy.c: registers, commands without data, seeks; floppy_data.c: commands with
 * data; floppy_media.c: what is in the drives.
 */
#ifndef RF_FLOPPY_INT_H
#define RF_FLOPPY_INT_H
#include "devices/emulated/floppy.h"

#define ST0_ABNORMAL 0x40
#define ST0_INVALID  0x80
#define ST0_SEEK_END 0x20
#define ST0_EQUIPMENT 0x10
#define ST1_MISSING_ADDRESS 0x01
#define ST1_NOT_WRITABLE 0x02
#define ST1_NO_DATA 0x04
#define ST1_DATA_ERROR 0x20
#define ST1_END_OF_CYLINDER 0x80
#define ST2_BAD_CYLINDER 0x02
#define ST2_SCAN_NOT_SATISFIED 0x04
#define ST2_SCAN_EQUAL 0x08
#define ST2_WRONG_CYLINDER 0x10
#define ST2_DATA_ERROR 0x20
#define ST2_CONTROL_MARK 0x40

#define DOR_NOT_RESET 0x04
#define DOR_DMA_GATE  0x08
#define CONFIG_IMPLIED_SEEK 0x40
#define CONFIG_NO_FIFO 0x20
#define CONFIG_NO_POLL 0x10

static inline int floppy_unit(const struct floppy *f) { return f->cmd[1] & 3; }
static inline int floppy_head(const struct floppy *f) { return f->cmd[1] >> 2 & 1; }
static inline bool floppy_pio(const struct floppy *f) { return f->specify[1] & 1; }

/* floppy.c */
struct floppy_drive *floppy_drive(struct floppy *f, int unit);	/* NULL: none */
void floppy_finish(struct floppy *f, u8 st0);			/* the result phase of a command with data */
void floppy_results(struct floppy *f, u32 count);		/* the result phase of others */
u64  floppy_move(struct floppy *f, int unit, int target);	/* steps to the target cylinder; returns how long it takes, ns */
/* floppy_data.c */
void floppy_start_data(struct floppy *f);
void floppy_start_read_id(struct floppy *f);
void floppy_data_timer(void *arg, u64 now);
void floppy_data_ready(void *arg);				/* the DMA channel became able to transfer */
u8   floppy_data_read(struct floppy *f);			/* the FIFO in a non-DMA execution phase */
void floppy_data_write(struct floppy *f, u8 value);
bool floppy_to_host(const struct floppy *f);			/* the command's data goes to the guest */
/* floppy_media.c */
void floppy_media_changed(void *drive);
void floppy_guess_geometry(u64 bytes, struct floppy_geometry *geo);	/* 0 cylinders: the boot sector must tell */
bool floppy_boot_geometry(const u8 *boot, u64 bytes, struct floppy_geometry *geo);
#endif

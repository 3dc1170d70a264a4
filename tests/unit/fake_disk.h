/*
 * fake_disk.h - a drive's medium in memory for tests of chips: blockdev.h without threads, and guest memory for their DMA.
 */
#ifndef RF_FAKE_DISK_H
#define RF_FAKE_DISK_H
#include "devices/blockdev.h"

#define FAKE_MEMORY (1u << 20)	/* bytes of guest memory, from 0 */

/* Byte i of sector n (512 bytes) is fake_disk_byte(n, i) at first. NULL bytes: an empty drive. */
struct blockdev *fake_disk_new(u64 sectors);
void fake_disk_free(struct blockdev *b);
u8   fake_disk_byte(u64 sector, u32 i);
u8  *fake_disk_bytes(struct blockdev *b);
/* As if a medium of so many sectors were put in; 0: taken out. */
void fake_disk_change(struct blockdev *b, u64 sectors);
void fake_disk_readonly(struct blockdev *b, bool yes);
/* The next requests end with this errno; 0: with success. */
void fake_disk_fail(struct blockdev *b, int error);
/* Requests wait for fake_disk_release() from now on; without it they are done at once. */
void fake_disk_hold(struct blockdev *b);
void fake_disk_release(struct blockdev *b);
u32  fake_disk_count(const struct blockdev *b, enum blk_op op);	/* how many there were */
u8  *fake_memory(void);
#endif

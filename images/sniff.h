/*
 * sniff.h - what kind of thing a file is, by looking at it: what 'ringfence run FILE' starts from.
 */
#ifndef RF_IMAGE_SNIFF_H
#define RF_IMAGE_SNIFF_H
#include "monitor/lib/types.h"

enum image_kind {
	IMAGE_ERROR,		/* cannot be read; a sentence is in err */
	IMAGE_UNKNOWN,
	IMAGE_FLOPPY,		/* size of a floppy, or a small boot sector without a partition table */
	IMAGE_CDROM,		/* ISO 9660, hybrid or not */
	IMAGE_DISK,		/* boot sector, partition table (MBR, GPT), a file system, a disk image format, or a disk's size of zeroes */
	IMAGE_LINUX,		/* bzImage, also what only pretends to be one (memtest86+, ipxe.lkrn) */
	IMAGE_MULTIBOOT,
};
struct image_look {
	u64 size;		/* bytes */
	bool bootable;		/* IMAGE_CDROM: El Torito; floppy and disk: boot sector's signature */
	bool hybrid;		/* IMAGE_CDROM: has a partition table too, so it may also be a disk */
};
/* `look` may be NULL. Never blocks on what is no file. */
enum image_kind image_sniff(const char *path, struct image_look *look, char *err, size_t errsize);
const char *image_kind_name(enum image_kind kind);	/* "floppy image", for messages */
#endif

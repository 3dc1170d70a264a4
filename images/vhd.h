/*
 * vhd.h - the footer and header of VHD images, for vhd*.c only. Source: Microsoft, Virtual Hard Disk Image Format Specification 1.0.
 */
#ifndef RF_IMAGE_VHD_H
#define RF_IMAGE_VHD_H
#include "images/blocks.h"

#define VHD_FOOTER_BYTES 512u
#define VHD_HEADER_BYTES 1024u
#define VHD_MAX_BYTES (2040ull << 30)	/* what sector numbers of 32 bits reach, as Virtual PC draws the line */
#define VHD_BLOCK_BYTES (2u << 20)

enum vhd_type { VHD_FIXED = 2, VHD_DYNAMIC, VHD_DIFFERENCING };
enum {	/* offsets in the footer; big-endian */
	F_FEATURES = 8, F_VERSION = 12, F_HEADER_AT = 16, F_TIME = 24, F_CREATOR = 28, F_CREATOR_VERSION = 32, F_HOST = 36,
	F_ORIGINAL_SIZE = 40, F_SIZE = 48, F_GEOMETRY = 56, F_TYPE = 60, F_CHECKSUM = 64, F_UUID = 68,
};
enum {	/* offsets in the dynamic disk header */
	H_NEXT = 8, H_TABLE_AT = 16, H_VERSION = 24, H_ENTRIES = 28, H_BLOCK_SIZE = 32, H_CHECKSUM = 36,
};

struct vhd {
	enum vhd_type type;
	u8 footer[VHD_FOOTER_BYTES], header[VHD_HEADER_BYTES];
	u64 footer_at;		/* where in the file it is as it should be; ~0: at its beginning only */
	u64 header_at, table_at;
	struct block_map map;	/* VHD_DYNAMIC */
};

u32  vhd_checksum(const u8 *p, u32 len, u32 at);
bool vhd_footer_good(const u8 *footer);
/* Sets size, geometry and checksum. */
void vhd_set_size(u8 *footer, u64 size);
bool vhd_create(struct image *im, const struct image_create *how, char *err, size_t errsize);
bool vhd_resize(struct image *im, u64 size, char *err, size_t errsize);
int  vhd_flush(struct image *im);
#endif

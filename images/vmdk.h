/*
 * vmdk.h - the parts of VMware disks, for vmdk*.c only. Source: VMware, Virtual Disk Format 1.1.
 *
 * A disk is a list of extents, which a text, the descriptor, names. Hosted sparse extents have grains behind a directory of tables; in
 * a stream-optimized one the grains are compressed. The descriptor is a file of its own or lies in the only extent.
 */
#ifndef RF_IMAGE_VMDK_H
#define RF_IMAGE_VMDK_H
#include "images/blocks.h"

#define VMDK_SECTOR 512ull
#define VMDK_HEADER_BYTES 512u
#define VMDK_MAGIC 0x564d444bu		/* "KDMV" */
#define VMDK_DESCRIPTOR_MAX (1u << 20)
#define VMDK_EXTENTS_MAX 4096u
#define VMDK_NO_PARENT 0xffffffffu
#define VMDK_TABLE_ENTRIES 512u		/* grains of a table, in images of ours */
#define VMDK_GRAIN_SECTORS 128u

enum {	/* offsets in the sparse extent header; little-endian */
	S_VERSION = 4, S_FLAGS = 8, S_CAPACITY = 12, S_GRAIN = 20, S_DESCRIPTOR = 28, S_DESCRIPTOR_SIZE = 36, S_TABLE_ENTRIES = 44,
	S_REDUNDANT = 48, S_DIRECTORY = 56, S_OVERHEAD = 64, S_UNCLEAN = 72, S_NEWLINES = 73, S_COMPRESSION = 77,
};
enum { VMDK_NEWLINE_TEST = 1u << 0, VMDK_HAS_REDUNDANT = 1u << 1, VMDK_ZEROED_GRAINS = 1u << 2, VMDK_COMPRESSED = 1u << 16,
	VMDK_MARKERS = 1u << 17 };

struct vmdk_line {		/* of the descriptor: an extent */
	enum vmdk_access { VMDK_RW, VMDK_RDONLY, VMDK_NOACCESS } access;
	enum vmdk_kind { VMDK_FLAT, VMDK_ZERO, VMDK_SPARSE } kind;
	u64 sectors;
	u64 offset;		/* VMDK_FLAT: sectors into its file */
	char name[512];
};
struct vmdk_descriptor {
	u32 cid, parent_cid;
	u32 cid_at;		/* where in the text the digits of the CID are */
	u32 cid_digits;
	char create_type[32];
	char parent[1024];	/* "": none */
	struct vmdk_line *line;	/* of malloc */
	u32 lines;
};
/* Parses a text that ends with a NUL. False with a sentence; then nothing is to be freed. */
bool vmdk_parse(const struct image *im, const char *text, struct vmdk_descriptor *d, char *err, size_t errsize);

struct vmdk_stream;
struct vmdk_extent {
	enum vmdk_kind kind;
	enum vmdk_access access;
	int fd;			/* -1: VMDK_ZERO */
	char *path;		/* of malloc; NULL: the image's own file */
	u64 at, size;		/* bytes of the disk */
	u64 file_offset;	/* VMDK_FLAT: bytes */
	bool written;		/* since the last flush */
	/* VMDK_SPARSE: */
	struct block_map map;
	u32 flags, table_entries, tables;
	u32 *directory, *redundant;	/* sectors of the tables; redundant is NULL without one */
	u64 directory_at, redundant_at;	/* in the file */
	u64 descriptor_at, descriptor_bytes;	/* the same; 0: none */
	u64 file_size;
	struct vmdk_stream *stream;	/* compressed: map has the places, and nothing writes */
};
struct vmdk {
	struct vmdk_descriptor descriptor;
	u64 text_at;		/* where in im->fd the descriptor begins */
	struct vmdk_extent *extent;
	u32 extents;
	bool cid_changed;	/* since the image was opened */
	bool text_written;	/* since the last flush */
	bool parent_checked;
};

/* vmdk_sparse.c. Looks at the header of extent e (fd and path are set): sets size, flags, descriptor_at; then the tables. */
bool vmdk_sparse_header(struct image *im, struct vmdk_extent *e, char *err, size_t errsize);
bool vmdk_sparse_tables(struct image *im, struct vmdk_extent *e, char *err, size_t errsize);
void vmdk_sparse_free(struct vmdk_extent *e);
/* vmdk_stream.c: compressed grains. 0 or an errno. */
int  vmdk_stream_open(struct image *im, struct vmdk_extent *e);
void vmdk_stream_free(struct vmdk_extent *e);
int  vmdk_stream_read(struct vmdk_extent *e, u64 offset, void *buf, u64 len);
/* Reads every grain and counts those that are damaged. */
int  vmdk_stream_check(struct vmdk_extent *e, struct image_check *c);
/* vmdk_make.c */
bool vmdk_create(struct image *im, const struct image_create *how, char *err, size_t errsize);
#endif

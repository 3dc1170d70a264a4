/*
 * snap_file.h - the snapshot file as a container: named sections with checksums, and bytes between them. docs/formats.md
 * describes it.
 */
#ifndef RF_SNAP_FILE_H
#define RF_SNAP_FILE_H
#include "monitor/lib/blob.h"

#define SNAP_VERSION  1u
#define SNAP_ID       16u	/* bytes of a snapshot's name for itself, random */
#define SNAP_SECTIONS 16u

#define SNAP_TYPE(a, b, c, d) ((u32)(a) | (u32)(b) << 8 | (u32)(c) << 16 | (u32)(d) << 24)
enum snap_type {
	SNAP_CONF = SNAP_TYPE('C', 'O', 'N', 'F'),	/* the user's configuration, opaque here */
	SNAP_MACH = SNAP_TYPE('M', 'A', 'C', 'H'),	/* what a machine must have in common: lines key=value */
	SNAP_PRNT = SNAP_TYPE('P', 'R', 'N', 'T'),	/* where the parent was, relative to this file's folder */
	SNAP_CPU  = SNAP_TYPE('C', 'P', 'U', '0'),	/* clock and processor */
	SNAP_CHIP = SNAP_TYPE('C', 'H', 'I', 'P'),	/* the chips' fields */
	SNAP_PAGE = SNAP_TYPE('P', 'A', 'G', 'E'),	/* where the pages are */
};

/* --- writing: a file of another name until it is whole --- */

struct snap_writer;
/* NULL with a sentence in err. The file appears as `path` only in snap_commit(). */
struct snap_writer *snap_create(const char *path, char *err, size_t errsize);
/* Any thread: puts bytes somewhere into the file. False: err has the sentence (the first one). */
bool snap_append(struct snap_writer *w, const void *data, size_t len, u64 *at);
/* One thread: a section, packed. */
bool snap_section(struct snap_writer *w, enum snap_type type, u32 version, const void *data, size_t len);
/* Writes directory and header, makes all of it durable, gives it its name; frees the writer. parent NULL: none. */
bool snap_commit(struct snap_writer *w, const u8 id[SNAP_ID], const u8 *parent, char *err, size_t errsize);
void snap_abandon(struct snap_writer *w);	/* nothing is left behind; NULL is fine */

/* --- reading --- */

struct snap_section {
	u32 type, version;
	u64 at, len, raw_len;
	u32 crc;
};
struct snap_file {
	char *path;
	int fd;
	u64 size;
	bool has_parent;
	u8 id[SNAP_ID], parent[SNAP_ID];
	u32 sections;
	struct snap_section section[SNAP_SECTIONS];
};
/* NULL with a sentence naming the file in err. All that this program does not know is refused by name. */
struct snap_file *snap_open(const char *path, char *err, size_t errsize);
void snap_close(struct snap_file *f);
bool snap_has(const struct snap_file *f, enum snap_type type);
/* The section's bytes, checked; `version` is the only one that the caller knows. */
bool snap_load(struct snap_file *f, enum snap_type type, u32 version, struct blob *out, char *err, size_t errsize);
/* Bytes anywhere; false with a sentence if they are not there. */
bool snap_pread(const struct snap_file *f, void *buf, size_t len, u64 at, char *err, size_t errsize);
void snap_new_id(u8 id[SNAP_ID]);
#endif

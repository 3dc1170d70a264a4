/*
 * ova.h - virtual appliances: an OVF descriptor and its files, in a folder or in a tar archive (OVA), as DSP0243 (Open Virtualization
 * Format 1.1 and 2.1) has them.
 *
 * What is read here comes from elsewhere: names with folders, links, several entries of one name, documents with a DTD, and sizes that the
 * archive cannot hold are refused with a sentence, as is a file whose digest is not the manifest's.
 */
#ifndef RF_OVA_H
#define RF_OVA_H
#include "monitor/lib/types.h"

#define OVF_MOST 64		/* files, disks and drives, each */

struct ovf_file {
	char *id, *name;	/* name: without folders */
	u64 size;		/* bytes, 0: not said */
	bool gzip;		/* compressed; nothing here unpacks it */
};
struct ovf_disk {
	char *id;
	int file;		/* index in file[]; -1: an empty disk */
	u64 capacity;		/* bytes */
	bool child;		/* of a parent disk */
};
enum ovf_drive_kind { OVF_HARD_DISK, OVF_CDROM, OVF_FLOPPY };
struct ovf_drive {
	enum ovf_drive_kind kind;
	int disk;		/* index in disk[], -1: none */
	int file;		/* a medium that is a file, -1: none */
	u32 controller, address;	/* its place: controllers in the order of the descriptor */
};
/* The first virtual system of the descriptor. Owns all strings. */
struct ovf {
	char *name, *os;	/* may be NULL */
	u64 memory;		/* bytes, 0: not said */
	u32 cpus, nics;		/* cpus: 0: not said */
	bool efi;
	struct ovf_file file[OVF_MOST];
	struct ovf_disk disk[OVF_MOST];
	struct ovf_drive drive[OVF_MOST];	/* by controller and address */
	u32 files, disks, drives;
	char *note[OVF_MOST];	/* sentences: what of it has no counterpart here */
	u32 notes;
};
/* `from` names the document in messages. NULL with a sentence in err. */
struct ovf *ovf_parse(const char *xml, size_t len, const char *from, char *err, size_t errsize);
void ovf_free(struct ovf *o);
/* A name that may stand in an archive or a descriptor: no folders, nothing hidden, nothing unprintable, 1 to 200 bytes. */
bool ovf_plain_name(const char *name);

/* A descriptor (".ovf"), beside which its files lie, or an archive. Reads the descriptor and the manifest. */
struct ova;
struct ova *ova_open(const char *path, char *err, size_t errsize);
void ova_close(struct ova *a);
const struct ovf *ova_machine(const struct ova *a);
bool ova_has_manifest(const struct ova *a);
bool ova_is_archive(const struct ova *a);
/* Checks every file against the manifest and, from an archive, writes those that the descriptor refers to into `folder`, where they
 * must not exist. Reads all bytes once. On failure what was written is gone. progress may be NULL; total is in bytes. */
bool ova_unpack(struct ova *a, const char *folder, void (*progress)(void *arg, u64 done, u64 total), void *arg, char *err, size_t errsize);
/* Where the file lies: in `folder`, or beside the descriptor. To be freed; NULL: out of memory. */
char *ova_file_path(const struct ova *a, u32 file, const char *folder);

/* digest.c: SHA-1, SHA-256 and SHA-512. */
#define DIGEST_MAX 64
enum digest_kind { DIGEST_NONE, DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA512 };
struct digest;
enum digest_kind digest_kind(const char *name, size_t len);	/* as manifests spell it; DIGEST_NONE: unknown */
u32  digest_bytes(enum digest_kind kind);
struct digest *digest_new(enum digest_kind kind);	/* NULL: out of memory */
void digest_add(struct digest *d, const void *data, size_t len);
void digest_end(struct digest *d, u8 out[DIGEST_MAX]);	/* frees it */
#endif

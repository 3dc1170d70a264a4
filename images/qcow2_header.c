/*
 * qcow2_header.c - the header and its extensions: what is in them is checked before anything is believed.
 *
 * A header is changed by writing its first 512 bytes at once, so there is the old one or the new one. A backing file's name that does
 * not fit in there is first written, durably, where the old header does not look.
 */
#include "images/qcow2.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V2_LENGTH   72u
#define V3_LENGTH   104u
#define OUR_LENGTH  112u
#define EXT_END     0u
#define EXT_FORMAT  0xe2792acau
#define EXT_NAMES   0x6803f857u
#define EXT_BITMAPS 0x23852875u
#define EXT_CRYPTO  0x0537be77u
#define EXT_DATA    0x44415441u
#define NAME_MAX_BYTES 1023u
#define SECTOR      512u

static bool refuse(const struct qcow2 *q, char *err, size_t errsize, const char *why)
{
	snprintf(err, errsize, "%s: %s", q->im->path, why);
	return false;
}

static char *copy_text(const u8 *from, u32 n)
{
	char *s = malloc(n + 1);
	if (!s)
		return NULL;
	memcpy(s, from, n);
	s[n] = 0;
	return s;
}

/* The name that the image's own table has for a feature bit; "" if none. */
static void feature_name(const u8 *head, u32 from, u32 len, u32 bit, char name[47])
{
	name[0] = 0;
	for (u32 at = from; at + 8 <= len && be32(head + at) != EXT_END;) {
		u32 type = be32(head + at), n = be32(head + at + 4);
		if (n > len - at - 8)
			return;
		for (u32 i = 0; type == EXT_NAMES && i + 48 <= n; i += 48)
			if (head[at + 8 + i] == 0 && head[at + 9 + i] == bit)
				snprintf(name, 47, "%.46s", (const char *)head + at + 10 + i);
		at += 8 + ((n + 7) & ~7u);
	}
}

static bool check_features(const struct qcow2 *q, const u8 *head, char *err, size_t errsize)
{
	u64 unknown = q->features[0] & ~(u64)(QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_COMPRESSION);
	char name[47];
	if (q->features[0] & QCOW2_EXTERNAL)
		return refuse(q, err, errsize, "keeps its data in an external data file, which is not supported");
	if (q->features[0] & QCOW2_EXTENDED_L2)
		return refuse(q, err, errsize, "has extended L2 entries (subclusters), which are not supported");
	if (q->features[0] & QCOW2_COMPRESSION) {
		u8 type = q->header_length > V3_LENGTH ? head[104] : 0;
		if (type == 1)
			return refuse(q, err, errsize, "is compressed with zstd, which is not supported (zlib is)");
		if (type)
			return refuse(q, err, errsize, "has an unknown compression type");
	}
	if (unknown) {
		u32 bit = (u32)__builtin_ctzll(unknown);
		feature_name(head, q->header_length, q->cluster_size < 65536 ? q->cluster_size : 65536, bit, name);
		snprintf(err, errsize, "%s: needs the feature '%s' (incompatible bit %u), which is not supported", q->im->path,
			 *name ? name : "unknown", bit);
		return false;
	}
	if (q->features[0] & QCOW2_CORRUPT && !q->im->readonly && !q->im->opt->for_repair)
		return refuse(q, err, errsize, "is marked corrupt; it can be read with 'readonly', and 'image check -r all' may repair it");
	return true;
}

static bool keep_extension(struct qcow2 *q, const u8 *from, u32 bytes)
{
	u8 *all = realloc(q->unknown_ext, q->unknown_ext_bytes + bytes);
	if (!all)
		return false;
	memcpy(all + q->unknown_ext_bytes, from, bytes);
	q->unknown_ext = all;
	q->unknown_ext_bytes += bytes;
	return true;
}

static bool read_extensions(struct qcow2 *q, const u8 *head, u32 end, char *err, size_t errsize)
{
	for (u32 at = q->header_length; at + 8 <= end;) {
		u32 type = be32(head + at), n = be32(head + at + 4);
		const u8 *data = head + at + 8;
		if (type == EXT_END)
			break;
		if (n > end - at - 8)
			return refuse(q, err, errsize, "has a damaged header: an extension is longer than its room");
		u32 whole = 8 + ((n + 7) & ~7u);
		if (type == EXT_FORMAT) {
			free(q->im->backing_format);
			q->im->backing_format = copy_text(data, n < 32 ? n : 32);
		} else if (type == EXT_CRYPTO) {
			return refuse(q, err, errsize, "is encrypted (LUKS), which is not supported");
		} else if (type == EXT_DATA) {
			return refuse(q, err, errsize, "keeps its data in an external data file, which is not supported");
		} else if (type != EXT_NAMES) {
			if (type == EXT_BITMAPS && n >= 24) {
				q->bitmaps_n = be32(data);
				q->bitmaps_bytes = be64(data + 8);
				q->bitmaps_offset = be64(data + 16);
			}
			if (whole > end - at || !keep_extension(q, head + at, whole))
				return refuse(q, err, errsize, "has a damaged header, or memory is short");
		}
		at += whole < end - at ? whole : end - at;
	}
	return true;
}

static bool read_backing_name(struct qcow2 *q, const u8 *head, u32 end, char *err, size_t errsize)
{
	u64 at = be64(head + 8);
	u32 n = be32(head + 16);
	if (!at || !n)
		return true;
	if (n > NAME_MAX_BYTES || at > end || n > end - at)
		return refuse(q, err, errsize, "has a damaged header: the backing file's name lies outside it");
	q->im->backing_name = copy_text(head + at, n);
	if (!q->im->backing_name || strlen(q->im->backing_name) != n)
		return refuse(q, err, errsize, "has a damaged header: the backing file's name has a zero byte in it");
	return true;
}

static bool load_table(struct qcow2 *q, const char *what, u64 offset, u64 entries, u32 most, u64 **table, char *err, size_t errsize)
{
	int error = offset >= q->file_end || qcow2_in_cluster(q, offset) || entries > most / 8 ? EINVAL :
		    qcow2_read_table(q, offset, (u32)entries, table);
	if (!error)
		return true;
	snprintf(err, errsize, "%s: the %s: %s", q->im->path, what,
		 error == EINVAL ? "the header has a place for it where none can be" : strerror(error));
	return false;
}

static bool read_tables(struct qcow2 *q, const u8 *head, char *err, size_t errsize)
{
	u64 size = be64(head + 24), per_l1 = (u64)q->l2_entries << q->cluster_bits;
	u64 reftable = ((u64)be32(head + 56) << q->cluster_bits) / 8;
	q->l1_size = be32(head + 36);
	q->l1_offset = be64(head + 40);
	q->reftable_offset = be64(head + 48);
	q->snapshots_n = be32(head + 60);
	q->snapshots_offset = be64(head + 64);
	if (!size || size > 1ull << 57)
		return refuse(q, err, errsize, size ? "is larger than a disk can be (128 PiB)" : "has a size of nothing");
	q->im->size = (size + SECTOR - 1) & ~(u64)(SECTOR - 1);
	if (q->snapshots_n > 65536)
		return refuse(q, err, errsize, "has a damaged header: too many snapshots");
	if (q->l1_size < (q->im->size + per_l1 - 1) / per_l1)
		return refuse(q, err, errsize, "has a damaged header: the L1 table is too small for the disk");
	q->reftable_size = (u32)reftable;
	return reftable && load_table(q, "L1 table", q->l1_offset, q->l1_size, QCOW2_L1_MAX, &q->l1, err, errsize) &&
	       load_table(q, "refcount table", q->reftable_offset, reftable, QCOW2_REFTABLE_MAX, &q->reftable, err, errsize);
}

static bool read_geometry(struct qcow2 *q, const u8 *head, char *err, size_t errsize)
{
	u32 crypt = be32(head + 32);
	q->version = be32(head + 4);
	q->cluster_bits = be32(head + 20);
	if (be32(head) != QCOW2_MAGIC)
		return refuse(q, err, errsize, "is not in qcow2 format");
	if (q->version != 2 && q->version != 3) {
		snprintf(err, errsize, "%s: is in version %u of the qcow format; versions 2 and 3 are supported", q->im->path, q->version);
		return false;
	}
	if (q->cluster_bits < 9 || q->cluster_bits > 21)
		return refuse(q, err, errsize, "has a damaged header: the cluster size is not one of 512 bytes to 2 MiB");
	if (crypt)
		return refuse(q, err, errsize, crypt == 1 ? "is encrypted (AES), which is not supported" :
			      crypt == 2 ? "is encrypted (LUKS), which is not supported" : "is encrypted in an unknown way");
	q->refcount_order = 4;
	q->header_length = V2_LENGTH;
	if (q->version == 3) {
		for (u32 i = 0; i < 3; i++)
			q->features[i] = be64(head + 72 + 8 * i);
		q->refcount_order = be32(head + 96);
		q->header_length = be32(head + 100);
	}
	q->cluster_size = 1u << q->cluster_bits;
	if (q->refcount_order > 6)
		return refuse(q, err, errsize, "has a damaged header: reference counts wider than 64 bits");
	if (q->version == 3 && (q->header_length < V3_LENGTH || q->header_length > q->cluster_size || q->header_length & 7))
		return refuse(q, err, errsize, "has a damaged header: its length");
	q->l2_entries = q->cluster_size / 8;
	q->refblock_entries = q->cluster_size * 8 >> q->refcount_order;
	q->refcount_max = q->refcount_order == 6 ? INT64_MAX : (1ull << (1u << q->refcount_order)) - 1;
	return true;
}

bool qcow2_read_header(struct qcow2 *q, char *err, size_t errsize)
{
	u8 first[SECTOR];
	int error = host_size(q->im->io, q->im->fd, &q->file_end);
	if (!error)
		error = host_read(q->im->io, q->im->fd, 0, first, sizeof(first), NULL);
	if (error)
		return refuse(q, err, errsize, strerror(error));
	if (!read_geometry(q, first, err, errsize))
		return false;
	u8 *head = host_alloc(q->im->io, 1, q->cluster_size);
	if (!head)
		return refuse(q, err, errsize, "out of memory");
	error = host_read(q->im->io, q->im->fd, 0, head, q->cluster_size, NULL);
	/* Extensions end where the backing file's name begins, if there is one. */
	u64 name_at = be64(head + 8);
	u32 end = name_at && name_at < q->cluster_size ? (u32)name_at : q->cluster_size;
	bool ok = !error && check_features(q, head, err, errsize) && read_extensions(q, head, end, err, errsize) &&
		  read_backing_name(q, head, q->cluster_size, err, errsize) && read_tables(q, head, err, errsize);
	if (error)
		refuse(q, err, errsize, strerror(error));
	else if (!ok && !*err)
		refuse(q, err, errsize, "has a damaged header: no refcount table");
	free(head);
	return ok;
}

static void put_fields(const struct qcow2 *q, u64 size, u64 incompatible, u64 autoclear, u8 *head)
{
	put_be64(head + 24, size);
	put_be32(head + 36, q->l1_size);
	put_be64(head + 40, q->l1_offset);
	put_be64(head + 48, q->reftable_offset);
	put_be32(head + 56, (u32)qcow2_clusters(q, q->reftable_size * 8ull));
	if (q->version < 3)
		return;
	put_be64(head + 72, incompatible);
	put_be64(head + 88, autoclear);
}

int qcow2_update_header(struct qcow2 *q, u64 incompatible, u64 autoclear)
{
	u8 head[SECTOR];
	struct image *im = q->im;
	int error = host_read_all(im->io, im->fd, 0, head, sizeof(head));
	if (error)
		return error;
	put_fields(q, im->size, incompatible, autoclear, head);
	error = host_write(im->io, im->fd, 0, head, sizeof(head));
	if (!error)
		error = host_sync(im->io, im->fd);
	if (!error) {
		q->features[0] = incompatible;
		q->features[2] = autoclear;
	}
	return error;
}

bool qcow2_make_header(const struct qcow2 *q, u64 size, const char *backing, const char *backing_format, u32 name_at, u8 *out, u32 *used)
{
	u32 at = q->version == 3 ? OUR_LENGTH : V2_LENGTH;
	u32 format = backing_format ? (u32)strlen(backing_format) : 0, name = backing ? (u32)strlen(backing) : 0;
	u32 most = q->cluster_size < SECTOR ? q->cluster_size : SECTOR;
	memset(out, 0, q->cluster_size);
	if (name > NAME_MAX_BYTES || format > 32 || at + 8 + ((format + 7) & ~7u) + q->unknown_ext_bytes + 8 > most)
		return false;
	put_be32(out, QCOW2_MAGIC);
	put_be32(out + 4, q->version);
	put_be32(out + 20, q->cluster_bits);
	put_fields(q, size, q->features[0], q->features[2], out);
	put_be32(out + 60, q->snapshots_n);
	put_be64(out + 64, q->snapshots_offset);
	if (q->version == 3) {
		put_be64(out + 80, q->features[1]);
		put_be32(out + 96, q->refcount_order);
		put_be32(out + 100, at);
	}
	if (format) {
		put_be32(out + at, EXT_FORMAT);
		put_be32(out + at + 4, format);
		memcpy(out + at + 8, backing_format, format);
		at += 8 + ((format + 7) & ~7u);
	}
	if (q->unknown_ext_bytes)
		memcpy(out + at, q->unknown_ext, q->unknown_ext_bytes);
	at += q->unknown_ext_bytes + 8;		/* and the end, which is zeroes */
	if (!name_at)
		name_at = at;
	if (name) {
		if (name_at > q->cluster_size || name > q->cluster_size - name_at)
			return false;
		put_be64(out + 8, name_at);
		put_be32(out + 16, name);
		memcpy(out + name_at, backing, name);
	}
	*used = name ? name_at + name : at;
	return true;
}

/* Where a name may go that must not lie over the one that the present header names. */
static u32 free_place(const struct qcow2 *q, const u8 *old, u32 name)
{
	u64 at = be64(old + 8), end = at ? at + be32(old + 16) : 0;
	u32 first = SECTOR, behind = ((u32)end + SECTOR - 1) & ~(SECTOR - 1);
	if (!at || first + ((name + SECTOR - 1) & ~(SECTOR - 1)) <= at || end <= first)
		return first + name <= q->cluster_size ? first : 0;
	return behind + name <= q->cluster_size ? behind : 0;
}

bool qcow2_set_backing(struct image *im, const char *backing, const char *backing_format, char *err, size_t errsize)
{
	struct qcow2 *q = im->state;
	u8 old[SECTOR];
	u8 *head = host_alloc(im->io, 1, q->cluster_size);
	char *name = backing ? strdup(backing) : NULL, *format = backing ? strdup(backing_format) : NULL;
	u32 used = 0;
	bool memory = head && (!backing || (name && format));
	pthread_mutex_lock(&q->lock);
	int error = memory ? qcow2_sync(q) : ENOMEM;
	if (!error)
		error = host_read_all(im->io, im->fd, 0, old, sizeof(old));
	bool fits = !error && qcow2_make_header(q, im->size, backing, format, 0, head, &used);
	if (!error && (!fits || used > SECTOR)) {
		u32 at = backing ? free_place(q, old, (u32)strlen(backing)) : 0;
		fits = at && qcow2_make_header(q, im->size, backing, format, at, head, &used);
		if (fits)
			error = host_write(im->io, im->fd, at, head + at, (used - at + SECTOR - 1) & ~(SECTOR - 1));
		if (fits && !error)
			error = host_sync(im->io, im->fd);
	}
	if (!error && fits)
		error = host_write(im->io, im->fd, 0, head, SECTOR);
	if (!error && fits)
		error = host_sync(im->io, im->fd);
	pthread_mutex_unlock(&q->lock);
	free(head);
	if (!error && fits) {
		free(im->backing_name);
		free(im->backing_format);
		im->backing_name = name;
		im->backing_format = format;
		return true;
	}
	free(name);
	free(format);
	return refuse(q, err, errsize, error ? strerror(error) : "the backing file's name does not fit into the header");
}

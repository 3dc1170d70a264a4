/*
 * vmdk_sparse.c - hosted sparse extents of VMware disks: header, grain directory, grain tables and their redundant copies. Source: VMware,
 * Virtual Disk Format 1.1, "Hosted Sparse Extents".
 *
 * A grain table entry is the sector of a grain, 0 for none, or 1 for zeroes if a flag says so. The tables are loaded into a block map,
 * which stores changes in both copies. Where the copies differ the first counts, and the second is written anew.
 */
#include "images/vmdk.h"
#include "images/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define AT_END 0xffffffffffffffffull	/* the directory's place is in the footer */
#define MARKER_FOOTER 3u
#define GRAIN_SECTORS_MAX 131072u
#define KNOWN_FLAGS (VMDK_NEWLINE_TEST | VMDK_HAS_REDUNDANT | VMDK_ZEROED_GRAINS | VMDK_COMPRESSED | VMDK_MARKERS)

static bool damaged(const struct vmdk_extent *e, char *err, size_t errsize, const char *why)
{
	snprintf(err, errsize, "%s: VMDK extent %s", e->map.path, why);
	return false;
}

static bool check_version(const u8 *h, const struct vmdk_extent *e, char *err, size_t errsize)
{
	u32 flags = le32(h + S_FLAGS), version = le32(h + S_VERSION);
	u16 compression = le16(h + S_COMPRESSION);
	if (le32(h) != VMDK_MAGIC)
		return damaged(e, err, errsize, "without a VMDK header");
	if (!version || version > 3)
		snprintf(err, errsize, "%s: VMDK version %u is not supported; 1 to 3 are", e->map.path, version);
	else if (flags & ~KNOWN_FLAGS)
		snprintf(err, errsize, "%s: VMDK extent with unknown features 0x%x", e->map.path, flags & ~KNOWN_FLAGS);
	else if (flags & VMDK_NEWLINE_TEST && memcmp(h + S_NEWLINES, "\n \r\n", 4))
		return damaged(e, err, errsize, "that a transfer as text has damaged");
	else if (compression > 1 || (flags & VMDK_COMPRESSED && compression != 1))
		snprintf(err, errsize, "%s: VMDK extent with unknown compression %u", e->map.path, compression);
	else if (flags & VMDK_COMPRESSED && !(flags & VMDK_MARKERS))
		return damaged(e, err, errsize, "with compressed grains but without markers, which is not supported");
	else
		return true;
	return false;
}

static bool check_layout(const u8 *h, struct vmdk_extent *e, char *err, size_t errsize)
{
	u64 capacity = le64(h + S_CAPACITY), grain = le64(h + S_GRAIN);
	e->table_entries = le32(h + S_TABLE_ENTRIES);
	if (grain < 8 || grain > GRAIN_SECTORS_MAX || grain & (grain - 1))
		return damaged(e, err, errsize, "with an impossible grain size");
	if (!capacity || capacity > (u64)BLOCK_TABLE_MAX * grain)
		return damaged(e, err, errsize, "with an impossible number of grains");
	if (!e->table_entries || e->table_entries > 65536)
		return damaged(e, err, errsize, "with an impossible number of grains in a table");
	e->size = capacity * VMDK_SECTOR;
	e->map.size = e->size;
	e->map.block_bytes = (u32)(grain * VMDK_SECTOR);
	e->map.count = (u32)((capacity + grain - 1) / grain);
	e->tables = (e->map.count + e->table_entries - 1) / e->table_entries;
	e->flags = le32(h + S_FLAGS);
	e->descriptor_at = le64(h + S_DESCRIPTOR);
	e->descriptor_bytes = le64(h + S_DESCRIPTOR_SIZE);
	if (e->descriptor_at > e->file_size / VMDK_SECTOR || e->descriptor_bytes > VMDK_DESCRIPTOR_MAX / VMDK_SECTOR)
		return damaged(e, err, errsize, "whose descriptor is not in the file");
	e->descriptor_at *= VMDK_SECTOR;
	e->descriptor_bytes *= VMDK_SECTOR;
	return true;
}

/* A stream has the final header in the last but one sector, behind a marker. */
static int read_footer(struct image *im, const struct vmdk_extent *e, u8 *h)
{
	u8 marker[VMDK_SECTOR];
	if (e->file_size < 4 * VMDK_SECTOR)
		return EIO;
	int error = host_read_all(im->io, e->fd, e->file_size - 3 * VMDK_SECTOR, marker, sizeof(marker));
	if (!error && (le32(marker + 8) || le32(marker + 12) != MARKER_FOOTER))
		error = EIO;
	return error ? error : host_read_all(im->io, e->fd, e->file_size - 2 * VMDK_SECTOR, h, VMDK_HEADER_BYTES);
}

static bool load_directory(struct image *im, struct vmdk_extent *e, u64 sector, u64 *at_bytes, u32 **directory, char *err,
	size_t errsize)
{
	u64 bytes = e->tables * 4ull;
	if (sector > e->file_size / VMDK_SECTOR || bytes > e->file_size - sector * VMDK_SECTOR)
		return damaged(e, err, errsize, "whose grain directory is not in the file");
	*at_bytes = sector * VMDK_SECTOR;
	*directory = host_alloc(im->io, e->tables, 4);
	int error = *directory ? host_read_all(im->io, e->fd, sector * VMDK_SECTOR, *directory, bytes) : ENOMEM;
	u64 table_bytes = e->table_entries * 4ull, all = 0;
	for (u32 i = 0; i < e->tables && !error; i++) {
		(*directory)[i] = le32(&(*directory)[i]);
		u64 at = (*directory)[i] * VMDK_SECTOR;
		all += at ? table_bytes : 0;
		if (at > e->file_size || table_bytes > e->file_size - at || all > e->file_size)
			return damaged(e, err, errsize, "with grain tables that are not in the file");
	}
	if (error)
		snprintf(err, errsize, "%s: %s", e->map.path, strerror(error));
	return !error;
}

bool vmdk_sparse_header(struct image *im, struct vmdk_extent *e, char *err, size_t errsize)
{
	u8 h[VMDK_HEADER_BYTES];
	int error = host_size(im->io, e->fd, &e->file_size);
	if (!error)
		error = host_read(im->io, e->fd, 0, h, sizeof(h), NULL);
	if (!error && !check_version(h, e, err, errsize))
		return false;
	if (!error && le64(h + S_DIRECTORY) == AT_END) {
		u64 descriptor = le64(h + S_DESCRIPTOR), descriptor_size = le64(h + S_DESCRIPTOR_SIZE);
		error = read_footer(im, e, h);
		if (error == EIO)
			return damaged(e, err, errsize, "that ends too early: its footer is missing");
		if (!error && !check_version(h, e, err, errsize))
			return false;
		put_le64(h + S_DESCRIPTOR, descriptor);
		put_le64(h + S_DESCRIPTOR_SIZE, descriptor_size);
	}
	if (error) {
		snprintf(err, errsize, "%s: %s", e->map.path, strerror(error));
		return false;
	}
	return check_layout(h, e, err, errsize) && load_directory(im, e, le64(h + S_DIRECTORY), &e->directory_at, &e->directory, err, errsize) &&
		(!(e->flags & VMDK_HAS_REDUNDANT) ||
		load_directory(im, e, le64(h + S_REDUNDANT), &e->redundant_at, &e->redundant, err, errsize));
}

void vmdk_sparse_free(struct vmdk_extent *e)
{
	vmdk_stream_free(e);
	blocks_free(&e->map);
	free(e->directory);
	free(e->redundant);
	e->directory = e->redundant = NULL;
}

/* --- tables ------------------------------------------------------------------------------------------------------------ */

static u32 to_entry(const struct vmdk_extent *e, u32 raw)
{
	if (!raw)
		return BLOCK_HOLE;
	if (raw == 1 && e->flags & VMDK_ZEROED_GRAINS)
		return BLOCK_ZERO;
	return raw <= BLOCK_LAST ? raw : BLOCK_BAD;
}

/* Entries of one table; a directory without that table stays so, and its grains are holes. */
static int load_table(struct image *im, struct vmdk_extent *e, u32 t, u32 *raw)
{
	struct block_map *m = &e->map;
	u32 first = t * e->table_entries, n = m->count - first < e->table_entries ? m->count - first : e->table_entries;
	if (!e->directory[t])
		return 0;
	int error = host_read_all(im->io, e->fd, e->directory[t] * VMDK_SECTOR, raw, n * 4ull);
	for (u32 i = 0; i < n && !error; i++)
		m->entry[first + i] = to_entry(e, le32(&raw[i]));
	if (error || im->readonly || !e->redundant)
		return error;
	u32 *copy = raw + e->table_entries;
	error = host_read_all(im->io, e->fd, e->redundant[t] * VMDK_SECTOR, copy, n * 4ull);
	for (u32 i = 0; i < n && !error; i++)
		if (raw[i] != copy[i])
			blocks_touch(m, first + i);
	return error;
}

static int store_part(struct block_map *m, const struct vmdk_extent *e, u32 table_sector, u32 index, const u32 *raw, u32 n)
{
	return host_write(m->im->io, e->fd, table_sector * VMDK_SECTOR + index * 4ull, raw, n * 4ull);
}

static int store_tables(struct block_map *m, u32 from, u32 n)
{
	const struct vmdk_extent *e = m->owner;
	u32 *raw = host_alloc(m->im->io, e->table_entries, sizeof(*raw));
	int error = raw ? 0 : ENOMEM;
	while (n && !error) {
		u32 t = from / e->table_entries, index = from % e->table_entries;
		u32 part = n < e->table_entries - index ? n : e->table_entries - index;
		for (u32 i = 0; i < part; i++) {
			u32 entry = m->entry[from + i];
			put_le32(&raw[i], entry == BLOCK_HOLE ? 0 : entry == BLOCK_ZERO ? 1 : entry);
		}
		error = store_part(m, e, e->directory[t], index, raw, part);
		if (!error && e->redundant)
			error = store_part(m, e, e->redundant[t], index, raw, part);
		from += part, n -= part;
	}
	free(raw);
	return error;
}

static int by_place(const void *a, const void *b)
{
	u64 x = ((const struct block_span *)a)->at, y = ((const struct block_span *)b)->at;
	return x < y ? -1 : x > y;
}

static u64 sectors_up(u64 bytes) { return (bytes + VMDK_SECTOR - 1) & ~(VMDK_SECTOR - 1); }

/* All that is no grain, sorted; neighbours become one. False if some of it overlaps. */
static bool find_reserved(struct vmdk_extent *e, struct block_span *span, u32 *count)
{
	u32 n = 0, kept = 0;
	bool apart = true;
	span[n++] = (struct block_span){ 0, VMDK_HEADER_BYTES };
	span[n++] = (struct block_span){ e->directory_at, sectors_up(e->tables * 4ull) };
	if (e->redundant)
		span[n++] = (struct block_span){ e->redundant_at, sectors_up(e->tables * 4ull) };
	if (e->descriptor_at)
		span[n++] = (struct block_span){ e->descriptor_at, e->descriptor_bytes };
	for (u32 t = 0; t < e->tables; t++) {
		u64 bytes = sectors_up(e->table_entries * 4ull);
		if (e->directory[t])
			span[n++] = (struct block_span){ e->directory[t] * VMDK_SECTOR, bytes };
		if (e->redundant)
			span[n++] = (struct block_span){ e->redundant[t] * VMDK_SECTOR, bytes };
	}
	qsort(span, n, sizeof(*span), by_place);
	for (u32 i = 1; i < n; i++) {
		u64 behind = span[kept].at + span[kept].len;
		apart &= span[i].at >= behind;
		if (span[i].at > behind)
			span[++kept] = span[i];
		else if (span[i].at + span[i].len > behind)
			span[kept].len = span[i].at + span[i].len - span[kept].at;
	}
	*count = kept + 1;
	return apart;
}

static bool writable_tables(const struct vmdk_extent *e)
{
	for (u32 t = 0; t < e->tables; t++)
		if (!e->directory[t] || (e->redundant && !e->redundant[t]))
			return false;
	return true;
}

static int load_tables(struct image *im, struct vmdk_extent *e)
{
	struct block_map *m = &e->map;
	m->im = im;
	m->fd = e->fd;
	m->unit = (u32)VMDK_SECTOR;
	m->first = VMDK_HEADER_BYTES;
	m->align = m->block_bytes;
	m->can_zero = e->flags & VMDK_ZEROED_GRAINS;
	m->disk_offset = e->at;
	m->store = store_tables;
	m->owner = e;
	u32 *raw = host_alloc(im->io, e->table_entries * 2ull, 4);
	int error = raw ? blocks_table(m) : ENOMEM;
	for (u32 t = 0; t < e->tables && !error; t++)
		error = load_table(im, e, t, raw);
	free(raw);
	return error;
}

bool vmdk_sparse_tables(struct image *im, struct vmdk_extent *e, char *err, size_t errsize)
{
	int error = load_tables(im, e);
	if (!error && e->flags & VMDK_COMPRESSED)
		error = vmdk_stream_open(im, e);
	if (error || e->flags & VMDK_COMPRESSED) {
		if (error)
			snprintf(err, errsize, "%s: %s", e->map.path, strerror(error));
		return !error;
	}
	struct block_span *span = host_alloc(im->io, e->tables * 2ull + 4, sizeof(*span));
	bool apart = span && find_reserved(e, span, &e->map.reserved_count);
	e->map.reserved = span;
	error = span ? blocks_scan(&e->map, e->file_size) : ENOMEM;
	e->map.reserved = NULL;
	free(span);
	if (error)
		snprintf(err, errsize, "%s: %s", e->map.path, strerror(error));
	else if (!im->readonly && (!apart || !writable_tables(e)))
		return damaged(e, err, errsize, "whose grain tables overlap or are missing: it can be read only");
	return !error && blocks_acceptable(&e->map, err, errsize);
}

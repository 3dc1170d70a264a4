/*
 * blocks.c - reads and writes a disk in blocks behind a table; gives new blocks their place. See blocks.h for the order of writes.
 *
 * A new block's bytes that were not written read as zeroes because they lie behind what the file ever held; where an earlier run left
 * something there (it was killed before it stored the table), that is cleared first.
 */
#include "images/blocks.h"
#include "images/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SECTOR 512u
#define PIECE 128u		/* entries that are stored together: a sector's worth */

static u64 min64(u64 a, u64 b) { return a < b ? a : b; }
static u64 stride(const struct block_map *m) { return (u64)m->lead + m->block_bytes; }
static bool present(u32 entry) { return entry <= BLOCK_LAST; }
static bool bit(const u8 *bits, u32 i) { return bits[i / 8] >> (i % 8) & 1; }
static void set_bit(u8 *bits, u32 i) { bits[i / 8] |= (u8)(1u << (i % 8)); }

int blocks_table(struct block_map *m)
{
	const struct hostio *io = m->im->io;
	m->entry = host_alloc(io, m->count, sizeof(*m->entry));
	m->dirty = host_alloc(io, m->count / PIECE / 8 + 1, 1);
	m->whole = m->bitmap ? host_alloc(io, m->count / 8 + 1, 1) : NULL;
	if (!m->entry || !m->dirty || (m->bitmap && !m->whole)) {
		blocks_free(m);
		return ENOMEM;
	}
	memset(m->entry, 0xff, (size_t)m->count * sizeof(*m->entry));
	return 0;
}

void blocks_free(struct block_map *m)
{
	free(m->entry);
	free(m->dirty);
	free(m->whole);
	m->entry = NULL;
	m->dirty = m->whole = NULL;
}

void blocks_touch(struct block_map *m, u32 i)
{
	set_bit(m->dirty, i / PIECE);
	m->any_dirty = true;
}

static int fill_hole(struct block_map *m, u32 entry, u64 offset, void *buf, u64 len)
{
	if (entry == BLOCK_HOLE && m->im->backing)
		return image_read_backing(m->im, m->disk_offset + offset, buf, len);
	memset(buf, 0, len);
	return 0;
}

/* --- bitmaps of sectors ------------------------------------------------------------------------------------------------ */

static bool sector_valid(const struct block_map *m, const u8 *bits, u32 sector)
{
	u32 shift = m->bitmap_msb ? 7 - sector % 8 : sector % 8;
	return bits[sector / 8] >> shift & 1;
}

/* How many of the sectors from `sector` on, at most n, are like it. */
static u32 sector_run(const struct block_map *m, const u8 *bits, u32 sector, u32 n)
{
	bool valid = sector_valid(m, bits, sector);
	u32 run = 1;
	while (run < n && sector_valid(m, bits, sector + run) == valid)
		run++;
	return run;
}

/* The bitmap of block i, of malloc, or NULL in *bits if all of its sectors are valid. */
static int get_bitmap(struct block_map *m, u32 i, u8 **bits)
{
	*bits = NULL;
	if (!m->bitmap || bit(m->whole, i))
		return 0;
	u8 *b = host_alloc(m->im->io, 1, m->lead);
	if (!b)
		return ENOMEM;
	int error = host_read(m->im->io, m->fd, blocks_place(m, m->entry[i]) - m->lead, b, m->lead, NULL);
	u32 sectors = m->block_bytes / SECTOR;
	if (!error && sector_valid(m, b, 0) && sector_run(m, b, 0, sectors) == sectors)
		set_bit(m->whole, i);
	if (error || bit(m->whole, i))
		free(b);
	else
		*bits = b;
	return error;
}

static int fill_invalid(struct block_map *m, u32 i, const u8 *bits)
{
	u64 at = blocks_place(m, m->entry[i]), disk = (u64)i * m->block_bytes;
	u32 sectors = m->block_bytes / SECTOR, run;
	int error = 0;
	for (u32 s = 0; s < sectors && !error; s += run) {
		u64 offset = (u64)s * SECTOR, len;
		run = sector_run(m, bits, s, sectors - s);
		len = (u64)run * SECTOR;
		if (sector_valid(m, bits, s))
			continue;
		if (!m->im->backing) {
			error = host_zero(m->im->io, m->fd, at + offset, len);
			continue;
		}
		void *buf = host_alloc(m->im->io, 1, len);
		error = buf ? fill_hole(m, BLOCK_HOLE, disk + offset, buf, len) : ENOMEM;
		if (!error)
			error = host_write(m->im->io, m->fd, at + offset, buf, len);
		free(buf);
	}
	return error;
}

/* Makes all sectors of a present block valid, so that it can be written as if there were no bitmap. */
static int make_whole(struct block_map *m, u32 i)
{
	u8 *bits;
	int error = get_bitmap(m, i, &bits);
	if (error || !bits)
		return error;
	error = fill_invalid(m, i, bits);
	if (!error)
		error = host_sync(m->im->io, m->fd);
	memset(bits, 0xff, m->lead);
	if (!error)
		error = host_write(m->im->io, m->fd, blocks_place(m, m->entry[i]) - m->lead, bits, m->lead);
	if (!error)
		set_bit(m->whole, i);
	free(bits);
	return error;
}

/* --- reading ----------------------------------------------------------------------------------------------------------- */

/* Sectors of a block whose bitmap has holes. */
static int read_partial(struct block_map *m, u32 i, const u8 *bits, u64 offset, u8 *to, u64 len)
{
	u64 at = blocks_place(m, m->entry[i]), disk = (u64)i * m->block_bytes;
	int error = 0;
	while (len && !error) {
		u32 sector = (u32)(offset / SECTOR);
		u32 run = sector_run(m, bits, sector, m->block_bytes / SECTOR - sector);
		u64 n = min64(len, ((u64)sector + run) * SECTOR - offset);
		if (sector_valid(m, bits, sector))
			error = host_read(m->im->io, m->fd, at + offset, to, n, NULL);
		else
			error = fill_hole(m, BLOCK_HOLE, disk + offset, to, n);
		to += n, offset += n, len -= n;
	}
	return error;
}

/* How many bytes from `offset` on, at most len, are of one kind; those of present blocks lie in a row in the file. */
static u64 run_of(const struct block_map *m, u64 offset, u64 len)
{
	u32 i = (u32)(offset / m->block_bytes), entry = m->entry[i];
	u64 n = m->block_bytes - offset % m->block_bytes;
	while (n < len && ++i < m->count && (!present(entry) || (!m->lead && entry <= BLOCK_LAST - m->block_bytes / m->unit))) {
		entry = present(entry) ? entry + m->block_bytes / m->unit : entry;
		if (m->entry[i] != entry)
			break;
		n += m->block_bytes;
	}
	return min64(n, len);
}

static int read_run(struct block_map *m, u64 offset, u8 *to, u64 len)
{
	u32 i = (u32)(offset / m->block_bytes);
	u8 *bits;
	if (m->entry[i] == BLOCK_BAD)
		return EIO;
	if (!present(m->entry[i]))
		return fill_hole(m, m->entry[i], offset, to, len);
	int error = get_bitmap(m, i, &bits);
	if (error)
		return error;
	if (!bits)
		return host_read(m->im->io, m->fd, blocks_place(m, m->entry[i]) + offset % m->block_bytes, to, len, NULL);
	error = read_partial(m, i, bits, offset % m->block_bytes, to, len);
	free(bits);
	return error;
}

int blocks_read(struct block_map *m, u64 offset, void *buf, u64 len)
{
	int error = 0;
	for (u8 *to = buf; len && !error;) {
		u64 n = run_of(m, offset, len);
		error = read_run(m, offset, to, n);
		to += n, offset += n, len -= n;
	}
	return error;
}

/* --- writing ----------------------------------------------------------------------------------------------------------- */

static u64 place_for_new(const struct block_map *m)
{
	u64 at = m->end;
	if (m->align)
		at = ((at + m->lead + m->align - 1) & ~(u64)(m->align - 1)) - m->lead;
	return at;
}

/* Clears what lies where the next n bytes from `at` will be new. From here on they count as used, also if this or what follows fails. */
static int clear_stale(struct block_map *m, u64 at, u64 n)
{
	u64 old = m->file_end;
	if (at + n > m->file_end)
		m->file_end = at + n;
	return at < old ? host_zero(m->im->io, m->fd, at, min64(n, old - at)) : 0;
}

/* Blocks i..i+n-1 get places in a row, and bytes [in, in + len) of them are written; the rest of them is zeroes. */
static int write_new(struct block_map *m, u32 i, u32 n, u64 in, const void *from, u64 len)
{
	u64 at = place_for_new(m), bytes = n * stride(m);
	int error = (at + bytes - m->base) / m->unit > BLOCK_LAST ? EFBIG : clear_stale(m, at, bytes);
	if (!error && m->lead) {
		u8 *ones = host_alloc(m->im->io, 1, m->lead);
		if (!ones)
			return ENOMEM;
		if (m->bitmap)
			memset(ones, 0xff, m->lead);
		error = host_write(m->im->io, m->fd, at, ones, m->lead);
		free(ones);
	}
	if (!error)
		error = host_write(m->im->io, m->fd, at + m->lead + in, from, len);
	if (error)
		return error;
	for (u32 k = 0; k < n; k++) {
		m->entry[i + k] = (u32)((at - m->base + k * stride(m)) / m->unit);
		if (m->bitmap)
			set_bit(m->whole, i + k);
		blocks_touch(m, i + k);
	}
	m->allocated += n;
	m->end = at + bytes;
	return 0;
}

/* A part of a block that is not here, over an image that has something: the rest comes from there. */
static int write_over_backing(struct block_map *m, u32 i, u64 in, const void *from, u64 len)
{
	u64 disk = (u64)i * m->block_bytes;
	u64 there = min64(m->block_bytes, m->size - disk);
	u8 *buf = host_alloc(m->im->io, 1, m->block_bytes);
	int error = buf ? fill_hole(m, m->entry[i], disk, buf, there) : ENOMEM;
	if (!error) {
		memcpy(buf + in, from, len);
		error = write_new(m, i, 1, 0, buf, m->block_bytes);
	}
	free(buf);
	return error;
}

static int write_run(struct block_map *m, u64 offset, const u8 *from, u64 *len)
{
	u32 i = (u32)(offset / m->block_bytes);
	u64 in = offset % m->block_bytes;
	bool backed = m->entry[i] == BLOCK_HOLE && m->im->backing;
	if (m->entry[i] == BLOCK_BAD)
		return EIO;
	if (present(m->entry[i])) {
		int error = make_whole(m, i);
		return error ? error : host_write(m->im->io, m->fd, blocks_place(m, m->entry[i]) + in, from, *len);
	}
	if (backed && (in || *len < m->block_bytes)) {
		*len = min64(*len, m->block_bytes - in);
		return write_over_backing(m, i, in, from, *len);
	}
	if (m->lead)
		*len = min64(*len, m->block_bytes - in);
	else if (backed)
		*len -= *len % m->block_bytes;
	return write_new(m, i, (u32)((in + *len + m->block_bytes - 1) / m->block_bytes), in, from, *len);
}

int blocks_write(struct block_map *m, u64 offset, const void *buf, u64 len)
{
	int error = 0;
	for (const u8 *from = buf; len && !error;) {
		u64 n = run_of(m, offset, len);
		error = write_run(m, offset, from, &n);
		from += n, offset += n, len -= n;
	}
	return error;
}

static int zero_run(struct block_map *m, u64 offset, u64 *len)
{
	u32 i = (u32)(offset / m->block_bytes);
	u64 in = offset % m->block_bytes, covered = *len;
	if (m->entry[i] == BLOCK_BAD)
		return EIO;
	if (present(m->entry[i])) {
		int error = make_whole(m, i);
		return error ? error : host_zero(m->im->io, m->fd, blocks_place(m, m->entry[i]) + in, *len);
	}
	if (m->entry[i] == BLOCK_ZERO || image_backing_is_zero(m->im, m->disk_offset + offset, &covered)) {
		*len = min64(*len, covered);
		return 0;
	}
	*len = min64(*len, m->block_bytes - in);
	if (m->can_zero && !in && (*len == m->block_bytes || offset + *len == m->size)) {
		m->entry[i] = BLOCK_ZERO;
		blocks_touch(m, i);
		return 0;
	}
	void *zeroes = host_alloc(m->im->io, 1, *len);
	int error = zeroes ? blocks_write(m, offset, zeroes, *len) : ENOMEM;
	free(zeroes);
	return error;
}

int blocks_write_zeroes(struct block_map *m, u64 offset, u64 len)
{
	int error = 0;
	while (len && !error) {
		u64 n = run_of(m, offset, len);
		error = zero_run(m, offset, &n);
		offset += n, len -= n;
	}
	return error;
}

/* The host's room is given back, the block keeps its place. */
int blocks_discard(struct block_map *m, u64 offset, u64 len)
{
	int error = 0;
	while (len && !error) {
		u64 n = run_of(m, offset, len);
		u32 i = (u32)(offset / m->block_bytes);
		u8 *bits = NULL;
		if (present(m->entry[i])) {
			error = get_bitmap(m, i, &bits);
			if (!error && !bits)
				error = host_punch(m->im->io, m->fd, blocks_place(m, m->entry[i]) + offset % m->block_bytes, n);
			error = error == EIO || error == ENOMEM ? error : 0;
			free(bits);
		}
		offset += n, len -= n;
	}
	return error;
}

int blocks_extent(struct block_map *m, u64 offset, u64 len, struct image_extent *e)
{
	u32 i = (u32)(offset / m->block_bytes), entry = m->entry[i];
	u8 *bits = NULL;
	*e = (struct image_extent){ .len = run_of(m, offset, len), .file_offset = ~0ull, .kind = IMAGE_DATA };
	if (entry == BLOCK_HOLE || entry == BLOCK_ZERO)
		e->kind = entry == BLOCK_HOLE ? IMAGE_HOLE : IMAGE_ZERO;
	if (!present(entry))
		return 0;
	int error = get_bitmap(m, i, &bits);
	if (!error && !bits) {
		u64 all = e->len;
		e->file_offset = blocks_place(m, entry) + offset % m->block_bytes;
		if (!host_has_data(m->im->io, m->fd, e->file_offset, &e->len) && (e->len == all || e->len >= SECTOR))
			e->kind = IMAGE_ZERO;
		/* The host's holes begin anywhere on a disk whose blocks lie at odd places. */
		if (e->len < all)
			e->len = e->kind == IMAGE_ZERO ? e->len & ~(u64)(SECTOR - 1) : min64(all, (e->len + SECTOR - 1) & ~(u64)(SECTOR - 1));
	}
	free(bits);
	return error;
}

static int store_dirty(struct block_map *m)
{
	u32 pieces = (m->count + PIECE - 1) / PIECE, next;
	for (u32 p = 0; p < pieces; p = next + 1) {
		next = p;
		if (!bit(m->dirty, p))
			continue;
		for (u32 q = p + 1; q < pieces && (m->store_once || bit(m->dirty, q)); q++)
			if (bit(m->dirty, q))
				next = q;
		u64 from = (u64)p * PIECE, to = min64(((u64)next + 1) * PIECE, m->count);
		int error = m->store(m, (u32)from, (u32)(to - from));
		if (error)
			return error;
		for (u32 q = p; q <= next; q++)
			m->dirty[q / 8] &= (u8)~(1u << (q % 8));
	}
	m->any_dirty = false;
	return 0;
}

int blocks_flush(struct block_map *m)
{
	const struct hostio *io = m->im->io;
	u64 size;
	int error = m->any_dirty ? host_size(io, m->fd, &size) : 0;
	if (!error && m->any_dirty && size < m->end)
		error = host_resize(io, m->fd, m->end);
	if (!error)
		error = host_sync(io, m->fd);
	if (error || !m->any_dirty)
		return error;
	error = store_dirty(m);
	return error ? error : host_sync(io, m->fd);
}

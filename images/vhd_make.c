/*
 * vhd_make.c - new VHD images, and other sizes for old ones. Source: Microsoft's specification 1.0; see vhd.h.
 */
#include "images/vhd.h"
#include "images/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define SECTOR 512u
#define EPOCH_2000 946684800u
#define VERSION 0x00010000u

struct geometry { u32 cylinders, heads, sectors; };

/* The specification's appendix, "CHS Calculation". */
static struct geometry geometry_of(u64 sectors)
{
	struct geometry g = { .heads = 16 };
	u64 per_head;
	if (sectors > 65535ull * 16 * 255)
		sectors = 65535ull * 16 * 255;
	if (sectors >= 65535ull * 16 * 63) {
		g.sectors = 255;
		per_head = sectors / 255;
	} else {
		g.sectors = 17;
		per_head = sectors / 17;
		g.heads = (u32)((per_head + 1023) / 1024);
		if (g.heads < 4)
			g.heads = 4;
		if (per_head >= g.heads * 1024 || g.heads > 16) {
			g.sectors = 31;
			g.heads = 16;
			per_head = sectors / 31;
		}
		if (per_head >= g.heads * 1024) {
			g.sectors = 63;
			per_head = sectors / 63;
		}
	}
	g.cylinders = (u32)(per_head / g.heads);
	return g;
}

/* The smallest size from `size` on that the geometry says as it is. */
static u64 round_to_geometry(u64 size)
{
	u64 wanted = size / SECTOR, sectors = wanted, says = 0;
	for (; says < wanted && sectors < 65535ull * 16 * 255; sectors++) {
		struct geometry g = geometry_of(sectors);
		says = (u64)g.cylinders * g.heads * g.sectors;
	}
	return says < wanted ? size : says * SECTOR;
}

void vhd_set_size(u8 *footer, u64 size)
{
	struct geometry g = geometry_of(size / SECTOR);
	put_be64(footer + F_SIZE, size);
	put_be16(footer + F_GEOMETRY, (u16)g.cylinders);
	footer[F_GEOMETRY + 2] = (u8)g.heads;
	footer[F_GEOMETRY + 3] = (u8)g.sectors;
	put_be32(footer + F_CHECKSUM, vhd_checksum(footer, VHD_FOOTER_BYTES, F_CHECKSUM));
}

/* Creator "win ": programs that go by the geometry for images of other makers go by the size for Windows' own. */
static bool fill_footer(u8 *f, u64 size, enum vhd_type type)
{
	memcpy(f, "conectix", 8);
	put_be32(f + F_FEATURES, 2);
	put_be32(f + F_VERSION, VERSION);
	put_be64(f + F_HEADER_AT, type == VHD_FIXED ? ~0ull : VHD_FOOTER_BYTES);
	put_be32(f + F_TIME, (u32)((u64)time(NULL) - EPOCH_2000));
	memcpy(f + F_CREATOR, "win ", 4);
	put_be32(f + F_CREATOR_VERSION, 0x00060001);
	memcpy(f + F_HOST, "Wi2k", 4);
	put_be64(f + F_ORIGINAL_SIZE, size);
	put_be32(f + F_TYPE, type);
	if (getrandom(f + F_UUID, 16, 0) != 16)
		return false;
	f[F_UUID + 6] = (f[F_UUID + 6] & 0x0f) | 0x40;
	f[F_UUID + 8] = (f[F_UUID + 8] & 0x3f) | 0x80;
	vhd_set_size(f, size);
	return true;
}

static void fill_header(u8 *h, u64 table_at, u32 entries, u32 block)
{
	memcpy(h, "cxsparse", 8);
	put_be64(h + H_NEXT, ~0ull);
	put_be64(h + H_TABLE_AT, table_at);
	put_be32(h + H_VERSION, VERSION);
	put_be32(h + H_ENTRIES, entries);
	put_be32(h + H_BLOCK_SIZE, block);
	put_be32(h + H_CHECKSUM, vhd_checksum(h, VHD_HEADER_BYTES, H_CHECKSUM));
}

struct vhd_options { enum vhd_type type; bool exact; };

static bool parse_options(const struct image *im, const char *options, struct vhd_options *o, char *err, size_t errsize)
{
	char name[32], value[256];
	*o = (struct vhd_options){ .type = VHD_DYNAMIC, .exact = true };
	for (const char *at = options; image_option_next(&at, name, value);) {
		if (!strcmp(name, "subformat") && !strcmp(value, "fixed"))
			o->type = VHD_FIXED;
		else if (!strcmp(name, "subformat") && !strcmp(value, "dynamic"))
			o->type = VHD_DYNAMIC;
		else if (strcmp(name, "force_size") || !image_parse_bool(value, &o->exact)) {
			snprintf(err, errsize, "%s: VHD has no option '%.40s=%.40s'; there are subformat=dynamic|fixed and force_size=on|off",
				im->path, name, value);
			return false;
		}
	}
	return true;
}

static u64 table_room(u64 entries) { return (entries * 4 + SECTOR - 1) & ~(u64)(SECTOR - 1); }

static int write_dynamic(struct image *im, const u8 *footer, u64 size)
{
	const u64 table_at = VHD_FOOTER_BYTES + VHD_HEADER_BYTES;
	u64 entries = (size + VHD_BLOCK_BYTES - 1) / VHD_BLOCK_BYTES;
	u64 end = table_at + table_room(entries);
	u8 *all = host_alloc(im->io, 1, end + VHD_FOOTER_BYTES);
	if (!all)
		return ENOMEM;
	memcpy(all, footer, VHD_FOOTER_BYTES);
	fill_header(all + VHD_FOOTER_BYTES, table_at, (u32)entries, VHD_BLOCK_BYTES);
	memset(all + table_at, 0xff, end - table_at);
	memcpy(all + end, footer, VHD_FOOTER_BYTES);
	int error = host_write(im->io, im->fd, 0, all, end + VHD_FOOTER_BYTES);
	free(all);
	return error;
}

bool vhd_create(struct image *im, const struct image_create *how, char *err, size_t errsize)
{
	struct vhd_options o;
	u8 footer[VHD_FOOTER_BYTES] = { 0 };
	if (!parse_options(im, how->options, &o, err, errsize))
		return false;
	u64 size = o.exact ? how->size : round_to_geometry(how->size);
	if (!size || (o.type == VHD_DYNAMIC && size > VHD_MAX_BYTES)) {
		snprintf(err, errsize, "%s: a dynamic VHD image holds 512 bytes to 2040 GiB", im->path);
		return false;
	}
	int error = fill_footer(footer, size, o.type) ? 0 : errno;
	if (!error && o.type == VHD_FIXED)
		error = host_write(im->io, im->fd, size, footer, VHD_FOOTER_BYTES);
	else if (!error)
		error = write_dynamic(im, footer, size);
	if (error)
		snprintf(err, errsize, "%s: %s", im->path, strerror(error));
	return !error;
}

/* --- other sizes ------------------------------------------------------------------------------------------------------- */

/* The new footer is there before the file has another end; the old one becomes zeroes of the disk. */
static int resize_fixed(struct image *im, struct vhd *v, u64 size)
{
	u64 old = im->size;
	u8 footer[VHD_FOOTER_BYTES];
	memcpy(footer, v->footer, sizeof(footer));
	vhd_set_size(footer, size);
	int error = host_write(im->io, im->fd, size, footer, VHD_FOOTER_BYTES);
	if (!error)
		error = host_sync(im->io, im->fd);
	if (!error && size < old)
		error = host_resize(im->io, im->fd, size + VHD_FOOTER_BYTES);
	else if (!error && size > old)
		error = host_zero(im->io, im->fd, old, size - old < VHD_FOOTER_BYTES ? size - old : VHD_FOOTER_BYTES);
	if (error)
		return error;
	memcpy(v->footer, footer, sizeof(footer));
	v->footer_at = size;
	im->size = size;
	return host_sync(im->io, im->fd);
}

/* A larger table behind everything; then the header names it, by one write of one sector that matters; then the footers. */
static int move_table(struct image *im, struct vhd *v, u32 entries)
{
	struct block_map *m = &v->map, old = *m, bigger = *m;
	u64 old_at = v->table_at;
	u8 header[VHD_HEADER_BYTES];
	bigger.count = entries;
	int error = blocks_table(&bigger);
	if (error)
		return error;
	memcpy(bigger.entry, old.entry, old.count * sizeof(*old.entry));
	memcpy(bigger.whole, old.whole, old.count / 8);
	u64 bytes = table_room(entries);
	u32 *pad = host_alloc(im->io, 1, SECTOR);
	error = pad ? 0 : ENOMEM;
	if (!error) {
		memset(pad, 0xff, SECTOR);
		error = host_write(im->io, im->fd, old.end + bytes - SECTOR, pad, SECTOR);
	}
	free(pad);
	v->table_at = old.end;
	v->footer_at = ~0ull;
	if (!error)
		error = bigger.store(&bigger, 0, entries);
	if (!error)
		error = host_sync(im->io, im->fd);
	memcpy(header, v->header, sizeof(header));
	fill_header(header, v->table_at, entries, m->block_bytes);
	if (!error)
		error = host_write(im->io, im->fd, v->header_at, header, sizeof(header));
	if (!error)
		error = host_sync(im->io, im->fd);
	if (error) {
		v->table_at = old_at;
		blocks_free(&bigger);
		return error;
	}
	memcpy(v->header, header, sizeof(header));
	bigger.end = old.end + bytes;
	if (bigger.file_end < bigger.end)
		bigger.file_end = bigger.end;
	blocks_free(m);
	*m = bigger;
	return 0;
}

static int grow_dynamic(struct image *im, struct vhd *v, u64 size)
{
	u64 entries = (size + v->map.block_bytes - 1) / v->map.block_bytes;
	int error = vhd_flush(im);
	if (!error && entries > v->map.count)
		error = move_table(im, v, (u32)entries);
	if (error)
		return error;
	u8 footer[VHD_FOOTER_BYTES];
	memcpy(footer, v->footer, sizeof(footer));
	vhd_set_size(footer, size);
	error = host_write(im->io, im->fd, 0, footer, VHD_FOOTER_BYTES);
	if (error)
		return error;
	memcpy(v->footer, footer, sizeof(footer));
	v->map.size = im->size = size;
	v->footer_at = ~0ull;
	return vhd_flush(im);
}

bool vhd_resize(struct image *im, u64 size, char *err, size_t errsize)
{
	struct vhd *v = im->state;
	if (v->type == VHD_DYNAMIC && (size < im->size || size > VHD_MAX_BYTES)) {
		snprintf(err, errsize, "%s: a dynamic VHD image cannot be made %s; convert it to another one", im->path,
			size < im->size ? "smaller" : "larger than 2040 GiB");
		return false;
	}
	int error = v->type == VHD_FIXED ? resize_fixed(im, v, size) : grow_dynamic(im, v, size);
	if (error)
		snprintf(err, errsize, "%s: %s", im->path, strerror(error));
	return !error;
}

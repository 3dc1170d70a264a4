/*
 * vmdk_make.c - new VMware disks: monolithic or split in pieces of 2 GB, sparse or flat. Source: VMware, Virtual Disk Format 1.1.
 */
#include "images/vmdk.h"
#include "images/bytes.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SPLIT_SECTORS 4192256ull	/* 2047 MiB, what VMware splits at */
#define DESCRIPTOR_SECTORS 20u		/* in a monolithic sparse disk */
#define MAX_SPARSE_BYTES (2ull << 40)

struct plan {
	const char *subformat, *adapter;
	bool split, sparse, zeroed;
	char version[8];
	char stem[1024];	/* the image's path without .vmdk */
	char words[3][256];	/* what the options said */
	u32 made;		/* extents that are there */
};

static bool no_option(const struct image *im, const char *name, const char *value, char *err, size_t errsize)
{
	snprintf(err, errsize, "%s: VMDK has no option '%.40s=%.40s'; there are subformat=monolithicSparse|monolithicFlat|twoGbMaxExtentSparse|"
		"twoGbMaxExtentFlat, adapter_type=ide|buslogic|lsilogic|legacyESX, hwversion=N, compat6 and zeroed_grain=on|off",
		im->path, name, value);
	return false;
}

static bool take_option(struct plan *p, const char *name, const char *value)
{
	bool yes = false;
	if (!strcmp(name, "subformat")) {
		p->subformat = strcpy(p->words[0], value);
		p->split = !strncmp(value, "twoGbMaxExtent", 14);
		p->sparse = !strcmp(value, "monolithicSparse") || !strcmp(value, "twoGbMaxExtentSparse");
		return p->sparse || !strcmp(value, "monolithicFlat") || !strcmp(value, "twoGbMaxExtentFlat");
	}
	if (!strcmp(name, "adapter_type")) {
		p->adapter = strcpy(p->words[1], value);
		return !strcmp(value, "ide") || !strcmp(value, "buslogic") || !strcmp(value, "lsilogic") || !strcmp(value, "legacyESX");
	}
	if (!strcmp(name, "hwversion")) {
		if (!*value || strlen(value) > 2 || value[strspn(value, "0123456789")])
			return false;
		strcpy(p->version, value);
		return true;
	}
	if (!strcmp(name, "compat6") && image_parse_bool(value, &yes)) {
		strcpy(p->version, yes ? "6" : p->version);
		return true;
	}
	return !strcmp(name, "zeroed_grain") && image_parse_bool(value, &p->zeroed);
}

static bool make_plan(const struct image *im, const struct image_create *how, struct plan *p, char *err, size_t errsize)
{
	char name[32], value[256];
	*p = (struct plan){ .subformat = "monolithicSparse", .adapter = "ide", .sparse = true, .version = "4" };
	for (const char *at = how->options; image_option_next(&at, name, value);)
		if (!take_option(p, name, value))
			return no_option(im, name, value, err, errsize);
	size_t n = strlen(im->path);
	if (n > 5 && !strcasecmp(im->path + n - 5, ".vmdk"))
		n -= 5;
	bool alone = p->sparse && !p->split;
	if (!alone && im->nameless)
		snprintf(err, errsize, "%s: a VMDK image without a name must be monolithicSparse", im->path);
	else if (n >= sizeof(p->stem) - 16 || strpbrk(im->path, "\"\r\n"))
		snprintf(err, errsize, "%s: a VMDK image cannot have a name like this", im->path);
	else if (!how->size || (alone && how->size > MAX_SPARSE_BYTES))
		snprintf(err, errsize, "%s: a monolithic sparse VMDK image holds 512 bytes to 2 TiB", im->path);
	else if (p->split && how->size / VMDK_SECTOR / SPLIT_SECTORS >= VMDK_EXTENTS_MAX)
		snprintf(err, errsize, "%s: is too large for a split VMDK image", im->path);
	else {
		memcpy(p->stem, im->path, n);
		p->stem[n] = 0;
		return true;
	}
	return false;
}

static void extent_path(const struct plan *p, u32 i, char *path, size_t room)
{
	if (p->split)
		snprintf(path, room, "%s-%c%03u.vmdk", p->stem, p->sparse ? 's' : 'f', i + 1);
	else
		snprintf(path, room, "%s-flat.vmdk", p->stem);
}

/* --- a sparse extent ---------------------------------------------------------------------------------------------------- */

struct layout { u64 redundant, redundant_tables, directory, tables, overhead, directory_sectors; u32 table_count; };

static struct layout lay_out(u64 sectors, u32 descriptor_sectors)
{
	struct layout l;
	u64 table_sectors = VMDK_TABLE_ENTRIES * 4 / VMDK_SECTOR;
	l.table_count = (u32)((sectors + VMDK_GRAIN_SECTORS * VMDK_TABLE_ENTRIES - 1) / (VMDK_GRAIN_SECTORS * VMDK_TABLE_ENTRIES));
	l.directory_sectors = (l.table_count * 4ull + VMDK_SECTOR - 1) / VMDK_SECTOR;
	l.redundant = 1 + descriptor_sectors;
	l.redundant_tables = l.redundant + l.directory_sectors;
	l.directory = l.redundant_tables + l.table_count * table_sectors;
	l.tables = l.directory + l.directory_sectors;
	l.overhead = (l.tables + l.table_count * table_sectors + VMDK_GRAIN_SECTORS - 1) & ~(u64)(VMDK_GRAIN_SECTORS - 1);
	return l;
}

static int write_directory(const struct image *im, int fd, const struct layout *l, u64 at, u64 tables)
{
	u8 *raw = host_alloc(im->io, 1, l->directory_sectors * VMDK_SECTOR);
	if (!raw)
		return ENOMEM;
	for (u32 i = 0; i < l->table_count; i++)
		put_le32(raw + i * 4, (u32)(tables + i * (VMDK_TABLE_ENTRIES * 4 / VMDK_SECTOR)));
	int error = host_write(im->io, fd, at * VMDK_SECTOR, raw, l->directory_sectors * VMDK_SECTOR);
	free(raw);
	return error;
}

/* The tables themselves are zeroes: a hole. */
static int make_sparse(const struct image *im, int fd, u64 sectors, bool zeroed, const char *text)
{
	u8 h[VMDK_HEADER_BYTES] = { 0 };
	struct layout l = lay_out(sectors, text ? DESCRIPTOR_SECTORS : 0);
	put_le32(h, VMDK_MAGIC);
	put_le32(h + S_VERSION, zeroed ? 2 : 1);
	put_le32(h + S_FLAGS, VMDK_NEWLINE_TEST | VMDK_HAS_REDUNDANT | (zeroed ? VMDK_ZEROED_GRAINS : 0));
	put_le64(h + S_CAPACITY, sectors);
	put_le64(h + S_GRAIN, VMDK_GRAIN_SECTORS);
	put_le64(h + S_DESCRIPTOR, text ? 1 : 0);
	put_le64(h + S_DESCRIPTOR_SIZE, text ? DESCRIPTOR_SECTORS : 0);
	put_le32(h + S_TABLE_ENTRIES, VMDK_TABLE_ENTRIES);
	put_le64(h + S_REDUNDANT, l.redundant);
	put_le64(h + S_DIRECTORY, l.directory);
	put_le64(h + S_OVERHEAD, l.overhead);
	memcpy(h + S_NEWLINES, "\n \r\n", 4);
	int error = host_write(im->io, fd, 0, h, sizeof(h));
	if (!error && text)
		error = host_write(im->io, fd, VMDK_SECTOR, text, strlen(text));
	if (!error)
		error = write_directory(im, fd, &l, l.redundant, l.redundant_tables);
	if (!error)
		error = write_directory(im, fd, &l, l.directory, l.tables);
	return error ? error : host_resize(im->io, fd, l.overhead * VMDK_SECTOR);
}

/* --- the disk ----------------------------------------------------------------------------------------------------------- */

static int fill_extent(const struct image *im, const struct plan *p, int fd, u64 sectors)
{
	int error = p->sparse ? make_sparse(im, fd, sectors, p->zeroed, NULL) : host_resize(im->io, fd, sectors * VMDK_SECTOR);
	return error ? error : host_sync(im->io, fd);
}

static bool make_extents(const struct image *im, const struct image_create *how, struct plan *p, char *err, size_t errsize)
{
	char path[1100];
	u64 left = how->size / VMDK_SECTOR;
	while (left) {
		u64 sectors = p->split && left > SPLIT_SECTORS ? SPLIT_SECTORS : left;
		extent_path(p, p->made, path, sizeof(path));
		int fd = im->io->open(im->io, path, O_RDWR | O_CREAT | O_CLOEXEC | (how->replace ? O_TRUNC : O_EXCL), 0644);
		if (fd < 0) {
			snprintf(err, errsize, "%s: cannot be created: %s", path, strerror(errno));
			return false;
		}
		p->made++;
		int error = fill_extent(im, p, fd, sectors);
		im->io->close(im->io, fd);
		if (error) {
			snprintf(err, errsize, "%s: %s", path, strerror(error));
			return false;
		}
		left -= sectors;
	}
	return true;
}

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool write_text(const struct image *im, const struct image_create *how, const struct plan *p, FILE *out)
{
	char path[1100];
	u32 cid;
	u64 left = how->size / VMDK_SECTOR, heads = strcmp(p->adapter, "ide") ? 255 : 16;
	if (getrandom(&cid, sizeof(cid), 0) != sizeof(cid))
		return false;
	fprintf(out, "# Disk DescriptorFile\nversion=1\nCID=%08x\nparentCID=ffffffff\ncreateType=\"%s\"\n\n# Extent description\n",
		cid < VMDK_NO_PARENT - 1 ? cid : 1, p->subformat);
	for (u32 i = 0; i < p->made; i++) {
		u64 sectors = p->split && left > SPLIT_SECTORS ? SPLIT_SECTORS : left;
		extent_path(p, i, path, sizeof(path));
		fprintf(out, "RW %llu %s \"%s\"%s\n", (unsigned long long)sectors, p->sparse ? "SPARSE" : "FLAT", file_name(path),
			p->sparse ? "" : " 0");
		left -= sectors;
	}
	if (!p->made)
		fprintf(out, "RW %llu SPARSE \"%s\"\n", (unsigned long long)left, file_name(im->path));
	fprintf(out, "\n# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"%s\"\nddb.geometry.cylinders = \"%llu\"\n"
		"ddb.geometry.heads = \"%llu\"\nddb.geometry.sectors = \"63\"\nddb.adapterType = \"%s\"\n", p->version,
		(unsigned long long)(how->size / VMDK_SECTOR / (heads * 63)), (unsigned long long)heads, p->adapter);
	return true;
}

static int make_text(const struct image *im, const struct image_create *how, const struct plan *p, char **text)
{
	size_t len;
	FILE *out = open_memstream(text, &len);
	if (!out)
		return ENOMEM;
	bool ok = write_text(im, how, p, out);
	if (fclose(out) || !ok) {
		free(*text);
		return EIO;
	}
	return 0;
}

static bool make_disk(struct image *im, const struct image_create *how, struct plan *p, char *err, size_t errsize)
{
	char *text;
	bool alone = p->sparse && !p->split;
	if (!alone && !make_extents(im, how, p, err, errsize))
		return false;
	int error = make_text(im, how, p, &text);
	if (!error) {
		error = alone ? make_sparse(im, im->fd, how->size / VMDK_SECTOR, p->zeroed, text) :
			host_write(im->io, im->fd, 0, text, strlen(text));
		free(text);
	}
	if (error)
		snprintf(err, errsize, "%s: %s", im->path, strerror(error));
	return !error;
}

bool vmdk_create(struct image *im, const struct image_create *how, char *err, size_t errsize)
{
	struct plan p;
	char path[1100];
	if (!make_plan(im, how, &p, err, errsize))
		return false;
	if (make_disk(im, how, &p, err, errsize))
		return true;
	for (u32 i = 0; i < p.made; i++) {
		extent_path(&p, i, path, sizeof(path));
		host_unlink(im->io, path);
	}
	return false;
}

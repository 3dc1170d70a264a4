/*
 * vmdk_text.c - reads the descriptor of a VMware disk. Source: VMware, Virtual Disk Format 1.1, "The Descriptor File".
 */
#include "images/vmdk.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const disk_types[] = {
	"monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized", "vmfs", "vmfsThin", "custom",
};
static const char *const adapters[] = { "ide", "buslogic", "lsilogic", "legacyESX", "pvscsi", "lsisas1068" };

static bool listed(const char *word, const char *const *list, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (!strcasecmp(word, list[i]))
			return true;
	return false;
}

static bool refuse(const struct image *im, char *err, size_t errsize, const char *what, const char *word)
{
	snprintf(err, errsize, "%s: %s '%.60s' in its VMDK descriptor is not supported", im->path, what, word);
	return false;
}

/* "name = value" or name="value": the value without quotes and blanks. */
static bool value_of(const char *line, const char *name, char *value, size_t room)
{
	size_t n = strlen(name);
	if (strncasecmp(line, name, n))
		return false;
	line += n;
	line += strspn(line, " \t");
	if (*line++ != '=')
		return false;
	line += strspn(line, " \t");
	n = *line == '"' ? strcspn(++line, "\"") : strcspn(line, " \t");
	n = n < room ? n : room - 1;
	memcpy(value, line, n);
	value[n] = 0;
	return true;
}

static bool parse_hex(const char *text, u32 *value)
{
	char *end;
	errno = 0;
	unsigned long long n = strtoull(text, &end, 16);
	*value = (u32)n;
	return end != text && !*end && !errno && n <= 0xffffffff;
}

/* "RW 4192256 SPARSE "disk-s001.vmdk" 0"; true if the line is one, `*ok` if it can be used. */
static bool parse_extent(const struct image *im, const char *line, struct vmdk_line *x, bool *ok, char *err, size_t errsize)
{
	char access[16], kind[32];
	unsigned long long sectors, offset = 0;
	int name_at = 0;
	if (sscanf(line, "%15s %llu %31s%n", access, &sectors, kind, &name_at) < 3)
		return false;
	if (!strcmp(access, "RW"))
		x->access = VMDK_RW;
	else if (!strcmp(access, "RDONLY"))
		x->access = VMDK_RDONLY;
	else if (!strcmp(access, "NOACCESS"))
		x->access = VMDK_NOACCESS;
	else
		return false;
	if (!strcmp(kind, "FLAT") || !strcmp(kind, "VMFS"))
		x->kind = VMDK_FLAT;
	else if (!strcmp(kind, "ZERO"))
		x->kind = VMDK_ZERO;
	else if (!strcmp(kind, "SPARSE"))
		x->kind = VMDK_SPARSE;
	else
		*ok = refuse(im, err, errsize, "an extent of type", kind);
	if (!*ok)
		return true;
	x->name[0] = 0;
	const char *name = line + name_at + strspn(line + name_at, " \t");
	size_t n = *name == '"' ? strcspn(name + 1, "\"") : 0;
	if (n && n < sizeof(x->name)) {
		memcpy(x->name, name + 1, n);
		x->name[n] = 0;
		sscanf(name + 1 + n, "\" %llu", &offset);
	}
	x->sectors = sectors;
	x->offset = offset;
	if (!sectors || sectors > 1ull << 48 || offset > 1ull << 48 || (x->kind != VMDK_ZERO && !x->name[0]))
		*ok = refuse(im, err, errsize, "the extent", line);
	return true;
}

static bool add_extent(const struct image *im, const char *line, struct vmdk_descriptor *d, char *err, size_t errsize)
{
	struct vmdk_line x;
	bool ok = true;
	if (!parse_extent(im, line, &x, &ok, err, errsize))
		return true;
	if (ok && d->lines == VMDK_EXTENTS_MAX)
		ok = refuse(im, err, errsize, "the number of extents, more than", "4096");
	if (!ok)
		return false;
	if (!(d->lines & (d->lines - 1))) {
		struct vmdk_line *more = realloc(d->line, (d->lines ? d->lines * 2 : 1) * sizeof(x));
		if (!more) {
			snprintf(err, errsize, "%s: out of memory", im->path);
			return false;
		}
		d->line = more;
	}
	d->line[d->lines++] = x;
	return true;
}

/* `start` is where the line begins in the text. */
static bool parse_line(const struct image *im, const char *line, u32 start, struct vmdk_descriptor *d, char *err, size_t errsize)
{
	char value[1024];
	const char *at = line + strspn(line, " \t");
	if (!*at || *at == '#')
		return true;
	if (value_of(at, "version", value, sizeof(value)))
		return (strlen(value) == 1 && *value >= '1' && *value <= '4') || refuse(im, err, errsize, "the version", value);
	if (value_of(at, "encoding", value, sizeof(value)))
		return true;
	if (value_of(at, "encryptionKeys", value, sizeof(value)) || value_of(at, "keySafe", value, sizeof(value)))
		return refuse(im, err, errsize, "the encryption", "encryptionKeys");
	if (value_of(at, "CID", value, sizeof(value))) {
		d->cid_at = start + (u32)(strstr(strchr(line, '='), value) - line);
		d->cid_digits = (u32)strlen(value);
		return (*value && parse_hex(value, &d->cid)) || refuse(im, err, errsize, "the CID", value);
	}
	if (value_of(at, "parentCID", value, sizeof(value)))
		return parse_hex(value, &d->parent_cid) || refuse(im, err, errsize, "the parentCID", value);
	if (value_of(at, "createType", d->create_type, sizeof(d->create_type)))
		return listed(d->create_type, disk_types, ARRAY_SIZE(disk_types)) || refuse(im, err, errsize, "the disk type", d->create_type);
	if (value_of(at, "parentFileNameHint", d->parent, sizeof(d->parent)))
		return true;
	if (value_of(at, "changeTrackPath", value, sizeof(value)))
		return refuse(im, err, errsize, "the changed block tracking file", value);
	if (value_of(at, "ddb.adapterType", value, sizeof(value)))
		return listed(value, adapters, ARRAY_SIZE(adapters)) || refuse(im, err, errsize, "the adapter type", value);
	return add_extent(im, at, d, err, errsize);
}

bool vmdk_parse(const struct image *im, const char *text, struct vmdk_descriptor *d, char *err, size_t errsize)
{
	char line[2048];
	*d = (struct vmdk_descriptor){ .parent_cid = VMDK_NO_PARENT };
	for (const char *at = text; *at;) {
		size_t n = strcspn(at, "\r\n"), take = n < sizeof(line) ? n : sizeof(line) - 1;
		memcpy(line, at, take);
		line[take] = 0;
		if (!parse_line(im, line, (u32)(at - text), d, err, errsize)) {
			free(d->line);
			return false;
		}
		at += n;
		at += strspn(at, "\r\n");
	}
	if (d->lines && (d->parent_cid == VMDK_NO_PARENT || d->parent[0]))
		return true;
	snprintf(err, errsize, "%s: %s", im->path, d->lines ? "has a parent disk, but its VMDK descriptor does not name it" :
		"its VMDK descriptor names no extent");
	free(d->line);
	return false;
}

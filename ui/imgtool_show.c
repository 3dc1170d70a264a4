/*
 * imgtool_show.c - 'ringfence image info' and 'map': what an image is, and where its disk's parts are.
 */
#include "ui/imgtool.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "images/format.h"
#include "ui/json.h"

struct facts { struct json *data; u32 shown; };

static void print_json(struct json *j)
{
	char *text = js_write(j);
	puts(text ? text : "null");
	free(text);
	js_free(j);
}

/* --- info --------------------------------------------------------------------------------------------------------------- */

/* qemu-img writes these keys with blanks for people. */
static void print_key(const char *key)
{
	for (; *key; key++)
		putchar(*key == '-' ? ' ' : *key);
}

static void print_fact(void *arg, const struct image_fact *f)
{
	struct facts *facts = arg;
	if (!facts->shown++)
		printf("Format specific information:\n");
	printf("    ");
	print_key(f->key);
	if (f->kind == FACT_TEXT)
		printf(": %s\n", f->text);
	else if (f->kind == FACT_BOOL)
		printf(": %s\n", f->number ? "true" : "false");
	else
		printf(": %llu\n", (unsigned long long)f->number);
}

static void add_fact(void *arg, const struct image_fact *f)
{
	struct facts *facts = arg;
	facts->shown++;
	js_put(facts->data, f->key, f->kind == FACT_TEXT ? js_text(f->text) : f->kind == FACT_BOOL ? js_bool(f->number) :
		js_number((s64)f->number));
}

static void print_snapshot(void *arg, const struct image_snapshot *s)
{
	u32 *shown = arg;
	char size[32], date[32] = "";
	time_t t = s->date_sec;
	struct tm tm;
	u64 seconds = s->vm_clock_nsec / 1000000000;
	if (!(*shown)++)
		printf("Snapshot list:\n%-10s%-17s%8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
	if (localtime_r(&t, &tm))
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%-10s%-17s%8s%20s  %02llu:%02llu:%02llu.%03llu\n", s->id, s->name, imgtool_human(s->vm_bytes, size), date,
		(unsigned long long)seconds / 3600, (unsigned long long)seconds / 60 % 60, (unsigned long long)seconds % 60,
		(unsigned long long)s->vm_clock_nsec / 1000000 % 1000);
}

static void add_snapshot(void *arg, const struct image_snapshot *s)
{
	struct json *j = js_object();
	js_put(j, "id", js_text(s->id));
	js_put(j, "name", js_text(s->name));
	js_put(j, "vm-state-size", js_number((s64)s->vm_bytes));
	js_put(j, "date-sec", js_number(s->date_sec));
	js_put(j, "date-nsec", js_number(s->date_nsec));
	js_put(j, "vm-clock-sec", js_number((s64)(s->vm_clock_nsec / 1000000000)));
	js_put(j, "vm-clock-nsec", js_number((s64)(s->vm_clock_nsec % 1000000000)));
	js_append(arg, j);
}

static void print_info(struct image *im)
{
	char size[32], held_text[32];
	u64 held = 0, length = 0;
	u32 snapshots = 0;
	struct facts facts = { 0 };
	printf("image: %s\nfile format: %s\nvirtual size: %s (%llu bytes)\n", image_path(im), image_format_of(im),
		imgtool_human(image_size(im), size), (unsigned long long)image_size(im));
	if (image_disk_usage(im, &held, &length))
		printf("disk size: %s\n", imgtool_human(held, held_text));
	if (image_granularity(im))
		printf("cluster_size: %u\n", image_granularity(im));
	if (image_backing_name(im))
		printf("backing file: %s\n", image_backing_name(im));
	if (image_backing_format(im))
		printf("backing file format: %s\n", image_backing_format(im));
	image_snapshots(im, print_snapshot, &snapshots);
	image_info(im, print_fact, &facts);
}

static struct json *json_info(struct image *im)
{
	u64 held = 0, length = 0;
	struct json *j = js_object(), *snapshots = js_array(), *specific = js_object();
	struct facts facts = { .data = js_object() };
	js_put(j, "filename", js_text(image_path(im)));
	js_put(j, "format", js_text(image_format_of(im)));
	js_put(j, "virtual-size", js_number((s64)image_size(im)));
	if (image_disk_usage(im, &held, &length))
		js_put(j, "actual-size", js_number((s64)held));
	if (image_granularity(im))
		js_put(j, "cluster-size", js_number(image_granularity(im)));
	if (image_backing_name(im))
		js_put(j, "backing-filename", js_text(image_backing_name(im)));
	if (image_backing_format(im))
		js_put(j, "backing-filename-format", js_text(image_backing_format(im)));
	image_snapshots(im, add_snapshot, snapshots);
	if (js_count(snapshots))
		js_put(j, "snapshots", snapshots);
	else
		js_free(snapshots);
	image_info(im, add_fact, &facts);
	js_put(specific, "type", js_text(image_format_of(im)));
	js_put(specific, "data", facts.data);
	if (facts.shown)
		js_put(j, "format-specific", specific);
	else
		js_free(specific);
	return j;
}

/* The chain is opened as a whole, so that each link is where and what it should be. */
int imgtool_info(struct imgtool_args *a)
{
	bool json, chain = a->value[IMGTOOL_OPT_CHAIN] != NULL;
	struct image_options opt = imgtool_options_of(a, true);
	if (!imgtool_wants_json(a, &json))
		return IMGTOOL_FAILED;
	opt.no_backing = !chain;
	opt.for_repair = true;
	struct image *im = image_open(a->file[0], &opt, a->err, sizeof(a->err));
	if (!im)
		return imgtool_fails(a);
	struct json *list = json && chain ? js_array() : NULL;
	for (struct image *link = im; link; link = chain ? image_backing(link) : NULL) {
		if (!json && link != im)
			printf("\n");
		if (!json)
			print_info(link);
		else if (list)
			js_append(list, json_info(link));
		else
			print_json(json_info(link));
	}
	if (list)
		print_json(list);
	image_close(im);
	return IMGTOOL_OK;
}

/* --- map ---------------------------------------------------------------------------------------------------------------- */

struct stretch { u64 start; struct image_extent e; };

static bool joins(const struct stretch *s, const struct image_extent *e)
{
	return s->e.len && s->e.kind == e->kind && s->e.depth == e->depth && s->e.compressed == e->compressed &&
		(e->kind != IMAGE_DATA || (s->e.file_offset == ~0ull ? e->file_offset == ~0ull : s->e.file_offset + s->e.len == e->file_offset));
}

static const char *path_at(struct image *im, u32 depth)
{
	while (depth-- && image_backing(im))
		im = image_backing(im);
	return image_path(im);
}

static bool show_stretch(struct image *im, const struct stretch *s, struct json *list, char *err, size_t errsize)
{
	bool data = s->e.kind == IMAGE_DATA;
	if (list) {
		struct json *j = js_object();
		js_put(j, "start", js_number((s64)s->start));
		js_put(j, "length", js_number((s64)s->e.len));
		js_put(j, "depth", js_number(s->e.depth));
		js_put(j, "present", js_bool(s->e.kind != IMAGE_HOLE));
		js_put(j, "zero", js_bool(!data));
		js_put(j, "data", js_bool(data));
		js_put(j, "compressed", js_bool(s->e.compressed));
		if (data && s->e.file_offset != ~0ull)
			js_put(j, "offset", js_number((s64)s->e.file_offset));
		js_append(list, j);
		return true;
	}
	if (!data)
		return true;
	if (s->e.file_offset == ~0ull) {
		snprintf(err, errsize, "%s: some of the disk lies in no single place of a file (compressed, or in several files); --json tells more",
			path_at(im, s->e.depth));
		return false;
	}
	printf("%#-16llx%#-16llx%#-16llx%s\n", (unsigned long long)s->start, (unsigned long long)s->e.len,
		(unsigned long long)s->e.file_offset, path_at(im, s->e.depth));
	return true;
}

static bool walk(struct image *im, u64 at, u64 end, struct json *list, struct imgtool_args *a)
{
	struct stretch s = { 0 };
	struct image_extent e;
	while (at < end) {
		int error = image_map(im, at, end - at, &e);
		if (error) {
			snprintf(a->err, sizeof(a->err), "%s: %s", image_path(im), strerror(error));
			return false;
		}
		if (joins(&s, &e)) {
			s.e.len += e.len;
		} else {
			if (s.e.len && !show_stretch(im, &s, list, a->err, sizeof(a->err)))
				return false;
			s = (struct stretch){ at, e };
		}
		at += e.len;
	}
	return !s.e.len || show_stretch(im, &s, list, a->err, sizeof(a->err));
}

int imgtool_map(struct imgtool_args *a)
{
	bool json;
	u64 start, length;
	struct image_options opt = imgtool_options_of(a, true);
	if (!imgtool_wants_json(a, &json) || !imgtool_take_size(a, IMGTOOL_OPT_START, 0, &start) ||
	    !imgtool_take_size(a, IMGTOOL_OPT_LENGTH, ~0ull, &length))
		return IMGTOOL_FAILED;
	struct image *im = image_open(a->file[0], &opt, a->err, sizeof(a->err));
	if (!im)
		return imgtool_fails(a);
	u64 size = image_size(im);
	start = start < size ? start : size;
	length = length < size - start ? length : size - start;
	struct json *list = json ? js_array() : NULL;
	if (!json)
		printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
	bool ok = walk(im, start, start + length, list, a);
	if (json && ok)
		print_json(list);
	else
		js_free(list);
	image_close(im);
	return ok ? IMGTOOL_OK : imgtool_fails(a);
}

/*
 * state.c - the chips' fields as bytes. See state.h.
 *
 * Loading is done twice over. While the chips recompute their lines one after the other, edges reach chips whose inputs were right already;
 * the second time all lines are as they were, nothing moves any more, and what the edges did is overwritten.
 */
#include "devices/state.h"
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 80

static u32 field_bytes(enum field_kind kind)
{
	switch (kind) {
	case FIELD_U8: case FIELD_BOOL: return 1;
	case FIELD_U16: return 2;
	case FIELD_U32: return 4;
	case FIELD_U64: case FIELD_TIMER: return 8;
	}
	bug("field of kind %d", kind);
}

static u32 field_total(const struct device *d)
{
	u32 n = 0;
	for (const struct field *f = d->cls->fields; f->name; f++)
		n++;
	return n;
}

static void save_one(const struct device *d, struct blob *out)
{
	blob_text(out, d->id);
	blob_text(out, d->cls->name);
	blob_number(out, d->cls->version, 4);
	blob_number(out, field_total(d), 4);
	for (const struct field *f = d->cls->fields; f->name; f++) {
		blob_text(out, f->name);
		blob_number(out, f->kind, 1);
		blob_number(out, f->count, 4);
		if (f->kind == FIELD_BOOL || f->kind == FIELD_TIMER)
			for (u32 i = 0; i < f->count; i++)
				blob_number(out, field_get(d, f, i), field_bytes(f->kind));
		else
			blob_put(out, (const u8 *)d + f->offset, (size_t)f->count * field_bytes(f->kind));
	}
}

void device_state_save(const struct device *list, struct blob *out)
{
	u32 count = 0;
	for (const struct device *d = list; d; d = d->next)
		count++;
	blob_number(out, count, 4);
	for (const struct device *d = list; d; d = d->next)
		save_one(d, out);
}

static bool check_fields(const struct device *d, struct blob_reader *in)
{
	char name[NAME_MAX_BYTES];
	for (const struct field *f = d->cls->fields; f->name; f++) {
		blob_take_text(in, name, sizeof(name));
		u64 kind = blob_take_number(in, 1), count = blob_take_number(in, 4);
		blob_take(in, (size_t)f->count * field_bytes(f->kind));
		if (in->bad || strcmp(name, f->name) || kind != (u64)f->kind || count != f->count)
			return false;
	}
	return true;
}

static bool check_one(const struct device *d, struct blob_reader *in, char *err, size_t errsize)
{
	char id[NAME_MAX_BYTES], class[NAME_MAX_BYTES];
	blob_take_text(in, id, sizeof(id));
	blob_take_text(in, class, sizeof(class));
	u64 version = blob_take_number(in, 4), fields = blob_take_number(in, 4);
	if (in->bad)
		snprintf(err, errsize, "the snapshot is damaged (chips)");
	else if (strcmp(id, d->id) || strcmp(class, d->cls->name))
		snprintf(err, errsize, "the snapshot is of another machine: it has %s (%s) where this one has %s (%s)", id, class, d->id,
			 d->cls->name);
	else if (version != d->cls->version)
		snprintf(err, errsize, "the snapshot has %s in version %llu of its state; this program knows version %u", id,
			 (unsigned long long)version, d->cls->version);
	else if (fields != field_total(d) || !check_fields(d, in))
		snprintf(err, errsize, "the snapshot has other state of %s than this program", id);
	else
		return true;
	return false;
}

bool device_state_check(const struct device *list, struct blob_reader in, char *err, size_t errsize)
{
	u32 count = 0;
	for (const struct device *d = list; d; d = d->next)
		count++;
	u64 saved = blob_take_number(&in, 4);
	if (saved != count) {
		snprintf(err, errsize, "the snapshot is of another machine: it has %llu chips, this one %u", (unsigned long long)saved, count);
		return false;
	}
	for (const struct device *d = list; d; d = d->next)
		if (!check_one(d, &in, err, errsize))
			return false;
	if (!in.left)
		return true;
	snprintf(err, errsize, "the snapshot is damaged (chips)");
	return false;
}

static void load_one(struct device *d, struct blob_reader *in)
{
	char name[NAME_MAX_BYTES];
	blob_take_text(in, name, sizeof(name));
	blob_take_text(in, name, sizeof(name));
	blob_take(in, 8);
	for (const struct field *f = d->cls->fields; f->name; f++) {
		blob_take_text(in, name, sizeof(name));
		blob_take(in, 5);
		const u8 *from = blob_take(in, (size_t)f->count * field_bytes(f->kind));
		bug_on(!from, "the snapshot was checked");
		for (u32 i = 0; i < f->count; i++) {
			u64 value = 0;
			memcpy(&value, from + i * field_bytes(f->kind), field_bytes(f->kind));
			field_put(d, f, i, value);
		}
	}
}

void device_state_load(struct device *list, struct blob_reader in)
{
	for (int round = 0; round < 2; round++) {
		struct blob_reader r = in;
		blob_take(&r, 4);
		for (struct device *d = list; d; d = d->next)
			load_one(d, &r);
		for (struct device *d = list; d; d = d->next)
			if (d->cls->loaded)
				d->cls->loaded(d);
	}
}

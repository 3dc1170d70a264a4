/*
 * qcow2_snapshot.c - internal snapshots: a table of them, each with an L1 table of its own. They can be read, and stay as they are
 * while the image is written: what they share with it is counted more than once, so qcow2_write.c copies it.
 */
#include "images/qcow2.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXED_BYTES 40u

int qcow2_read_table(struct qcow2 *q, u64 offset, u32 entries, u64 **table)
{
	u8 *raw = host_alloc(q->im->io, entries, 8);
	if (!raw)
		return ENOMEM;
	int error = host_read(q->im->io, q->im->fd, offset, raw, entries * 8ull, NULL);
	if (error) {
		free(raw);
		return error;
	}
	*table = (u64 *)raw;
	for (u32 i = 0; i < entries; i++)
		(*table)[i] = be64(raw + i * 8ull);
	return 0;
}

static void copy_text(char *to, size_t room, const u8 *from, u32 n)
{
	n = n < room ? n : (u32)room - 1;
	memcpy(to, from, n);
	to[n] = 0;
}

/* The entry at `at`; *bytes is how long it is. */
static int read_entry(struct qcow2 *q, u64 at, struct qcow2_snapshot *s, u32 *bytes)
{
	u8 head[FIXED_BYTES], text[1024] = { 0 };
	int error = host_read_all(q->im->io, q->im->fd, at, head, sizeof(head));
	if (error)
		return error;
	u32 id = be16(head + 12), name = be16(head + 14), extra = be32(head + 36);
	if (extra > 1024)
		return EIO;
	*bytes = (FIXED_BYTES + extra + id + name + 7) & ~7u;
	*s = (struct qcow2_snapshot){ .l1_offset = be64(head), .l1_size = be32(head + 8) };
	s->info = (struct image_snapshot){ .id = s->id, .name = s->name, .size = q->im->size, .vm_bytes = be32(head + 32),
					   .date_sec = be32(head + 16), .date_nsec = be32(head + 20), .vm_clock_nsec = be64(head + 24) };
	error = host_read(q->im->io, q->im->fd, at + FIXED_BYTES, text, extra < 16 ? extra : 16, NULL);
	if (!error && extra >= 8 && be64(text))
		s->info.vm_bytes = be64(text);
	if (!error && extra >= 16)
		s->info.size = be64(text + 8);
	if (!error)
		error = host_read(q->im->io, q->im->fd, at + FIXED_BYTES + extra, text, id < sizeof(text) ? id : sizeof(text), NULL);
	copy_text(s->id, sizeof(s->id), (u8 *)text, id);
	if (!error)
		error = host_read(q->im->io, q->im->fd, at + FIXED_BYTES + extra + id, text, name < sizeof(text) ? name : sizeof(text), NULL);
	copy_text(s->name, sizeof(s->name), (u8 *)text, name);
	return error;
}

int qcow2_snapshot_each(struct qcow2 *q, int (*each)(void *arg, const struct qcow2_snapshot *s), void *arg, u64 *table_bytes)
{
	struct qcow2_snapshot s;
	u64 at = q->snapshots_offset;
	int error = 0;
	for (u32 i = 0; i < q->snapshots_n && !error; i++) {
		u32 bytes = 0;
		error = read_entry(q, at, &s, &bytes);
		s.info.id = s.id;
		s.info.name = s.name;
		if (!error)
			error = each(arg, &s);
		at += bytes;
	}
	if (table_bytes)
		*table_bytes = at - q->snapshots_offset;
	return error;
}

struct listing { void (*each)(void *arg, const struct image_snapshot *s); void *arg; };

static int list_one(void *arg, const struct qcow2_snapshot *s)
{
	struct listing *l = arg;
	l->each(l->arg, &s->info);
	return 0;
}

int qcow2_snapshots(struct image *im, void (*each)(void *arg, const struct image_snapshot *s), void *arg)
{
	struct qcow2 *q = im->state;
	struct listing l = { each, arg };
	pthread_mutex_lock(&q->lock);
	int error = qcow2_snapshot_each(q, list_one, &l, NULL);
	pthread_mutex_unlock(&q->lock);
	return error;
}

struct search { const char *name; bool found; struct qcow2_snapshot s; };

static int match(void *arg, const struct qcow2_snapshot *s)
{
	struct search *f = arg;
	bool name = !strcmp(s->name, f->name), id = !strcmp(s->id, f->name);
	if (name || (id && !f->found)) {
		f->s = *s;
		f->found = true;
	}
	return 0;
}

bool qcow2_snapshot_open(struct qcow2 *q, const char *name, char *err, size_t errsize)
{
	struct search f = { .name = name };
	int error = qcow2_snapshot_each(q, match, &f, NULL);
	u64 *l1 = NULL, per_l1 = (u64)q->l2_entries << q->cluster_bits, size = (f.s.info.size + 511) & ~511ull;
	if (!error && !f.found) {
		snprintf(err, errsize, "%s: has no snapshot '%.100s'", q->im->path, name);
		return false;
	}
	if (!error && (!size || size > 1ull << 57 || f.s.l1_size > QCOW2_L1_MAX / 8 || f.s.l1_size < (size + per_l1 - 1) / per_l1 ||
		       qcow2_in_cluster(q, f.s.l1_offset) || f.s.l1_offset >= q->file_end))
		error = EIO;
	if (!error)
		error = qcow2_read_table(q, f.s.l1_offset, f.s.l1_size, &l1);
	if (error) {
		snprintf(err, errsize, "%s: the snapshot '%.100s' cannot be read: %s", q->im->path, name, strerror(error));
		return false;
	}
	free(q->l1);
	q->l1 = l1;
	q->l1_size = f.s.l1_size;
	q->l1_offset = f.s.l1_offset;
	q->im->size = size;
	return true;
}

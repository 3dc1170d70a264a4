/*
 * snap_pages.c - pages in snapshot files. See snap_pages.h and docs/formats.md.
 */
#include "monitor/snap_pages.h"
#include "monitor/lib/zio.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_VERSION 1u
#define CHUNK_RECORD 20u	/* bytes of a chunk in the index */
#define REGION_MAX   (4ull << 30)

/* --- the index --- */

bool snap_index_add(struct snap_index *x, const char *name, u64 bytes)
{
	bug_on(x->regions == SNAP_REGIONS, "more than %u regions", SNAP_REGIONS);
	struct snap_region *r = &x->region[x->regions];
	snprintf(r->name, sizeof(r->name), "%s", name);
	r->bytes = bytes;
	r->chunks = (u32)((bytes + SNAP_CHUNK_BYTES - 1) / SNAP_CHUNK_BYTES);
	r->chunk = calloc(r->chunks + 1, sizeof(*r->chunk));
	x->regions += r->chunk != NULL;
	return r->chunk;
}

void snap_index_free(struct snap_index *x)
{
	for (u32 i = 0; i < x->regions; i++)
		free(x->region[i].chunk);
	x->regions = 0;
}

bool snap_index_save(const struct snap_index *x, struct snap_writer *w)
{
	struct blob b = { 0 };
	blob_number(&b, x->regions, 4);
	for (u32 i = 0; i < x->regions; i++) {
		const struct snap_region *r = &x->region[i];
		blob_text(&b, r->name);
		blob_number(&b, r->bytes, 8);
		for (u32 k = 0; k < r->chunks; k++) {
			const struct snap_chunk *c = &r->chunk[k];
			blob_number(&b, c->at, 8);
			blob_number(&b, c->len, 4);
			blob_number(&b, c->crc, 4);
			blob_number(&b, c->data, 2);
			blob_number(&b, c->zero, 2);
		}
	}
	bool ok = !b.failed && snap_section(w, SNAP_PAGE, PAGE_VERSION, b.data, b.len);
	blob_free(&b);
	return ok;
}

/* Pages that chunk k of the region has, as a mask. */
static u16 all_pages(const struct snap_region *r, u32 k)
{
	u64 left = (r->bytes >> PAGE_SHIFT) - (u64)k * SNAP_CHUNK_PAGES;
	return left >= SNAP_CHUNK_PAGES ? 0xffff : (u16)((1u << left) - 1);
}

static bool chunk_valid(const struct snap_file *f, const struct snap_region *r, u32 k)
{
	const struct snap_chunk *c = &r->chunk[k];
	u16 all = all_pages(r, k);
	u32 raw = (u32)__builtin_popcount(c->data) * PAGE_SIZE;
	if ((c->data | c->zero) & ~all || c->data & c->zero || (!f->has_parent && (c->data | c->zero) != all))
		return false;
	return !c->data || (c->len && c->len <= raw && c->at <= f->size && c->len <= f->size - c->at);
}

static bool take_region(struct snap_index *x, const struct snap_file *f, struct blob_reader *in)
{
	char name[sizeof(x->region[0].name)];
	blob_take_text(in, name, sizeof(name));
	u64 bytes = blob_take_number(in, 8);
	if (in->bad || bytes > REGION_MAX || bytes & PAGE_MASK || (bytes / SNAP_CHUNK_BYTES) * CHUNK_RECORD > in->left ||
	    !snap_index_add(x, name, bytes))
		return false;
	struct snap_region *r = &x->region[x->regions - 1];
	for (u32 k = 0; k < r->chunks; k++) {
		struct snap_chunk *c = &r->chunk[k];
		c->at = blob_take_number(in, 8);
		c->len = (u32)blob_take_number(in, 4);
		c->crc = (u32)blob_take_number(in, 4);
		c->data = (u16)blob_take_number(in, 2);
		c->zero = (u16)blob_take_number(in, 2);
		if (in->bad || !chunk_valid(f, r, k))
			return false;
	}
	return true;
}

bool snap_index_load(struct snap_index *x, struct snap_file *f, char *err, size_t errsize)
{
	struct blob b;
	x->regions = 0;
	if (!snap_load(f, SNAP_PAGE, PAGE_VERSION, &b, err, errsize))
		return false;
	struct blob_reader in = { .at = b.data, .left = b.len };
	u64 n = blob_take_number(&in, 4);
	bool ok = n <= SNAP_REGIONS;
	for (u64 i = 0; ok && i < n; i++)
		ok = take_region(x, f, &in);
	ok = ok && !in.bad && !in.left;
	if (!ok) {
		snprintf(err, errsize, "%.200s: the snapshot is damaged (index of pages)", f->path);
		snap_index_free(x);
	}
	blob_free(&b);
	return ok;
}

/* --- chunks --- */

bool snap_chunk_save(struct snap_writer *w, struct snap_work *work, struct snap_chunk *c)
{
	size_t raw = (size_t)__builtin_popcount(c->data) * PAGE_SIZE;
	if (!raw)
		return true;
	size_t n = zio_pack(ZIO_ZLIB, 1, work->raw, raw, work->packed, raw - 1);
	const u8 *out = n == ZIO_BAD ? work->raw : work->packed;
	c->len = (u32)(n == ZIO_BAD ? raw : n);
	c->crc = zio_crc(0, out, c->len);
	return snap_append(w, out, c->len, &c->at);
}

bool snap_chunk_load(const struct snap_file *f, const struct snap_chunk *c, struct snap_work *work, char *err, size_t errsize)
{
	size_t raw = (size_t)__builtin_popcount(c->data) * PAGE_SIZE;
	u8 *to = c->len == raw ? work->raw : work->packed;
	if (!raw)
		return true;
	if (!snap_pread(f, to, c->len, c->at, err, errsize))
		return false;
	if (zio_crc(0, to, c->len) == c->crc &&
	    (to == work->raw || zio_unpack(ZIO_ZLIB, to, c->len, work->raw, raw) == raw))
		return true;
	snprintf(err, errsize, "%.200s: the snapshot is damaged (memory at byte %llu)", f->path, (unsigned long long)c->at);
	return false;
}

/* --- chains --- */

/* Where the parent of f is. NULL with a sentence in err. */
static char *parent_path(struct snap_file *f, char *err, size_t errsize)
{
	struct blob b;
	char *path = NULL;
	const char *slash = strrchr(f->path, '/');
	if (!snap_load(f, SNAP_PRNT, 1, &b, err, errsize))
		return NULL;
	size_t folder = slash && b.len && b.data[0] != '/' ? (size_t)(slash + 1 - f->path) : 0;
	if (b.len && b.len < PATH_MAX && !memchr(b.data, 0, b.len))
		path = malloc(folder + b.len + 1);
	if (path) {
		memcpy(path, f->path, folder);
		memcpy(path + folder, b.data, b.len);
		path[folder + b.len] = 0;
	} else {
		snprintf(err, errsize, "%.200s: the snapshot is damaged (name of its parent)", f->path);
	}
	blob_free(&b);
	return path;
}

static bool same_regions(const struct snap_index *a, const struct snap_index *b)
{
	bool same = a->regions == b->regions;
	for (u32 i = 0; same && i < a->regions; i++)
		same = !strcmp(a->region[i].name, b->region[i].name) && a->region[i].bytes == b->region[i].bytes;
	return same;
}

static bool add_link(struct snap_chain *c, const char *path, char *err, size_t errsize)
{
	struct snap_link *more = realloc(c->link, (c->depth + 1) * sizeof(*more));
	struct snap_link *l = more ? &more[c->depth] : NULL;
	if (!more) {
		snprintf(err, errsize, "out of memory");
		return false;
	}
	c->link = more;
	l->file = snap_open(path, err, errsize);
	if (!l->file)
		return false;
	if (!snap_index_load(&l->index, l->file, err, errsize)) {
		snap_close(l->file);
		return false;
	}
	c->depth++;
	if (c->depth == 1)
		return true;
	const struct snap_link *child = l - 1;
	if (!memcmp(child->file->parent, l->file->id, SNAP_ID) && same_regions(&child->index, &l->index))
		return true;
	snprintf(err, errsize, "%.140s: its parent %.140s is another snapshot now", child->file->path, path);
	return false;
}

bool snap_chain_open(struct snap_chain *c, const char *path, char *err, size_t errsize)
{
	bool ok;
	*c = (struct snap_chain){ 0 };
	ok = add_link(c, path, err, errsize);
	while (ok && c->link[c->depth - 1].file->has_parent) {
		char *parent = parent_path(c->link[c->depth - 1].file, err, errsize);
		ok = parent && add_link(c, parent, err, errsize);
		free(parent);
		if (ok && c->depth == SNAP_CHAIN_MAX) {
			snprintf(err, errsize, "%.200s: more than %u snapshots build on each other", path, SNAP_CHAIN_MAX);
			ok = false;
		}
	}
	if (!ok)
		snap_chain_close(c);
	return ok;
}

void snap_chain_close(struct snap_chain *c)
{
	for (u32 i = 0; i < c->depth; i++) {
		snap_index_free(&c->link[i].index);
		snap_close(c->link[i].file);
	}
	free(c->link);
	*c = (struct snap_chain){ 0 };
}

u32 snap_chain_find(const struct snap_chain *c, u32 region, u32 chunk, u32 n)
{
	for (u32 i = 0; i < c->depth; i++) {
		const struct snap_chunk *k = &c->link[i].index.region[region].chunk[chunk];
		if ((k->data | k->zero) >> n & 1)
			return i;
	}
	return c->depth;
}

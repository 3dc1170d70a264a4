/*
 * fake_disk.c - blockdev.h on plain memory. Requests are done at once, on the caller's stack.
 */
#include "tests/unit/fake_disk.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct blockdev {
	u8 *bytes;		/* room for `room` bytes */
	u64 size, room;
	bool readonly, held, locked;
	int fail;
	struct blk_req *waiting;
	u32 count[4];
	void (*changed)(void *arg);
	void *changed_arg;
};

u8 fake_disk_byte(u64 sector, u32 i)
{
	return (u8)(sector * 7 + i + (i >> 8) + (sector >> 8));
}

static void fill(struct blockdev *b, u64 sectors)
{
	b->size = sectors * 512;
	if (b->size > b->room) {
		b->bytes = realloc(b->bytes, b->size);
		b->room = b->size;
	}
	for (u64 i = 0; i < b->size; i++)
		b->bytes[i] = fake_disk_byte(i / 512, (u32)(i % 512));
}

struct blockdev *fake_disk_new(u64 sectors)
{
	struct blockdev *b = calloc(1, sizeof(*b));
	fill(b, sectors);
	return b;
}

void fake_disk_free(struct blockdev *b)
{
	free(b->bytes);
	free(b);
}

u8 *fake_disk_bytes(struct blockdev *b) { return b->bytes; }
void fake_disk_readonly(struct blockdev *b, bool yes) { b->readonly = yes; }
void fake_disk_fail(struct blockdev *b, int error) { b->fail = error; }
u32 fake_disk_count(const struct blockdev *b, enum blk_op op) { return b->count[op]; }

static int perform(struct blockdev *b, struct blk_req *r)
{
	b->count[r->op]++;
	if (!b->size)
		return ENOMEDIUM;
	if (b->fail)
		return b->fail;
	if (r->offset > b->size || r->len > b->size - r->offset)
		return EINVAL;
	switch (r->op) {
	case BLK_READ: memcpy(r->buf, b->bytes + r->offset, r->len); break;
	case BLK_WRITE: memcpy(b->bytes + r->offset, r->buf, r->len); break;
	case BLK_DISCARD: memset(b->bytes + r->offset, 0, r->len); break;
	case BLK_FLUSH: break;
	}
	return 0;
}

void blockdev_submit(struct blockdev *b, struct blk_req *req)
{
	if (!b->held) {
		req->done(req, perform(b, req));
		return;
	}
	bug_on(b->waiting, "a chip submits two requests at once");
	b->waiting = req;
}

void fake_disk_hold(struct blockdev *b) { b->held = true; }

void fake_disk_release(struct blockdev *b)
{
	struct blk_req *req = b->waiting;
	b->held = false;
	b->waiting = NULL;
	if (req)
		req->done(req, perform(b, req));
}

void fake_disk_change(struct blockdev *b, u64 sectors)
{
	fill(b, sectors);
	if (b->changed)
		b->changed(b->changed_arg);
}

void blockdev_change(struct blockdev *b, struct image *im)
{
	bug_on(im, "a chip changes its medium");
	fake_disk_change(b, 0);
}

void blockdev_on_change(struct blockdev *b, void (*changed)(void *arg), void *arg)
{
	b->changed = changed;
	b->changed_arg = arg;
}

void blockdev_set_locked(struct blockdev *b, bool locked) { b->locked = locked; }
bool blockdev_locked(const struct blockdev *b) { return b->locked; }
bool blockdev_present(const struct blockdev *b) { return b->size != 0; }
bool blockdev_readonly(const struct blockdev *b) { return b->readonly; }
u64 blockdev_size(const struct blockdev *b) { return b->size; }
const char *blockdev_id(const struct blockdev *b) { return "fake0"; }

/*
 * blockdev.h - a drive's medium: asynchronous requests on an image, in order of submission where they overlap, several in flight.
 *
 * The chip submits on the vCPU thread; a worker thread does the host I/O; `done` runs on the vCPU thread at a block boundary.
 * A write that the host refuses (disk full, I/O error) pauses the machine with a sentence, and is tried again when it goes on.
 */
#ifndef RF_BLOCKDEV_H
#define RF_BLOCKDEV_H
#include "monitor/lib/types.h"

struct vm;
struct image;
struct blockdev;
enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD };
struct blk_req {
	enum blk_op op;
	u64 offset;		/* bytes */
	u32 len;		/* bytes */
	void *buf;		/* the chip's; untouched by it until done */
	void (*done)(struct blk_req *req, int error);	/* error: 0 or an errno; reads only, see above */
	void *arg;
	struct blk_req *next;	/* blockdev's, as the next one */
	int error;
};
struct blk_stats { u64 reads, writes, flushes, read_bytes, write_bytes; };

/* Takes the image over, also when it fails; NULL image: an empty drive with removable media. NULL: out of memory or threads. */
/* Before the machine runs. */
struct blockdev *blockdev_init(struct vm *vm, const char *id, struct image *im);
/* The worker finishes what is in flight, flushes and ends; `done` is not called any more. Must come before event_fini(). */
void blockdev_stop(struct blockdev *b);
void blockdev_fini(struct blockdev *b);		/* stops, closes the image, frees */
/* vCPU thread. A request outside the medium gives EINVAL, one on an empty drive ENOMEDIUM, a write to a read-only medium EROFS. */
void blockdev_submit(struct blockdev *b, struct blk_req *req);
/* For snapshots; vCPU thread. Waits until nothing is in flight and tells the chip, which may start the next request: *busy is set when
 * there was something. False: the host refuses a write, which waits for the user. */
bool blockdev_settle(struct blockdev *b, bool *busy);
/* The chip's state is going to be replaced: waits for what is in flight; what the host refuses is given up. */
void blockdev_give_up(struct blockdev *b);
/* Layers of disks; vCPU thread, when nothing is in flight. The image from now on, as large as the old one; that is the caller's then. */
void blockdev_swap(struct blockdev *b, struct image *im);
struct image *blockdev_image(const struct blockdev *b);	/* NULL: none */
/* Removable media; vCPU thread. `changed` tells the chip. Waits for what is in flight; the old image is flushed and closed. */
void blockdev_change(struct blockdev *b, struct image *im);
void blockdev_on_change(struct blockdev *b, void (*changed)(void *arg), void *arg);
/* A chip that wants to hear of changes has removable media. It may hold the medium (PREVENT MEDIUM REMOVAL): then who ejects it should ask
 * the user whether that is meant. */
bool blockdev_removable(const struct blockdev *b);
void blockdev_set_locked(struct blockdev *b, bool locked);
bool blockdev_locked(const struct blockdev *b);
bool blockdev_present(const struct blockdev *b);
bool blockdev_readonly(const struct blockdev *b);
u64  blockdev_size(const struct blockdev *b);
const char *blockdev_id(const struct blockdev *b);
void blockdev_stats(const struct blockdev *b, struct blk_stats *out);
#endif

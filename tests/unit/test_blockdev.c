/*
 * test_blockdev.c - requests come back in order and whole; what the host refuses is tried again and nothing passes it.
 */
/* objs: devices/blockdev.o devices/device.o images/all monitor/lib/all tests/unit/fake_vm.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/blockdev.h"
#include "images/format.h"
#include "monitor/event.h"
#include "tests/unit/fake_vm.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- a machine's queue of posted calls, and a medium of memory whose host can be told to refuse --- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t came;
	struct { void (*fn)(void *arg); void *arg; } calls[64];
	int n;
} posts = { .lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER };

bool event_post(struct vm *vm, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&posts.lock);
	bool room = posts.n < 64;
	if (room) {
		posts.calls[posts.n].fn = fn;
		posts.calls[posts.n++].arg = arg;
		pthread_cond_signal(&posts.came);
	}
	pthread_mutex_unlock(&posts.lock);
	return room;
}

static void run_posted(void)
{
	pthread_mutex_lock(&posts.lock);
	while (!posts.n)
		pthread_cond_wait(&posts.came, &posts.lock);
	void (*fn)(void *arg) = posts.calls[0].fn;
	void *arg = posts.calls[0].arg;
	memmove(posts.calls, posts.calls + 1, (size_t)--posts.n * sizeof(posts.calls[0]));
	pthread_mutex_unlock(&posts.lock);
	fn(arg);
}

#define MEDIUM 65536u
struct medium {
	u8 bytes[MEDIUM];
	_Atomic int refuse;	/* errno for writes and flushes */
	_Atomic int read_error;
	_Atomic int writes, flushes, refusals;
};

static int mem_read_(struct image *im, u64 offset, void *buf, u64 len)
{
	struct medium *m = im->state;
	memcpy(buf, m->bytes + offset, len);
	return m->read_error;
}

static int mem_write_(struct image *im, u64 offset, const void *buf, u64 len)
{
	struct medium *m = im->state;
	if (m->refuse) {
		m->refusals++;
		return m->refuse;
	}
	memcpy(m->bytes + offset, buf, len);
	m->writes++;
	return 0;
}

static int mem_flush_(struct image *im)
{
	struct medium *m = im->state;
	m->flushes++;
	return m->refuse;
}

static int mem_discard_(struct image *im, u64 offset, u64 len)
{
	struct medium *m = im->state;
	memset(m->bytes + offset, 0, len);
	return 0;
}

static const struct image_format memory = {
	.name = "memory", .read = mem_read_, .write = mem_write_, .flush = mem_flush_, .discard = mem_discard_,
};

static struct image *medium_image(struct medium *m)
{
	struct image *im = calloc(1, sizeof(*im));
	*im = (struct image){ .format = &memory, .path = strdup("medium"), .fd = -1, .size = MEDIUM, .state = m };
	return im;
}

/* --- a machine that pauses --- */

static char why_paused[300];
static void (*on_continue)(void *arg);
static void *on_continue_arg;

void vm_pause(struct vm *vm, enum vm_pause_kind kind, const char *why) { snprintf(why_paused, sizeof(why_paused), "%s", why); }
void vm_on(struct vm *vm, enum vm_happening what, void (*fn)(void *arg), void *arg)
{
	assert_int_equal(what, VM_CONTINUED);
	on_continue = fn;
	on_continue_arg = arg;
}

/* --- requests --- */

static int order[64], ordered;
static int errors[64];

static void done(struct blk_req *req, int error)
{
	int n = *(int *)req->arg;
	errors[n] = error;
	order[ordered++] = n;
}

static void submit(struct blockdev *b, struct blk_req *r, int *n, enum blk_op op, u64 offset, void *buf, u32 len)
{
	*r = (struct blk_req){ .op = op, .offset = offset, .len = len, .buf = buf, .done = done, .arg = n };
	blockdev_submit(b, r);
}

static void wait_for(int count)
{
	while (ordered < count)
		run_posted();
	assert_int_equal(ordered, count);
}

static int setup(void **state)
{
	ordered = posts.n = 0;
	*state = fake_vm_new();
	return 0;
}

static int teardown(void **state)
{
	fake_vm_free(*state);
	return 0;
}

static void test_order(void **state)
{
	struct medium *m = calloc(1, sizeof(*m));
	struct blockdev *b = blockdev_init(*state, "disk0", medium_image(m));
	static int n[32];
	static u8 buf[32][512];
	struct blk_req r[32];
	struct blk_stats st;
	assert_non_null(b);
	assert_true(blockdev_present(b));
	assert_true(blockdev_size(b) == MEDIUM);
	assert_string_equal(blockdev_id(b), "disk0");
	for (int i = 0; i < 32; i++) {		/* write, read back, write something else over it... */
		n[i] = i;
		memset(buf[i], i, 512);
		submit(b, &r[i], &n[i], i & 1 ? BLK_READ : BLK_WRITE, 512, buf[i], 512);
	}
	wait_for(32);
	for (int i = 0; i < 32; i++) {
		assert_int_equal(order[i], i);
		assert_int_equal(errors[i], 0);
		assert_int_equal(buf[i][0], i & ~1);
	}
	submit(b, &r[0], &n[0], BLK_FLUSH, 0, NULL, 0);
	submit(b, &r[1], &n[1], BLK_WRITE, MEDIUM - 512, buf[0], 1024);
	submit(b, &r[2], &n[2], BLK_DISCARD, 512, NULL, 512);
	wait_for(35);
	assert_int_equal(errors[0], 0);
	assert_int_equal(errors[1], EINVAL);
	assert_int_equal(m->bytes[512], 0);
	blockdev_stats(b, &st);
	assert_true(st.reads == 16 && st.writes == 16 && st.flushes == 1 && st.read_bytes == 8192 && st.write_bytes == 8192);
	blockdev_fini(b);
	free(m);
}

static void test_refusal(void **state)
{
	struct vm *vm = *state;
	struct medium *m = calloc(1, sizeof(*m));
	struct blockdev *b = blockdev_init(vm, "disk0", medium_image(m));
	static int n[4] = { 0, 1, 2, 3 };
	static u8 buf[4][512];
	struct blk_req r[4];
	m->refuse = ENOSPC;
	memset(buf[0], 0xa5, 512);
	submit(b, &r[0], &n[0], BLK_WRITE, 0, buf[0], 512);
	submit(b, &r[1], &n[1], BLK_READ, 0, buf[1], 512);
	while (!m->refusals)
		usleep(1000);
	usleep(20000);
	assert_int_equal(posts.n, 0);			/* neither is done */
	assert_int_equal(m->refusals, 1);
	on_continue(on_continue_arg);				/* still no room */
	while (m->refusals < 2)
		usleep(1000);
	assert_int_equal(posts.n, 0);
	m->refuse = 0;
	usleep(20000);
	on_continue(on_continue_arg);
	wait_for(2);
	assert_int_equal(errors[0] | errors[1], 0);
	assert_int_equal(order[0], 0);
	assert_int_equal(buf[1][0], 0xa5);
	assert_non_null(strstr(why_paused, "medium: cannot be written: No space left"));

	m->read_error = EIO;
	submit(b, &r[2], &n[2], BLK_READ, 0, buf[2], 512);
	wait_for(3);
	assert_int_equal(errors[2], EIO);
	blockdev_fini(b);
	free(m);
}

/* What was submitted is written before the end, though nobody hears of it. */
static void test_stop(void **state)
{
	struct medium *m = calloc(1, sizeof(*m));
	struct blockdev *b = blockdev_init(*state, "disk0", medium_image(m));
	static int n[8];
	static u8 buf[512] = { 1 };
	struct blk_req r[8];
	for (int i = 0; i < 8; i++)
		submit(b, &r[i], &n[i], BLK_WRITE, 512 * (u64)i, buf, 512);
	blockdev_stop(b);
	assert_int_equal(m->writes, 8);
	blockdev_stop(b);
	blockdev_fini(b);
	assert_int_equal(m->flushes, 1);
	blockdev_fini(NULL);
	free(m);
}

/* A format with tables, and a guest that never flushes. */
static void test_quiet(void **state)
{
	struct medium *m = calloc(1, sizeof(*m));
	struct image *im = medium_image(m);
	static int n;
	static u8 buf[512] = { 1 };
	struct blk_req r;
	im->granularity = 4096;
	struct blockdev *b = blockdev_init(*state, "disk0", im);
	submit(b, &r, &n, BLK_WRITE, 0, buf, 512);
	wait_for(1);
	assert_int_equal(m->flushes, 0);
	for (u32 i = 0; i < 3000 && !m->flushes; i++)
		usleep(1000);
	assert_int_equal(m->flushes, 1);
	usleep(1200000);
	assert_int_equal(m->flushes, 1);	/* nothing more to do */
	blockdev_fini(b);
	free(m);
}

static void changed(void *arg) { ++*(int *)arg; }

static void test_change(void **state)
{
	struct medium *m = calloc(1, sizeof(*m));
	struct blockdev *b = blockdev_init(*state, "cd0", NULL);
	static int n[4] = { 0, 1, 2, 3 };
	static u8 buf[512];
	int changes = 0;
	struct blk_req r[4];
	assert_non_null(b);
	blockdev_on_change(b, changed, &changes);
	assert_false(blockdev_present(b));
	assert_true(blockdev_size(b) == 0);
	submit(b, &r[0], &n[0], BLK_READ, 0, buf, 512);
	wait_for(1);
	assert_int_equal(errors[0], ENOMEDIUM);
	m->bytes[3] = 7;
	blockdev_change(b, medium_image(m));
	assert_int_equal(changes, 1);
	submit(b, &r[1], &n[1], BLK_READ, 0, buf, 512);
	wait_for(2);
	assert_int_equal(buf[3], 7);
	m->refuse = EIO;
	submit(b, &r[2], &n[2], BLK_WRITE, 0, buf, 512);
	submit(b, &r[3], &n[3], BLK_READ, 0, buf, 512);
	while (!m->refusals)
		usleep(1000);
	m->refuse = 0;
	blockdev_change(b, NULL);		/* taken out although it could not be written */
	wait_for(4);
	assert_int_equal(errors[2], ENOMEDIUM);
	assert_int_equal(errors[3], ENOMEDIUM);
	assert_false(blockdev_present(b));
	blockdev_fini(b);
	free(m);
}

static void test_file(void **state)
{
	char path[] = "/tmp/test_blockdevXXXXXX", err[200];
	int fd = mkstemp(path);
	static int n[4] = { 0, 1, 2, 3 };
	static u8 out[4096], in[4096];
	struct blk_req r[4];
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	struct image *im = image_open(path, &(struct image_options){ 0 }, err, sizeof(err));
	struct blockdev *b = blockdev_init(*state, "disk0", im);
	for (u32 i = 0; i < sizeof(out); i++)
		out[i] = (u8)(i * 31);
	submit(b, &r[0], &n[0], BLK_WRITE, 8192, out, sizeof(out));
	submit(b, &r[1], &n[1], BLK_FLUSH, 0, NULL, 0);
	submit(b, &r[2], &n[2], BLK_READ, 8192, in, sizeof(in));
	wait_for(3);
	assert_memory_equal(in, out, sizeof(in));
	blockdev_fini(b);
	memset(in, 0, sizeof(in));
	assert_int_equal(pread(fd, in, sizeof(in), 8192), sizeof(in));
	assert_memory_equal(in, out, sizeof(in));
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown), cmocka_unit_test_setup_teardown(test_refusal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quiet, setup, teardown), cmocka_unit_test_setup_teardown(test_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

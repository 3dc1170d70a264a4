/*
 * test_chardev.c - the serial back ends on real files, sockets and pseudo-terminals; nothing is lost, nothing stays behind.
 */
/* objs: devices/chardev.o monitor/clock.o monitor/event.o monitor/lib/bug.o monitor/lib/thread.o */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/chardev.h"
#include "monitor/clock.h"
#include "monitor/event.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct vm vm;
static char dir[64], path[100], spec[120], err[300];
static _Atomic int kicks;
static int events;

void vcpu_kick(struct vcpu *vcpu)
{
	kicks++;
}

static void on_event(void *arg)
{
	events++;
}

static int setup(void **state)
{
	vm = (struct vm){ .name = "test" };
	strcpy(dir, "/tmp/rf-chardev-XXXXXX");
	if (!mkdtemp(dir) || !clock_init(&vm) || !event_init(&vm, err, sizeof(err)))
		return -1;
	snprintf(path, sizeof(path), "%s/port", dir);
	return 0;
}

static int teardown(void **state)
{
	event_fini(&vm);
	clock_fini(&vm);
	unlink(path);
	return rmdir(dir);	/* fails if anything else was left */
}

static struct chardev *open_kind(const char *kind)
{
	snprintf(spec, sizeof(spec), "%s:%s", kind, path);
	struct chardev *c = chardev_open(&vm, spec, NULL, err, sizeof(err));
	if (c)
		chardev_attach(c, on_event, c);
	return c;
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
	event_run_posted(&vm);
}

static int dial(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	strcpy(a.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	pause_ms(30);
	return fd;
}

static void expect(int fd, const char *text)
{
	char buf[100] = "";
	struct pollfd p = { .fd = fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_int_equal(read(fd, buf, sizeof(buf)), strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static void expect_input(struct chardev *c, const char *text)
{
	char buf[100];
	size_t got = 0;
	for (int i = 0; i < 100 && got < strlen(text); i++) {
		pause_ms(5);
		got += chardev_read(c, buf + got, sizeof(buf) - got);
	}
	assert_int_equal(got, strlen(text));
	assert_memory_equal(buf, text, got);
}

static void test_file_gets_all(void **state)
{
	struct chardev *c = open_kind("file");
	assert_non_null(c);
	char block[1000];
	size_t total = 0;
	memset(block, 'x', sizeof(block));
	while (total < 1000000) {
		size_t n = chardev_write(c, block, sizeof(block));
		total += n;
		if (n < sizeof(block))
			pause_ms(1);
	}
	chardev_close(c);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, total);
}

static void test_unix_clients_come_and_go(void **state)
{
	struct chardev *c = open_kind("unix");
	assert_non_null(c);
	assert_int_equal(chardev_write(c, "lost", 4), 4);	/* nobody listens */
	int fd = dial();
	assert_int_equal(chardev_write(c, "hello", 5), 5);
	expect(fd, "hello");
	events = 0;
	assert_int_equal(write(fd, "typed", 5), 5);
	expect_input(c, "typed");
	assert_true(events > 0);
	close(fd);
	pause_ms(30);
	assert_int_equal(chardev_write(c, "lost", 4), 4);
	fd = dial();
	assert_int_equal(chardev_write(c, "again", 5), 5);
	expect(fd, "again");
	/* A second machine on the same socket is refused, and the socket of the first survives that. */
	assert_null(open_kind("unix"));
	assert_non_null(strstr(err, path));
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
	chardev_close(c);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void test_unix_slow_client_loses_nothing(void **state)
{
	struct chardev *c = open_kind("unix");
	int fd = dial();
	u8 block[4096], got[4096];
	size_t sent = 0, received = 0, refused = 0;
	while (refused < 20) {
		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = (u8)((sent + i) % 251);
		size_t n = chardev_write(c, block, sizeof(block));
		sent += n;
		refused += n < sizeof(block);
		if (n < sizeof(block))
			pause_ms(2);
	}
	events = 0;
	while (received < sent) {
		ssize_t n = read(fd, got, sizeof(got));
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(got[i], (u8)((received + (size_t)i) % 251));
		received += (size_t)n;
	}
	pause_ms(10);
	assert_true(events > 0);	/* the writer is told that there is room */
	close(fd);
	chardev_close(c);
}

static void test_unix_refuses_files(void **state)
{
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_null(open_kind("unix"));
	assert_non_null(strstr(err, "no socket"));
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	/* a dead process's socket is replaced */
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	strcpy(a.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	struct chardev *c = open_kind("unix");
	assert_non_null(c);
	chardev_close(c);
}

static void test_pty(void **state)
{
	int saved = dup(2), fds[2];
	char name[100] = "";
	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], 2);
	struct chardev *c = chardev_open(&vm, "pty", NULL, err, sizeof(err));
	dup2(saved, 2);
	assert_non_null(c);
	assert_true(read(fds[0], name, sizeof(name) - 1) > 0);
	char *slave = strstr(name, "/dev/pts/");
	assert_non_null(slave);
	slave[strcspn(slave, "\n")] = 0;
	for (int round = 0; round < 2; round++) {
		assert_int_equal(chardev_write(c, "lost", 4), 4);
		pause_ms(20);
		int fd = open(slave, O_RDWR | O_NOCTTY | O_CLOEXEC);
		assert_true(fd >= 0);
		pause_ms(30);
		assert_int_equal(chardev_write(c, "login:", 6), 6);
		expect(fd, "login:");
		assert_int_equal(write(fd, "root\n", 5), 5);
		expect_input(c, "root\n");
		close(fd);
		pause_ms(30);
	}
	close(saved);
	close(fds[0]);
	close(fds[1]);
	chardev_close(c);
}

static void test_bad_specs(void **state)
{
	static const char *const bad[] = { "", "file:", "unix:", "telnet", "file:/nonexistent/x", "unix:/nonexistent/x" };
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_null(chardev_open(&vm, bad[i], NULL, err, sizeof(err)));
		assert_true(strlen(err) > 10);
	}
	assert_null(chardev_open(&vm, "none", NULL, err, sizeof(err)));
	assert_int_equal(err[0], 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_file_gets_all), T(test_unix_clients_come_and_go), T(test_unix_slow_client_loses_nothing), T(test_unix_refuses_files),
		T(test_pty), T(test_bad_specs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_two_vms.c - two machines in one process, each on a thread of its own, run the small guest of tests/guest at the same time,
 * three times over: nothing of a machine may be anybody else's, and nothing may be left behind.
 */
/* objs: all */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "devices/board_pc.h"
#include "monitor/bus.h"
#include "monitor/clock.h"
#include "monitor/cpuid.h"
#include "monitor/event.h"
#include "monitor/loader.h"
#include "monitor/mem.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"

#define RAM_BYTES (64u << 20)
#define ROUNDS 3

struct machine {
	struct vm vm;
	struct loader *loader;
	const struct cpu_model *model;
	pthread_t thread;
	char output[64], serial[80], append[40], err[300];
};

static void *machine_main(void *arg)
{
	struct machine *m = arg;

	vcpu_reset(m->vm.vcpu);
	m->vm.board_reset(&m->vm);
	loader_load(&m->vm, m->loader);
	vcpu_run(m->vm.vcpu);
	return NULL;
}

static bool machine_up(struct machine *m, const char *kernel, const char *model)
{
	struct loader_options files = { .kernel = kernel, .append = m->append, .ram_size = RAM_BYTES };
	struct board_options board = { .serial = { m->serial }, .debug_exit = -1 };
	struct tr_options tr = { 0 };
	const char *why = "";

	m->model = cpu_model_find(model);
	m->loader = loader_open(&files, m->err, sizeof(m->err));
	return m->model && m->loader && mem_init(&m->vm, RAM_BYTES, m->err, sizeof(m->err)) && bus_init(&m->vm) && clock_init(&m->vm) &&
		event_init(&m->vm, m->err, sizeof(m->err)) && (m->vm.vcpu = vcpu_init(&m->vm, m->model, &tr, &why)) &&
		board_init(&m->vm, &board, m->err, sizeof(m->err)) && !pthread_create(&m->thread, NULL, machine_main, m);
}

static void machine_down(struct machine *m)
{
	event_fini(&m->vm);
	board_fini(&m->vm);
	vcpu_fini(m->vm.vcpu);
	clock_fini(&m->vm);
	bus_fini(&m->vm);
	mem_fini(&m->vm);
	loader_close(m->loader);
	cpu_model_free(m->model);
}

static void assert_ran_well(const struct machine *m, int ticks)
{
	char text[8192] = "", want[40];
	FILE *f = fopen(m->output, "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	unlink(m->output);
	snprintf(want, sizeof(want), "hello: %d timer ticks", ticks);
	if (m->vm.stop != VM_POWEROFF || !strstr(text, want) || !strstr(text, "hello: all is well"))
		fail_msg("a machine stopped by %d, its output is: %s", m->vm.stop, text);
}

static int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	for (; d && readdir(d); n++)
		continue;
	closedir(d);
	return n;
}

static void two_at_once(void **state)
{
	static const char *const models[2] = { "486", "host" };
	const char *build = getenv("BUILDDIR");
	char kernel[4096];

	snprintf(kernel, sizeof(kernel), "%s/build/guest/hello.elf", build ? build : ".");
	if (access(kernel, R_OK)) {
		print_message("%s is not built (gcc -m32)\n", kernel);
		skip();
	}
	int files = open_files();
	for (int round = 0; round < ROUNDS; round++) {
		struct machine m[2] = { 0 };

		for (int i = 0; i < 2; i++) {
			snprintf(m[i].output, sizeof(m[i].output), "/tmp/ringfence-two-vms-%d-%d", (int)getpid(), i);
			snprintf(m[i].serial, sizeof(m[i].serial), "file:%s", m[i].output);
			snprintf(m[i].append, sizeof(m[i].append), "ticks=%d", 15 + 10 * i);
			if (!machine_up(&m[i], kernel, models[i]))
				fail_msg("machine %d: %s", i, m[i].err);
		}
		for (int i = 0; i < 2; i++)
			pthread_join(m[i].thread, NULL);
		for (int i = 0; i < 2; i++)
			machine_down(&m[i]);
		for (int i = 0; i < 2; i++)
			assert_ran_well(&m[i], 15 + 10 * i);
	}
	assert_int_equal(open_files(), files);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(two_at_once) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

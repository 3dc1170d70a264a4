/*
 * snapshot.c - what taking and restoring share: the base that the dirty log counts from, figures, the end.
 */
#include "monitor/snapshot.h"
#include "monitor/snap_int.h"
#include "monitor/vm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct snapshots *snapshots_of(struct vm *vm)
{
	if (!vm->snapshots) {
		vm->snapshots = calloc(1, sizeof(*vm->snapshots));
		if (vm->snapshots)
			vm->snapshots->vm = vm;
	}
	return vm->snapshots;
}

void snap_set_base(struct snapshots *s, const char *path, const u8 id[SNAP_ID], u32 depth)
{
	char *copy = path ? strdup(path) : NULL;
	free(s->base);
	s->base = copy;
	if (copy)
		memcpy(s->base_id, id, SNAP_ID);
	s->depth = copy ? depth : 0;
}

double snap_now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

u32 snap_threads(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : n > (long)SNAP_THREADS_MAX ? SNAP_THREADS_MAX : (u32)n;
}

void snapshot_stats(const struct vm *vm, struct snapshot_stats *st)
{
	*st = (struct snapshot_stats){ 0 };
	if (!vm->snapshots)
		return;
	*st = vm->snapshots->stats;
	st->busy = vm->snapshots->job;
}

void snapshot_fini(struct vm *vm)
{
	struct snapshots *s = vm->snapshots;
	if (!s)
		return;
	snap_settle(s, true);
	free(s->base);
	free(s);
	vm->snapshots = NULL;
}

char *snapshot_conf(const char *path, char *err, size_t errsize)
{
	struct snap_file *f = snap_open(path, err, errsize);
	struct blob b = { 0 };
	char *conf = NULL;
	if (!f)
		return NULL;
	if (!snap_has(f, SNAP_CONF))
		snprintf(err, errsize, "%.200s: it does not say how to make its machine again", path);
	else if (snap_load(f, SNAP_CONF, 1, &b, err, errsize))
		conf = strndup(b.len ? (const char *)b.data : "", b.len);
	blob_free(&b);
	snap_close(f);
	return conf;
}

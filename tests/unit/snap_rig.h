/*
 * snap_rig.h - a whole machine whose guest does not run, for the test and the fuzzer of snapshots. Included once, by one of them.
 */
#ifndef SNAP_RIG_H
#define SNAP_RIG_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "devices/board_pc.h"
#include "monitor/bus.h"
#include "monitor/clock.h"
#include "monitor/cpuid.h"
#include "monitor/event.h"
#include "monitor/mem.h"
#include "monitor/mmu.h"
#include "monitor/snapshot.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"

#define RIG_RAM (8u << 20)

struct rig {
	struct vm vm;
	const struct cpu_model *model;
	char err[400];
	int done;		/* snapshots that ended */
	char error[400];	/* of the last one; "": it is durable */
};

static inline bool rig_up(struct rig *r, u64 ram, const char *model)
{
	struct board_options board = { .serial = { "file:/dev/null" }, .debug_exit = -1, .no_firmware = true };
	struct tr_options tr = { 0 };
	const char *why = "";

	memset(r, 0, sizeof(*r));
	r->model = cpu_model_find(model);
	if (!mem_init(&r->vm, ram, r->err, sizeof(r->err)) || !bus_init(&r->vm) || !clock_init(&r->vm) ||
	    !event_init(&r->vm, r->err, sizeof(r->err)) || !(r->vm.vcpu = vcpu_init(&r->vm, r->model, &tr, &why)) ||
	    !board_init(&r->vm, &board, r->err, sizeof(r->err)))
		return false;
	vcpu_reset(r->vm.vcpu);
	r->vm.board_reset(&r->vm);
	return true;
}

static inline void rig_down(struct rig *r)
{
	snapshot_vcpu_ended(&r->vm);
	snapshot_fini(&r->vm);
	board_stop(&r->vm);
	event_fini(&r->vm);
	board_fini(&r->vm);
	vcpu_fini(r->vm.vcpu);
	clock_fini(&r->vm);
	bus_fini(&r->vm);
	mem_fini(&r->vm);
	cpu_model_free(r->model);
}

static inline void rig_done(void *arg, const char *error)
{
	struct rig *r = arg;

	r->done++;
	snprintf(r->error, sizeof(r->error), "%s", error ? error : "");
}

/* Takes one and waits until it is durable. False with a sentence in r->err. */
static inline bool rig_take(struct rig *r, const char *path, bool alone)
{
	struct snapshot_take how = { .path = path, .conf = "--memory=8192K\n", .alone = alone, .done = rig_done, .arg = r };
	int before = r->done;

	if (!snapshot_take(&r->vm, &how, r->err, sizeof(r->err)))
		return false;
	while (r->done == before) {
		usleep(200);
		event_run_posted(&r->vm);
	}
	snprintf(r->err, sizeof(r->err), "%s", r->error);
	return !r->error[0];
}
#endif

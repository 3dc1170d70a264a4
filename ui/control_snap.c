/*
 * control_snap.c - the functions of control.def that take and restore snapshots by the name of their file.
 */
#include <stdlib.h>
#include <string.h>

#include "monitor/snapshot.h"
#include "monitor/vm.h"
#include "ui/control_cmds.h"
#include "ui/json.h"

bool control_snapshot_save(struct control_call *c);
bool control_snapshot_load(struct control_call *c);
bool control_query_snapshot(struct control_call *c);

/* How the last one ended is for query-snapshot. */
static void saved(void *arg, const char *error)
{
	struct vm *vm = arg;
	snprintf(vm->snapshot_error, sizeof(vm->snapshot_error), "%s", error ? error : "");
}

bool control_snapshot_save(struct control_call *c)
{
	const char *how = control_arg(c, "how");
	struct snapshot_take take = { .path = control_arg(c, "filename"), .conf = c->vm->conf, .alone = how, .done = saved, .arg = c->vm };
	struct snapshot_stats st;
	if (how && strcmp(how, "alone")) {
		snprintf(c->err, sizeof(c->err), "snapshot-save: how is alone, not '%.40s'", how);
		return false;
	}
	c->vm->snapshot_error[0] = 0;
	if (!snapshot_take(c->vm, &take, c->err, sizeof(c->err)))
		return false;
	snapshot_stats(c->vm, &st);
	c->result = js_object();
	js_put(c->result, "stop-us", js_number((s64)(st.stop * 1000)));
	return true;
}

bool control_snapshot_load(struct control_call *c)
{
	const char *clock = control_arg(c, "clock");
	enum snapshot_clock policy = clock && !strcmp(clock, "host") ? SNAPSHOT_HOST : SNAPSHOT_FROZEN;
	struct snapshot_stats st;
	if (clock && strcmp(clock, "host") && strcmp(clock, "frozen")) {
		snprintf(c->err, sizeof(c->err), "snapshot-load: the clock is frozen or host, not '%.40s'", clock);
		return false;
	}
	if (!snapshot_restore(c->vm, control_arg(c, "filename"), policy, c->err, sizeof(c->err)))
		return false;
	snapshot_stats(c->vm, &st);
	c->result = js_object();
	js_put(c->result, "restore-us", js_number((s64)(st.restore * 1000)));
	js_put(c->result, "pages", js_number((s64)st.pages));
	return true;
}

bool control_query_snapshot(struct control_call *c)
{
	struct snapshot_stats st;
	snapshot_stats(c->vm, &st);
	c->result = js_object();
	js_put(c->result, "writing", js_bool(st.busy));
	js_put(c->result, "stop-us", js_number((s64)(st.stop * 1000)));
	js_put(c->result, "write-us", js_number((s64)(st.write * 1000)));
	js_put(c->result, "restore-us", js_number((s64)(st.restore * 1000)));
	js_put(c->result, "pages", js_number((s64)st.pages));
	if (c->vm->snapshot_error[0])
		js_put(c->result, "error", js_text(c->vm->snapshot_error));
	return true;
}

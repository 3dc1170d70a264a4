/*
 * control_tree.c - the functions of control.def for the snapshots of a machine that has a folder.
 */
#include <string.h>

#include "ui/control_cmds.h"
#include "ui/json.h"
#include "ui/snapops.h"

bool control_snapshot_take(struct control_call *c);
bool control_snapshot_restore(struct control_call *c);
bool control_snapshot_delete(struct control_call *c);
bool control_undo(struct control_call *c);
bool control_suspend(struct control_call *c);

bool control_snapshot_take(struct control_call *c)
{
	char name[64];
	const char *given = control_arg(c, "name");
	snprintf(name, sizeof(name), "%.63s", given ? given : "");
	if (!snap_take_live(c->vm, name, control_arg(c, "description"), c->err, sizeof(c->err)))
		return false;
	c->result = js_object();
	js_put(c->result, "name", js_text(name));
	return true;
}

bool control_snapshot_restore(struct control_call *c)
{
	return snap_restore_live(c->vm, control_arg(c, "name"), c->err, sizeof(c->err));
}

bool control_undo(struct control_call *c)
{
	return snap_restore_live(c->vm, "", c->err, sizeof(c->err));
}

bool control_snapshot_delete(struct control_call *c)
{
	return snap_delete_live(c->vm, control_arg(c, "name"), c->err, sizeof(c->err));
}

bool control_suspend(struct control_call *c)
{
	return snap_suspend_live(c->vm, c->err, sizeof(c->err));
}

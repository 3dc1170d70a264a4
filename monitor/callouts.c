/*
 * callouts.c - the table that connects translated code with the monitor's privileged instructions.
 */
#include "monitor/callouts.h"

void callouts_fill(struct tr_ops *ops)
{
#define CALLOUT(name, flow, what) ops->callout[CO_##name] = callout_##name;
#include "translator/callouts.def"
#undef CALLOUT
}

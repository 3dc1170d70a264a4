/*
 * callouts.h - the C functions behind translator/callouts.def, which says what each one gets and leaves.
 *
 * In all of them cs->rip is the instruction's own EIP on entry, so that cpu_raise() raises a fault there; those whose flow is END
 * set cs->rip themselves when they succeed.
 */
#ifndef RF_CALLOUTS_H
#define RF_CALLOUTS_H
#include "translator/translator.h"

#define CALLOUT(name, flow, what) callout_fn callout_##name;
#include "translator/callouts.def"
#undef CALLOUT

void callouts_fill(struct tr_ops *ops);
#endif

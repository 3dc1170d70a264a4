/*
 * board_state.h - the PC's side of snapshots.
 */
#ifndef RF_BOARD_STATE_H
#define RF_BOARD_STATE_H
#include "monitor/snap_state.h"

extern const struct vm_state_ops board_state_ops;
#endif

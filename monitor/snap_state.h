/*
 * snap_state.h - the machine's state but for memory, as bytes: clock and processor here, chips through vm->state.
 */
#ifndef RF_SNAP_STATE_H
#define RF_SNAP_STATE_H
#include "monitor/lib/blob.h"

struct vm;
/* What the machine's chips do for snapshots; the board's (devices/board_state.c). vCPU thread. */
struct vm_state_ops {
	/* Waits until no request is under way at any drive. False with a sentence when a drive's host refuses writes. */
	bool (*quiet)(struct vm *vm, char *err, size_t errsize);
	/* The same before all is replaced: requests that cannot end are given up. */
	void (*give_up)(struct vm *vm);
	void (*save)(struct vm *vm, struct blob *out);
	/* Do these bytes fit this machine's chips? False with a sentence; nothing was changed. */
	bool (*check)(struct vm *vm, struct blob_reader in, char *err, size_t errsize);
	void (*load)(struct vm *vm, struct blob_reader in);	/* checked; memory of devices is loaded already */
	/* Memory n of a device, up to date; false: there is none. */
	bool (*memory)(struct vm *vm, u32 n, const char **name, u8 **host, u64 *bytes);
	void (*set_date)(struct vm *vm, s64 date);		/* the real-time clock's, seconds since 1970 */
};

/* Guest clock and processor; guest time stands still. */
void snap_cpu_save(struct vm *vm, struct blob *out);
bool snap_cpu_check(struct vm *vm, struct blob_reader in, char *err, size_t errsize);
/* Checked, and memory and chips are loaded already: forgets all code and translations too. */
void snap_cpu_load(struct vm *vm, struct blob_reader in);
/* Before the chips are loaded: the clock, and where the local APIC is. */
void snap_cpu_prepare(struct vm *vm, struct blob_reader in);

/* Lines key=value that two machines must have in common. */
void snap_machine_text(struct vm *vm, struct blob *out);
/* False with a sentence that names the difference. */
bool snap_machine_check(struct vm *vm, const struct blob *text, char *err, size_t errsize);
#endif

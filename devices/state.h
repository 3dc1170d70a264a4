/*
 * state.h - the chips' fields as bytes: for snapshots, and to compare machines. docs/formats.md has the form.
 */
#ifndef RF_DEVICE_STATE_H
#define RF_DEVICE_STATE_H
#include "devices/device.h"
#include "monitor/lib/blob.h"

void device_state_save(const struct device *list, struct blob *out);
/* Do the bytes fit these chips: the same ids, classes, versions, tables? False with a sentence; nothing is changed. */
bool device_state_check(const struct device *list, struct blob_reader in, char *err, size_t errsize);
/* Sets all fields of all chips and has them recompute the rest. The bytes were checked, and guest time is set. */
void device_state_load(struct device *list, struct blob_reader in);
#endif

/*
 * disk.h - fuzzers of disk image formats: opens a file that is no image any more, uses it in every way, and looks whether what was
 * written is there.
 */
#ifndef RF_FUZZ_DISK_H
#define RF_FUZZ_DISK_H
#include "tests/fuzz/lib/bytes.h"

/* A case of `format`: the file is f->dir/case.img. */
void fuzz_disk_one(struct fuzz *f, const char *format, const u8 *data, u64 len);
/* An image of that size, made by us with these options (may be NULL), or by qemu-img (`qemu` is its name for the format). `fix` makes
 * what is random in it the same each time. False: there is none (no qemu-img). */
bool fuzz_disk_seed(struct fuzz *f, const char *format, const char *qemu, const char *options, u64 size, void (*fix)(u8 *data, u64 len));
#endif

/*
 * disk_model.h - a disk image beside an array in memory: random operations on both, and QEMU's qemu-img as the judge.
 */
#ifndef RF_TEST_DISK_MODEL_H
#define RF_TEST_DISK_MODEL_H
#include "images/image.h"

struct disk_model {
	u8 *bytes;		/* what a guest must see */
	u64 size;
	u64 rng;
	struct image *im;
	u32 granule;		/* operations like its multiples */
	bool discards_forget;	/* discarded granules are not known: they become what the image says */
};
u64  disk_model_random(struct disk_model *m, u64 below);
/* Takes the image's present content as right. */
void disk_model_init(struct disk_model *m, struct image *im, u64 seed);
void disk_model_fini(struct disk_model *m);
/* n operations; fails the test at the first difference. */
void disk_model_run(struct disk_model *m, u32 n);
void disk_model_compare(struct disk_model *m);
/* Runs a command, with its output in the failure's text. Returns the exit status. */
int  disk_model_command(char *out, size_t room, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool disk_model_have_qemu(void);
/* qemu-img check finds nothing but, if `leaks`, leaked clusters; qemu-img compare with the array. */
void disk_model_judge(const struct disk_model *m, const char *path, const char *format, bool leaks);
#endif

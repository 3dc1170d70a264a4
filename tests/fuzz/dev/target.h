/*
 * target.h - a chip as fuzz_dev.c drives it.
 */
#ifndef RF_FUZZ_TARGET_H
#define RF_FUZZ_TARGET_H
#include "devices/device.h"

#define SPACES      6
#define GUEST_BYTES (1u << 20)

/* A piece of what the guest can reach: offsets 0 to size - 1. */
struct space {
	u32 size;
	int max;		/* the widest access: 1, 2 or 4 bytes */
	u32 weight;		/* how often in comparison with the others */
	u32 (*read)(void *dev, u32 offset, int size);
	void (*write)(void *dev, u32 offset, u32 value, int size);
};
struct target {
	const char *name;
	struct device *(*new)(struct vm *vm);
	void (*free)(struct device *dev);
	void (*now_and_then)(struct device *dev, u32 random);	/* what else happens to the chip; may be NULL */
	struct space space[SPACES];
};
/* Each ends with an entry without a name. */
extern const struct target video_targets[], storage_targets[], legacy_targets[], time_targets[];

/* The guest's memory, of random bytes, with which mem_read() and mem_write() work. */
extern u8 guest[GUEST_BYTES];
#endif

/*
 * msr.h - model-specific registers, by the table msr.def.
 */
#ifndef RF_MSR_H
#define RF_MSR_H
#include "monitor/vcpu.h"

enum msr_index {
#define MSR(name, number, rule, vendor, feature, reset, writable) MSR_##name,
#include "monitor/msr.def"
#undef MSR
	MSR_MAX
};

struct msr_state {
	u64 value[MSR_MAX];
	u32 unknown[64];	/* numbers that have been reported already */
	u32 unknown_count;
};

/* NULL when out of memory. */
struct msr_state *msr_init(void);
void msr_fini(struct msr_state *msr);
/* The registers as the table has them: number of entry i; the entry of a number, or -1. */
u32 msr_number(int i);
int msr_find(u32 number);
void msr_reset(struct vcpu *vcpu);
/* False: the access is #GP(0). */
bool msr_read(struct vcpu *vcpu, u32 number, u64 *value);
bool msr_write(struct vcpu *vcpu, u32 number, u64 value);
#endif

/*
 * cpuid.h - CPU models: what CPUID answers and which instruction groups exist.
 */
#ifndef RF_CPUID_H
#define RF_CPUID_H
#include "translator/translator.h"

struct cpu_model;
/* "486", "pentium", "pentium3", "core2", "host", ...; NULL when unknown. cpu_model_names() lists them, one a line with a description. */
const struct cpu_model *cpu_model_find(const char *name);
void cpu_model_free(const struct cpu_model *m);
void cpu_model_names(void (*each)(const char *name, const char *what, void *arg), void *arg);
void cpu_model_cpuid(const struct cpu_model *m, const struct cpu_state *cs, u32 leaf, u32 subleaf, u32 out[4]);	/* eax ebx ecx edx */
bool cpu_model_has(const struct cpu_model *m, int feature);	/* enum tr_feature */
bool cpu_model_is_amd(const struct cpu_model *m);		/* AMD's MSRs and SYSCALL, else Intel's */
bool cpu_model_nx(const struct cpu_model *m);			/* EFER.NXE */
u64  cpu_model_cr4_mask(const struct cpu_model *m);		/* CR4 bits that may be set */
u64  cpu_model_xcr0_mask(const struct cpu_model *m);
u32  cpu_model_reset_edx(const struct cpu_model *m);		/* family/model/stepping in EDX after reset */
#endif

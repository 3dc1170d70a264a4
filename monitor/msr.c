/*
 * msr.c - model-specific registers. msr.def says which exist; only those that do something have code here.
 *
 * A register that does not exist raises #GP, which kernels expect when they probe; each is reported once (--trace=msr).
 */
#include <stdlib.h>
#include <x86intrin.h>
#include "monitor/callouts.h"
#include "monitor/clock.h"
#include "monitor/cpuid.h"
#include "monitor/mmu.h"
#include "monitor/msr.h"
#include "monitor/vm.h"

enum msr_rule { PLAIN, DROP, RO, CODE };
enum msr_vendor { ANY, INTEL, AMD };
enum { EFER_SCE = 1, EFER_NXE = 1 << 11 };

/* RDCL_NO SKIP_L1DFL SSB_NO MDS_NO PSCHANGE_MC_NO TAA_NO SBDR_NO FBSDP_NO PSDP_NO (SDM vol. 4, IA32_ARCH_CAPABILITIES). */
#define ARCH_CAPS_IMMUNE 0xe179ull

static const struct msr_info {
	const char *name;
	u32 number;
	u8 rule, vendor, feature;
	u64 reset, writable;
} msrs[] = {
#define MSR(name, number, rule, vendor, feature, reset, writable) { #name, number, rule, vendor, TF_##feature, reset, writable },
#include "monitor/msr.def"
#undef MSR
};

struct msr_state *msr_init(void) { return calloc(1, sizeof(struct msr_state)); }
void msr_fini(struct msr_state *msr) { free(msr); }

void msr_reset(struct vcpu *vcpu)
{
	for (int i = 0; i < MSR_MAX; i++)
		vcpu->msr->value[i] = msrs[i].reset;
	vcpu->cs.efer = 0;
}

u32 msr_number(int i)
{
	return msrs[i].number;
}

int msr_find(u32 number)
{
	switch (number) {
#define MSR(name, num, rule, vendor, feature, reset, writable) case num: return MSR_##name;
#include "monitor/msr.def"
#undef MSR
	}
	return -1;
}

static void report_unknown(struct vcpu *vcpu, u32 number, const char *what)
{
	struct msr_state *m = vcpu->msr;

	for (u32 i = 0; i < m->unknown_count; i++)
		if (m->unknown[i] == number)
			return;
	if (m->unknown_count < ARRAY_SIZE(m->unknown))
		m->unknown[m->unknown_count++] = number;
	vm_trace(vcpu->vm, TRACE_MSR, "msr: %s of unknown register 0x%x at eip 0x%llx\n", what, number, (unsigned long long)vcpu->cs.rip);
}

/* The table's index of a register that this model has, or -1. */
static int lookup(struct vcpu *vcpu, u32 number, const char *what)
{
	int i = msr_find(number);

	if (i >= 0 && cpu_model_has(vcpu->model, msrs[i].feature) &&
	    (msrs[i].vendor == ANY || (msrs[i].vendor == AMD) == cpu_model_is_amd(vcpu->model)))
		return i;
	report_unknown(vcpu, number, what);
	return -1;
}

bool msr_read(struct vcpu *vcpu, u32 number, u64 *value)
{
	int i = lookup(vcpu, number, "read");

	if (i < 0)
		return false;
	switch (i) {
	case MSR_TSC:
		*value = __rdtsc() + vcpu->cs.tsc_offset;
		break;
	case MSR_EFER:
		*value = vcpu->cs.efer;
		break;
	case MSR_TSC_DEADLINE:
		*value = vcpu->vm->tsc_deadline ? vcpu->vm->tsc_deadline(vcpu->vm->apic_arg) : 0;
		break;
	case MSR_ARCH_CAPS:	/* translated code of all rings runs in one host ring: these attacks find nothing to attack */
		*value = ARCH_CAPS_IMMUNE;
		break;
	case MSR_PLATFORM_INFO:	/* bits 15-8: TSC rate in units of 100 MHz */
		*value = (clock_tsc_hz(vcpu->vm) / 100000000 & 0xff) << 8;
		break;
	default:
		*value = vcpu->msr->value[i];
	}
	return true;
}

/* Eight memory types, one a byte: 0, 1, 4, 5, 6, and 7 (UC-) in the PAT only. */
static bool memory_types_valid(u64 value, bool pat)
{
	for (int i = 0; i < 8; i++, value >>= 8) {
		u8 t = (u8)value;

		if (t == 2 || t == 3 || t > (pat ? 7 : 6))
			return false;
	}
	return true;
}

static bool efer_write(struct vcpu *vcpu, u64 value)
{
	struct cpu_state *cs = &vcpu->cs;
	u64 allowed = (cpu_model_nx(vcpu->model) ? EFER_NXE : 0) | (cpu_model_has(vcpu->model, TF_SYSCALL) ? EFER_SCE : 0);
	u64 changed = cs->efer ^ value;

	if (value & ~allowed)
		return false;
	cs->efer = value;
	if (changed & EFER_NXE) {
		mmu_mode_changed(cs);
		cpu_update_mode(cs);
	}
	return true;
}

/* x2APIC mode (bit 10) is not offered. */
static bool apic_base_write(struct vcpu *vcpu, u64 value)
{
	if (!cpu_model_has(vcpu->model, TF_APIC) || (value & ~msrs[MSR_APIC_BASE].writable))
		return false;
	vcpu->msr->value[MSR_APIC_BASE] = value;
	if (vcpu->vm->apic_base_changed)
		vcpu->vm->apic_base_changed(vcpu->vm->apic_arg, value);
	return true;
}

static bool code_write(struct vcpu *vcpu, int i, u64 value)
{
	switch (i) {
	case MSR_TSC:		/* moves TSC_ADJUST along (SDM vol. 3, 18.17.3) */
		value -= __rdtsc();
		vcpu->msr->value[MSR_TSC_ADJUST] += value - vcpu->cs.tsc_offset;
		vcpu->cs.tsc_offset = value;
		return true;
	case MSR_TSC_ADJUST:
		vcpu->cs.tsc_offset += value - vcpu->msr->value[i];
		break;
	case MSR_TSC_AUX:
		if (value >> 32)
			return false;
		vcpu->cs.tsc_aux = (u32)value;
		break;
	case MSR_EFER:
		return efer_write(vcpu, value);
	case MSR_PAT:
		if (!memory_types_valid(value, true))
			return false;
		break;
	case MSR_APIC_BASE:
		return apic_base_write(vcpu, value);
	case MSR_TSC_DEADLINE:
		if (vcpu->vm->set_tsc_deadline)
			vcpu->vm->set_tsc_deadline(vcpu->vm->apic_arg, value);
		return true;
	case MSR_UCODE_REV:	/* written with 0 before CPUID loads the revision; ours is 0 */
		return true;
	case MSR_ARCH_CAPS: case MSR_PLATFORM_INFO:
		return false;
	default:		/* fixed-range MTRRs */
		if (!memory_types_valid(value, false))
			return false;
	}
	vcpu->msr->value[i] = value;
	return true;
}

bool msr_write(struct vcpu *vcpu, u32 number, u64 value)
{
	int i = lookup(vcpu, number, "write");

	if (i < 0)
		return false;
	switch (msrs[i].rule) {
	case DROP:
		return true;
	case RO:
		return false;
	case CODE:
		return code_write(vcpu, i, value);
	}
	if (value & ~msrs[i].writable & ~msrs[i].reset)
		return false;
	vcpu->msr->value[i] = value;
	return true;
}

void callout_RDMSR(struct cpu_state *cs, u32 arg)
{
	u64 value;

	if (cs->cpl || !msr_read(vcpu_of(cs), (u32)cs->gpr[R_ECX], &value))
		cpu_gp(cs, 0);
	cs->gpr[R_EAX] = (u32)value;
	cs->gpr[R_EDX] = value >> 32;
}

void callout_WRMSR(struct cpu_state *cs, u32 arg)
{
	u64 value = (u32)cs->gpr[R_EAX] | cs->gpr[R_EDX] << 32;

	if (cs->cpl || !msr_write(vcpu_of(cs), (u32)cs->gpr[R_ECX], value))
		cpu_gp(cs, 0);
	cs->rip = cs->next_rip;
}

/*
 * cpuid.c - CPU models: what CPUID answers, and from that which instruction groups and control bits exist.
 *
 * CPUID's bits are the one truth: cpu_model_has() reads the same leaves that the guest reads, once, when the model is made.
 * There is no long mode, no hypervisor leaf.
 */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include "monitor/callouts.h"
#include "monitor/clock.h"
#include "monitor/cpuid.h"
#include "monitor/msr.h"
#include "monitor/vcpu.h"

enum { EAX, EBX, ECX, EDX };
enum { CR4_OSXSAVE = 1 << 18, LEAF1_OSXSAVE = 1 << 27, LEAF1_APIC = 1 << 9, APIC_BASE_ENABLE = 1 << 11 };
enum { EXT_NX = 1 << 20, EXT_SYSCALL = 1 << 11 };
enum { AVX_OFFSET = 576, AVX_SIZE = 256, XCR0_X87 = 1, XCR0_SSE = 2, XCR0_AVX = 4 };

struct model_row {
	const char *name, *what;
	u32 signature, max_leaf, max_ext, edx1, ecx1, ext_edx, ext_ecx;
	const char *brand;
};
static const struct model_row rows[] = {
#define CPU_MODEL(...) { __VA_ARGS__ },
#include "monitor/cpu_models.def"
#undef CPU_MODEL
	{ .name = "host", .what = "this computer's processor, less what is not offered" },
};

/* What is asked of the host's processor while a guest runs: in a virtual machine each CPUID costs it tens of microseconds. */
static const struct { u32 leaf, subleaf; } host_leaves[] = {
	{ 0, 0 }, { 1, 0 }, { 2, 0 }, { 7, 0 }, { 0xd, 1 }, { 0x80000000, 0 }, { 0x80000001, 0 }, { 0x80000002, 0 }, { 0x80000003, 0 },
	{ 0x80000004, 0 }, { 0x80000005, 0 }, { 0x80000006, 0 }, { 0x80000007, 0 }, { 0x80000008, 0 },
};

struct cpu_model {
	const struct model_row *row;
	bool host, amd;
	u64 features;		/* a bit for each enum tr_feature */
	u32 host_leaf[ARRAY_SIZE(host_leaves)][4];
};

/* The CPUID bit of a feature; those without one are decided in feature_by_family(). */
static const struct { u32 leaf; u8 subleaf, reg, bit; } feature_bits[TF_MAX] = {
	[TF_FPU] = { 1, 0, EDX, 0 }, [TF_TSC] = { 1, 0, EDX, 4 }, [TF_MSR] = { 1, 0, EDX, 5 }, [TF_CX8] = { 1, 0, EDX, 8 },
	[TF_SEP] = { 1, 0, EDX, 11 }, [TF_CMOV] = { 1, 0, EDX, 15 }, [TF_CLFSH] = { 1, 0, EDX, 19 }, [TF_MMX] = { 1, 0, EDX, 23 },
	[TF_FXSR] = { 1, 0, EDX, 24 }, [TF_SSE] = { 1, 0, EDX, 25 }, [TF_SSE2] = { 1, 0, EDX, 26 },
	[TF_SSE3] = { 1, 0, ECX, 0 }, [TF_PCLMUL] = { 1, 0, ECX, 1 }, [TF_MONITOR] = { 1, 0, ECX, 3 }, [TF_SSSE3] = { 1, 0, ECX, 9 },
	[TF_FMA] = { 1, 0, ECX, 12 }, [TF_SSE41] = { 1, 0, ECX, 19 }, [TF_SSE42] = { 1, 0, ECX, 20 }, [TF_MOVBE] = { 1, 0, ECX, 22 },
	[TF_POPCNT] = { 1, 0, ECX, 23 }, [TF_AES] = { 1, 0, ECX, 25 }, [TF_XSAVE] = { 1, 0, ECX, 26 }, [TF_AVX] = { 1, 0, ECX, 28 },
	[TF_F16C] = { 1, 0, ECX, 29 }, [TF_RDRAND] = { 1, 0, ECX, 30 },
	[TF_BMI1] = { 7, 0, EBX, 3 }, [TF_AVX2] = { 7, 0, EBX, 5 }, [TF_BMI2] = { 7, 0, EBX, 8 }, [TF_ERMS] = { 7, 0, EBX, 9 },
	[TF_INVPCID] = { 7, 0, EBX, 10 }, [TF_RDSEED] = { 7, 0, EBX, 18 }, [TF_ADX] = { 7, 0, EBX, 19 },
	[TF_CLFLUSHOPT] = { 7, 0, EBX, 23 }, [TF_CLWB] = { 7, 0, EBX, 24 }, [TF_SHA] = { 7, 0, EBX, 29 },
	[TF_GFNI] = { 7, 0, ECX, 8 }, [TF_VAES] = { 7, 0, ECX, 9 },
	[TF_XSAVEOPT] = { 0xd, 1, EAX, 0 }, [TF_XSAVEC] = { 0xd, 1, EAX, 1 },
	[TF_SYSCALL] = { 0x80000001, 0, EDX, 11 }, [TF_RDTSCP] = { 0x80000001, 0, EDX, 27 }, [TF_LZCNT] = { 0x80000001, 0, ECX, 5 },
	[TF_TSC_ADJUST] = { 7, 0, EBX, 1 }, [TF_APIC] = { 1, 0, EDX, 9 }, [TF_TSC_DEADLINE] = { 1, 0, ECX, 24 },
	[TF_SSE4A] = { 0x80000001, 0, ECX, 6 }, [TF_PREFETCHW] = { 0x80000001, 0, ECX, 8 },
};

/* --- the host, less what is not offered --- */
#define BIT(n) (1u << (n))
/* Offered whatever the host has, because the monitor does it: FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36. */
#define HOST_EDX1_OWN 0x0003fbffu
/* Passed on from the host: CLFSH MMX FXSR SSE SSE2. */
#define HOST_EDX1 (BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26))
#define HOST_ECX1_OWN BIT(24)	/* TSC-deadline timer */
/* SSE3 PCLMUL SSSE3 FMA SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND */
#define HOST_ECX1 (BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | BIT(25) | BIT(26) | \
	BIT(28) | BIT(29) | BIT(30))
/* BMI1 AVX2 FDP_EXCPTN_ONLY BMI2 ERMS no-FCS-FDS RDSEED ADX CLFLUSHOPT CLWB SHA; INVPCID and TSC_ADJUST are the
 * monitor's own. The latter tells Linux that the TSC needs no watchdog: the only other clock of the board is the PIT, which is late
 * whenever the host runs somebody else. */
#define HOST_EBX7 (BIT(3) | BIT(5) | BIT(6) | BIT(8) | BIT(9) | BIT(13) | BIT(18) | BIT(19) | BIT(23) | BIT(24) | BIT(29))
#define HOST_EBX7_OWN (BIT(1) | BIT(10))
#define HOST_ECX7 (BIT(8) | BIT(9) | BIT(10))	/* GFNI VAES VPCLMULQDQ */
#define HOST_ECX7_OWN BIT(2)			/* UMIP */
#define HOST_EDX7 BIT(4)			/* FSRM */
#define HOST_EDX7_INTEL BIT(29)			/* ARCH_CAPABILITIES */
#define HOST_EXT_ECX (BIT(5) | BIT(6) | BIT(7) | BIT(8))	/* ABM SSE4A MisAlignSse PREFETCHW */
#define HOST_EXT_EDX (BIT(22) | BIT(25) | BIT(27))		/* AMD: MmxExt FXSR_OPT; RDTSCP */

static void ask_host(u32 leaf, u32 subleaf, u32 out[4]) { __cpuid_count(leaf, subleaf, out[EAX], out[EBX], out[ECX], out[EDX]); }

static void host_cpuid(const struct cpu_model *m, u32 leaf, u32 subleaf, u32 out[4])
{
	if (leaf != 4 && leaf != 7 && leaf != 0xd)	/* the others have no subleaves */
		subleaf = 0;
	for (u32 i = 0; i < ARRAY_SIZE(host_leaves); i++) {
		if (host_leaves[i].leaf == leaf && host_leaves[i].subleaf == subleaf) {
			memcpy(out, m->host_leaf[i], sizeof m->host_leaf[i]);
			return;
		}
	}
	ask_host(leaf, subleaf, out);
}

static bool host_has_avx(const struct cpu_model *m)
{
	u32 r[4];

	host_cpuid(m, 1, 0, r);
	return (r[ECX] & BIT(28)) && (r[ECX] & BIT(27));
}

static void host_leaf1(const struct cpu_model *m, u32 out[4])
{
	out[EBX] = (out[EBX] & 0xff00) | 1u << 16;	/* CLFLUSH size; one logical processor, APIC id 0 */
	out[ECX] = (out[ECX] & HOST_ECX1) | HOST_ECX1_OWN;
	out[EDX] = (out[EDX] & HOST_EDX1) | HOST_EDX1_OWN;
	if (!host_has_avx(m))
		out[ECX] &= ~(BIT(12) | BIT(28) | BIT(29));
}

static void host_leaf7(const struct cpu_model *m, u32 out[4])
{
	out[EAX] = 0;
	out[EBX] = (out[EBX] & HOST_EBX7) | HOST_EBX7_OWN;
	out[ECX] = (out[ECX] & HOST_ECX7) | HOST_ECX7_OWN;
	out[EDX] = (out[EDX] & HOST_EDX7) | (m->amd ? 0 : HOST_EDX7_INTEL);
	if (!host_has_avx(m)) {
		out[EBX] &= ~BIT(5);
		out[ECX] &= ~(BIT(9) | BIT(10));
	}
}

/* XSAVE: x87, SSE and AVX only. */
static void xsave_leaf(const struct cpu_model *m, const struct cpu_state *cs, u32 subleaf, u32 out[4])
{
	u32 mask = (u32)cpu_model_xcr0_mask(m), options;

	host_cpuid(m, 0xd, 1, out);
	options = out[EAX] & 3;		/* XSAVEOPT, XSAVEC */
	memset(out, 0, 4 * sizeof(u32));
	if (!mask)
		return;
	if (subleaf == 0) {
		out[EAX] = mask;
		out[EBX] = AVX_OFFSET + (cs && (cs->xcr0 & XCR0_AVX) ? AVX_SIZE : 0);
		out[ECX] = AVX_OFFSET + (mask & XCR0_AVX ? AVX_SIZE : 0);
	} else if (subleaf == 1) {
		out[EAX] = options;
		out[EBX] = AVX_OFFSET + (cs && (cs->xcr0 & XCR0_AVX) ? AVX_SIZE : 0);
	} else if (subleaf == 2 && (mask & XCR0_AVX)) {
		out[EAX] = AVX_SIZE;
		out[EBX] = AVX_OFFSET;
	}
}

/* Leaves 15h and 16h: the TSC's rate as twice a "crystal", so that kilohertz arithmetic in 32 bits neither overflows nor rounds. */
static void tsc_leaf(const struct cpu_state *cs, u32 leaf, u32 out[4])
{
	u64 hz = cs ? clock_tsc_hz(vcpu_of((struct cpu_state *)cs)->vm) : 0;

	memset(out, 0, 4 * sizeof(u32));
	if (leaf == 0x15) {
		out[EAX] = 1;
		out[EBX] = 2;
		out[ECX] = (u32)(hz / 2);
	} else {
		out[EAX] = out[EBX] = (u32)(hz / 1000000);
		out[ECX] = 100;
	}
}

static void host_ext_leaf1(const struct cpu_model *m, u32 out[4])
{
	out[EBX] = 0;
	out[ECX] &= HOST_EXT_ECX;
	out[EDX] = (out[EDX] & HOST_EXT_EDX) | EXT_NX;
	if (m->amd)	/* AMD repeats leaf 1's bits here, and has SYSCALL outside long mode too */
		out[EDX] |= EXT_SYSCALL | (HOST_EDX1_OWN & ~BIT(11)) | BIT(23) | BIT(24);
}

static u32 host_max_leaf(const struct cpu_model *m)
{
	u32 r[4];

	host_cpuid(m, 0, 0, r);
	return !m->amd && r[EAX] >= 0xd ? 0x16 : r[EAX] < 0xd ? r[EAX] : 0xd;
}

static void host_leaf(const struct cpu_model *m, const struct cpu_state *cs, u32 leaf, u32 subleaf, u32 out[4])
{
	u32 max_ext = 0x80000008, max = host_max_leaf(m);

	memset(out, 0, 4 * sizeof(u32));
	if (leaf < 0x80000000 ? leaf > max : leaf > max_ext)
		return;
	if (leaf == 0xd) {
		xsave_leaf(m, cs, subleaf, out);
		return;
	}
	if (leaf == 0x15 || leaf == 0x16) {
		tsc_leaf(cs, leaf, out);
		return;
	}
	host_cpuid(m, leaf, subleaf, out);
	switch (leaf) {
	case 0: out[EAX] = max; break;
	case 1: host_leaf1(m, out); break;
	case 2: break;
	case 4: out[EAX] &= 0x3fff; break;	/* caches are shared by nobody */
	case 7:
		if (subleaf == 0) {
			host_leaf7(m, out);
			break;
		}
		memset(out, 0, 4 * sizeof(u32));
		break;
	case 0x80000000: out[EAX] = max_ext; break;
	case 0x80000001: host_ext_leaf1(m, out); break;
	case 0x80000002: case 0x80000003: case 0x80000004: case 0x80000005: case 0x80000006: break;
	case 0x80000007: out[EAX] = out[EBX] = out[ECX] = 0; out[EDX] = BIT(8); break;	/* invariant TSC */
	case 0x80000008: out[EAX] = 0x2024; out[EBX] = out[ECX] = out[EDX] = 0; break;	/* 36 physical, 32 linear address bits */
	default: memset(out, 0, 4 * sizeof(u32));
	}
}

/* --- models by table --- */
/* Deterministic cache parameters of core2: 32 KiB + 32 KiB first level, 4 MiB second level, 64-byte lines (SDM vol. 2, CPUID leaf 4). */
static void core2_caches(u32 subleaf, u32 out[4])
{
	static const u32 caches[3][3] = { { 0x0121, 7u << 22 | 63, 63 }, { 0x0122, 7u << 22 | 63, 63 }, { 0x0143, 15u << 22 | 63, 4095 } };

	if (subleaf < 3) {
		out[EAX] = caches[subleaf][0];
		out[EBX] = caches[subleaf][1];
		out[ECX] = caches[subleaf][2];
		out[EDX] = 1;
	}
}

static void row_leaf(const struct model_row *row, u32 leaf, u32 subleaf, u32 out[4])
{
	char brand[48] = "";

	memset(out, 0, 4 * sizeof(u32));
	if (leaf < 0x80000000 ? leaf > row->max_leaf : leaf > row->max_ext)
		return;
	switch (leaf) {
	case 0:
		out[EAX] = row->max_leaf;
		memcpy(&out[EBX], "Genu", 4);
		memcpy(&out[EDX], "ineI", 4);
		memcpy(&out[ECX], "ntel", 4);
		break;
	case 1:
		out[EAX] = row->signature;
		out[EBX] = row->edx1 & BIT(19) ? 0x10800 : 0;
		out[ECX] = row->ecx1;
		out[EDX] = row->edx1;
		break;
	case 2:		/* TLBs, 16 KiB + 16 KiB first level, 256 KiB second level */
		out[EAX] = 0x03020101;
		out[EDX] = 0x0c040882;
		break;
	case 4: core2_caches(subleaf, out); break;
	case 0x80000000: out[EAX] = row->max_ext; break;
	case 0x80000001: out[ECX] = row->ext_ecx; out[EDX] = row->ext_edx; break;
	case 0x80000002: case 0x80000003: case 0x80000004:
		strncpy(brand, row->brand, sizeof brand - 1);
		memcpy(out, brand + 16 * (leaf - 0x80000002), 16);
		break;
	case 0x80000006: out[ECX] = 4096u << 16 | 8 << 12 | 64; break;
	case 0x80000008: out[EAX] = 0x2024; break;
	}
}

static bool apic_on(const struct cpu_state *cs)
{
	return vcpu_of((struct cpu_state *)cs)->msr->value[MSR_APIC_BASE] & APIC_BASE_ENABLE;
}

void cpu_model_cpuid(const struct cpu_model *m, const struct cpu_state *cs, u32 leaf, u32 subleaf, u32 out[4])
{
	if (m->host)
		host_leaf(m, cs, leaf, subleaf, out);
	else
		row_leaf(m->row, leaf, subleaf, out);
	if (leaf == 1 && cs && (cs->cr4 & CR4_OSXSAVE))
		out[ECX] |= LEAF1_OSXSAVE;
	if ((leaf == 1 || leaf == 0x80000001) && cs && !apic_on(cs))
		out[EDX] &= ~LEAF1_APIC;
}

/* --- features --- */
static u32 model_family(const struct cpu_model *m)
{
	u32 r[4];

	cpu_model_cpuid(m, NULL, 1, 0, r);
	return r[EAX] >> 8 & 15;
}

static bool feature_by_family(const struct cpu_model *m, int feature)
{
	switch (feature) {
	case TF_BASE: case TF_I486: case TF_CPUID: return true;
	case TF_PMC: case TF_NOPL: return model_family(m) >= 6;
	}
	return false;
}

static u64 find_features(const struct cpu_model *m)
{
	u64 features = 0;
	u32 r[4];

	_Static_assert(TF_MAX <= 64, "one bit a feature");
	for (int f = 0; f < TF_MAX; f++) {
		bool has;

		if (feature_bits[f].leaf) {
			cpu_model_cpuid(m, NULL, feature_bits[f].leaf, feature_bits[f].subleaf, r);
			has = r[feature_bits[f].reg] >> feature_bits[f].bit & 1;
		} else {
			has = feature_by_family(m, f);
		}
		features |= (u64)has << f;
	}
	return features;
}

const struct cpu_model *cpu_model_find(const char *name)
{
	u32 r[4];

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cpu_model *m;

		if (strcmp(rows[i].name, name))
			continue;
		m = calloc(1, sizeof *m);
		if (!m)
			return NULL;
		m->row = &rows[i];
		m->host = i == ARRAY_SIZE(rows) - 1;
		for (u32 k = 0; k < ARRAY_SIZE(host_leaves); k++)
			ask_host(host_leaves[k].leaf, host_leaves[k].subleaf, m->host_leaf[k]);
		host_cpuid(m, 0, 0, r);
		m->amd = m->host && (r[EBX] == 0x68747541 || r[EBX] == 0x6f677948);	/* "Auth"enticAMD, "Hygo"nGenuine */
		m->features = find_features(m);
		return m;
	}
	return NULL;
}

void cpu_model_free(const struct cpu_model *m) { free((void *)m); }

void cpu_model_names(void (*each)(const char *name, const char *what, void *arg), void *arg)
{
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		each(rows[i].name, rows[i].what, arg);
}

bool cpu_model_has(const struct cpu_model *m, int feature) { return m->features >> feature & 1; }
bool cpu_model_is_amd(const struct cpu_model *m) { return m->amd; }

bool cpu_model_nx(const struct cpu_model *m)
{
	u32 r[4];

	cpu_model_cpuid(m, NULL, 0x80000001, 0, r);
	return r[EDX] & EXT_NX;
}

u64 cpu_model_cr4_mask(const struct cpu_model *m)
{
	/* CR4 bit for a CPUID leaf 1 EDX bit: VME PVI, TSD, DE, PSE, PAE, MCE, PGE, OSFXSR, OSXMMEXCPT */
	static const struct { u8 cpuid; u32 cr4; } bits[] = {
		{ 1, 3 }, { 4, 1 << 2 }, { 2, 1 << 3 }, { 3, 1 << 4 }, { 6, 1 << 5 }, { 7, 1 << 6 }, { 13, 1 << 7 }, { 24, 1 << 9 }, { 25, 1 << 10 },
	};
	u64 mask = cpu_model_has(m, TF_PMC) ? 1 << 8 : 0;	/* PCE */
	u32 r[4];

	cpu_model_cpuid(m, NULL, 1, 0, r);
	for (u32 i = 0; i < ARRAY_SIZE(bits); i++)
		if (r[EDX] >> bits[i].cpuid & 1)
			mask |= bits[i].cr4;
	if (cpu_model_has(m, TF_XSAVE))
		mask |= CR4_OSXSAVE;
	if (m->host)
		mask |= 1 << 11;	/* UMIP */
	return mask;
}

u64 cpu_model_xcr0_mask(const struct cpu_model *m)
{
	u32 r[4];

	cpu_model_cpuid(m, NULL, 1, 0, r);
	if (!(r[ECX] & BIT(26)))
		return 0;
	return XCR0_X87 | XCR0_SSE | (r[ECX] & BIT(28) ? XCR0_AVX : 0);
}

u32 cpu_model_reset_edx(const struct cpu_model *m)
{
	u32 r[4];

	cpu_model_cpuid(m, NULL, 1, 0, r);
	return r[EAX];
}

void callout_CPUID(struct cpu_state *cs, u32 arg)
{
	u32 r[4];

	cpu_model_cpuid(vcpu_of(cs)->model, cs, (u32)cs->gpr[R_EAX], (u32)cs->gpr[R_ECX], r);
	cs->gpr[R_EAX] = r[EAX];
	cs->gpr[R_EBX] = r[EBX];
	cs->gpr[R_ECX] = r[ECX];
	cs->gpr[R_EDX] = r[EDX];
}

/*
 * translator.c - making and unmaking a translator; what does not belong to one of its parts.
 */
#include <cpuid.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "translator/rules.h"

static bool host_has_bmi2(void)
{
	u32 a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 8) && (b & 1u << 3);
}

/* Components of XCR0 that the guest may get: x87, SSE, AVX; 0 without XSAVE. */
static u32 host_fpu_mask(void)
{
	u32 a, b, c, d, lo, hi;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 27))	/* OSXSAVE */
		return 0;
	__asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return lo & 7;
}

struct translator *tr_init(struct cpu_state *cs, const struct tr_ops *ops, const struct tr_options *opt, const char **err)
{
	struct translator *tr;

	if (!host_has_bmi2()) {
		*err = "this processor has no BMI2 instructions (Intel Haswell, AMD Excavator or newer have them), which translated code uses";
		return NULL;
	}
	tr = calloc(1, sizeof *tr);
	*err = "out of memory";
	if (!tr)
		return NULL;
	tr->cs = cs;
	cs->translator = tr;
	tr->ops = ops;
	tr->opt = *opt;
	if (!tr->opt.cache_size)
		tr->opt.cache_size = 64u << 20;
	if (!tr->opt.max_insns)
		tr->opt.max_insns = 64;
	tr->fpu_mask = cs->fpu_mask = host_fpu_mask();
	cs->go = 1;
	cs->index_mask_long = VTLB_LONG_INDEX;
	cs->index_mask[0] = 0xfffff001;
	cs->index_mask[1] = 0xfffff003;
	tr->dec = decoder_init();
	tr->insns = calloc(tr->opt.max_insns, sizeof *tr->insns);
	tr->tctx = calloc(1, sizeof *tr->tctx);
	if (!tr->dec || !tr->insns || !tr->tctx || !codepage_init(tr) || !tc_init(tr, err) || !check_recover_init(tr) || !stubs_init(tr)) {
		tr_fini(tr);
		return NULL;
	}
	return tr;
}

void tr_fini(struct translator *tr)
{
	if (!tr)
		return;
	tc_fini(tr);
	codepage_fini(tr);
	decoder_fini(tr->dec);
	free(tr->check);
	free(tr->insns);
	free(tr->tctx);
	free(tr);
}

void tr_abandoned(struct translator *tr)
{
	tr->cs->commit_len = 0;
}

const struct tr_stats *tr_stats(const struct translator *tr) { return &tr->stats; }

/* The number of (mode, cs_id): even, small and never that of another pair while blocks of the old one exist. */
u32 tr_mode_id(struct translator *tr, u32 mode, u32 cs_id)
{
	u32 h = (mode * 0x9e3779b1u ^ cs_id * 0x85ebca6bu) >> (32 - MODE_ID_BITS);

	for (u32 k = 0; k < ARRAY_SIZE(tr->mode_ids); k++) {
		struct mode_id *m = &tr->mode_ids[(h + k) & (ARRAY_SIZE(tr->mode_ids) - 1)];

		if (!m->id) {
			if (tr->nmode_ids == ARRAY_SIZE(tr->mode_ids) / 2)
				break;
			*m = (struct mode_id){ mode, cs_id, 2 * ++tr->nmode_ids };
		}
		if (m->mode == mode && m->cs_id == cs_id)
			return m->id;
	}
	tr_flush(tr);
	memset(tr->mode_ids, 0, sizeof tr->mode_ids);
	memset(tr->recent_ids, 0, sizeof tr->recent_ids);
	tr->nmode_ids = 0;
	return tr_mode_id(tr, mode, cs_id);
}

/* Numbers are never reused while blocks that depend on them exist. */
u32 tr_cs_id(struct translator *tr, u64 base, u32 limit)
{
	for (u32 k = 0; k < tr->ncs_ids; k++)
		if (tr->cs_ids[k].base == base && tr->cs_ids[k].limit == limit)
			return k + 1;
	if (tr->ncs_ids == TR_CS_IDS) {
		tr_flush(tr);
		tr->ncs_ids = 0;
	}
	tr->cs_ids[tr->ncs_ids].base = base;
	tr->cs_ids[tr->ncs_ids].limit = limit;
	return ++tr->ncs_ids;
}

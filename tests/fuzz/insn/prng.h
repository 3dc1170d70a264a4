/*
 * prng.h - splitmix64: small, seedable by (seed, stream), the same everywhere.
 */
#ifndef RF_TESTS_PRNG_H
#define RF_TESTS_PRNG_H
#include "monitor/lib/types.h"

struct prng { u64 s; };

static inline u64 prng_next(struct prng *r)
{
	u64 z = r->s += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline void prng_init(struct prng *r, u64 seed, u64 stream)
{
	r->s = seed;
	r->s = prng_next(r) ^ stream * 0xd6e8feb86659fd93;
	prng_next(r);
}

static inline u32 prng_below(struct prng *r, u32 n) { return (u32)((prng_next(r) >> 32) * n >> 32); }
static inline bool prng_percent(struct prng *r, u32 p) { return prng_below(r, 100) < p; }

static inline u32 prng_edge32(struct prng *r)
{
	static const u32 edge[] = { 0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
		0x80000001, 0xfffffffe, 0xffffffff, 31, 32, 33, 0x55555555, 0x99, 0x9f9f, 0xffffff80, 0xffff8000 };

	return edge[prng_below(r, ARRAY_SIZE(edge))];
}
#endif

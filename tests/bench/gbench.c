/*
 * gbench: guest benchmark for x86 virtual machine monitors.
 *
 * One static program (libc only), the same on the host and in the guest:
 *     gcc -O2 -static -m32 | -m64 gbench.c -o gbench     (see build.sh for the embedded tiny ELF)
 *     gbench [-s SCALE] [-l] all | compute | kernel | real | name[,name...]
 *
 * Every benchmark does a FIXED amount of work (iters * SCALE), so the ratio of wall times of two runs at
 * the same scale is the slowdown.  Set-up (filling buffers...) lies outside the timed part.  Output:
 *     GBENCH-BEGIN name iterations
 *     GBENCH-END name
 *     GBENCH name value unit elapsed_seconds_by_guest_clock check=XXXXXXXX
 * stdout is drained (tcdrain) before the timed part starts, so a host which timestamps BEGIN and END on
 * the serial line measures the timed part by its own clock.  check= is a checksum of the results: it must
 * be the same for the same (binary width, scale) everywhere - a wrong one is an emulation bug.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <unistd.h>
#include <fcntl.h>
#include <errno.h>
#include <signal.h>
#include <poll.h>
#include <sched.h>
#include <time.h>
#include <termios.h>
#include <emmintrin.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/auxv.h>
#include <sys/vfs.h>
#include "tiny_elf.h"			/* static const unsigned char tiny_elf[] */

typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64;
#define NOINLINE __attribute__((noinline))
#define MB (1u << 20)

static void die(const char *what) { printf("GBENCH-ERROR %s: %s\n", what, strerror(errno)); fflush(stdout); _exit(3); }

static u32 rng_state;
static u32 rnd(void) { u32 x = rng_state; x ^= x << 13; x ^= x >> 17; x ^= x << 5; return rng_state = x; }
static void seed(u32 s) { rng_state = s; }

static u8 *buf, *buf2; static size_t buflen, buf2len;
static void *alloc(size_t n)
{
	void *p = mmap(0, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) die("mmap");
	madvise(p, n, MADV_NOHUGEPAGE);		/* the same page size everywhere */
	memset(p, 1, n);
	return p;
}
static void get_buf(size_t n) { buf = alloc(buflen = n); }
static void get_buf2(size_t n) { buf2 = alloc(buf2len = n); }
static void put_bufs(void)
{
	if (buf) munmap(buf, buflen);
	if (buf2) munmap(buf2, buf2len);
	buf = buf2 = 0;
}
static u32 fold(const void *p, size_t n)
{
	const u8 *b = p; u32 h = 2166136261u;
	while (n--) h = (h ^ *b++) * 16777619u;
	return h;
}

/* ------------------------------------------------------------------ compute: core (CoreMark-like) */
struct node { struct node *next; short key, val; };
static struct node nodes[512];
static short ma[24][24], mb[24][24]; static int mc[24][24];
static const char *const sm_in[] = { "5012", "-1234", "+874", "1.5e3", "-.12e-7", "0xT0", "+e", "12.3.4",
	"999999", "1e+5x", "-8.5E+1", "." };

static NOINLINE u16 crc16(u16 crc, u16 v)
{
	for (int i = 0; i < 16; i++) {
		int x = (v ^ crc) & 1;
		v >>= 1; crc >>= 1;
		if (x) crc ^= 0xa001;
	}
	return crc;
}
static NOINLINE struct node *list_merge_sort(struct node *l)
{
	if (!l || !l->next) return l;
	struct node *slow = l, *fast = l->next;
	while (fast && fast->next) { slow = slow->next; fast = fast->next->next; }
	fast = slow->next; slow->next = 0;
	struct node *a = list_merge_sort(l), *b = list_merge_sort(fast), head, *t = &head;
	while (a && b) {
		if (a->key <= b->key) { t->next = a; a = a->next; } else { t->next = b; b = b->next; }
		t = t->next;
	}
	t->next = a ? a : b;
	return head.next;
}
enum st { S_START, S_INT, S_SIGN, S_FLOAT, S_EXP, S_SCI, S_BAD };
static NOINLINE enum st classify(const char *p, u32 *trans)
{
	enum st s = S_START;
	for (; *p && s != S_BAD; p++) {
		int d = *p >= '0' && *p <= '9';
		enum st o = s;
		switch (s) {
		case S_START: s = d ? S_INT : (*p == '+' || *p == '-') ? S_SIGN : *p == '.' ? S_FLOAT : S_BAD; break;
		case S_SIGN: s = d ? S_INT : *p == '.' ? S_FLOAT : S_BAD; break;
		case S_INT: if (*p == '.') s = S_FLOAT; else if (*p == 'e' || *p == 'E') s = S_EXP; else if (!d) s = S_BAD; break;
		case S_FLOAT: if (*p == 'e' || *p == 'E') s = S_EXP; else if (!d) s = S_BAD; break;
		case S_EXP: s = (d || *p == '+' || *p == '-') ? S_SCI : S_BAD; break;
		case S_SCI: if (!d) s = S_BAD; break;
		default: break;
		}
		if (s != o) trans[s]++;
	}
	return s;
}
static u32 run_core(long n)
{
	u16 crc = 0xffff;
	seed(0x1234567);
	for (long it = 0; it < n; it++) {
		struct node *l = 0;
		for (int i = 0; i < 512; i++) {
			nodes[i].key = rnd() & 0x7fff; nodes[i].val = i; nodes[i].next = l; l = &nodes[i];
		}
		l = list_merge_sort(l);
		for (struct node *p = l; p; p = p->next) if (!(p->val & 15)) crc = crc16(crc, p->key ^ p->val);
		for (int i = 0; i < 24; i++) for (int j = 0; j < 24; j++) { ma[i][j] = rnd() & 255; mb[i][j] = (i * j + it) & 255; }
		for (int i = 0; i < 24; i++) for (int j = 0; j < 24; j++) {
			int s = 0;
			for (int k = 0; k < 24; k++) s += ma[i][k] * mb[k][j];
			mc[i][j] = s;
		}
		for (int i = 0; i < 24; i++) crc = crc16(crc, mc[i][i] ^ (mc[i][i] >> 16));
		u32 trans[8] = { 0 };
		for (int i = 0; i < 96; i++) trans[7] += classify(sm_in[(i + it) % 12], trans);
		for (int i = 0; i < 8; i++) crc = crc16(crc, trans[i]);
	}
	return crc;
}

/* ------------------------------------------------------------------ compute: sha256 */
static u32 K256[64];
static NOINLINE void sha_block(u32 *H, const u8 *p)
{
	u32 w[64], a = H[0], b = H[1], c = H[2], d = H[3], e = H[4], f = H[5], g = H[6], h = H[7];
#define ROR(x, k) ((x) >> (k) | (x) << (32 - (k)))
	for (int i = 0; i < 16; i++) w[i] = (u32)p[4 * i] << 24 | p[4 * i + 1] << 16 | p[4 * i + 2] << 8 | p[4 * i + 3];
	for (int i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] + (ROR(w[i - 15], 7) ^ ROR(w[i - 15], 18) ^ w[i - 15] >> 3)
			+ (ROR(w[i - 2], 17) ^ ROR(w[i - 2], 19) ^ w[i - 2] >> 10);
	for (int i = 0; i < 64; i++) {
		u32 t1 = h + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + ((e & f) ^ (~e & g)) + K256[i] + w[i];
		u32 t2 = (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
		h = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2;
	}
	H[0] += a; H[1] += b; H[2] += c; H[3] += d; H[4] += e; H[5] += f; H[6] += g; H[7] += h;
}
/* the constants, computed exactly: the first 32 bits of the fraction of the cube root of the first 64 primes */
static void setup_sha(void)
{
	int k = 0;
	for (u32 p = 2; k < 64; p++) {
		int prime = 1;
		for (u32 q = 2; q * q <= p; q++) if (p % q == 0) prime = 0;
		if (!prime) continue;
		u64 lo = 0, hi = (u64)7 << 32;			/* x = floor(cbrt(p) * 2^32), x^3 <= p * 2^96 */
		while (lo < hi) {
			u64 m = (lo + hi + 1) / 2;
			/* m^3 <= p<<96, in 32-bit limbs */
			u32 a[2] = { (u32)m, (u32)(m >> 32) }, sq[4] = { 0 }, cu[6] = { 0 };
			for (int i = 0; i < 2; i++) {
				u64 c = 0;
				for (int j = 0; j < 2; j++) { c += (u64)a[i] * a[j] + sq[i + j]; sq[i + j] = c; c >>= 32; }
				sq[i + 2] = c;
			}
			for (int i = 0; i < 4; i++) {
				u64 c = 0;
				for (int j = 0; j < 2; j++) { c += (u64)sq[i] * a[j] + cu[i + j]; cu[i + j] = c; c >>= 32; }
				cu[i + 2] = c;
			}
			int le = cu[5] || cu[4] ? 0 : cu[3] < p || (cu[3] == p && !(cu[2] | cu[1] | cu[0]));
			if (le) lo = m; else hi = m - 1;
		}
		K256[k++] = (u32)lo;
	}
	if (K256[0] != 0x428a2f98 || K256[63] != 0xc67178f2) printf("GBENCH-ERROR sha256 constants wrong\n");
	get_buf(64 * 1024);
	seed(7); for (int i = 0; i < 64 * 1024; i++) buf[i] = rnd();
}
static u32 run_sha(long n)
{
	u32 H[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	for (long i = 0; i < n; i++) for (int o = 0; o < 65536; o += 64) sha_block(H, buf + o);
	return fold(H, 32);
}

/* ------------------------------------------------------------------ compute: quicksort */
#define QN 1000000
static void setup_qsort(void) { get_buf(QN * 4); }
static NOINLINE void qs(int *a, long lo, long hi)
{
	while (lo < hi) {
		int p = a[(lo + hi) / 2];
		long i = lo, j = hi;
		while (i <= j) {
			while (a[i] < p) i++;
			while (a[j] > p) j--;
			if (i <= j) { int t = a[i]; a[i] = a[j]; a[j] = t; i++; j--; }
		}
		if (j - lo < hi - i) { qs(a, lo, j); lo = i; } else { qs(a, i, hi); hi = j; }
	}
}
static u32 run_qsort(long n)		/* n elements in all, in sorts of up to 1M */
{
	int *a = (int *)buf; u32 h = 0;
	seed(99);
	while (n > 0) {
		long m = n < QN ? n : QN;
		for (long i = 0; i < m; i++) a[i] = rnd();
		qs(a, 0, m - 1);
		for (long i = 1; i < m; i++) if (a[i - 1] > a[i]) h |= 1u << 31;
		h += a[m / 3] >> 1;
		n -= m;
	}
	return h;
}

/* ------------------------------------------------------------------ compute: LZ compression + decompression */
#define LZN (256 * 1024)
static u32 lz_hash[1 << 14];
static void setup_lz(void)
{
	static const char *const w[] = { "the ", "quick ", "brown ", "fox ", "jumps ", "over ", "lazy ", "dog ",
		"virtual ", "machine ", "monitor ", "x86 ", "\n", "translate ", "0123", "and " };
	get_buf(LZN); get_buf2(2 * LZN);
	seed(5);
	for (int i = 0; i < LZN; ) {
		u32 r = rnd();
		if (r & 0x10000) { buf[i++] = 32 + (r >> 20) % 90; continue; }
		for (const char *s = w[r & 15]; *s && i < LZN; ) buf[i++] = *s++;
	}
}
static NOINLINE size_t lz_comp(const u8 *in, size_t n, u8 *out)
{
	size_t i = 0; u8 *o = out;
	memset(lz_hash, 0xff, sizeof lz_hash);
	while (i + 4 <= n) {
		u32 v; memcpy(&v, in + i, 4);
		u32 h = v * 2654435761u >> 18, c = lz_hash[h];
		lz_hash[h] = i;
		if (c != 0xffffffff && i - c < 65536 && !memcmp(in + c, in + i, 4)) {
			size_t l = 4;
			while (i + l < n && l < 255 && in[c + l] == in[i + l]) l++;
			*o++ = l; *o++ = i - c; *o++ = (i - c) >> 8;
			i += l;
		} else {
			*o++ = 0; *o++ = in[i++];	/* a literal: 0, byte */
		}
	}
	while (i < n) { *o++ = 0; *o++ = in[i++]; }
	return o - out;
}
static NOINLINE size_t lz_dec(const u8 *in, size_t n, u8 *out)
{
	u8 *o = out; const u8 *e = in + n;
	while (in < e) {
		u32 l = *in++;
		if (!l) { *o++ = *in++; continue; }
		u32 d = in[0] | in[1] << 8; in += 2;
		for (const u8 *s = o - d; l--; ) *o++ = *s++;
	}
	return o - out;
}
static u8 lz_out[LZN];
static u32 run_lz(long n)
{
	size_t m = 0, d = 0;
	for (long i = 0; i < n; i++) {
		buf[(i * 7919) % LZN] ^= 1;
		m += lz_comp(buf, LZN, buf2);
		d = lz_dec(buf2, lz_comp(buf, LZN, buf2), lz_out);
	}
	return (n && (d != LZN || memcmp(lz_out, buf, LZN))) ? 0xbad : (u32)m;
}

/* ------------------------------------------------------------------ compute: memory */
#define CHASE (64 * MB)
static void setup_chase(void)		/* one random cycle through 1M cache lines of 64 bytes (Sattolo) */
{
	get_buf(CHASE);
	u32 lines = CHASE / 64, *perm = malloc(lines * 4);
	if (!perm) die("malloc");
	seed(11);
	for (u32 i = 0; i < lines; i++) perm[i] = i;
	for (u32 i = lines - 1; i > 0; i--) { u32 j = rnd() % i, t = perm[i]; perm[i] = perm[j]; perm[j] = t; }
	for (u32 i = 0; i < lines; i++) *(u32 *)(buf + (size_t)i * 64) = perm[i];
	free(perm);
}
static u32 run_chase(long n)
{
	u32 i = 0;
	while (n--) i = *(volatile u32 *)(buf + (size_t)i * 64);
	return i;
}
static void setup_memcpy(void)
{
	get_buf(16 * MB);
	get_buf2(16 * MB);
	seed(3);
	for (u32 i = 0; i < 16 * MB; i += 4) *(u32 *)(buf + i) = rnd();
}
static u32 run_memcpy(long n)		/* libc's memcpy: chosen by CPUID (ifunc) - SSE2, AVX or rep movsb */
{
	for (long i = 0; i < n; i++) { buf[i] ^= 1; memcpy(buf2, buf, 16 * MB); __asm__ volatile("" ::: "memory"); }
	return fold(buf2, 4096);
}
static u32 run_repmovs(long n)		/* rep movsd, then rep stosb/scasb/cmpsb on 64 KiB */
{
	for (long i = 0; i < n; i++) {
		void *d = buf2, *s = buf; size_t c = 4 * MB; int r;
		buf[i] ^= 1;
		__asm__ volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(c) :: "memory");
		d = buf2 + 8 * MB; c = 65536;
		__asm__ volatile("rep stosb" : "+D"(d), "+c"(c) : "a"((int)(i & 0x7f)) : "memory");
		d = buf2 + 8 * MB; c = 65536;
		__asm__ volatile("repne scasb" : "+D"(d), "+c"(c), "=a"(r) : "2"(0xff) : "memory", "cc");
		d = buf2 + 4 * MB; s = buf + 4 * MB; c = 65536;
		__asm__ volatile("repe cmpsb" : "+D"(d), "+S"(s), "+c"(c) :: "memory", "cc");
		if (c) return 0xbad;
	}
	return fold(buf2, 4096) + fold(buf2 + 8 * MB, 4096);
}

/* ------------------------------------------------------------------ compute: floating point */
#define MN 128
static void setup_matmul(void)
{
	get_buf(3 * MN * MN * 8);
	double *a = (double *)buf; seed(21);
	for (int i = 0; i < 2 * MN * MN; i++) a[i] = (int)(rnd() & 0xffff) / 256.0 - 128;
}
__attribute__((target("sse2"))) static u32 run_matmul(long n)	/* C = A * B + C/2, packed doubles */
{
	double *a = (double *)buf, *b = a + MN * MN, *c = b + MN * MN;
	memset(c, 0, MN * MN * 8);
	for (long it = 0; it < n; it++)
		for (int i = 0; i < MN; i++)
			for (int j = 0; j < MN; j += 4) {
				__m128d half = _mm_set1_pd(0.5);
				__m128d s0 = _mm_mul_pd(half, _mm_load_pd(c + i * MN + j)), s1 = _mm_mul_pd(half, _mm_load_pd(c + i * MN + j + 2));
				for (int k = 0; k < MN; k++) {
					__m128d x = _mm_set1_pd(a[i * MN + k]);
					s0 = _mm_add_pd(s0, _mm_mul_pd(x, _mm_load_pd(b + k * MN + j)));
					s1 = _mm_add_pd(s1, _mm_mul_pd(x, _mm_load_pd(b + k * MN + j + 2)));
				}
				_mm_store_pd(c + i * MN + j, s0); _mm_store_pd(c + i * MN + j + 2, s1);
			}
	return fold(c, MN * MN * 8);
}
static u32 run_x87(long n)		/* Mandelbrot, long double: x87 on both widths; n = rows of 256 points */
{
	u32 sum = 0;
	for (long r = 0; r < n; r++) {
		long double ci = (long double)(r % 256 - 128) / 100;
		for (int x = 0; x < 256; x++) {
			long double cr = (long double)(x - 180) / 100, zr = 0, zi = 0;
			int k;
			for (k = 0; k < 100; k++) {
				long double r2 = zr * zr, i2 = zi * zi;
				if (r2 + i2 > 4) break;
				zi = 2 * zr * zi + ci; zr = r2 - i2 + cr;
			}
			sum = sum * 31 + k;
		}
	}
	return sum;
}

/* ------------------------------------------------------------------ compute: control flow */
static u32 run_interp(long n)		/* a byte-code interpreter with computed goto: an indirect jump per instruction */
{
	/* loop: acc = acc*3 + i; if (acc&1) acc ^= mem[i&63]; else mem[i&63] += acc; i++ ; until i == n */
	enum { LDI, MUL3, ADD, ODD, JZ, XORM, JMP, STM, INC, LOOP, HALT };
	static const u8 code[] = { MUL3, LDI, ADD, ODD, JZ, 8, XORM, JMP, /* jump target is next */ 10, STM, INC, LOOP, 0, HALT };
	static const void *const lab[] = { &&ldi, &&mul3, &&add, &&odd, &&jz, &&xorm, &&jmp, &&stm, &&inc, &&loop, &&halt };
	u32 acc = 1, t = 0, mem[64]; u32 i = 0, end = n; const u8 *pc = code;
	memset(mem, 0x5a, sizeof mem);
#define NEXT goto *lab[*pc++]
	NEXT;
ldi:	t = i; NEXT;
mul3:	acc *= 3; NEXT;
add:	acc += t; NEXT;
odd:	t = (acc >> 4) & 1; NEXT;
jz:	if (!t) { pc = code + *pc + 1; NEXT; } pc++; NEXT;
xorm:	acc ^= mem[i & 63]; NEXT;
jmp:	pc = code + *pc; NEXT;
stm:	mem[i & 63] += acc; NEXT;
inc:	i++; NEXT;
loop:	if (i != end) { pc = code + *pc; NEXT; } pc++; NEXT;
halt:	return acc ^ fold(mem, sizeof mem);
}
struct obj { const struct vt *v; u32 s; struct obj *peer; };
struct vt { u32 (*f)(struct obj *, u32); u32 (*g)(struct obj *, u32); };
static struct obj objs[64];
static NOINLINE u32 vf0(struct obj *o, u32 x) { return o->s += x; }
static NOINLINE u32 vf1(struct obj *o, u32 x) { return o->s ^= x * 5; }
static NOINLINE u32 vf2(struct obj *o, u32 x) { return (o->s = o->s * 3 + x) >> 1; }
static NOINLINE u32 vf3(struct obj *o, u32 x) { return o->s - (x >> 3); }
static NOINLINE u32 vg0(struct obj *o, u32 x) { return o->peer->v->f(o->peer, x + 1); }
static NOINLINE u32 vg1(struct obj *o, u32 x) { return o->v->f(o->peer, x ^ 0x55); }
static const struct vt vts[4] = { { vf0, vg0 }, { vf1, vg1 }, { vf2, vg0 }, { vf3, vg1 } };
static u32 run_vcall(long n)		/* virtual dispatch, 4 classes in random order: indirect calls */
{
	u32 x = 1;
	seed(77);
	for (int i = 0; i < 64; i++) { objs[i].v = &vts[rnd() & 3]; objs[i].s = i; objs[i].peer = &objs[rnd() & 63]; }
	for (long i = 0; i < n; i++) { struct obj *o = &objs[(i * 5 + (x & 1)) & 63]; x = o->v->f(o, x) + o->v->g(o, i); }
	return x;
}
__attribute__((noinline, noclone, optimize("no-optimize-sibling-calls", "no-tree-tail-merge", "O1")))
static u32 fib(u32 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
static u32 run_fib(long n) { u32 s = 0; for (long i = 0; i < n; i++) s += fib(20 + (i & 3)); return s; }

static void setup_smc(void)
{
	buf = mmap(0, buflen = 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buf == MAP_FAILED) die("mmap rwx");
}
static u32 run_smc(long n)		/* JIT-like: rewrite a small function (mov $imm,%eax; add $imm,%eax; ret), then call it 4 times */
{
	u32 s = 0; u32 (*f)(void) = (u32 (*)(void))buf;
	static const u8 tmpl[] = { 0xb8, 0, 0, 0, 0, 0x05, 0, 0, 0, 0, 0xc3 };
	memcpy(buf, tmpl, sizeof tmpl);
	for (long i = 0; i < n; i++) {
		u32 v = i * 17;
		memcpy(buf + 1, &v, 4); memcpy(buf + 6, &i, 4);
		__asm__ volatile("" ::: "memory");
		s = s * 3 + f(); s = s * 5 ^ f(); s += f(); s = s * 7 + f();
	}
	return s;
}

/* ------------------------------------------------------------------ kernel */
static const char *tmpdir;
static char path[256], path2[256];
static long raw0(long nr)
{
	long r;
#ifdef __x86_64__
	__asm__ volatile("syscall" : "=a"(r) : "a"(nr) : "rcx", "r11", "memory");
#else
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(nr) : "memory");
#endif
	return r;
}
static u32 run_syscall(long n)
{
	long p = raw0(SYS_getppid), bad = 0;
	for (long i = 0; i < n; i++) bad |= raw0(SYS_getppid) ^ p;
	return bad;
}
static u32 run_sysfast(long n)		/* i386: through the vDSO (sysenter/syscall when the CPU has it); x86-64: syscall by libc */
{
#ifdef __x86_64__
	u32 p = getppid(), bad = 0;
	for (long i = 0; i < n; i++) bad |= (u32)syscall(SYS_getppid) ^ p;
	return bad;
#else
	unsigned long entry = getauxval(AT_SYSINFO);
	long p = raw0(SYS_getppid), bad = 0, r;
	if (!entry) return 0xbad;
	for (long i = 0; i < n; i++) {
		__asm__ volatile("call *%1" : "=a"(r) : "r"(entry), "0"((long)SYS_getppid) : "memory", "cc");
		bad |= r ^ p;
	}
	return bad;
#endif
}
static u32 run_gettime(long n)		/* clock_gettime by the vDSO when the guest's clocksource allows it */
{
	struct timespec a, b; u32 bad = 0;
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (long i = 0; i < n; i++) {
		clock_gettime(CLOCK_MONOTONIC, &b);
		bad |= b.tv_sec < a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec < a.tv_nsec);
		a = b;
	}
	return bad;
}
static u32 run_rw1(long n)
{
	int z = open("/dev/zero", O_RDONLY), w = open("/dev/null", O_WRONLY); char c = 1; u32 s = 0;
	if (z < 0 || w < 0) die("/dev/zero or /dev/null");
	for (long i = 0; i < n; i++) { s += read(z, &c, 1); s += write(w, &c, 1); s += c; }
	close(z); close(w);
	return s;
}
static u32 run_pipe(long n)
{
	int a[2], b[2], st; char c = 0; u32 s = 0;
	if (pipe(a) || pipe(b)) die("pipe");
	pid_t pid = fork();
	if (pid < 0) die("fork");
	if (!pid) {
		close(a[1]); close(b[0]);
		while (read(a[0], &c, 1) == 1) { c++; if (write(b[1], &c, 1) != 1) break; }
		_exit(0);
	}
	close(a[0]); close(b[1]);
	for (long i = 0; i < n; i++) { if (write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1) die("pipe rw"); s += (u8)c; }
	close(a[1]); close(b[0]); waitpid(pid, &st, 0);
	return s;
}
static u32 run_fork(long n)
{
	u32 s = 0;
	for (long i = 0; i < n; i++) {
		int st; pid_t pid = fork();
		if (!pid) _exit(i & 127);
		if (pid < 0 || waitpid(pid, &st, 0) != pid) die("fork");
		s += WEXITSTATUS(st);
	}
	return s;
}
static void setup_exec(void)
{
	snprintf(path, sizeof path, "%s/gbench-tiny.%d", tmpdir, (int)getpid());
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	if (fd < 0 || write(fd, tiny_elf, sizeof tiny_elf) != sizeof tiny_elf) die(path);
	close(fd);
}
static void end_file(void) { unlink(path); put_bufs(); }
static u32 run_exec(long n)
{
	char *av[] = { path, 0 }, *ev[] = { 0 }; u32 s = 0;
	for (long i = 0; i < n; i++) {
		int st; pid_t pid = fork();
		if (!pid) { execve(path, av, ev); _exit(99); }
		if (pid < 0 || waitpid(pid, &st, 0) != pid) die("fork");
		s += WIFEXITED(st) && !WEXITSTATUS(st);
	}
	return s;
}
static u32 run_fault(long n)		/* n pages of 4 KiB, 1024 (4 MiB) a mapping */
{
	u32 s = 0;
	while (n > 0) {
		long m = n < 1024 ? n : 1024;
		u8 *p = mmap(0, m * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED) die("mmap");
		madvise(p, m * 4096, MADV_NOHUGEPAGE);
		for (long i = 0; i < m; i++) { s += p[i * 4096]; p[i * 4096] = 1; }	/* a read fault (zero page), then a write fault */
		munmap(p, m * 4096);
		n -= m;
	}
	return s;
}
static u32 run_mmap(long n)
{
	u32 bad = 0;
	for (long i = 0; i < n; i++) {
		void *p = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED || munmap(p, 65536)) bad++;
	}
	return bad;
}
static volatile u32 sigs;
static void on_sig(int s) { (void)s; sigs++; }
static u32 run_signal(long n)
{
	struct sigaction sa = { .sa_handler = on_sig }; pid_t me = getpid();
	sigs = 0; sigaction(SIGUSR1, &sa, 0);
	for (long i = 0; i < n; i++) kill(me, SIGUSR1);
	signal(SIGUSR1, SIG_DFL);
	return sigs;
}
static void setup_file(void)
{
	snprintf(path, sizeof path, "%s/gbench-file.%d", tmpdir, (int)getpid());
	snprintf(path2, sizeof path2, "%s/gbench-none.%d", tmpdir, (int)getpid());
	unlink(path);
}
static u32 run_open(long n)		/* create once; then open, fstat, close, stat, and a stat that fails */
{
	struct stat st; u32 s = 0; int fd = open(path, O_WRONLY | O_CREAT, 0644);
	if (fd < 0) die(path);
	close(fd);
	for (long i = 0; i < n; i++) {
		if ((fd = open(path, O_RDONLY)) < 0) die(path);
		s += fstat(fd, &st) == 0; close(fd);
		s += stat(path, &st) == 0; s += stat(path2, &st) == 0;
	}
	return s;
}
static void setup_tmpfile(void) { setup_file(); get_buf(65536); seed(13); for (int i = 0; i < 65536; i++) buf[i] = rnd(); }
static u32 run_tmpfile(long n)		/* n passes: write 64 MiB in 64 KiB calls to a new file, read it back, unlink */
{
	u32 s = 0;
	for (long k = 0; k < n; k++) {
		int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
		if (fd < 0) die(path);
		for (int i = 0; i < 1024; i++) { buf[i] = i + k; if (write(fd, buf, 65536) != 65536) die("tmpfs write"); }
		lseek(fd, 0, SEEK_SET);
		for (int i = 0; i < 1024; i++) { if (read(fd, buf, 65536) != 65536) die("tmpfs read"); s = s * 31 + buf[i]; }
		close(fd); unlink(path);
	}
	return s;
}
static u32 run_poll(long n)		/* poll and select over 32 pipes, one of them readable */
{
	int p[32][2]; struct pollfd pf[32]; u32 s = 0; int max = 0;
	for (int i = 0; i < 32; i++) { if (pipe(p[i])) die("pipe"); pf[i].fd = p[i][0]; pf[i].events = POLLIN; if (p[i][0] > max) max = p[i][0]; }
	if (write(p[17][1], "x", 1) != 1) die("write");
	for (long k = 0; k < n; k++) {
		fd_set r; struct timeval tv = { 0, 0 };
		s += poll(pf, 32, 0);
		FD_ZERO(&r);
		for (int i = 0; i < 32; i++) FD_SET(p[i][0], &r);
		s += select(max + 1, &r, 0, 0, &tv);
	}
	for (int i = 0; i < 32; i++) { close(p[i][0]); close(p[i][1]); }
	return s;
}

/* ------------------------------------------------------------------ real programs: the Debian busybox of this width */
static const char *busybox(void) { const char *b = getenv("GBENCH_BUSYBOX"); return b ? b : "/bin/busybox"; }
static u32 capture(char *const av[])	/* run busybox with av, fold its output */
{
	int p[2], st; u32 h = 2166136261u; static u8 b[65536]; ssize_t k; pid_t pid;
	if (pipe(p) || (pid = fork()) < 0) die("pipe/fork");
	if (!pid) { dup2(p[1], 1); close(p[0]); close(p[1]); execv(busybox(), av); _exit(99); }
	close(p[1]);
	while ((k = read(p[0], b, sizeof b)) > 0) for (ssize_t i = 0; i < k; i++) h = (h ^ b[i]) * 16777619u;
	close(p[0]);
	if (waitpid(pid, &st, 0) != pid || !WIFEXITED(st) || WEXITSTATUS(st)) die("busybox (set GBENCH_BUSYBOX)");
	return h;
}
static u32 run_shell(long n)		/* a shell loop: arithmetic, string work, a pipe to a forked+executed md5sum each turn */
{
	char script[600];
	snprintf(script, sizeof script, "i=0; s=x; while [ $i -lt %ld ]; do i=$((i+1)); s=${s#?}$i; j=0; "
		"while [ $j -lt 50 ]; do j=$((j+1)); case $j in *7*) s=${s%%?}q;; esac; done; "
		"echo $s $i | \"$0\" md5sum; done", n);
	char *av[] = { "busybox", "sh", "-c", script, (char *)busybox(), 0 };
	return capture(av);
}
static void setup_gzip(void)
{
	setup_file(); setup_lz();
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	for (int i = 0; i < 4; i++) { buf[i * 999] ^= 3; if (write(fd, buf, LZN) != LZN) die(path); }
	close(fd);
}
static u32 run_gzip(long n)		/* busybox gzip of 1 MiB of text in tmpfs */
{
	u32 h = 0; char *av[] = { "busybox", "gzip", "-c", path, 0 }; struct timespec z[2] = { { 1, 0 }, { 1, 0 } };
	utimensat(AT_FDCWD, path, z, 0);	/* gzip stores the time of the file */
	for (long i = 0; i < n; i++) h = h * 31 + capture(av);
	return h;
}

/* ------------------------------------------------------------------ driver */
struct bench { const char *name, *group; long iters; double per; const char *unit; u32 (*run)(long); void (*setup)(void), (*end)(void); };
static const struct bench benches[] = {
#include "benches.h"
};
#define NB (int)(sizeof benches / sizeof *benches)

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static void out(const char *s)
{
	size_t n = strlen(s);
	while (n) { ssize_t k = write(1, s, n); if (k <= 0) _exit(4); s += k; n -= k; }
	tcdrain(1);
}

static void one(const struct bench *b, double scale)
{
	char line[200];
	long n = b->iters * scale + 0.5;
	if (n < 1) n = 1;
	if (b->setup) b->setup();
	snprintf(line, sizeof line, "GBENCH-BEGIN %s %ld\n", b->name, n);
	out(line);
	double t0 = now();
	u32 c = b->run(n);
	double t = now() - t0;
	snprintf(line, sizeof line, "GBENCH-END %s\nGBENCH %s %.3f %s %.6f check=%08x\n", b->name, b->name,
		t > 0 ? n * b->per / t : 0, b->unit, t, c);
	out(line);
	if (b->end) b->end();
}
static int wanted(const struct bench *b, const char *list)
{
	if (!strcmp(list, "all") || !strcmp(list, b->group)) return 1;
	size_t l = strlen(b->name);
	for (const char *p = list; p; p = strchr(p, ','), p = p ? p + 1 : 0)
		if (!strncmp(p, b->name, l) && (p[l] == ',' || !p[l])) return 1;
	return 0;
}
int main(int ac, char **av)
{
	double scale = 1; int o, did = 0; struct statfs fs;
	while ((o = getopt(ac, av, "s:l")) != -1) {
		if (o == 's') scale = atof(optarg);
		else if (o == 'l') { for (int i = 0; i < NB; i++) printf("%s %s %ld\n", benches[i].name, benches[i].group, benches[i].iters); return 0; }
		else { fprintf(stderr, "usage: gbench [-s scale] [-l] all|compute|kernel|real|name[,name...]...\n"); return 2; }
	}
	if (!(tmpdir = getenv("GBENCH_DIR"))) tmpdir = !statfs("/dev/shm", &fs) && fs.f_type == 0x01021994 ? "/dev/shm" : "/tmp";
	cpu_set_t cs; int cpu = sched_getcpu();		/* one CPU, so that pipe is a context switch everywhere */
	if (cpu >= 0) { CPU_ZERO(&cs); CPU_SET(cpu, &cs); sched_setaffinity(0, sizeof cs, &cs); }
	for (int k = optind; k < ac; k++)
		for (int i = 0; i < NB; i++) if (wanted(&benches[i], av[k])) { one(&benches[i], scale); did++; }
	out(did ? "GBENCH-DONE\n" : "GBENCH-ERROR no such benchmark\n");
	return !did;
}

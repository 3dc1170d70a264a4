/*
 * bench_sequences.c - what the instruction sequences that translated code is made of cost, in nanoseconds: ways to look guest
 * memory up, checks at a block's entry, LOCK, a long jump, a trap. docs/decisions/ quotes it. The best of several rounds counts.
 *
 *     cc -O2 tests/bench/bench_sequences.c -o bench_sequences
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#define WORDS  4096u		/* 16 KiB: the data stay in the first-level cache, so what is seen is the look-up */
#define ROUNDS 10u
#define TRIES  2000

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

typedef void work_fn(void *arg);

/* Nanoseconds for each of the WORDS steps of one call. */
static double best(work_fn *fn, void *arg)
{
	double min = 1e9;

	for (int k = 0; k < TRIES; k++) {
		double t = now();

		for (uint32_t r = 0; r < ROUNDS; r++)
			fn(arg);
		t = (now() - t) / ROUNDS / WORDS;
		min = t < min ? t : min;
	}
	return min;
}

/* --- guest memory --- */

/* Tables as in translator/vtlb.h (four slots a page), and with one slot a page; entries are 0 or the delta, here 1 << 40. */
struct guest { uint64_t *four, *one; uint32_t *data; uint32_t mask; };
#define DELTA (1ull << 40)

/* Loads WORDS times [esi] into eax by way of rcx, rdx, r8 to r10; `next` moves esi. */
#define WALK(fn, body, next) \
	static void fn(void *arg) \
	{ \
		const struct guest *g = arg; \
		uint64_t at = (uint32_t)(uintptr_t)g->data, n = WORDS; \
		register uint64_t count __asm__("r14") = 12; \
		register const uint64_t *four __asm__("r13") = g->four; \
		register const uint64_t *one __asm__("r12") = g->one; \
		__asm__ volatile(".p2align 5; 1: " body next "lea -1(%[n]), %[n]; test %[n], %[n]; jnz 1b; jmp 3f; 2: ud2; 3:" \
			: [at] "+S"(at), [n] "+D"(n) : "r"(count), "r"(four), "r"(one), [mask] "m"(g->mask), [delta] "b"(DELTA) \
			: "rax", "rcx", "rdx", "r8", "r9", "r10", "memory", "cc"); \
	}
#define BOTH(name, body) WALK(run_##name, body, "lea 4(%%rsi), %%esi;") WALK(chase_##name, body, "mov %%eax, %%esi;")

BOTH(native,   "mov (%%rsi,%%rbx), %%eax;")
BOTH(unsafe,   "mov %%esi, %%r8d; shrx %%r14d, %%r8d, %%r9d; mov (%%r12,%%r9,8), %%rcx; jrcxz 2b; mov (%%r8,%%rcx), %%eax;")
BOTH(pext,     "mov %%esi, %%r8d; pext %[mask], %%r8d, %%r9d; mov (%%r13,%%r9,8), %%rcx; jrcxz 2b; mov (%%r8,%%rcx), %%eax;")
BOTH(crossing, "mov %%esi, %%r8d; lea 3(%%r8), %%rcx; shrx %%r14, %%rcx, %%rcx; shrx %%r14d, %%r8d, %%r9d; lea (%%r9,%%r9,2), %%r9;"
	       "lea (%%r9,%%rcx), %%r9; mov (%%r13,%%r9,8), %%rcx; jrcxz 2b; mov (%%r8,%%rcx), %%eax;")
/* Shifts and tests that spoil the flags, which are kept in edx meanwhile. */
BOTH(kept,     "mov %%esi, %%r8d; mov %%rax, %%r10; lahf; seto %%al; mov %%eax, %%edx; mov %%r8d, %%r9d; shr $12, %%r9d;"
	       "mov (%%r12,%%r9,8), %%rcx; test %%rcx, %%rcx; jz 2b; mov %%edx, %%eax; add $0x7f, %%al; sahf; mov %%r10, %%rax;"
	       "mov (%%r8,%%rcx), %%eax;")

static void *map(size_t size, void *at, int flags)
{
	void *p = mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

/* The guest's words at 256 MiB hold a cycle through all of them; the host has them DELTA above. */
static void guest_up(struct guest *g)
{
	uint32_t lin = 256u << 20;

	g->four = map(32u << 20, NULL, 0);
	g->one = map(8u << 20, NULL, 0);
	g->data = map(WORDS * 4, (void *)(lin + DELTA), MAP_FIXED_NOREPLACE);
	g->mask = 0xfffff003;
	for (uint32_t i = 0; i < WORDS; i++)
		g->data[i] = lin + (i * 4 + 4 * 1021) % (WORDS * 4);
	for (uint32_t p = 0; p < WORDS * 4; p += 4096)
		g->four[(lin + p) / 4096 * 4] = g->one[(lin + p) / 4096] = DELTA;
}

static void bench_memory(void)
{
	static const struct { const char *what; work_fn *run, *chase; } way[] = {
		{ "native", run_native, chase_native },
		{ "one slot a page, no test of crossing", run_unsafe, chase_unsafe },
		{ "four slots a page, PEXT (decision 0002)", run_pext, chase_pext },
		{ "crossing computed, 3 * first + last", run_crossing, chase_crossing },
		{ "SHR and TEST with the flags kept (decision 0001)", run_kept, chase_kept },
	};
	struct guest g;

	guest_up(&g);
	printf("a load of 4 bytes                                     in a row   each address from the last load\n");
	for (unsigned k = 0; k < sizeof way / sizeof way[0]; k++)
		printf("  %-50s %8.2f %8.2f\n", way[k].what, best(way[k].run, &g), best(way[k].chase, &g));
}

/* --- from block to block --- */

struct state { uint64_t go, mode_id, target; uint32_t word; };

/* Jumps WORDS times to label 4 of `body`; its address is in state.target. r8 is the guest's EIP. */
#define REPEAT(fn, body) \
	static void fn(void *arg) \
	{ \
		uint64_t n = WORDS; \
		__asm__ volatile("lea 4f(%%rip), %%rax; mov %%rax, 16(%[s]); .p2align 5; 1: " body \
			"lea -1(%[n]), %[n]; test %[n], %[n]; jnz 1b; jmp 3f; 2: ud2; 3:" \
			: [n] "+D"(n) : [s] "S"(arg) : "rax", "rcx", "r8", "r9", "memory", "cc"); \
	}
#define THERE "mov $0x1000, %%r8d; jmp *16(%%rsi); 4: "

REPEAT(nothing,    "4: ")
REPEAT(chain,      "jmp 4f; 4: ")
REPEAT(ibt_bare,   THERE)
REPEAT(ibt_eip,    THERE "mov (%%rsi), %%ecx; lea -0x1001(%%rcx,%%r8), %%ecx; jecxz 5f; jmp 2b; 5: ")
REPEAT(ibt_mode,   THERE "mov (%%rsi), %%ecx; mov 8(%%rsi), %%r9d; lea (%%r9,%%r8), %%r9d; "
	"lea -0x1009(%%rcx,%%r9), %%ecx; jecxz 5f; jmp 2b; 5: ")
REPEAT(add,        "4: addl $1, 24(%%rsi);")
REPEAT(lock_add,   "4: lock addl $1, 24(%%rsi);")

static void bench_jumps(void)
{
	static const struct { const char *what; work_fn *fn; } step[] = {
		{ "empty loop", nothing },
		{ "chained jump", chain },
		{ "jump through the IBT, nothing checked", ibt_bare },
		{ "jump through the IBT, EIP and go checked", ibt_eip },
		{ "jump through the IBT, mode too (decision 0003)", ibt_mode },
		{ "ADD to memory", add },
		{ "LOCK ADD to memory (decision 0007)", lock_add },
	};
	struct state s = { .go = 1, .mode_id = 8 };

	printf("steps of a loop\n");
	for (unsigned k = 0; k < sizeof step / sizeof step[0]; k++)
		printf("  %-50s %8.2f\n", step[k].what, best(step[k].fn, &s));
}

/* --- leaving --- */

static void *jump_buf[5];

static __attribute__((noinline)) void jump(int depth)
{
	if (depth)
		jump(depth - 1);
	else
		__builtin_longjmp(jump_buf, 1);
	__asm__ volatile("");
}

static void long_jumps(void *arg)
{
	volatile uint32_t n = WORDS;

	__builtin_setjmp(jump_buf);
	if (n--)
		jump(5);
}

#define AC 0x40000u

/* Goes on behind the load, as a handler must that has emulated it or patched its site; AC stays set. */
static void on_bus(int sig, siginfo_t *info, void *ucontext)
{
	ucontext_t *uc = ucontext;

	__asm__ volatile("pushfq; andl %0, (%%rsp); popfq" :: "i"(~AC) : "cc", "memory");
	uc->uc_mcontext.gregs[REG_RIP] += 3;
}

static void misaligned(void *arg)
{
	__asm__ volatile("sub $128, %%rsp; pushfq; orl %1, (%%rsp); popfq; .byte 0x8b, 0x46, 0x01; "
		"pushfq; andl %2, (%%rsp); popfq; add $128, %%rsp"
		:: "S"(arg), "i"(AC), "i"(~AC) : "rax", "cc", "memory");
}

static void bench_leaving(void)
{
	struct sigaction sa = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
	uint64_t word[2] __attribute__((aligned(16))) = { 0 };
	double trap;

	sigaction(SIGBUS, &sa, NULL);
	trap = best(misaligned, word) * WORDS;
	printf("leaving\n  %-50s %8.2f\n  %-50s %8.2f\n", "long jump from six calls deep (decision 0006)", best(long_jumps, NULL),
		"misaligned load with AC set, every time (0001)", trap);
}

int main(void)
{
	bench_memory();
	bench_jumps();
	bench_leaving();
	return 0;
}

/*
 * snap_lazy.c - RAM that is read from a snapshot only when somebody needs it.
 *
 * Chunks with pages that are still to be read are inaccessible (PROT_NONE). Who touches one, translated code or the monitor's C code on
 * the vCPU thread, is interrupted by SIGSEGV; its handler (hostfault.c) reads the chunk, makes it accessible and lets the access happen
 * again. Meanwhile a thread reads all the others. Pages are put in place by pwrite() to the memory file, so a chunk is whole before
 * anybody sees it. A chunk's state goes from ABSENT to LOADING by compare and exchange: who did that reads it.
 * No other thread touches RAM: threads that save it (snap_save.c) are kept away from absent pages.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "monitor/hostfault.h"
#include "monitor/lib/thread.h"
#include "monitor/mem.h"
#include "monitor/snap_int.h"
#include "monitor/vm.h"

#define NOWHERE (~0u)
#define WAIT_US 20

enum chunk_state { CHUNK_HERE, CHUNK_ABSENT, CHUNK_LOADING };

struct snap_lazy {
	struct vm *vm;
	struct snap_chain chain;
	u8 *wanted;		/* a byte a page: to be read */
	u8 *state;		/* enum chunk_state; atomic */
	u32 chunks;
	u32 hint;		/* chunk behind the one that the guest needed last, or NOWHERE; atomic */
	u32 quit, failed;	/* atomic */
	pthread_t thread;
	bool threaded;
	struct { struct snap_work work; u8 pages[SNAP_CHUNK_BYTES]; } own[2];	/* the vCPU thread's, the other's */
};

static u64 chunk_bytes(const struct snap_lazy *l, u32 k)
{
	u64 left = l->vm->mem->ram_size - (u64)k * SNAP_CHUNK_BYTES;
	return left < SNAP_CHUNK_BYTES ? left : SNAP_CHUNK_BYTES;
}

static bool access_to(const struct snap_lazy *l, u32 first, u32 end, bool on)
{
	u64 at = (u64)first * SNAP_CHUNK_BYTES, len = (u64)(end - first - 1) * SNAP_CHUNK_BYTES + chunk_bytes(l, end - 1);
	return !mprotect(l->vm->mem->ram + at, len, on ? PROT_READ | PROT_WRITE : PROT_NONE);
}

static u16 wanted_pages(const struct snap_lazy *l, u32 k)
{
	u16 mask = 0;
	for (u32 i = 0; i < chunk_bytes(l, k) >> PAGE_SHIFT; i++)
		mask |= (u16)(l->wanted[(u64)k * SNAP_CHUNK_PAGES + i] << i);
	return mask;
}

/* --- reading a chunk --- */

/* Into `pages`, the wanted ones; false with a sentence. */
static bool gather(struct snap_lazy *l, u32 k, u16 wanted, struct snap_work *work, u8 *pages, char *err, size_t errsize)
{
	for (u32 link = 0; wanted && link < l->chain.depth; link++) {
		const struct snap_chunk *c = &l->chain.link[link].index.region[0].chunk[k];
		u16 here = wanted & (c->data | c->zero);
		if (here & c->data && !snap_chunk_load(l->chain.link[link].file, c, work, err, errsize))
			return false;
		for (u32 i = 0; here >> i; i++)
			if (!(here >> i & 1))
				continue;
			else if (c->data >> i & 1)
				memcpy(pages + i * PAGE_SIZE, work->raw + snap_chunk_place(c, i), PAGE_SIZE);
			else
				memset(pages + i * PAGE_SIZE, 0, PAGE_SIZE);
		wanted &= (u16)~here;
	}
	return true;
}

static bool put(const struct snap_lazy *l, u32 k, u16 wanted, const u8 *pages, char *err, size_t errsize)
{
	for (u32 i = 0; wanted >> i; i++) {
		u32 n = i;
		while (wanted >> n & 1)
			n++;
		u64 len = (u64)(n - i) * PAGE_SIZE, at = (u64)k * SNAP_CHUNK_BYTES + (u64)i * PAGE_SIZE;
		while (len) {
			ssize_t done = pwrite(l->vm->mem->memfd, pages + (at - (u64)k * SNAP_CHUNK_BYTES), len, (off_t)at);
			if (done < 0 && errno == EINTR)
				continue;
			if (done <= 0) {
				snprintf(err, errsize, "the guest's memory cannot be restored: %s", strerror(errno));
				return false;
			}
			len -= (u64)done, at += (u64)done;
		}
		i = n > i ? n - 1 : i;
	}
	return true;
}

/* Who calls has made the chunk LOADING. */
static void load(struct snap_lazy *l, u32 k, int who)
{
	char err[300];
	u16 wanted = wanted_pages(l, k);
	u8 *pages = l->own[who].pages;
	if (!gather(l, k, wanted, &l->own[who].work, pages, err, sizeof(err)) || !put(l, k, wanted, pages, err, sizeof(err))) {
		char why[VM_PAUSE_WHY];
		snprintf(why, sizeof(why), "memory of the guest is lost: %.200s", err);
		__atomic_store_n(&l->failed, 1, __ATOMIC_RELAXED);
		vm_pause(l->vm, VM_PAUSE_IO_ERROR, why);
	}
	bug_on(!access_to(l, k, k + 1, true), "restored memory cannot be made accessible: %s", strerror(errno));
	__atomic_store_n(&l->state[k], CHUNK_HERE, __ATOMIC_RELEASE);
}

static bool claim(struct snap_lazy *l, u32 k)
{
	u8 absent = CHUNK_ABSENT;
	return __atomic_compare_exchange_n(&l->state[k], &absent, CHUNK_LOADING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* The vCPU thread touched inaccessible memory. Runs in a signal handler, but in one that its own code has called for. */
static bool touched(void *arg, const void *addr)
{
	struct snap_lazy *l = arg;
	u64 at = (u64)addr - (u64)l->vm->mem->ram;
	u32 k = (u32)(at / SNAP_CHUNK_BYTES);
	int saved = errno;
	if (at >= l->vm->mem->ram_size)
		return false;
	if (claim(l, k)) {
		load(l, k, 0);
		__atomic_store_n(&l->hint, k + 1, __ATOMIC_RELAXED);
	}
	while (__atomic_load_n(&l->state[k], __ATOMIC_ACQUIRE) != CHUNK_HERE)
		usleep(WAIT_US);
	errno = saved;
	return true;
}

/* All chunks, beginning again behind those that the guest needs. Whatever was passed over is met in the last round. */
static void *prefetch(void *arg)
{
	struct snap_lazy *l = arg;
	u32 k = 0, quiet = 0;
	while (quiet < l->chunks && !__atomic_load_n(&l->quit, __ATOMIC_RELAXED)) {
		u32 hint = __atomic_exchange_n(&l->hint, NOWHERE, __ATOMIC_RELAXED);
		if (hint < l->chunks)
			k = hint;
		if (claim(l, k)) {
			load(l, k, 1);
			quiet = 0;
		} else {
			quiet++;
		}
		k = k + 1 < l->chunks ? k + 1 : 0;
	}
	return NULL;
}

/* --- beginning and end --- */

/* Chunks that have nothing to be read stay as they are. */
static bool hide(struct snap_lazy *l)
{
	for (u32 k = 0; k < l->chunks; k++)
		l->state[k] = wanted_pages(l, k) ? CHUNK_ABSENT : CHUNK_HERE;
	for (u32 k = 0, first; k < l->chunks; k++) {
		if (l->state[k] == CHUNK_HERE)
			continue;
		for (first = k; k < l->chunks && l->state[k] == CHUNK_ABSENT; k++)
			;
		if (!access_to(l, first, k, false)) {	/* more pieces than the host allows */
			access_to(l, 0, l->chunks, true);
			return false;
		}
	}
	return true;
}

static void lazy_free(struct snap_lazy *l)
{
	snap_chain_close(&l->chain);
	free(l->wanted);
	free(l->state);
	free(l);
}

bool snap_lazy_begin(struct snapshots *s, struct snap_chain *chain, u8 **wanted)
{
	struct snap_lazy *l = calloc(1, sizeof(*l));
	if (!l)
		return false;
	l->vm = s->vm;
	l->chunks = chain->link[0].index.region[0].chunks;
	l->hint = NOWHERE;
	l->state = calloc(l->chunks, 1);
	l->wanted = *wanted;
	if (!l->state || !hide(l)) {
		l->wanted = NULL;
		lazy_free(l);
		return false;
	}
	l->chain = *chain;
	*chain = (struct snap_chain){ 0 };
	*wanted = NULL;
	s->lazy = l;
	hostfault_memory(touched, l);
	l->threaded = !thread_start(&l->thread, prefetch, l, "restore");
	return true;
}

bool snap_absent(const struct snapshots *s, u64 page)
{
	const struct snap_lazy *l = s->lazy;
	return l && __atomic_load_n(&l->state[page / SNAP_CHUNK_PAGES], __ATOMIC_ACQUIRE) != CHUNK_HERE;
}

bool snap_lazy_end(struct snapshots *s, bool all, u8 *left)
{
	struct snap_lazy *l = s->lazy;
	if (!l)
		return true;
	if (all && !l->threaded)
		prefetch(l);
	__atomic_store_n(&l->quit, !all, __ATOMIC_RELAXED);
	if (l->threaded)
		pthread_join(l->thread, NULL);
	for (u64 p = 0; left && p < l->vm->mem->ram_size >> PAGE_SHIFT; p++)
		left[p] |= l->wanted[p] && snap_absent(s, p);
	bug_on(!access_to(l, 0, l->chunks, true), "restored memory cannot be made accessible: %s", strerror(errno));
	bool ok = !l->failed;
	hostfault_memory(NULL, NULL);
	s->lazy = NULL;
	lazy_free(l);
	return ok;
}

void snapshot_vcpu_ended(struct vm *vm)
{
	if (vm->snapshots)
		snap_lazy_end(vm->snapshots, false, NULL);
}

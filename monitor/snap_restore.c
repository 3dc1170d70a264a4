/*
 * snap_restore.c - the machine becomes what it was.
 *
 * All that can be refused is refused before anything changes. Pages that are known to be as the snapshot has them are left alone: a machine
 * whose base (snapshot.c) is known differs from another snapshot of the same tree in the pages written since, and in those that the
 * files on the way between the two have.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "monitor/lib/hostmem.h"
#include "monitor/lib/thread.h"
#include "monitor/mem.h"
#include "monitor/mmu.h"
#include "monitor/snap_int.h"
#include "monitor/snap_state.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"

/* --- reading pages, by threads --- */

struct reader {
	const struct snap_chain *chain;
	const struct snap_target *target;
	u32 first, targets;	/* targets are regions first, first + 1... of the files */
	u32 next;		/* chunk, over all targets; atomic */
	u32 failed;		/* atomic */
	u64 pages;		/* atomic */
	pthread_mutex_t lock;	/* of err */
	char *err;
	size_t errsize;
};

static void put_page(struct reader *r, u8 *to, const u8 *from)
{
	static const u8 zero[PAGE_SIZE];
	if (from)
		memcpy(to, from, PAGE_SIZE);
	else if (memcmp(to, zero, PAGE_SIZE))
		memset(to, 0, PAGE_SIZE);
	__atomic_fetch_add(&r->pages, 1, __ATOMIC_RELAXED);
}

/* Of the pages in `mask` those that this link has. */
static bool read_from(struct reader *r, u32 target, u32 k, u32 link, u16 mask, struct snap_work *work)
{
	const struct snap_chunk *c = &r->chain->link[link].index.region[r->first + target].chunk[k];
	const struct snap_target *t = &r->target[target];
	char err[300];
	if (mask & c->data && !snap_chunk_load(r->chain->link[link].file, c, work, err, sizeof(err))) {
		pthread_mutex_lock(&r->lock);
		if (!r->failed)
			snprintf(r->err, r->errsize, "%s", err);
		r->failed = 1;
		pthread_mutex_unlock(&r->lock);
		return false;
	}
	for (u32 i = 0; i < SNAP_CHUNK_PAGES; i++) {
		u8 *to = t->host + ((u64)k * SNAP_CHUNK_PAGES + i) * PAGE_SIZE;
		if (mask >> i & 1)
			put_page(r, to, c->zero >> i & 1 ? NULL : work->raw + snap_chunk_place(c, i));
	}
	return true;
}

static bool read_chunk(struct reader *r, u32 target, u32 k, struct snap_work *work)
{
	const struct snap_target *t = &r->target[target];
	u16 left = 0;
	for (u32 i = 0; i < SNAP_CHUNK_PAGES; i++) {
		u64 page = (u64)k * SNAP_CHUNK_PAGES + i;
		if (page < t->bytes >> PAGE_SHIFT && t->wanted[page])
			left |= (u16)(1 << i);
	}
	for (u32 link = 0; left && link < r->chain->depth; link++) {
		const struct snap_chunk *c = &r->chain->link[link].index.region[r->first + target].chunk[k];
		u16 here = left & (c->data | c->zero);
		if (here && !read_from(r, target, k, link, here, work))
			return false;
		left &= (u16)~here;
	}
	return true;
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct snap_work *work = malloc(sizeof(*work));
	bug_on(!work, "out of memory for unpacking");
	while (!__atomic_load_n(&r->failed, __ATOMIC_RELAXED)) {
		u32 k = __atomic_fetch_add(&r->next, 1, __ATOMIC_RELAXED), t = 0;
		while (t < r->targets && k >= r->chain->link[0].index.region[r->first + t].chunks)
			k -= r->chain->link[0].index.region[r->first + t++].chunks;
		if (t == r->targets || !read_chunk(r, t, k, work))
			break;
	}
	free(work);
	return NULL;
}

static bool read_pages(const struct snap_chain *c, const struct snap_target *t, u32 first, u32 targets, u64 *pages, char *err,
		     size_t errsize)
{
	struct reader r = { .chain = c, .target = t, .first = first, .targets = targets, .lock = PTHREAD_MUTEX_INITIALIZER,
			    .err = err, .errsize = errsize };
	pthread_t more[SNAP_THREADS_MAX];
	u32 n = 0;
	while (n + 1 < snap_threads() && !thread_start(&more[n], reader_main, &r, NULL))
		n++;
	reader_main(&r);
	while (n)
		pthread_join(more[--n], NULL);
	*pages = r.pages;
	return !r.failed;
}

/* --- which pages --- */

static void want_link(u8 *wanted, const struct snap_link *l)
{
	const struct snap_region *r = &l->index.region[0];
	for (u32 k = 0; k < r->chunks; k++) {
		u16 mask = r->chunk[k].data | r->chunk[k].zero;
		for (u32 i = 0; mask >> i; i++)
			if (mask >> i & 1)
				wanted[(u64)k * SNAP_CHUNK_PAGES + i] = 1;
	}
}

/* Those in which memory, as it is now, may differ from the chain's first link. False: that is not known. */
static bool want_difference(struct snapshots *s, const struct snap_chain *to, u8 *wanted)
{
	const struct cpu_state *cs = &s->vm->vcpu->cs;
	struct snap_chain from = { 0 };
	char err[300];
	u32 a = 0, b = 0;
	bool found = false;
	if (!s->base || !snap_chain_open(&from, s->base, err, sizeof(err)))
		return false;
	bool same = !memcmp(from.link[0].file->id, s->base_id, SNAP_ID) &&
		    from.link[0].index.region[0].bytes == to->link[0].index.region[0].bytes;
	for (a = 0; same && a < from.depth && !found; a += !found)
		for (b = 0; b < to->depth && !found; b += !found)
			found = !memcmp(from.link[a].file->id, to->link[b].file->id, SNAP_ID);
	for (u32 i = 0; found && i < a; i++)
		want_link(wanted, &from.link[i]);
	for (u32 i = 0; found && i < b; i++)
		want_link(wanted, &to->link[i]);
	snap_chain_close(&from);
	for (u64 p = 0; found && p < s->vm->mem->ram_size >> PAGE_SHIFT; p++)
		wanted[p] |= !mmu_page_clean(cs, (u32)p);
	return found;
}

/* Those that are not zero. */
static void want_data(const struct snap_chain *c, u8 *wanted)
{
	const struct snap_region *r = &c->link[0].index.region[0];
	for (u64 p = 0; p < r->bytes >> PAGE_SHIFT; p++) {
		u32 k = (u32)(p / SNAP_CHUNK_PAGES), i = p % SNAP_CHUNK_PAGES, link = snap_chain_find(c, 0, k, i);
		wanted[p] = link < c->depth && (c->link[link].index.region[0].chunk[k].data >> i & 1);
	}
}

/* --- restoring --- */

struct restored {
	struct snap_chain chain;
	struct blob machine, cpu, chips;
	struct snap_target target[SNAP_REGIONS];
	u32 targets;
};

static struct blob_reader reader_of(const struct blob *b)
{
	return (struct blob_reader){ .at = b->data, .left = b->len };
}

static bool find_memory(struct vm *vm, struct restored *r, char *err, size_t errsize)
{
	const struct snap_index *x = &r->chain.link[0].index;
	const char *name = NULL;
	u8 *host = NULL;
	u64 bytes = 0;
	r->target[r->targets++] = (struct snap_target){ "ram", vm->mem->ram, vm->mem->ram_size, NULL };
	for (u32 n = 0; r->targets < SNAP_REGIONS && vm->state->memory(vm, n, &name, &host, &bytes); n++)
		r->target[r->targets++] = (struct snap_target){ name, host, bytes, NULL };
	bool same = x->regions == r->targets;
	for (u32 i = 0; same && i < r->targets; i++)
		same = !strcmp(x->region[i].name, r->target[i].name) && x->region[i].bytes == r->target[i].bytes;
	if (!same)
		snprintf(err, errsize, "the snapshot is of another machine: its memory or that of its devices is of another size");
	return same;
}

/* With everything that is checked before anything changes. */
static bool open_all(struct vm *vm, const char *path, struct restored *r, char *err, size_t errsize)
{
	char why[300];
	if (!snap_chain_open(&r->chain, path, err, errsize))
		return false;
	struct snap_file *f = r->chain.link[0].file;
	if (!snap_load(f, SNAP_MACH, 1, &r->machine, err, errsize) || !snap_load(f, SNAP_CPU, 1, &r->cpu, err, errsize) ||
	    !snap_load(f, SNAP_CHIP, 1, &r->chips, err, errsize))
		return false;
	if (snap_machine_check(vm, &r->machine, why, sizeof(why)) && snap_cpu_check(vm, reader_of(&r->cpu), why, sizeof(why)) &&
	    vm->state->check(vm, reader_of(&r->chips), why, sizeof(why)) && find_memory(vm, r, why, sizeof(why)))
		return true;
	snprintf(err, errsize, "%.150s: %s", path, why);
	return false;
}

static void close_all(struct restored *r)
{
	snap_chain_close(&r->chain);
	blob_free(&r->machine);
	blob_free(&r->cpu);
	blob_free(&r->chips);
	for (u32 i = 0; i < r->targets; i++)
		free(r->target[i].wanted);
}

static bool load_memory(struct snapshots *s, struct restored *r, char *err, size_t errsize)
{
	struct mem *m = s->vm->mem;
	u64 count = 0;
	for (u32 i = 0; i < r->targets; i++) {
		u8 *wanted = calloc(r->target[i].bytes >> PAGE_SHIFT, 1);
		r->target[i].wanted = wanted;
		if (!wanted) {
			snprintf(err, errsize, "out of memory");
			return false;
		}
		if (i || !want_difference(s, &r->chain, wanted))
			memset(wanted, 1, r->target[i].bytes >> PAGE_SHIFT);
	}
	snap_lazy_end(s, false, r->target[0].wanted);
	if (!s->base && hostmem_file_clear(m->memfd, m->ram_size))	/* all zero: only what is not needs to be read */
		want_data(&r->chain, r->target[0].wanted);
	for (u64 p = 0; p < m->ram_size >> PAGE_SHIFT; p++)
		count += r->target[0].wanted[p];
	bool ok = read_pages(&r->chain, r->target + 1, 1, r->targets - 1, &s->stats.pages, err, errsize);
	if (ok && !snap_lazy_begin(s, &r->chain, &r->target[0].wanted))
		ok = read_pages(&r->chain, r->target, 0, 1, &s->stats.pages, err, errsize);
	s->stats.pages = count;
	return ok;
}

static s64 host_date(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec;
}

static bool load_all(struct snapshots *s, struct restored *r, const char *path, enum snapshot_clock clock, char *err, size_t errsize)
{
	struct vm *vm = s->vm;
	u32 depth = r->chain.depth;
	u8 id[SNAP_ID];
	memcpy(id, r->chain.link[0].file->id, SNAP_ID);
	vm->state->give_up(vm);
	if (!load_memory(s, r, err, errsize)) {
		snprintf(vm->error, sizeof(vm->error), "%s", err);
		vm_request_stop(vm, VM_ERROR);
		return false;
	}
	snap_cpu_prepare(vm, reader_of(&r->cpu));
	vm->state->load(vm, reader_of(&r->chips));
	snap_cpu_load(vm, reader_of(&r->cpu));
	if (clock == SNAPSHOT_HOST)
		vm->state->set_date(vm, host_date());
	snap_set_base(s, path, id, depth);
	mmu_clean_all(&vm->vcpu->cs, snap_first_write, s);
	return true;
}

bool snapshot_restore(struct vm *vm, const char *path, enum snapshot_clock clock, char *err, size_t errsize)
{
	struct snapshots *s = snapshots_of(vm);
	struct restored r = { .targets = 0 };
	double began = snap_now_ms();
	if (!s || !vm->state) {
		snprintf(err, errsize, "out of memory for a snapshot");
		return false;
	}
	snap_settle(s, true);
	bool ok = open_all(vm, path, &r, err, errsize) && load_all(s, &r, path, clock, err, errsize);
	close_all(&r);
	s->stats.restore = snap_now_ms() - began;
	return ok;
}

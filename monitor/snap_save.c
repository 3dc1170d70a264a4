/*
 * snap_save.c - taking a snapshot while the guest runs.
 *
 * At the stop each page of RAM that is to be saved becomes TODO, and all pages clean: the guest's first write to one comes to
 * snap_first_write(), which copies a TODO page aside before it changes. Workers take chunk after chunk, each page from RAM or from its
 * copy. Whoever changes a page's state from TODO to BUSY (compare and exchange) owns it until it is DONE. Copies are in slots: when
 * none is left the vCPU waits for the workers, who need nothing from it. Memory of devices is small and copied at the stop.
 *
 * The job belongs to the vCPU thread, which begins it and, in snap_settle(), ends it; in between to its threads but for the page states.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "monitor/event.h"
#include "monitor/lib/hostmem.h"
#include "monitor/lib/thread.h"
#include "monitor/lib/zio.h"
#include "monitor/mem.h"
#include "monitor/mmu.h"
#include "monitor/snap_int.h"
#include "monitor/snap_state.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"

#define SLOTS      16384u	/* pages copied aside at most: 64 MiB */
#define DEPTH_MAX  64u		/* snapshots that build on each other; the next one stands alone */
#define HOLE_FIRST 0xa0u	/* pages that are never clean (mmu_clean.c): they are copied at the stop */
#define HOLE_END   0x100u

enum page_state { PAGE_NOT, PAGE_TODO, PAGE_BUSY, PAGE_DONE };

struct snap_job {
	struct snapshots *s;
	struct mem *mem;
	struct snap_writer *w;
	struct snap_index index;	/* region 0: RAM */
	u64 pages;			/* of RAM */
	u8 *state;			/* enum page_state; atomic */
	u8 *asked;			/* pages that were to be saved */
	u32 *slot;			/* slot + 1 of a DONE page that was copied aside */
	u8 *side;			/* the slots */
	u32 *free_slot, free_slots;
	pthread_mutex_t lock;		/* of the free slots */
	pthread_cond_t freed;
	u8 *copy[SNAP_REGIONS];		/* of devices' memory, by region */
	struct blob cpu, chips, machine;
	char *conf;
	u32 next;			/* chunk, over all regions; atomic */
	u32 failed, finished;		/* atomic */
	u64 saved;			/* pages; atomic */
	pthread_t thread;
	bool threaded;
	char *path, *parent;
	u8 id[SNAP_ID], parent_id[SNAP_ID];
	u32 depth;
	double began;
	void (*done)(void *arg, const char *error);
	void *done_arg;
	char error[400];
};

/* --- the vCPU's side --- */

static u32 take_slot(struct snap_job *j)
{
	pthread_mutex_lock(&j->lock);
	while (!j->free_slots)
		pthread_cond_wait(&j->freed, &j->lock);
	u32 slot = j->free_slot[--j->free_slots];
	pthread_mutex_unlock(&j->lock);
	return slot;
}

static void give_slot(struct snap_job *j, u32 slot)
{
	pthread_mutex_lock(&j->lock);
	j->free_slot[j->free_slots++] = slot;
	pthread_cond_signal(&j->freed);
	pthread_mutex_unlock(&j->lock);
}

static bool own(struct snap_job *j, u64 page)
{
	u8 todo = PAGE_TODO;
	return __atomic_compare_exchange_n(&j->state[page], &todo, PAGE_BUSY, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void wait_done(struct snap_job *j, u64 page)
{
	while (__atomic_load_n(&j->state[page], __ATOMIC_ACQUIRE) == PAGE_BUSY)
		__builtin_ia32_pause();
}

static void copy_aside(struct snap_job *j, u64 page)
{
	u32 slot = take_slot(j);
	memcpy(j->side + (u64)slot * PAGE_SIZE, j->mem->ram + (page << PAGE_SHIFT), PAGE_SIZE);
	j->slot[page] = slot + 1;
	__atomic_store_n(&j->state[page], PAGE_DONE, __ATOMIC_RELEASE);
}

void snap_first_write(void *arg, u32 page)
{
	struct snapshots *s = arg;
	struct snap_job *j = s->job;
	if (!j)
		return;
	if (own(j, page))
		copy_aside(j, page);
	else
		wait_done(j, page);
}

/* --- the workers --- */

static bool is_zero(const u8 *page)
{
	const u64 *w = (const u64 *)page;
	for (u32 i = 0; i < PAGE_SIZE / 8; i += 8)
		if (w[i] | w[i + 1] | w[i + 2] | w[i + 3] | w[i + 4] | w[i + 5] | w[i + 6] | w[i + 7])
			return false;
	return true;
}

/* What the page was at the stop; false: it is not to be saved. */
static bool fetch_ram(struct snap_job *j, u64 page, u8 *to)
{
	if (j->state[page] == PAGE_NOT)
		return false;
	if (own(j, page)) {
		memcpy(to, j->mem->ram + (page << PAGE_SHIFT), PAGE_SIZE);
		__atomic_store_n(&j->state[page], PAGE_DONE, __ATOMIC_RELEASE);
		return true;
	}
	wait_done(j, page);
	u32 slot = j->slot[page] - 1;
	memcpy(to, j->side + (u64)slot * PAGE_SIZE, PAGE_SIZE);
	give_slot(j, slot);
	return true;
}

static void save_chunk(struct snap_job *j, u32 region, u32 k, struct snap_work *work)
{
	struct snap_region *r = &j->index.region[region];
	struct snap_chunk *c = &r->chunk[k];
	u32 n = 0;
	for (u32 i = 0; i < SNAP_CHUNK_PAGES; i++) {
		u64 page = (u64)k * SNAP_CHUNK_PAGES + i;
		u8 *to = work->raw + n * PAGE_SIZE;
		if (page >= r->bytes >> PAGE_SHIFT)
			break;
		if (!region && !fetch_ram(j, page, to))
			continue;
		if (region)
			memcpy(to, j->copy[region] + (page << PAGE_SHIFT), PAGE_SIZE);
		if (is_zero(to)) {
			c->zero |= (u16)(1 << i);
		} else {
			c->data |= (u16)(1 << i);
			n++;
		}
	}
	__atomic_fetch_add(&j->saved, n, __ATOMIC_RELAXED);
	if (!__atomic_load_n(&j->failed, __ATOMIC_RELAXED) && !snap_chunk_save(j->w, work, c))
		__atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
}

/* To the end even if the file cannot be written: the vCPU may wait for a slot. */
static void *worker(void *arg)
{
	struct snap_job *j = arg;
	struct snap_work *work = malloc(sizeof(*work));
	bug_on(!work, "out of memory for packing");
	for (;;) {
		u32 k = __atomic_fetch_add(&j->next, 1, __ATOMIC_RELAXED), region = 0;
		while (region < j->index.regions && k >= j->index.region[region].chunks)
			k -= j->index.region[region++].chunks;
		if (region == j->index.regions)
			break;
		save_chunk(j, region, k, work);
	}
	free(work);
	return NULL;
}

/* The path of `to` as seen from the folder of `from`; both exist or will. NULL: out of memory. */
static char *relative(const char *from, const char *to)
{
	char a[PATH_MAX + 1], b[PATH_MAX], *folder = strdup(from), *slash = folder ? strrchr(folder, '/') : NULL;
	if (slash)
		slash[1] = 0;
	bool ok = folder && realpath(slash ? folder : ".", a) && realpath(to, b);
	free(folder);
	if (!ok)
		return strdup(to);
	size_t len = strlen(a), same = 0;	/* same: behind the last slash that both have */
	if (a[len - 1] != '/')
		strcpy(a + len++, "/");
	for (size_t i = 0; i < len && a[i] == b[i]; i++)
		same = b[i] == '/' ? i + 1 : same;
	char *out = malloc(3 * len + strlen(b) + 1), *at = out;
	for (const char *p = a + same; out && *p; p++)
		if (*p == '/')
			at = stpcpy(at, "../");
	if (out)
		strcpy(at, b + same);
	return out;
}

static bool write_parent(struct snap_job *j)
{
	char *path = j->parent ? relative(j->path, j->parent) : NULL;
	bool ok = !j->parent || (path && snap_section(j->w, SNAP_PRNT, 1, path, strlen(path)));
	free(path);
	return ok;
}

static bool write_state(struct snap_job *j)
{
	return snap_section(j->w, SNAP_MACH, 1, j->machine.data, j->machine.len) &&
	       (!j->conf || snap_section(j->w, SNAP_CONF, 1, j->conf, strlen(j->conf))) &&
	       snap_section(j->w, SNAP_CPU, 1, j->cpu.data, j->cpu.len) && snap_section(j->w, SNAP_CHIP, 1, j->chips.data, j->chips.len);
}

static void job_ended(void *arg)
{
	snap_settle(arg, false);
}

static void *coordinator(void *arg)
{
	struct snap_job *j = arg;
	pthread_t more[SNAP_THREADS_MAX];
	u32 n = 0;
	while (n + 1 < snap_threads() && !pthread_create(&more[n], NULL, worker, j))
		n++;
	worker(j);
	while (n)
		pthread_join(more[--n], NULL);
	bool ok = !j->failed && write_state(j) && write_parent(j) && snap_index_save(&j->index, j->w);
	j->failed |= !ok;	/* then the writer knows why */
	if (!snap_commit(j->w, j->id, j->parent ? j->parent_id : NULL, j->error, sizeof(j->error)))
		j->failed = 1;
	__atomic_store_n(&j->finished, 1, __ATOMIC_RELEASE);
	while (!event_post(j->s->vm, job_ended, j->s) && errno == ENOMEM)
		;
	return NULL;
}

/* --- beginning and end --- */

static void job_free(struct snap_job *j)
{
	snap_index_free(&j->index);
	free(j->state);
	free(j->asked);
	free(j->slot);
	free(j->free_slot);
	hostmem_unmap(j->side, (u64)SLOTS * PAGE_SIZE);
	for (u32 i = 0; i < SNAP_REGIONS; i++)
		free(j->copy[i]);
	pthread_mutex_destroy(&j->lock);
	pthread_cond_destroy(&j->freed);
	blob_free(&j->cpu);
	blob_free(&j->chips);
	blob_free(&j->machine);
	free(j->conf);
	free(j->path);
	free(j->parent);
	free(j);
}

void snap_settle(struct snapshots *s, bool wait)
{
	struct snap_job *j = s->job;
	if (!j || (!wait && !__atomic_load_n(&j->finished, __ATOMIC_ACQUIRE)))
		return;
	if (j->threaded)
		pthread_join(j->thread, NULL);
	s->job = NULL;
	s->stats.write = snap_now_ms() - j->began;
	s->stats.pages = j->saved;
	if (j->failed) {	/* what was to be saved counts as written still */
		for (u64 p = 0; p < j->pages; p++)
			if (j->asked[p])
				mmu_page_unclean(&s->vm->vcpu->cs, (u32)p);
	} else {
		snap_set_base(s, j->path, j->id, j->depth);
	}
	if (j->done)
		j->done(j->done_arg, j->failed ? j->error : NULL);
	job_free(j);
}

/* Is the file that is going to be replaced one that the base, or the base's ancestors, cannot do without? */
static bool is_needed(const struct snapshots *s, const char *path)
{
	struct snap_chain c;
	struct stat a, b;
	char err[300];
	bool needed = false;
	if (stat(path, &a))
		return false;
	if (!snap_chain_open(&c, s->base, err, sizeof(err)))
		return true;
	for (u32 i = 0; i < c.depth; i++)
		needed |= !fstat(c.link[i].file->fd, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
	snap_chain_close(&c);
	return needed;
}

static struct snap_job *job_new(struct snapshots *s, const struct snapshot_take *how)
{
	struct snap_job *j = calloc(1, sizeof(*j));
	if (!j)
		return NULL;
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->freed, NULL);
	j->s = s;
	j->mem = s->vm->mem;
	j->pages = j->mem->ram_size >> PAGE_SHIFT;
	j->state = calloc(j->pages, 1);
	j->asked = calloc(j->pages, 1);
	j->slot = calloc(j->pages, sizeof(*j->slot));
	j->side = hostmem_reserve((u64)SLOTS * PAGE_SIZE);
	j->free_slot = malloc(SLOTS * sizeof(*j->free_slot));
	j->path = strdup(how->path);
	j->done = how->done;
	j->done_arg = how->arg;
	j->depth = 1;
	snap_new_id(j->id);
	snap_machine_text(s->vm, &j->machine);
	j->conf = how->conf ? strdup(how->conf) : NULL;
	bool ok = j->state && j->asked && j->slot && j->side && j->free_slot && j->path && !j->machine.failed && (j->conf || !how->conf) &&
		  snap_index_add(&j->index, "ram", j->mem->ram_size);
	if (ok && s->base && !how->alone && s->depth < DEPTH_MAX && !is_needed(s, how->path)) {
		j->parent = strdup(s->base);
		memcpy(j->parent_id, s->base_id, SNAP_ID);
		j->depth = s->depth + 1;
		ok = j->parent;
	}
	for (u32 i = 0; ok && i < SLOTS; i++)
		j->free_slot[j->free_slots++] = SLOTS - 1 - i;
	if (ok)
		return j;
	job_free(j);
	return NULL;
}

/* Marks what is to be saved; from here on snap_first_write() hears of what the guest changes. */
static void mark_ram(struct snap_job *j)
{
	struct cpu_state *cs = &j->s->vm->vcpu->cs;
	for (u64 p = 0; p < j->pages; p++)
		j->asked[p] = !j->parent || (!mmu_page_clean(cs, (u32)p) && !snap_absent(j->s, p));
	for (u64 p = 0; p < j->pages; p++)
		j->state[p] = j->asked[p] ? PAGE_TODO : PAGE_NOT;
	for (u64 p = HOLE_FIRST; p < HOLE_END && p < j->pages; p++)
		if (own(j, p))
			copy_aside(j, p);
	mmu_clean_all(cs, snap_first_write, j->s);
}

static bool copy_devices(struct snap_job *j)
{
	struct vm *vm = j->s->vm;
	const char *name;
	u8 *host;
	u64 bytes;
	for (u32 n = 0; vm->state->memory(vm, n, &name, &host, &bytes); n++) {
		if (!snap_index_add(&j->index, name, bytes))
			return false;
		u8 **copy = &j->copy[j->index.regions - 1];
		*copy = calloc(1, bytes);
		if (!*copy)
			return false;
		for (u64 at = 0; at < bytes; at += PAGE_SIZE)
			if (!is_zero(host + at))
				memcpy(*copy + at, host + at, PAGE_SIZE);
	}
	return true;
}

static bool save_state(struct snap_job *j, char *err, size_t errsize)
{
	struct vm *vm = j->s->vm;
	snap_cpu_save(vm, &j->cpu);
	vm->state->save(vm, &j->chips);
	if (!j->cpu.failed && !j->chips.failed && copy_devices(j))
		return true;
	snprintf(err, errsize, "out of memory for a snapshot");
	return false;
}

/* While the guest stands still. */
static bool stop(struct snap_job *j, const struct snapshot_take *how, char *err, size_t errsize)
{
	struct vm *vm = j->s->vm;
	if (!vm->state->quiet(vm, err, errsize) || !save_state(j, err, errsize) ||
	    (how->stopped && !how->stopped(how->arg, err, errsize)))
		return false;
	mark_ram(j);
	j->s->job = j;
	return true;
}

/* A host that has no thread for us has it done here and now. */
static void start_thread(struct snap_job *j)
{
	j->threaded = !thread_start(&j->thread, coordinator, j, "snapshot");
	if (!j->threaded)
		coordinator(j);
}

/* One that stands alone needs all pages. */
static bool lazy_done(struct snapshots *s, char *err, size_t errsize)
{
	if (snap_lazy_end(s, true, NULL))
		return true;
	snprintf(err, errsize, "memory of the guest was lost when it was restored");
	return false;
}

bool snapshot_take(struct vm *vm, const struct snapshot_take *how, char *err, size_t errsize)
{
	struct snapshots *s = snapshots_of(vm);
	double began = snap_now_ms();
	bool was_paused = vm->vcpu->tsc_stopped;
	if (s)
		snap_settle(s, false);
	if (s && s->job) {
		snprintf(err, errsize, "another snapshot is still being written");
		return false;
	}
	struct snap_job *j = s && vm->state ? job_new(s, how) : NULL;
	if (!j) {
		snprintf(err, errsize, "out of memory for a snapshot");
		return false;
	}
	j->w = snap_create(how->path, err, errsize);
	if (!j->w) {
		job_free(j);
		return false;
	}
	j->began = began;
	if (!was_paused)
		vcpu_time_stop(vm->vcpu);
	bool ok = (j->parent || lazy_done(s, err, errsize)) && stop(j, how, err, errsize);
	if (!was_paused)
		vcpu_time_cont(vm->vcpu);
	s->stats.stop = snap_now_ms() - began;
	if (ok) {
		start_thread(j);
	} else {
		snap_abandon(j->w);
		job_free(j);
	}
	return ok;
}

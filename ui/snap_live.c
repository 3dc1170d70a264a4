/*
 * snap_live.c - snapshots of the machine that runs here. monitor/snapshot.h has memory and chips; this switches the disks to new layers
 * while the guest stands still, and keeps machine.conf and the tree true. All on the vCPU thread.
 *
 * machine.conf names the new layers before the guest writes to them; the snapshot appears when its memory is durable.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "devices/blockdev.h"
#include "devices/board_pc.h"
#include "images/image.h"
#include "monitor/event.h"
#include "monitor/snapshot.h"
#include "monitor/vm.h"
#include "ui/files.h"
#include "ui/layers.h"
#include "ui/snapops.h"

struct taking {
	struct vm *vm;
	struct snap s;
	struct layers l;
	struct conf then;
	bool suspend, switched;
};

static bool kept(const struct vm *vm, char *err, size_t errsize)
{
	if (vm->kept)
		return true;
	snprintf(err, errsize, "this machine has no folder for snapshots: 'ringfence create' makes one; 'snapshot-save FILE' needs none");
	return false;
}

static bool conf_copy(struct conf *to, const struct conf *from, char *err, size_t errsize)
{
	size_t len;
	char *text = conf_text(from, &len);
	bool ok = text && conf_parse(to, CONF_FILE_NAME, text, len, err, errsize);
	if (!text)
		*to = (struct conf){ 0 };
	free(text);
	return ok;
}

/* --- drives --- */

static struct blockdev *drive_of(struct vm *vm, const char *path)
{
	for (u32 i = 0; i < BOARD_DRIVES; i++) {
		struct blockdev *b = board_blockdev(vm, i);
		if (b && blockdev_image(b) && !strcmp(image_path(blockdev_image(b)), path))
			return b;
	}
	return NULL;
}

/* Each drive that can be written must be one of the layers, or going back would tear disks and memory apart. */
static bool all_drives(struct vm *vm, const struct layers *l, char *err, size_t errsize)
{
	for (u32 i = 0; i < BOARD_DRIVES; i++) {
		struct blockdev *b = board_blockdev(vm, i);
		struct image *im = b ? blockdev_image(b) : NULL;
		bool found = !im || image_readonly(im);
		for (u32 k = 0; k < l->count; k++)
			found |= im && !strcmp(image_path(im), l->layer[k].below);
		if (found)
			continue;
		snprintf(err, errsize, "%s has %.200s, which is not the machine's own: a snapshot would miss it", blockdev_id(b), image_path(im));
		return false;
	}
	for (u32 k = 0; k < l->count; k++)
		if (!drive_of(vm, l->layer[k].below)) {
			snprintf(err, errsize, "%.200s of machine.conf is in no drive", l->layer[k].below);
			return false;
		}
	return true;
}

/* Back to the image that the overlay stands on; the overlay is not used any more. */
static void switch_back(struct vm *vm, const struct layer *n)
{
	struct blockdev *b = drive_of(vm, n->path);
	struct image_options how = { .format = n->format };
	char err[400];
	if (!b)
		return;
	image_close(blockdev_image(b));
	struct image *im = image_open(n->below, &how, err, sizeof(err));
	blockdev_swap(b, im);
	if (!im)
		fprintf(stderr, "ringfence: %s\n", err);
}

static bool switch_one(struct vm *vm, const struct layer *n, char *err, size_t errsize)
{
	struct blockdev *b = drive_of(vm, n->below);
	struct image *old = blockdev_image(b);
	char ignored[200];
	if (!image_freeze(old, err, errsize))
		return false;
	struct image_options how = { .format = "qcow2", .backing_image = old };
	struct image *im = image_open(n->path, &how, err, errsize);
	if (!im) {
		image_thaw(old, ignored, sizeof(ignored));
		return false;
	}
	blockdev_swap(b, im);
	return true;
}

/* The guest stands still. */
static bool switch_disks(void *arg, char *err, size_t errsize)
{
	struct taking *t = arg;
	struct machine_dir *m = t->vm->kept;
	struct conf next = { 0 };
	u32 done = 0;
	while (done < t->l.count && switch_one(t->vm, &t->l.layer[done], err, errsize))
		done++;
	bool ok = done == t->l.count && conf_copy(&next, &m->conf, err, errsize) && layers_use(&t->l, &next, err, errsize) &&
		  conf_save(&next, m->path, err, errsize);
	if (ok) {
		conf_free(&m->conf);
		m->conf = next;
		t->switched = true;
		return true;
	}
	conf_free(&next);
	while (done)
		switch_back(t->vm, &t->l.layer[--done]);
	return false;
}

static bool flush_disks(void *arg, char *err, size_t errsize)
{
	struct taking *t = arg;
	for (u32 i = 0; i < BOARD_DRIVES; i++) {
		struct blockdev *b = board_blockdev(t->vm, i);
		int error = b && blockdev_image(b) ? image_flush(blockdev_image(b)) : 0;
		if (error) {
			snprintf(err, errsize, "%s: %s", image_path(blockdev_image(b)), strerror(error));
			return false;
		}
	}
	return true;
}

/* --- taking --- */

static void taken(void *arg, const char *error)
{
	struct taking *t = arg;
	struct vm *vm = t->vm;
	struct machine_dir *m = vm->kept;
	char err[256] = "";
	if (error)
		snprintf(err, sizeof(err), "%s", error);
	else if (t->suspend)
		machdir_set(m, "resume", t->s.state, err, sizeof(err));
	else if (snaptree_add(m->path, &t->s, &t->then, err, sizeof(err)))
		machdir_set(m, "snapshot", t->s.name, err, sizeof(err));
	snprintf(vm->snapshot_error, sizeof(vm->snapshot_error), "%s", err);
	if (err[0])
		fprintf(stderr, "ringfence: there is no snapshot: %s\n", err);
	if (t->suspend && err[0])
		vm_continue(vm);
	else if (t->suspend)
		vm_request_stop(vm, VM_QUIT);
	conf_free(&t->then);
	free(t);
}

static bool prepare(struct taking *t, const char *name, const char *description, char *err, size_t errsize)
{
	struct machine_dir *m = t->vm->kept;
	const char *here = conf_get(&m->conf, "snapshot");
	struct snaptree tree;
	t->s.time = time(NULL);
	snprintf(t->s.name, sizeof(t->s.name), "%.63s", name);
	snprintf(t->s.parent, sizeof(t->s.parent), "%.63s", here ? here : "");
	snprintf(t->s.description, sizeof(t->s.description), "%.199s", description ? description : "");
	for (char *p = t->s.description; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	layers_id(t->s.state);
	if (!snaptree_load(&tree, m->path, err, errsize))
		return false;
	bool ok = snaptree_name(&tree, t->s.name, err, errsize);
	snaptree_free(&tree);
	return ok && conf_copy(&t->then, &m->conf, err, errsize);
}

static bool take(struct taking *t, char *err, size_t errsize)
{
	char path[PATH_MAX];
	struct snapshot_take how = { .path = path, .conf = t->vm->conf,
		.stopped = t->suspend ? flush_disks : switch_disks, .done = taken, .arg = t };
	struct snapshot_stats st;
	snapshot_stats(t->vm, &st);
	if (st.busy) {
		snprintf(err, errsize, "another snapshot is still being written");
		return false;
	}
	t->vm->snapshot_error[0] = 0;
	return snaptree_state_path(t->vm->kept->path, t->s.state, path, sizeof(path), err, errsize) && snapshot_take(t->vm, &how, err, errsize);
}

bool snap_take_live(struct vm *vm, char name[64], const char *description, char *err, size_t errsize)
{
	struct taking *t = kept(vm, err, errsize) ? calloc(1, sizeof(*t)) : NULL;
	if (!t)
		return false;
	t->vm = vm;
	bool ok = prepare(t, name, description, err, errsize) && layers_make(&t->l, &vm->kept->conf, vm->kept->path, err, errsize);
	if (ok)
		snprintf(name, 64, "%s", t->s.name);
	if (ok && all_drives(vm, &t->l, err, errsize) && take(t, err, errsize))
		return true;
	if (ok && !t->switched)
		layers_unmake(&t->l);
	conf_free(&t->then);
	free(t);
	return false;
}

bool snap_suspend_live(struct vm *vm, char *err, size_t errsize)
{
	struct taking *t = kept(vm, err, errsize) ? calloc(1, sizeof(*t)) : NULL;
	bool was_paused = vm_paused(vm);
	if (!t)
		return false;
	t->vm = vm;
	t->suspend = true;
	if (prepare(t, "", NULL, err, errsize)) {
		vm_pause(vm, VM_PAUSE_USER, "being suspended");
		if (take(t, err, errsize))
			return true;
		if (!was_paused)
			vm_continue(vm);
	}
	conf_free(&t->then);
	free(t);
	return false;
}

/* --- restoring --- */

struct restoring {
	struct layers l;
	struct blockdev *drive[LAYERS_MAX];
	struct image *image[LAYERS_MAX];
	struct conf then, next;
};

/* New layers on those of the snapshot, opened, and the drives that will have them. */
static bool open_layers(struct vm *vm, struct restoring *r, char *err, size_t errsize)
{
	struct machine_dir *m = vm->kept;
	for (u32 i = 0; i < r->l.count; i++) {
		struct layer *n = &r->l.layer[i];
		struct conf_line now = { .value = conf_get(&m->conf, n->key) };
		struct image_options how = { .format = "qcow2" };
		char path[PATH_MAX];
		const char *options;
		snprintf(now.key, sizeof(now.key), "%s", n->key);
		if (now.value && conf_drive_file(&now, m->path, path, sizeof(path), &options))
			r->drive[i] = drive_of(vm, path);
		if (!r->drive[i]) {
			snprintf(err, errsize, "the snapshot has a %s, which the machine has not now: stop it first", n->key);
			return false;
		}
		r->image[i] = image_open(n->path, &how, err, errsize);
		if (!r->image[i])
			return false;
	}
	return true;
}

static bool new_conf(struct vm *vm, struct restoring *r, const char *name, char *err, size_t errsize)
{
	struct machine_dir *m = vm->kept;
	return conf_copy(&r->next, &m->conf, err, errsize) && layers_use(&r->l, &r->next, err, errsize) &&
	       conf_set(&r->next, "snapshot", name, err, errsize);
}

static bool restore(struct vm *vm, struct restoring *r, const char *name, const char *state, char *err, size_t errsize)
{
	struct machine_dir *m = vm->kept;
	char path[PATH_MAX], ignored[400];
	if (!open_layers(vm, r, err, errsize) || !new_conf(vm, r, name, err, errsize) ||
	    !snaptree_state_path(m->path, state, path, sizeof(path), err, errsize) || !conf_save(&r->next, m->path, err, errsize))
		return false;
	if (!snapshot_restore(vm, path, SNAPSHOT_FROZEN, err, errsize)) {
		conf_save(&m->conf, m->path, ignored, sizeof(ignored));
		return false;
	}
	for (u32 i = 0; i < r->l.count; i++) {
		struct image *old = blockdev_image(r->drive[i]);
		blockdev_swap(r->drive[i], r->image[i]);
		image_close(old);
		r->image[i] = NULL;
	}
	conf_free(&m->conf);
	m->conf = r->next;
	r->next = (struct conf){ 0 };
	return true;
}

bool snap_restore_live(struct vm *vm, const char *want, char *err, size_t errsize)
{
	struct restoring *r = kept(vm, err, errsize) ? calloc(1, sizeof(*r)) : NULL;
	struct snaptree t = { 0 };
	struct layers none;
	char name[64], ignored[400];
	if (!r)
		return false;
	struct machine_dir *m = vm->kept;
	bool ok = snap_pick(m, want, name, err, errsize) && snaptree_load(&t, m->path, err, errsize);
	const struct snap *s = ok ? snaptree_find(&t, name) : NULL;
	if (s && !s->state[0]) {
		snprintf(err, errsize, "'%s' was taken while the machine was off, so it has no memory: stop the machine first", name);
		s = NULL;
	}
	/* Can every disk of now be kept apart? What would be torn is refused before anything changes. */
	ok = s && layers_make(&none, &m->conf, m->path, err, errsize);
	if (ok) {
		ok = all_drives(vm, &none, err, errsize);
		layers_unmake(&none);
	}
	ok = ok && snaptree_conf(m->path, name, &r->then, err, errsize) && layers_make(&r->l, &r->then, m->path, err, errsize);
	if (ok && !restore(vm, r, name, s->state, err, errsize)) {
		for (u32 i = 0; i < r->l.count; i++)
			image_close(r->image[i]);
		layers_unmake(&r->l);
		ok = false;
	}
	if (ok)
		layers_sweep(&m->conf, m->path, ignored, sizeof(ignored));
	conf_free(&r->then);
	conf_free(&r->next);
	snaptree_free(&t);
	free(r);
	return ok;
}

bool snap_delete_live(struct vm *vm, const char *name, char *err, size_t errsize)
{
	return kept(vm, err, errsize) && snaptree_forget(vm->kept, name, err, errsize);
}

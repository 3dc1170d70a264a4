/*
 * snap_file.c - the snapshot file as a container. See snap_file.h and docs/formats.md.
 *
 * Nothing half-written is ever taken for whole: the file has another name until all of it is durable, its header is written last, and
 * directory and sections have checksums. Every number that is read is bounded before it is used.
 */
#define _GNU_SOURCE	/* mkostemp */
#include "monitor/snap_file.h"
#include "monitor/lib/zio.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTION_MAX (64u << 20)		/* bytes of a section, unpacked */
#define FILE_MAX    (16ull << 30)

static const char magic[8] = { 'R', 'F', 's', 'n', 'a', 'p', '\r', '\n' };

struct header {
	char magic[8];
	u32 version, sections;
	u64 size;		/* of the file */
	u64 directory;		/* where it is: `sections` times struct entry */
	u8 id[SNAP_ID], parent[SNAP_ID];	/* parent all zero: none */
	u32 directory_crc, crc;	/* crc: of all before it */
};
struct entry { u32 type, version; u64 at, len, raw_len; u32 crc, zero; };
_Static_assert(sizeof(struct header) == 72 && sizeof(struct entry) == 40, "on-disk layout");

static const u32 known[] = { SNAP_CONF, SNAP_MACH, SNAP_PRNT, SNAP_CPU, SNAP_CHIP, SNAP_PAGE };

/* --- writing --- */

struct snap_writer {
	char *path, *temp;
	int fd;
	u64 end;		/* next free byte; atomic */
	u32 sections;
	struct entry section[SNAP_SECTIONS];
	pthread_mutex_t lock;	/* of error */
	char error[300];
};

static void say(struct snap_writer *w, const char *what)
{
	int e = errno;
	pthread_mutex_lock(&w->lock);
	if (!w->error[0])
		snprintf(w->error, sizeof(w->error), "%.200s: cannot %s: %s", w->path, what, strerror(e));
	pthread_mutex_unlock(&w->lock);
}

static void writer_free(struct snap_writer *w)
{
	if (w->fd >= 0)
		close(w->fd);
	pthread_mutex_destroy(&w->lock);
	free(w->path);
	free(w->temp);
	free(w);
}

struct snap_writer *snap_create(const char *path, char *err, size_t errsize)
{
	struct snap_writer *w = calloc(1, sizeof(*w));
	size_t room = strlen(path) + 16;
	if (w) {
		w->fd = -1;
		w->end = sizeof(struct header);
		pthread_mutex_init(&w->lock, NULL);
		w->path = strdup(path);
		w->temp = malloc(room);
	}
	if (!w || !w->path || !w->temp) {
		snprintf(err, errsize, "out of memory");
		if (w)
			writer_free(w);
		return NULL;
	}
	snprintf(w->temp, room, "%s.new-XXXXXX", path);
	w->fd = mkostemp(w->temp, O_CLOEXEC);
	if (w->fd >= 0)
		return w;
	snprintf(err, errsize, "%.200s: cannot be created: %s", path, strerror(errno));
	writer_free(w);
	return NULL;
}

static bool write_at(struct snap_writer *w, const void *data, size_t len, u64 at)
{
	const u8 *from = data;
	while (len) {
		ssize_t n = pwrite(w->fd, from, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			say(w, "be written");
			return false;
		}
		from += n, at += (u64)n, len -= (size_t)n;
	}
	return true;
}

bool snap_append(struct snap_writer *w, const void *data, size_t len, u64 *at)
{
	*at = __atomic_fetch_add(&w->end, len, __ATOMIC_RELAXED);
	return write_at(w, data, len, *at);
}

bool snap_section(struct snap_writer *w, enum snap_type type, u32 version, const void *data, size_t len)
{
	bug_on(w->sections == SNAP_SECTIONS || len > SECTION_MAX, "snapshot section of %zu bytes", len);
	size_t room = len + len / 1000 + 64;
	u8 *packed = malloc(room);
	size_t n = packed ? zio_pack(ZIO_ZLIB, 1, data, len, packed, room) : ZIO_BAD;
	u64 at;
	errno = ENOMEM;
	if (n == ZIO_BAD)
		say(w, "be packed");
	bool ok = n != ZIO_BAD && snap_append(w, packed, n, &at);
	if (ok)
		w->section[w->sections++] = (struct entry){ .type = type, .version = version, .at = at, .len = n, .raw_len = len,
							     .crc = zio_crc(0, packed, n) };
	free(packed);
	return ok;
}

static bool sync_folder(const char *path)
{
	char *folder = strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
	if (!folder)
		return false;
	if (slash)
		slash[slash == folder] = 0;
	int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && (!fsync(fd) || errno == EINVAL);	/* EINVAL: a file system that has no such thing */
	if (fd >= 0)
		close(fd);
	free(folder);
	return ok;
}

static bool finish(struct snap_writer *w, const u8 id[SNAP_ID], const u8 *parent)
{
	struct header h = { .version = SNAP_VERSION, .sections = w->sections };
	size_t len = w->sections * sizeof(w->section[0]);
	memcpy(h.magic, magic, sizeof(magic));
	memcpy(h.id, id, SNAP_ID);
	if (parent)
		memcpy(h.parent, parent, SNAP_ID);
	if (!snap_append(w, w->section, len, &h.directory))
		return false;
	h.directory_crc = zio_crc(0, w->section, len);
	h.size = w->end;
	h.crc = zio_crc(0, &h, offsetof(struct header, crc));
	if (!write_at(w, &h, sizeof(h), 0))
		return false;
	if (fsync(w->fd) || rename(w->temp, w->path)) {
		say(w, "be made durable");
		return false;
	}
	if (sync_folder(w->path))
		return true;
	say(w, "be made durable in its folder");
	return false;
}

bool snap_commit(struct snap_writer *w, const u8 id[SNAP_ID], const u8 *parent, char *err, size_t errsize)
{
	bool ok = !w->error[0] && finish(w, id, parent);
	if (!ok) {
		snprintf(err, errsize, "%s", w->error);
		unlink(w->temp);
	}
	writer_free(w);
	return ok;
}

void snap_abandon(struct snap_writer *w)
{
	if (!w)
		return;
	unlink(w->temp);
	writer_free(w);
}

void snap_new_id(u8 id[SNAP_ID])
{
	bug_on(getrandom(id, SNAP_ID, 0) != SNAP_ID, "no random numbers: %s", strerror(errno));
}

/* --- reading --- */

bool snap_pread(const struct snap_file *f, void *buf, size_t len, u64 at, char *err, size_t errsize)
{
	u8 *to = buf;
	while (len) {
		ssize_t n = pread(f->fd, to, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			snprintf(err, errsize, "%.200s: cannot be read: %s", f->path, n ? strerror(errno) : "it ends too early");
			return false;
		}
		to += n, at += (u64)n, len -= (size_t)n;
	}
	return true;
}

static bool refuse(const struct snap_file *f, char *err, size_t errsize, const char *why)
{
	snprintf(err, errsize, "%.200s: %s", f->path, why);
	return false;
}

static void type_name(u32 type, char name[5])
{
	for (int i = 0; i < 4; i++) {
		char c = (char)(type >> 8 * i);
		name[i] = c > ' ' && c < 127 ? c : '?';
	}
	name[4] = 0;
}

static bool take_entry(struct snap_file *f, const struct entry *e, char *err, size_t errsize)
{
	char why[80], name[5];
	bool is_known = false;
	type_name(e->type, name);
	for (u32 i = 0; i < ARRAY_SIZE(known); i++)
		is_known |= known[i] == e->type;
	if (!is_known) {
		snprintf(why, sizeof(why), "it has a section %s, which this version does not know", name);
		return refuse(f, err, errsize, why);
	}
	if (snap_has(f, e->type) || e->at > f->size || e->len > f->size - e->at || e->raw_len > SECTION_MAX || e->len > 2 * SECTION_MAX) {
		snprintf(why, sizeof(why), "it is damaged (section %s)", name);
		return refuse(f, err, errsize, why);
	}
	f->section[f->sections++] = (struct snap_section){ e->type, e->version, e->at, e->len, e->raw_len, e->crc };
	return true;
}

static bool read_directory(struct snap_file *f, char *err, size_t errsize)
{
	static const u8 none[SNAP_ID];
	struct header h;
	struct entry e[SNAP_SECTIONS];
	if (f->size < sizeof(h))
		return refuse(f, err, errsize, "this is no snapshot: it is too short");
	if (!snap_pread(f, &h, sizeof(h), 0, err, errsize))
		return false;
	if (memcmp(h.magic, magic, sizeof(magic)))
		return refuse(f, err, errsize, "this is no snapshot");
	if (h.version != SNAP_VERSION) {
		char why[100];
		snprintf(why, sizeof(why), "a snapshot of format %u; this version knows format %u", h.version, SNAP_VERSION);
		return refuse(f, err, errsize, why);
	}
	u64 len = h.sections * sizeof(struct entry);
	if (h.crc != zio_crc(0, &h, offsetof(struct header, crc)) || h.size != f->size || h.sections > SNAP_SECTIONS ||
	    h.directory > f->size || len > f->size - h.directory)
		return refuse(f, err, errsize, "the snapshot is damaged (header)");
	if (!snap_pread(f, e, len, h.directory, err, errsize))
		return false;
	if (h.directory_crc != zio_crc(0, e, len))
		return refuse(f, err, errsize, "the snapshot is damaged (directory)");
	memcpy(f->id, h.id, SNAP_ID);
	memcpy(f->parent, h.parent, SNAP_ID);
	f->has_parent = memcmp(h.parent, none, SNAP_ID);
	for (u32 i = 0; i < h.sections; i++)
		if (!take_entry(f, &e[i], err, errsize))
			return false;
	return true;
}

struct snap_file *snap_open(const char *path, char *err, size_t errsize)
{
	struct snap_file *f = calloc(1, sizeof(*f));
	struct stat st;
	if (!f || !(f->path = strdup(path))) {
		free(f);
		snprintf(err, errsize, "out of memory");
		return NULL;
	}
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f->fd < 0 || fstat(f->fd, &st)) {
		snprintf(err, errsize, "%.200s: cannot be opened: %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode) || (u64)st.st_size > FILE_MAX) {
		refuse(f, err, errsize, "this is no snapshot");
	} else {
		f->size = (u64)st.st_size;
		if (read_directory(f, err, errsize))
			return f;
	}
	snap_close(f);
	return NULL;
}

void snap_close(struct snap_file *f)
{
	if (!f)
		return;
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	free(f);
}

static const struct snap_section *find(const struct snap_file *f, u32 type)
{
	for (u32 i = 0; i < f->sections; i++)
		if (f->section[i].type == type)
			return &f->section[i];
	return NULL;
}

bool snap_has(const struct snap_file *f, enum snap_type type)
{
	return find(f, type);
}

bool snap_load(struct snap_file *f, enum snap_type type, u32 version, struct blob *out, char *err, size_t errsize)
{
	const struct snap_section *s = find(f, type);
	char name[5], why[120];
	*out = (struct blob){ 0 };
	type_name(type, name);
	if (!s || s->version != version) {
		snprintf(why, sizeof(why), s ? "its section %s is of version %u; this version knows %u" : "it has no section %s", name,
			 s ? s->version : 0, version);
		return refuse(f, err, errsize, why);
	}
	u8 *packed = malloc(s->len + 1);
	out->data = malloc(s->raw_len + 1);
	out->len = out->room = s->raw_len;
	snprintf(why, sizeof(why), "the snapshot is damaged (section %s)", name);
	bool ok = packed && out->data;
	if (!ok)
		snprintf(err, errsize, "out of memory");
	ok = ok && snap_pread(f, packed, s->len, s->at, err, errsize);
	if (ok && (zio_crc(0, packed, s->len) != s->crc || zio_unpack(ZIO_ZLIB, packed, s->len, out->data, s->raw_len) != s->raw_len))
		ok = refuse(f, err, errsize, why);
	free(packed);
	if (!ok)
		blob_free(out);
	return ok;
}

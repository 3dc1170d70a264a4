/*
 * ova.c - an appliance's files: the tar archive (libarchive) or the folder that they come in, and the manifest of their digests.
 *
 * An archive is read twice: its headers, descriptor and manifest first, so that everything that can be refused is refused before a byte
 * is written; then its contents, which are hashed and written in one go.
 */
#ifdef HAVE_OVA
#define _GNU_SOURCE
#include "images/ova.h"
#include "images/hostio.h"
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_TEXT    (8u << 20)		/* of a descriptor or manifest */
#define MAX_MEMBERS 256
#define PIECE       (1u << 20)

struct member {
	char *name;
	u64 size;
	enum digest_kind kind;		/* what the manifest says of it */
	u8 digest[DIGEST_MAX];
	bool wanted;			/* the descriptor refers to it */
	bool written;
};

struct ova {
	char *path, *folder;		/* folder: of `path`, with the slash */
	bool archive, manifest;
	char *descriptor;		/* its name */
	struct ovf *ovf;
	struct member member[MAX_MEMBERS];
	u32 members;
	char *err;			/* the caller's, during a call */
	size_t errsize;
};

static bool fail(struct ova *a, const char *what, const char *which)
{
	snprintf(a->err, a->errsize, "%s: %s%s%.200s%s", a->path, what, which ? " '" : "", which ? which : "", which ? "'" : "");
	return false;
}

static bool ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), e = strlen(end);
	return n > e && !strcasecmp(name + n - e, end);
}

static struct member *find(struct ova *a, const char *name, size_t len)
{
	for (u32 i = 0; i < a->members; i++)
		if (!strncmp(a->member[i].name, name, len) && !a->member[i].name[len])
			return &a->member[i];
	return NULL;
}

static struct member *add(struct ova *a, const char *name, u64 size)
{
	char *copy = a->members < MAX_MEMBERS ? strdup(name) : NULL;
	if (!copy) {
		fail(a, a->members == MAX_MEMBERS ? "has too many files" : "out of memory", NULL);
		return NULL;
	}
	a->member[a->members] = (struct member){ .name = copy, .size = size };
	return &a->member[a->members++];
}

/* --- the archive --- */

static struct archive *tar_open(struct ova *a)
{
	struct archive *tar = archive_read_new();
	if (tar && archive_read_support_format_tar(tar) == ARCHIVE_OK && archive_read_support_filter_none(tar) == ARCHIVE_OK &&
	    archive_read_open_filename(tar, a->path, 64 << 10) == ARCHIVE_OK)
		return tar;
	fail(a, "is no tar archive (OVA)", NULL);
	archive_read_free(tar);
	return NULL;
}

/* 1: *entry is the next one, 0: there are no more, -1: broken. */
static int tar_next(struct ova *a, struct archive *tar, struct archive_entry **entry)
{
	int r = archive_read_next_header(tar, entry);
	if (r == ARCHIVE_OK || r == ARCHIVE_WARN)
		return 1;
	if (r == ARCHIVE_EOF)
		return 0;
	fail(a, "is a broken archive: it ends or goes wrong behind", a->members ? a->member[a->members - 1].name : "its start");
	return -1;
}

static char *tar_text(struct ova *a, struct archive *tar, const char *name, u64 size)
{
	char *text = size <= MAX_TEXT ? malloc(size + 1) : NULL;
	if (!text) {
		fail(a, "has a descriptor or manifest that is too large:", name);
		return NULL;
	}
	for (u64 have = 0; have < size;) {
		la_ssize_t n = archive_read_data(tar, text + have, size - have);
		if (n <= 0) {
			free(text);
			fail(a, "is a broken archive: it ends within", name);
			return NULL;
		}
		have += (u64)n;
	}
	text[size] = 0;
	return text;
}

static struct member *tar_member(struct ova *a, struct archive_entry *entry, u64 *room)
{
	const char *name = archive_entry_pathname(entry);
	if (!name || !ovf_plain_name(name)) {
		fail(a, "has a member whose name is no plain file name:", name ? name : "");
		return NULL;
	}
	if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) || archive_entry_symlink(entry)) {
		fail(a, "has a member that is no ordinary file:", name);
		return NULL;
	}
	if (find(a, name, strlen(name))) {
		fail(a, "has two members of one name:", name);
		return NULL;
	}
	u64 size = archive_entry_size_is_set(entry) ? (u64)archive_entry_size(entry) : ~0ull;
	if (size > *room || archive_entry_sparse_count(entry)) {	/* holes make small archives large */
		fail(a, "has a member that is larger than the archive:", name);
		return NULL;
	}
	*room -= size;
	return add(a, name, size);
}

static bool read_archive(struct ova *a, u64 length, char **xml, size_t *xml_len, char **manifest)
{
	struct archive *tar = tar_open(a);
	struct archive_entry *entry;
	int more = tar ? 0 : -1;
	while (tar && (more = tar_next(a, tar, &entry)) > 0) {
		struct member *m = tar_member(a, entry, &length);
		char **text = !m ? NULL : !*xml && ends_in(m->name, ".ovf") ? xml : !*manifest && ends_in(m->name, ".mf") ? manifest : NULL;
		if (!m || (text && !(*text = tar_text(a, tar, m->name, m->size)))) {
			more = -1;
			break;
		}
		if (text == xml) {
			*xml_len = m->size;
			a->descriptor = strdup(m->name);
		}
	}
	archive_read_free(tar);
	if (more < 0)
		return false;
	return *xml ? a->descriptor || fail(a, "out of memory", NULL) : fail(a, "has no descriptor (.ovf) in it", NULL);
}

/* --- the folder --- */

static char *in_folder(const char *folder, const char *name)
{
	char *path = NULL;
	return asprintf(&path, "%s%s%s", folder, *folder && folder[strlen(folder) - 1] != '/' ? "/" : "", name) < 0 ? NULL : path;
}

/* NULL with a sentence, or without one if `optional` and not there. */
static char *file_text(struct ova *a, const char *path, bool optional, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	if (fd < 0 && optional && errno == ENOENT)
		return NULL;
	char *text = NULL;
	if (fd < 0 || fstat(fd, &st)) {
		snprintf(a->err, a->errsize, "%s: cannot be read: %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode) || (u64)st.st_size > MAX_TEXT) {
		snprintf(a->err, a->errsize, "%s: is no descriptor or manifest: no ordinary file, or too large", path);
	} else if (!(text = malloc((size_t)st.st_size + 1)) || host_read_all(&host_posix, fd, 0, text, (u64)st.st_size)) {
		snprintf(a->err, a->errsize, "%s: cannot be read", path);
		free(text);
		text = NULL;
	} else {
		*len = (size_t)st.st_size;
		text[*len] = 0;
	}
	if (fd >= 0)
		close(fd);
	return text;
}

static bool read_folder(struct ova *a, char **xml, size_t *xml_len, char **manifest)
{
	const char *slash = strrchr(a->path, '/');
	char *beside = strdup(a->path);
	size_t len;
	a->descriptor = strdup(slash ? slash + 1 : a->path);
	if (!beside || !a->descriptor) {
		free(beside);
		return fail(a, "out of memory", NULL);
	}
	*a->err = 0;
	*xml = file_text(a, a->path, false, xml_len);
	strcpy(beside + strlen(beside) - 4, ".mf");
	if (*xml)
		*manifest = file_text(a, beside, true, &len);
	free(beside);
	return *xml && (*manifest || !*a->err) && add(a, a->descriptor, *xml_len);
}

/* --- the manifest --- */

/* -1: it is none. */
static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) & 15 : -1;
}

/* "SHA256(name)= 0123...", with blanks wherever producers put them. */
static bool manifest_line(struct ova *a, char *line)
{
	char *open = strchr(line, '('), *close = strrchr(line, ')'), *hex = close ? close + 1 : line;
	if (!open || !close || close < open)
		return fail(a, "has a manifest with a line that is none:", line);
	while (open > line && open[-1] == ' ')
		memmove(open - 1, open, strlen(open) + 1), open--, close--, hex--;
	enum digest_kind kind = digest_kind(line, (size_t)(open - line));
	if (!kind)
		return fail(a, "has a manifest with an unknown digest:", line);
	*close = 0;
	struct member *m = find(a, open + 1, (size_t)(close - open - 1));
	if (!m && !a->archive && ovf_plain_name(open + 1))
		m = add(a, open + 1, 0);
	if (!m)
		return fail(a, "lacks a file that its manifest has:", open + 1);
	hex += strspn(hex, " =\t");
	for (u32 i = 0; i < digest_bytes(kind); i++, hex += 2) {
		int hi = hex_digit(*hex), lo = hi < 0 ? -1 : hex_digit(hex[1]);
		if (lo < 0)
			return fail(a, "has a manifest with a digest that is none, of", open + 1);
		m->digest[i] = (u8)(hi << 4 | lo);
	}
	m->kind = kind;
	return !hex[strspn(hex, " \t\r")] || fail(a, "has a manifest with a digest that is none, of", open + 1);
}

static bool read_manifest(struct ova *a, char *text)
{
	char *rest = text, *line;
	while ((line = strsep(&rest, "\n")))
		if (line[strspn(line, " \t\r")] && !manifest_line(a, line))
			return false;
	a->manifest = true;
	return true;
}

/* --- opening --- */

static bool mark_wanted(struct ova *a)
{
	for (u32 i = 0; i < a->ovf->files; i++) {
		const char *name = a->ovf->file[i].name;
		struct member *m = find(a, name, strlen(name));
		if (!m && a->archive)
			return fail(a, "lacks a file that its descriptor refers to:", name);
		if (!m && !(m = add(a, name, 0)))
			return false;
		m->wanted = true;
	}
	return true;
}

static bool open_parts(struct ova *a, u64 length)
{
	char *xml = NULL, *manifest = NULL;
	size_t xml_len = 0;
	bool ok = a->archive ? read_archive(a, length, &xml, &xml_len, &manifest) : read_folder(a, &xml, &xml_len, &manifest);
	ok = ok && (a->ovf = ovf_parse(xml, xml_len, a->path, a->err, a->errsize)) && mark_wanted(a);
	ok = ok && (!manifest || read_manifest(a, manifest));
	free(xml);
	free(manifest);
	return ok;
}

struct ova *ova_open(const char *path, char *err, size_t errsize)
{
	struct ova *a = calloc(1, sizeof(*a));
	const char *slash = strrchr(path, '/');
	struct stat st;
	if (a) {
		a->path = strdup(path);
		a->folder = strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
		a->archive = !ends_in(path, ".ovf");
	}
	if (!a || !a->path || !a->folder)
		snprintf(err, errsize, "%s: out of memory", path);
	else if (stat(path, &st) || access(path, R_OK))
		snprintf(err, errsize, "%s: cannot be read: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		snprintf(err, errsize, "%s: is no file", path);
	else {
		a->err = err;
		a->errsize = errsize;
		if (open_parts(a, (u64)st.st_size))
			return a;
	}
	ova_close(a);
	return NULL;
}

void ova_close(struct ova *a)
{
	if (!a)
		return;
	ovf_free(a->ovf);
	for (u32 i = 0; i < a->members; i++)
		free(a->member[i].name);
	free(a->descriptor);
	free(a->folder);
	free(a->path);
	free(a);
}

const struct ovf *ova_machine(const struct ova *a) { return a->ovf; }
bool ova_has_manifest(const struct ova *a) { return a->manifest; }
bool ova_is_archive(const struct ova *a) { return a->archive; }

char *ova_file_path(const struct ova *a, u32 file, const char *folder)
{
	return in_folder(a->archive ? folder : a->folder, a->ovf->file[file].name);
}

/* --- contents --- */

struct unpack {
	struct ova *a;
	const char *folder;
	void (*progress)(void *arg, u64 done, u64 total);
	void *arg;
	u64 done, total;
	u8 *buf;
};

/* Where a member's bytes come from: the archive's current member, or a file. */
struct source { struct archive *tar; int fd; u64 offset; };

/* Bytes, 0 at the end, -1 with errno. */
static ssize_t source_read(struct source *s, void *buf)
{
	ssize_t n;
	if (s->tar) {
		n = archive_read_data(s->tar, buf, PIECE);
		errno = EIO;	/* the archive ends too early */
		return n < 0 ? -1 : n;
	}
	while ((n = pread(s->fd, buf, PIECE, (off_t)s->offset)) < 0 && errno == EINTR)
		;
	s->offset += n > 0 ? (u64)n : 0;
	return n;
}

static bool member_copy(struct unpack *u, struct member *m, struct source *from, int to)
{
	struct digest *d = m->kind ? digest_new(m->kind) : NULL;
	u8 is[DIGEST_MAX];
	u64 at = 0;
	ssize_t n;
	int e = 0;
	while (!e && (n = source_read(from, u->buf)) > 0) {
		if (d)
			digest_add(d, u->buf, (size_t)n);
		if (to >= 0)
			e = host_write(&host_posix, to, at, u->buf, (u64)n);
		at += (u64)n;
		u->done += (u64)n;
		if (u->progress)
			u->progress(u->arg, u->done, u->total);
	}
	if (!e && n < 0)
		e = errno;
	if (!e && to >= 0)
		e = host_sync(&host_posix, to);
	bool right = true;
	if (d) {
		digest_end(d, is);
		right = !memcmp(is, m->digest, digest_bytes(m->kind));
	}
	if (e) {
		snprintf(u->a->err, u->a->errsize, "%s: '%.200s' cannot be copied: %s", u->a->path, m->name, strerror(e));
		return false;
	}
	return right || fail(u->a, "is damaged or was changed: the manifest has another digest for", m->name);
}

static bool member_unpack(struct unpack *u, struct member *m, struct archive *tar)
{
	struct source from = { .tar = tar, .fd = -1 };
	char *path = m->wanted ? in_folder(u->folder, m->name) : NULL;
	int to = -1;
	bool ok = !m->wanted || path;
	if (m->wanted && path && (to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)) < 0) {
		snprintf(u->a->err, u->a->errsize, "%s: cannot be made: %s", path, strerror(errno));
		ok = false;
	}
	m->written = to >= 0;
	ok = ok && member_copy(u, m, &from, to);
	if (to >= 0)
		close(to);
	free(path);
	return ok;
}

static bool unpack_archive(struct unpack *u)
{
	struct archive *tar = tar_open(u->a);
	struct archive_entry *entry;
	bool ok = tar;
	int more = 0;
	while (ok && (more = tar_next(u->a, tar, &entry)) > 0) {
		const char *name = archive_entry_pathname(entry);
		struct member *m = name ? find(u->a, name, strlen(name)) : NULL;
		if (!m || (u64)archive_entry_size(entry) != m->size || m->written)
			ok = fail(u->a, "has been changed while it was read", NULL);
		else if (m->wanted || m->kind)
			ok = member_unpack(u, m, tar);
	}
	archive_read_free(tar);
	return ok && !more;
}

static bool verify_folder(struct unpack *u)
{
	for (u32 i = 0; i < u->a->members; i++) {
		struct member *m = &u->a->member[i];
		if (!m->kind)
			continue;
		char *path = in_folder(u->a->folder, m->name);
		struct source from = { .fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1 };
		if (from.fd < 0)
			snprintf(u->a->err, u->a->errsize, "%s: cannot be read: %s", path ? path : m->name, strerror(errno));
		bool ok = from.fd >= 0 && member_copy(u, m, &from, -1);
		if (from.fd >= 0)
			close(from.fd);
		free(path);
		if (!ok)
			return false;
	}
	return true;
}

static void remove_written(struct unpack *u)
{
	for (u32 i = 0; i < u->a->members; i++) {
		char *path = u->a->member[i].written ? in_folder(u->folder, u->a->member[i].name) : NULL;
		if (path)
			unlink(path);
		free(path);
	}
}

bool ova_unpack(struct ova *a, const char *folder, void (*progress)(void *arg, u64 done, u64 total), void *arg, char *err, size_t errsize)
{
	struct unpack u = { .a = a, .folder = folder, .progress = progress, .arg = arg, .buf = malloc(PIECE) };
	struct stat st;
	a->err = err;
	a->errsize = errsize;
	if (!u.buf)
		return fail(a, "out of memory", NULL);
	for (u32 i = 0; i < a->members; i++) {
		struct member *m = &a->member[i];
		char *path = a->archive || !m->kind ? NULL : in_folder(a->folder, m->name);
		m->written = false;
		if (path && !stat(path, &st))
			m->size = (u64)st.st_size;
		u.total += m->kind || m->wanted ? m->size : 0;
		free(path);
	}
	bool ok = a->archive ? unpack_archive(&u) : verify_folder(&u);
	if (!ok)
		remove_written(&u);
	free(u.buf);
	return ok;
}
#endif

/*
 * import.c - 'ringfence import': a machine of an appliance. What the appliance wants and is not here is said, a line each.
 *
 * Disks are copied into qcow2 images, whatever format they come in; CDs stay what they are. Drives go to the four places of the two IDE
 * channels: hard disks to the first that is free, CD drives to the second channel's if they can.
 */
#define _GNU_SOURCE
#include "images/convert.h"
#include "images/image.h"
#include "images/ova.h"
#include "monitor/mem.h"
#include "ui/cli.h"
#include "ui/commands.h"
#include "ui/files.h"
#include "ui/machdir.h"
#include "ui/machine.h"
#include "ui/rundir.h"
#include "ui/say.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void help(void)
{
	printf("Usage: ringfence import FILE [--name NAME]\n\n"
		"Makes a machine of an appliance: an archive (.ova), or a descriptor (.ovf) beside its files. Its disks are copied. The\n"
		"digests in its manifest are checked, if it has one. What it wants and is not here is said.\n\n"
		"  --name NAME     the machine's name, instead of the appliance's\n");
}

#ifdef HAVE_OVA
enum { PLACES = 4, FLOPPIES = 2, CD_PLACE = 2 };

struct import {
	struct machine_dir m;
	struct ova *ova;
	const struct ovf *o;
	char unpacked[PATH_MAX];	/* where the archive's files lie until the machine is made: they may have any names */
	const char *what;	/* progress: what is being done */
	int shown;		/* percent that were shown last */
	bool taken[PLACES];
	u32 floppies;
	char err[900];
};

static void tell(void *arg, u64 done, u64 total)
{
	struct import *i = arg;
	int percent = total ? (int)((unsigned __int128)done * 100 / total) : 100;
	if (percent == i->shown || !isatty(STDERR_FILENO))
		return;
	i->shown = percent;
	fprintf(stderr, "\r%s: %d %%", i->what, percent);
}

static void begin(struct import *i, const char *what)
{
	i->what = what;
	i->shown = -1;
}

/* Clears the line. */
static void end(const struct import *i)
{
	if (i->shown >= 0)
		fprintf(stderr, "\r%*s\r", (int)strlen(i->what) + 8, "");
}

static bool fail(struct import *i, const char *sentence, const char *which)
{
	snprintf(i->err, sizeof(i->err), "%.200s: %s", which, sentence);
	return false;
}

/* The appliance's name as far as it can be a machine's: what cannot stand in one becomes a dash. */
static void name_of(const struct import *i, const char *file, char *name)
{
	const char *slash = strrchr(file, '/');
	const char *from = i->o->name && *i->o->name ? i->o->name : slash ? slash + 1 : file;
	snprintf(name, RUNDIR_NAME_MAX + 1, "%s", from);
	if (from != i->o->name && strrchr(name, '.'))
		*strrchr(name, '.') = 0;
	for (char *p = name; *p; p++)
		if (!((*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || *p == '_' || (*p == '.' && p > name)))
			*p = '-';
	while (*name == '-')
		memmove(name, name + 1, strlen(name));
	if (!*name)
		strcpy(name, "appliance");
}

static bool set(struct import *i, const char *key, const char *value)
{
	return conf_set(&i->m.conf, key, value, i->err, sizeof(i->err));
}

/* --- drives --- */

static int place(struct import *i, enum ovf_drive_kind kind)
{
	int first = kind == OVF_CDROM && !i->taken[CD_PLACE] ? CD_PLACE : 0;
	while (first < PLACES && i->taken[first])
		first++;
	if (first < PLACES)
		i->taken[first] = true;
	return first < PLACES ? first : -1;
}

/* A copy of `from` (NULL: an empty disk of `capacity` bytes) as disk number n. */
static bool make_disk(struct import *i, const char *from, u64 capacity, int n)
{
	char path[PATH_MAX], label[40];
	const struct image_options readonly = { .readonly = true }, whole = { 0 };
	struct image *source = from ? image_open(from, &readonly, i->err, sizeof(i->err)) : NULL;
	if (from && !source)
		return false;
	const struct image_create how = { .format = "qcow2", .size = source ? image_size(source) : capacity };
	struct image *to = NULL;
	snprintf(path, sizeof(path), "%s/disk%d.qcow2", i->m.path, n);
	snprintf(label, sizeof(label), "copying disk %d", n);
	bool ok = image_create(path, &how, i->err, sizeof(i->err));
	if (ok && source) {
		ok = (to = image_open(path, &whole, i->err, sizeof(i->err)));
		begin(i, label);
		struct image_copy copy = { .from = source, .to = to, .to_is_zero = true, .sparse = 4096, .progress = { tell, i } };
		ok = ok && image_copy(&copy, i->err, sizeof(i->err));
		end(i);
		if (ok && image_flush(to))
			ok = fail(i, "cannot be written", path);
	}
	image_close(to);
	image_close(source);
	return ok;
}

static bool add_disk(struct import *i, const struct ovf_drive *d, int n)
{
	const struct ovf_disk *disk = d->disk >= 0 ? &i->o->disk[d->disk] : NULL;
	int file = disk ? disk->file : d->file;
	char key[24], value[80];
	if (disk && disk->child)
		return fail(i, "holds only what differs from another disk, which is not supported", disk->id);
	if (file >= 0 && i->o->file[file].gzip)
		return fail(i, "is compressed as a whole, which is not supported; unpack it first", i->o->file[file].name);
	if (file < 0 && !disk->capacity)
		return fail(i, "is an empty disk of no size", disk->id);
	char *from = file >= 0 ? ova_file_path(i->ova, (u32)file, i->unpacked) : NULL;
	if (file >= 0 && !from)
		return fail(i, "out of memory", i->o->file[file].name);
	bool ok = make_disk(i, from, disk ? (disk->capacity + 511) & ~511ull : 0, n);
	free(from);
	snprintf(key, sizeof(key), "disk.%d", n);
	snprintf(value, sizeof(value), "disk%d.qcow2,format=qcow2", n);
	return ok && set(i, key, value);
}

static bool add_medium(struct import *i, const struct ovf_drive *d, const char *key, const char *name)
{
	int file = d->disk >= 0 ? i->o->disk[d->disk].file : d->file;
	char path[PATH_MAX];
	if (file < 0)
		return set(i, key, "none");
	if (i->o->file[file].gzip)
		return fail(i, "is compressed as a whole, which is not supported; unpack it first", i->o->file[file].name);
	char *from = ova_file_path(i->ova, (u32)file, i->unpacked);
	snprintf(path, sizeof(path), "%s/%s", i->m.path, name);
	bool moved = from && ova_is_archive(i->ova) && !rename(from, path);
	bool ok = moved || (from && file_copy(from, path, i->err, sizeof(i->err)));
	free(from);
	return ok && set(i, key, name);
}

static bool add_drive(struct import *i, const struct ovf_drive *d)
{
	char key[24], name[40];
	if (d->kind == OVF_FLOPPY) {
		if (i->floppies == FLOPPIES) {
			printf("note: more floppy drives than two: the others are left out\n");
			return true;
		}
		snprintf(key, sizeof(key), "floppy.%u", i->floppies);
		snprintf(name, sizeof(name), "floppy%u.img", i->floppies++);
		return add_medium(i, d, key, name);
	}
	int n = place(i, d->kind);
	if (n < 0) {
		if (d->kind == OVF_HARD_DISK)
			return fail(i, "there is room for four disks and CDs, and the appliance has more", i->m.name);
		printf("note: no room for another CD drive: it is left out\n");
		return true;
	}
	if (d->kind == OVF_HARD_DISK)
		return add_disk(i, d, n);
	snprintf(key, sizeof(key), "cdrom.%d", n);
	snprintf(name, sizeof(name), "cdrom%d.iso", n);
	return add_medium(i, d, key, name);
}

/* Disks first: they take the places that guests start from. */
static bool add_drives(struct import *i)
{
	for (int disks = 1; disks >= 0; disks--)
		for (u32 n = 0; n < i->o->drives; n++)
			if ((i->o->drive[n].kind == OVF_HARD_DISK) == disks && !add_drive(i, &i->o->drive[n]))
				return false;
	return true;
}

/* --- the rest --- */

static bool add_settings(struct import *i)
{
	const struct ovf *o = i->o;
	char text[128];
	u64 memory = o->memory > MEM_MAX_BYTES ? MEM_MAX_BYTES : o->memory;
	if (o->memory > MEM_MAX_BYTES)
		printf("note: %llu MiB of memory: the machine gets the most that there is here\n", (unsigned long long)(o->memory >> 20));
	if (memory && memory < MEM_MIN_BYTES)
		memory = MEM_MIN_BYTES;
	snprintf(text, sizeof(text), "%lluM", (unsigned long long)(memory >> 20));
	if (memory && !set(i, "memory", text))
		return false;
	if (o->cpus > 1)
		printf("note: %u processors: the guest sees one\n", o->cpus);
	if (o->nics)
		printf("note: %u network card%s: there is none here yet\n", o->nics, o->nics > 1 ? "s" : "");
	if (o->efi)
		printf("note: the guest wants EFI firmware: there is a BIOS here, which may not start it\n");
	if (o->os && strstr(o->os, "64"))
		printf("note: '%.60s' seems to be a 64-bit system: those do not run here yet\n", o->os);
	for (u32 n = 0; n < o->notes; n++)
		printf("note: %s\n", o->note[n]);
	snprintf(text, sizeof(text), "%.100s", o->os ? o->os : "");
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	return !*text || set(i, "description", text);
}

static bool import(struct import *i, const char *file, const char *name)
{
	static const char head[] = "# A machine of Ringfence, imported. 'man ringfence' has the keys; 'ringfence set' changes them.\n";
	char own[RUNDIR_NAME_MAX + 1];
	i->ova = ova_open(file, i->err, sizeof(i->err));
	if (!i->ova)
		return false;
	i->o = ova_machine(i->ova);
	name_of(i, file, own);
	if (!machdir_begin(&i->m, name ? name : own, i->err, sizeof(i->err)) ||
	    !conf_parse(&i->m.conf, CONF_FILE_NAME, head, strlen(head), i->err, sizeof(i->err)))
		return false;
	if (!ova_has_manifest(i->ova))
		printf("note: there is no manifest: whether the files are whole cannot be checked\n");
	snprintf(i->unpacked, sizeof(i->unpacked), "%s/unpacked", i->m.path);
	if (!folder_make(i->unpacked, i->err, sizeof(i->err)))
		return false;
	begin(i, "reading the appliance");
	bool ok = ova_unpack(i->ova, i->unpacked, tell, i, i->err, sizeof(i->err));
	end(i);
	return ok && add_settings(i) && add_drives(i) && folder_remove(i->unpacked, i->err, sizeof(i->err)) &&
	       machdir_finish(&i->m, i->err, sizeof(i->err));
}

int cmd_import(int argc, char **argv)
{
	struct import i = { .m.lock = -1 };
	const char *file = NULL, *name = NULL;
	for (int k = 0; k < argc; k++) {
		if (!strcmp(argv[k], "--help") || !strcmp(argv[k], "-h")) {
			help();
			return STATUS_OK;
		}
		if (!strncmp(argv[k], "--name=", 7)) {
			name = argv[k] + 7;
		} else if (!strcmp(argv[k], "--name") && k + 1 < argc) {
			name = argv[++k];
		} else if (*argv[k] == '-' || file) {
			fprintf(stderr, "ringfence: import: %s '%s'\nTry 'ringfence import --help'.\n",
				*argv[k] == '-' ? "no such option:" : "one FILE only, not also", argv[k]);
			return STATUS_USAGE;
		} else {
			file = argv[k];
		}
	}
	if (!file)
		return say_usage("import: which file?", "ringfence import");
	bool ok = import(&i, file, name);
	if (ok)
		printf("%s is there; 'ringfence run %s' starts it\n", i.m.name, i.m.name);
	else
		say_failed(i.err);
	machdir_close(&i.m);
	ova_close(i.ova);
	return ok ? STATUS_OK : STATUS_ERROR;
}
#else
int cmd_import(int argc, char **argv)
{
	if (argc == 1 && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))) {
		help();
		return STATUS_OK;
	}
	return say_failed("import: this program was built without libxml2, libarchive or nettle");
}
#endif

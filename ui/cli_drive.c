/*
 * cli_drive.c - the drives of the command line: FILE,key=value..., which of them sits where, and what the machine boots from.
 */
#include "images/image.h"
#include "ui/cli.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *const drive_keys[] = { "format", "readonly", "bus", "unit", "snapshot", "allow-backing" };
static const char *const boot_keys[] = { "order", "menu" };

/* Copies up to the next comma that is not doubled into run->text; *value moves behind it, or becomes NULL at the end. NULL: no room. */
static char *take_word(struct cli_run *run, const char **value)
{
	const char *from = *value;
	char *start = run->text + run->text_len, *to = start;
	while (*from && (*from != ',' || from[1] == ',')) {
		from += *from == ',';
		if (to >= run->text + CLI_TEXT - 1)
			return NULL;
		*to++ = *from++;
	}
	*to++ = 0;
	*value = *from ? from + 1 : NULL;
	run->text_len = (u32)(to - run->text);
	return start;
}

static bool unknown_key(const char *option, const char *key, const char *const *keys, u32 count, char *err, size_t errsize)
{
	const char *nearest = cli_nearest(key, keys, count);
	if (nearest)
		snprintf(err, errsize, "--%s: unknown key '%.40s'; did you mean '%s'?", option, key, nearest);
	else
		snprintf(err, errsize, "--%s: unknown key '%.40s'", option, key);
	return false;
}

static bool take_switch(const char *option, const char *key, const char *v, bool *on, char *err, size_t errsize)
{
	*on = !v || !strcmp(v, "on");
	if (*on || !strcmp(v, "off"))
		return true;
	snprintf(err, errsize, "--%s: %s is on or off, not '%.40s'", option, key, v);
	return false;
}

static bool known_format(const char *option, const char *v, char *err, size_t errsize)
{
	int n = snprintf(err, errsize, "--%s: '%.40s' is not one of the formats", option, v);
	for (u32 i = 0; image_format_name(i); i++) {
		if (!strcmp(image_format_name(i), v))
			return true;
		if (n > 0 && (size_t)n < errsize)
			n += snprintf(err + n, errsize - (size_t)n, "%s %s", i ? "," : "", image_format_name(i));
	}
	return false;
}

static bool take_key(struct cli_drive *d, const char *key, const char *v, char *err, size_t errsize)
{
	bool ide = d->drive.kind != BOARD_FLOPPY;
	int units = ide ? BOARD_IDE_DRIVES : BOARD_FLOPPIES;
	if (!strcmp(key, "readonly"))
		return take_switch(d->option, key, v, &d->drive.readonly, err, errsize);
	if (ide && !strcmp(key, "allow-backing"))
		return take_switch(d->option, key, v, &d->drive.allow_backing, err, errsize);
	if (strcmp(key, "format") && strcmp(key, "unit") && !(ide && (!strcmp(key, "bus") || !strcmp(key, "snapshot"))))
		return unknown_key(d->option, key, drive_keys, ARRAY_SIZE(drive_keys), err, errsize);
	if (!v || !*v) {
		snprintf(err, errsize, "--%s: %s needs a value", d->option, key);
		return false;
	}
	if (!strcmp(key, "format")) {
		d->drive.format = v;
		return known_format(d->option, v, err, errsize);
	}
	if (!strcmp(key, "snapshot"))
		d->drive.snapshot = v;
	if (!strcmp(key, "bus") && strcmp(v, "ide")) {
		snprintf(err, errsize, "--%s: bus is ide, not '%.40s'", d->option, v);
		return false;
	}
	if (!strcmp(key, "unit")) {
		d->unit = v[0] - '0';
		if (!isdigit((unsigned char)v[0]) || v[1] || d->unit >= units) {
			snprintf(err, errsize, "--%s: unit is 0 to %d, not '%.40s'", d->option, units - 1, v);
			return false;
		}
	}
	return true;
}

bool cli_take_drive(struct cli_run *run, const char *option, enum board_drive_kind kind, const char *value, char *err, size_t errsize)
{
	struct cli_drive d = { .drive = { .kind = kind }, .option = option, .unit = -1 };
	const char *rest = value, *path = take_word(run, &rest);
	if (run->drives == CLI_DRIVES) {
		snprintf(err, errsize, "--%s: a PC has at most %d IDE and %d floppy drives", option, BOARD_IDE_DRIVES, BOARD_FLOPPIES);
		return false;
	}
	if (path && !*path) {
		snprintf(err, errsize, "--%s: there is no file name in '%.60s'", option, value);
		return false;
	}
	bool empty = path && kind != BOARD_DISK && !strcmp(path, "none");
	d.drive.path = empty ? NULL : path;
	d.drive.readonly = kind == BOARD_CDROM;
	while (path && rest) {
		char *key = take_word(run, &rest), *v = key ? strchr(key, '=') : NULL;
		if (v)
			*v++ = 0;
		if (!key)
			path = NULL;
		else if (!take_key(&d, key, v, err, errsize))
			return false;
	}
	if (!path) {
		snprintf(err, errsize, "--%s: the value is too long", option);
		return false;
	}
	run->drive[run->drives++] = d;
	return true;
}

static bool take_order(struct cli_run *run, const char *v, char *err, size_t errsize)
{
	size_t len = strlen(v);
	bool good = len && len <= 3 && strspn(v, "acdn") == len;
	for (size_t i = 0; i < len && good; i++)
		good = !strchr(v + i + 1, v[i]);
	if (good)
		strcpy(run->boot_order, v);
	else
		snprintf(err, errsize, "--boot: order is one to three of a (floppy), c (disk), d (CD-ROM), n (network), not '%.40s'", v);
	return good;
}

bool cli_take_boot(struct cli_run *run, const char *value, char *err, size_t errsize)
{
	while (value) {
		char *key = take_word(run, &value), *v = key ? strchr(key, '=') : NULL;
		if (!key) {
			snprintf(err, errsize, "--boot: the value is too long");
			return false;
		}
		if (v)
			*v++ = 0;
		if (!strcmp(key, "order") ? !take_order(run, v ? v : "", err, errsize) :
		    !strcmp(key, "menu") ? !take_switch("boot", key, v, &run->boot_menu, err, errsize) :
		    !unknown_key("boot", key, boot_keys, ARRAY_SIZE(boot_keys), err, errsize))
			return false;
	}
	return true;
}

/* --- places --- */

static bool put(struct board_drive *places, int unit, const struct cli_drive *d, char *err, size_t errsize)
{
	if (places[unit].kind == BOARD_NO_DRIVE) {
		places[unit] = d->drive;
		return true;
	}
	snprintf(err, errsize, "%.200s: unit %d is taken already", d->drive.path ? d->drive.path : d->option, unit);
	return false;
}

/* Disks begin at the first place, CD-ROM drives at the secondary channel's master, where people are used to find them. */
static int free_unit(const struct board_drive *places, int count, int first)
{
	for (int i = 0; i < count; i++)
		if (places[(first + i) % count].kind == BOARD_NO_DRIVE)
			return (first + i) % count;
	return -1;
}

static bool place(struct cli_run *run, const struct cli_drive *d, char *err, size_t errsize)
{
	bool floppy = d->drive.kind == BOARD_FLOPPY;
	struct board_drive *places = floppy ? run->floppy : run->ide;
	int count = floppy ? BOARD_FLOPPIES : BOARD_IDE_DRIVES;
	int unit = d->unit >= 0 ? d->unit : free_unit(places, count, d->drive.kind == BOARD_CDROM ? 2 : 0);
	if (unit >= 0)
		return put(places, unit, d, err, errsize);
	snprintf(err, errsize, "%.200s: a PC has only %d %s", d->drive.path ? d->drive.path : d->option, count,
		 floppy ? "floppy drives" : "places for disks and CD-ROM drives");
	return false;
}

/* Without --boot firmware tries what is named first. */
static void order_as_named(struct cli_run *run)
{
	static const char letter[] = { [BOARD_DISK] = 'c', [BOARD_CDROM] = 'd', [BOARD_FLOPPY] = 'a' };
	size_t len = 0;
	for (u32 i = 0; i < run->drives; i++) {
		char c = letter[run->drive[i].drive.kind];
		if (!strchr(run->boot_order, c)) {
			run->boot_order[len++] = c;
			run->boot_order[len] = 0;
		}
	}
}

bool cli_place_drives(struct cli_run *run, char *err, size_t errsize)
{
	for (int named = 1; named >= 0; named--)	/* first those that say where */
		for (u32 i = 0; i < run->drives; i++)
			if ((run->drive[i].unit >= 0) == named && !place(run, &run->drive[i], err, errsize))
				return false;
	if (!run->boot_order[0])
		order_as_named(run);
	return true;
}

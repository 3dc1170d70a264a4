/*
 * cli_files.c - 'ringfence run FILE...': looks at each file and makes of it a kernel or a drive with that medium.
 */
#include "images/sniff.h"
#include "ui/cli.h"

#include <string.h>
#include <unistd.h>

static bool add_drive(struct cli_run *run, u32 at, const char *path, enum board_drive_kind kind, char *err, size_t errsize)
{
	if (run->drives == CLI_DRIVES) {
		snprintf(err, errsize, "%.200s: a PC has at most %d IDE and %d floppy drives", path, BOARD_IDE_DRIVES, BOARD_FLOPPIES);
		return false;
	}
	/* In front of those that options named: FILEs are what the user wants to see start. */
	memmove(run->drive + at + 1, run->drive + at, (run->drives - at) * sizeof(*run->drive));
	run->drive[at] = (struct cli_drive){
		.drive = { .kind = kind, .path = path, .readonly = kind == BOARD_CDROM || access(path, W_OK) }, .unit = -1,
	};
	run->drives++;
	return true;
}

static bool add_kernel(struct cli_run *run, const char *path, char *err, size_t errsize)
{
	if (run->kernel) {
		snprintf(err, errsize, "%.200s: one kernel is there already: %.200s", path, run->kernel);
		return false;
	}
	run->kernel = path;
	if (!run->firmware)	/* what pretends to be a kernel (memtest86+, ipxe.lkrn) is at home on a PC with a BIOS */
		run->firmware = "seabios";
	return true;
}

bool cli_look_at_files(struct cli_run *run, char *err, size_t errsize)
{
	u32 drives = 0;
	for (u32 i = 0; i < run->files; i++) {
		const char *path = run->file[i];
		bool ok = true;
		switch (image_sniff(path, NULL, err, errsize)) {
		case IMAGE_ERROR:     return false;
		case IMAGE_FLOPPY:    ok = add_drive(run, drives++, path, BOARD_FLOPPY, err, errsize); break;
		case IMAGE_CDROM:     ok = add_drive(run, drives++, path, BOARD_CDROM, err, errsize); break;
		case IMAGE_DISK:      ok = add_drive(run, drives++, path, BOARD_DISK, err, errsize); break;
		case IMAGE_LINUX:
		case IMAGE_MULTIBOOT: ok = add_kernel(run, path, err, errsize); break;
		case IMAGE_UNKNOWN:
			snprintf(err, errsize, "%.200s: this is no kernel and no floppy, CD or disk image that is known; "
				"--floppy, --cdrom or --disk says what it is", path);
			return false;
		}
		if (!ok)
			return false;
	}
	if (run->kernel || !(run->initrd || run->append[0]))
		return true;
	snprintf(err, errsize, "--initrd and --append go with a kernel, and no FILE is one");
	return false;
}

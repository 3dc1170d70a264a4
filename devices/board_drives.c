/*
 * board_drives.c - wires the IDE drives: 1F0h-1F7h, 3F6h and interrupt 14; 170h-177h, 376h and 15; the function at PCI 01.1.
 */
#include "devices/board_drives.h"
#include "devices/blockdev.h"
#include "images/image.h"
#include "monitor/bus.h"
#include "monitor/vm.h"
#include <stdio.h>

static const struct { const char *id; u16 command, control; } channels[2] = { { "ide0", 0x1f0, 0x3f6 }, { "ide1", 0x170, 0x376 } };
static const char *const disk_ids[BOARD_IDE_DRIVES] = { "ide0-hd0", "ide0-hd1", "ide1-hd0", "ide1-hd1" };
static const char *const cd_ids[BOARD_IDE_DRIVES] = { "ide0-cd0", "ide0-cd1", "ide1-cd0", "ide1-cd1" };

static u32 command_read(void *dev, u32 offset, int size) { return ide_read(dev, offset, size); }
static void command_write(void *dev, u32 offset, u32 value, int size) { ide_write(dev, offset, value, size); }
static u32 control_read(void *dev, u32 offset, int size) { return ide_read_alt_status(dev); }
static void control_write(void *dev, u32 offset, u32 value, int size) { ide_write_control(dev, (u8)value); }

static const struct bus_ops command_ops = { command_read, command_write, 4 };
static const struct bus_ops control_ops = { control_read, control_write, 1 };

static u32 data_read(void *dev, void *buf, int size, u32 n) { return ide_read_data(dev, buf, size, n); }
static u32 data_write(void *dev, const void *buf, int size, u32 n) { return ide_write_data(dev, buf, size, n); }
static const struct bus_stream data_stream = { data_read, data_write };

static bool attach(struct board_drives *d, struct vm *vm, int n, const struct board_drive *drive, char *err, size_t errsize)
{
	bool cd = drive->kind == BOARD_CDROM;
	struct image_options how = { .readonly = drive->readonly || cd, .format = drive->format, .snapshot = drive->snapshot,
				     .allow_backing = drive->allow_backing };
	struct image *im = NULL;
	if (drive->path) {
		im = (drive->throwaway && !how.readonly ? image_open_throwaway : image_open)(drive->path, &how, err, errsize);
		if (!im)
			return false;
	}
	d->blk[n] = blockdev_init(vm, cd ? cd_ids[n] : disk_ids[n], im);
	if (!d->blk[n]) {
		snprintf(err, errsize, "cannot start a thread for %s", drive->path ? drive->path : cd_ids[n]);
		return false;
	}
	ide_attach(&d->channel[n / 2], n % 2, cd ? IDE_CD : IDE_DISK, d->blk[n]);
	return true;
}

bool board_drives_init(struct board_drives *d, struct vm *vm, const struct board_drive *drives, const struct line *irq,
		       char *err, size_t errsize)
{
	for (int i = 0; i < 2; i++) {
		ide_channel_init(&d->channel[i], vm, channels[i].id);
		d->channel[i].irq = irq[i];
		if (!bus_add_io(vm, channels[i].id, channels[i].command, 8, &command_ops, &d->channel[i]) ||
		    !bus_add_io(vm, channels[i].id, channels[i].control, 1, &control_ops, &d->channel[i]))
			return false;
		bus_set_stream(vm, channels[i].command, &data_stream);
	}
	piix_ide_init(&d->pci, vm, "piix_ide", &d->channel[0], &d->channel[1]);
	for (int n = 0; n < BOARD_IDE_DRIVES; n++)
		if (drives[n].kind != BOARD_NO_DRIVE && !attach(d, vm, n, &drives[n], err, errsize))
			return false;
	return true;
}

void board_drives_stop(struct board_drives *d)
{
	for (int n = 0; n < BOARD_IDE_DRIVES; n++)
		blockdev_stop(d->blk[n]);
}

void board_drives_fini(struct board_drives *d)
{
	for (int n = 0; n < BOARD_IDE_DRIVES; n++)
		blockdev_fini(d->blk[n]);
}

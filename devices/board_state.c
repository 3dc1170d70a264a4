/*
 * board_state.c - the PC's side of snapshots: drives come to rest, chips by their field tables, video memory, the date.
 */
#include "devices/board_state.h"
#include "devices/blockdev.h"
#include "devices/board_pc.h"
#include "devices/board_video.h"
#include "devices/emulated/rtc.h"
#include "devices/state.h"
#include "monitor/vm.h"
#include <stdio.h>

/* Until a round in which no drive had anything to do: what one drive's end starts may be at another. */
static bool quiet(struct vm *vm, char *err, size_t errsize)
{
	bool busy = true;
	while (busy) {
		busy = false;
		for (u32 i = 0; i < BOARD_DRIVES; i++) {
			struct blockdev *b = board_blockdev(vm, i);
			if (b && !blockdev_settle(b, &busy)) {
				snprintf(err, errsize, "the host refuses what the guest writes to %s: no snapshot is possible before that is mended",
					 blockdev_id(b));
				return false;
			}
		}
	}
	return true;
}

static void give_up(struct vm *vm)
{
	for (u32 i = 0; i < BOARD_DRIVES; i++)
		if (board_blockdev(vm, i))
			blockdev_give_up(board_blockdev(vm, i));
}

static void save(struct vm *vm, struct blob *out)
{
	device_state_save(board_devices(vm), out);
}

static bool check(struct vm *vm, struct blob_reader in, char *err, size_t errsize)
{
	return device_state_check(board_devices(vm), in, err, errsize);
}

static void load(struct vm *vm, struct blob_reader in)
{
	device_state_load(board_devices(vm), in);
}

static bool memory(struct vm *vm, u32 n, const char **name, u8 **host, u64 *bytes)
{
	if (n)
		return false;
	*name = "video";
	*host = video_memory(board_video(vm), bytes);
	return true;
}

static void set_date(struct vm *vm, s64 date)
{
	rtc_set_date(board_rtc(vm), date);
}

const struct vm_state_ops board_state_ops = { quiet, give_up, save, check, load, memory, set_date };

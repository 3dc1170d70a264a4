/*
 * board_pc.h - the PC: which chips, at which ports, on which lines. The one file that knows the wiring.
 */
#ifndef RF_BOARD_PC_H
#define RF_BOARD_PC_H
#include "devices/device.h"

struct blockdev;
struct rtc;
struct video;
#define BOARD_UARTS 4
#define BOARD_START_PORT 0x505	/* the boot ROM asks here for its kernel */
#define BOARD_IDE_DRIVES 4
#define BOARD_FLOPPIES 2
#define BOARD_DRIVES (BOARD_IDE_DRIVES + BOARD_FLOPPIES)

struct board_drive {
	enum board_drive_kind { BOARD_NO_DRIVE, BOARD_DISK, BOARD_CDROM, BOARD_FLOPPY } kind;
	const char *path;	/* NULL: an empty drive (CD-ROM, floppy) */
	const char *format;	/* as for image_open() */
	const char *snapshot;	/* as for image_open(), and so is the next */
	bool allow_backing;
	bool readonly;
	bool throwaway;		/* what is written is forgotten at the end: image_open_throwaway() */
};

struct board_options {
	const char *serial[BOARD_UARTS];	/* COM1 to COM4: as chardev_open(); NULL: no such port in the machine */
	const char *debugcon;			/* port E9h, as chardev_open(); NULL: none */
	const u8 *boot_rom;			/* option ROM that offers the loader's kernel (loader_boot_rom()); NULL: none */
	u32 boot_rom_size;
	bool no_firmware;			/* a kernel is started directly: it finds what firmware would have left behind */
	int debug_exit;				/* port of the exit device; -1: none */
	const char *parallel;			/* LPT1, as chardev_open(); NULL: no such port in the machine */
	struct board_drive ide[BOARD_IDE_DRIVES];	/* primary master and slave, secondary master and slave */
	struct board_drive floppy[BOARD_FLOPPIES];	/* A: and B: */
	bool rtc_given;				/* the clock begins at rtc_date, seconds since 1970, and not at the host's time (UTC) */
	s64 rtc_date;
	const char *boot_order;			/* firmware tries: up to three of a (floppy), c (disk), d (CD-ROM), n (network); NULL: its own */
	bool boot_menu;				/* firmware offers its boot menu */
	/* What is typed on standard input passes through this (event thread); may be NULL. */
	size_t (*stdin_filter)(void *arg, u8 *buf, size_t n);
	void *stdin_arg;
};

/*
 * Builds the board on a vm that has memory, bus, clock, events and vcpu; sets the vm's board functions. False with a sentence in err.
 * The RTC's memory sizes come from vm->mem.
 */
bool board_init(struct vm *vm, const struct board_options *opt, char *err, size_t errsize);
/* After the vCPU thread's end and before event_fini(): no thread of the board posts any more. */
void board_stop(struct vm *vm);
void board_fini(struct vm *vm);
/* Drive n of BOARD_DRIVES, the floppies last, for those who change its medium or want to know; NULL: no such drive. */
struct blockdev *board_blockdev(struct vm *vm, u32 n);
/* Any thread: the power button is pressed. Guests that know ACPI shut down. */
void board_power_button(struct vm *vm);
/* For board_state.c. */
struct video *board_video(struct vm *vm);
struct rtc *board_rtc(struct vm *vm);
/* All chips, linked by `next`. */
struct device *board_devices(struct vm *vm);
#endif

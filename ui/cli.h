/*
 * cli.h - the command line: words into a struct, with a sentence for whatever is wrong with them.
 */
#ifndef RF_CLI_H
#define RF_CLI_H
#include <stdio.h>
#include "devices/board_pc.h"

#define CLI_SERIALS 4
#define CLI_DRIVES (BOARD_IDE_DRIVES + BOARD_FLOPPIES)
#define CLI_FILES (CLI_DRIVES + 1)
#define CLI_TEXT 16384

/* A drive as it was named: on the command line, by an option or as a FILE. */
struct cli_drive {
	struct board_drive drive;
	const char *option;	/* "disk", or NULL: a FILE */
	int unit;		/* or -1: the next free one */
};

struct machine_dir;

/* What 'ringfence run' was told. Strings point into argv or text. */
struct cli_run {
	const char *firmware, *kernel, *initrd, *append;	/* firmware: a file or "seabios"; NULL: none with a kernel, else seabios */
	const char *cpu, *name;
	const char *serial[CLI_SERIALS];	/* unset ones are NULL */
	const char *debugcon;			/* NULL: none */
	const char *display, *parallel;
	const char *restore;			/* a snapshot's file; NULL: none */
	struct machine_dir *kept;		/* the folder of a machine that was created; NULL: none */
	bool throwaway;				/* nothing is written to drives' images */
	bool clock_host;
	bool rtc_given;			/* --rtc other than base=utc: rtc_date, seconds since 1970 */
	s64 rtc_date;
	const char *file[CLI_FILES];		/* not yet looked at: cli_look_at_files() */
	u32 files;
	struct cli_drive drive[CLI_DRIVES];	/* in the order of the command line */
	u32 drives;
	struct board_drive ide[BOARD_IDE_DRIVES], floppy[BOARD_FLOPPIES];	/* where they are: cli_place_drives() */
	char boot_order[8];			/* as board_options.boot_order; "": nothing was said */
	bool boot_menu;
	char text[CLI_TEXT];			/* words that are not in argv as they are meant */
	u32 text_len;
	u64 ram_size;				/* bytes */
	u64 trace;				/* enum trace_bit */
	u64 dump_lo, dump_hi;			/* guest EIPs, both inclusive */
	u32 serials;
	int debug_exit;				/* port, or -1 */
	bool name_given, no_reboot, dump, stats, check_recover, check_links;
};

enum cli_result { CLI_OK, CLI_HELP, CLI_VERSION, CLI_ERROR /* err has the sentence */ };

/* Parses the words behind 'run'. On CLI_OK all fields have values. */
enum cli_result cli_parse_run(int argc, char **argv, struct cli_run *run, char *err, size_t errsize);
/* The same behind the words that a snapshot has of its machine: those come first, and may be said otherwise. */
enum cli_result cli_parse_saved(u32 count, char **saved, int argc, char **argv, struct cli_run *run, char *err, size_t errsize);
/* cli_saved.c: a machine whose drives are placed, as words, a line each; NULL: out of memory. */
#define CLI_SAVED_WORDS 64
char *cli_saved(const struct cli_run *run);
u32  cli_saved_words(char *saved, char **words, u32 most);	/* cuts the text into them */
/* cli_files.c: finds out what each FILE is; kernels and drives join those that options named. False with a sentence in err. */
bool cli_look_at_files(struct cli_run *run, char *err, size_t errsize);
/* cli_drive.c: the values of --disk, --cdrom, --floppy and of --boot; gives each drive its place, and says what to boot from. */
bool cli_take_drive(struct cli_run *run, const char *option, enum board_drive_kind kind, const char *value, char *err, size_t errsize);
bool cli_take_boot(struct cli_run *run, const char *value, char *err, size_t errsize);
bool cli_place_drives(struct cli_run *run, char *err, size_t errsize);
/* For 'ringfence' itself and for commands without options: only --help and --version. */
enum cli_result cli_parse_plain(int argc, char **argv, char *err, size_t errsize);
/* "512M", "2G", "64" (MiB), "4096K". False when it is no size. */
bool cli_parse_size(const char *text, u64 *bytes);
/* The word that `wrong` most likely was meant to be, or NULL. */
const char *cli_nearest(const char *wrong, const char *const *words, u32 count);
int cli_print_version(void);	/* an exit status */
void cli_help(FILE *out);
void cli_help_run(FILE *out);
#endif

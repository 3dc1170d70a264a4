/*
 * cli.h - the command line: words into a struct, with a sentence for whatever is wrong with them.
 */
#ifndef RF_CLI_H
#define RF_CLI_H
#include <stdio.h>
#include "monitor/lib/types.h"

#define CLI_SERIALS 4

/* What 'ringfence run' was told. Strings point into argv. */
struct cli_run {
	const char *firmware, *kernel, *initrd, *append;	/* firmware: a file or "seabios"; NULL: none with a kernel, else seabios */
	const char *cpu, *name;
	const char *serial[CLI_SERIALS];	/* unset ones are NULL */
	const char *debugcon;			/* NULL: none */
	u64 ram_size;				/* bytes */
	u64 trace;				/* enum trace_bit */
	u64 dump_lo, dump_hi;			/* guest EIPs, both inclusive */
	u32 serials;
	int debug_exit;				/* port, or -1 */
	bool no_reboot, dump, stats, check_recover, check_links;
};

enum cli_result { CLI_OK, CLI_HELP, CLI_VERSION, CLI_ERROR /* err has the sentence */ };

/* Parses the words behind 'run'. On CLI_OK all fields have values. */
enum cli_result cli_parse_run(int argc, char **argv, struct cli_run *run, char *err, size_t errsize);
/* For 'ringfence' itself and for commands without options: only --help and --version. */
enum cli_result cli_parse_plain(int argc, char **argv, char *err, size_t errsize);
/* "512M", "2G", "64" (MiB), "4096K". False when it is no size. */
bool cli_parse_size(const char *text, u64 *bytes);
/* The word that `wrong` most likely was meant to be, or NULL. */
const char *cli_nearest(const char *wrong, const char *const *words, u32 count);
void cli_help(FILE *out);
void cli_help_run(FILE *out);
#endif

/* probe.h - 'ringfence probe': what this host allows. */
#ifndef RF_PROBE_H
#define RF_PROBE_H
#include <stdio.h>

/* Prints a line for each facility: its name, what was found, what that means. Returns how many that are needed are missing. */
int probe_host(FILE *out);
#endif

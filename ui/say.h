/*
 * say.h - how a command that went wrong ends: a sentence on stderr, and an exit status.
 */
#ifndef RF_SAY_H
#define RF_SAY_H

/* STATUS_ERROR */
int say_failed(const char *sentence);
/* STATUS_USAGE; names the help of `command`: "ringfence create". */
int say_usage(const char *sentence, const char *command);
#endif

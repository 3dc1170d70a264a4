/*
 * media.h - what a window does to the machine: its power button, and the media in its drives. Any thread.
 *
 * What happens is done on the vCPU thread later; a sentence on stderr says what could not be done.
 */
#ifndef RF_MEDIA_H
#define RF_MEDIA_H
#include "monitor/lib/types.h"

struct vm;
bool media_power_button(struct vm *vm, char *err, size_t errsize);
/* Ejects the first medium that is in a drive and can be taken out, CDs first. */
bool media_eject(struct vm *vm, char *err, size_t errsize);
/* Puts a file into the first drive of its kind; the medium that was there is ejected. False with a sentence in err: it is no such file. */
bool media_insert(struct vm *vm, const char *path, char *err, size_t errsize);
#endif

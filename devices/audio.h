/*
 * audio.h - where the machine's sounds go: the PC speaker's square wave so far.
 *
 * The chip calls on the vCPU thread; the back end (ui/) makes the sound on the host's thread and must return at once.
 */
#ifndef RF_AUDIO_H
#define RF_AUDIO_H
#include "monitor/lib/types.h"

struct audio;
/* A square wave of hz from now on; 0: silence. audio may be NULL (nothing to hear with). */
void audio_tone(struct audio *a, u32 hz);
#endif

/*
 * sdl_audio.h - the machine's sound through SDL. Main thread.
 *
 * The host's sound card is open only while there is something to hear: a machine that is silent costs nothing.
 */
#ifndef RF_SDL_AUDIO_H
#define RF_SDL_AUDIO_H
#include "monitor/lib/types.h"

struct vm;
struct sdl_audio;
/* `wake` is called on any thread and is to have the main thread call sdl_audio_check() soon. NULL: the machine has no sound, or memory is
 * out. */
struct sdl_audio *sdl_audio_open(struct vm *vm, void (*wake)(void *arg), void *arg);
/* Opens or closes the host's sound card, as is needed. */
void sdl_audio_check(struct sdl_audio *s);
void sdl_audio_close(struct sdl_audio *s);	/* NULL is fine */
#endif

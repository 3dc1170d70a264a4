/*
 * sdl_audio.c - the PC speaker by way of SDL, whose sound thread asks for samples.
 */
#include "ui/sdl_audio.h"

#ifdef HAVE_SDL
#include <SDL.h>
#include <stdio.h>
#include <stdlib.h>

#include "devices/audio.h"
#include "monitor/vm.h"

enum { RATE = 48000, SAMPLES = 512 };

struct sdl_audio {
	struct vm *vm;
	void (*wake)(void *arg);
	void *arg;
	SDL_AudioDeviceID device;	/* 0: closed */
	u32 silent;			/* atomic: the main thread knows that nothing is heard */
	bool broken;			/* there is no sound card: said once */
};

static void fill(void *arg, Uint8 *to, int bytes)
{
	struct sdl_audio *s = arg;
	bool silent = audio_render(s->vm->audio, (s16 *)to, (u32)bytes / sizeof(s16), RATE);
	if (silent && !__atomic_exchange_n(&s->silent, 1, __ATOMIC_ACQ_REL))
		s->wake(s->arg);
}

static bool open_card(struct sdl_audio *s)
{
	SDL_AudioSpec want = { .freq = RATE, .format = AUDIO_S16SYS, .channels = 1, .samples = SAMPLES, .callback = fill, .userdata = s };
	if (!SDL_WasInit(SDL_INIT_AUDIO) && SDL_InitSubSystem(SDL_INIT_AUDIO))
		return false;
	s->device = SDL_OpenAudioDevice(NULL, 0, &want, NULL, 0);
	if (!s->device)
		return false;
	SDL_PauseAudioDevice(s->device, 0);
	return true;
}

void sdl_audio_check(struct sdl_audio *s)
{
	if (!s || s->broken)
		return;
	if (s->device) {
		SDL_LockAudioDevice(s->device);
		bool close = audio_sleep(s->vm->audio);
		__atomic_store_n(&s->silent, 0, __ATOMIC_RELEASE);
		SDL_UnlockAudioDevice(s->device);
		if (close) {
			SDL_CloseAudioDevice(s->device);
			s->device = 0;
		}
	} else if (!audio_sleep(s->vm->audio) && !open_card(s)) {
		fprintf(stderr, "ringfence: no sound: %s\n", SDL_GetError());
		audio_listen(s->vm->audio, NULL, NULL);
		s->broken = true;
	}
}

struct sdl_audio *sdl_audio_open(struct vm *vm, void (*wake)(void *arg), void *arg)
{
	struct sdl_audio *s = vm->audio ? calloc(1, sizeof(*s)) : NULL;
	if (!s)
		return NULL;
	s->vm = vm;
	s->wake = wake;
	s->arg = arg;
	audio_listen(vm->audio, wake, arg);
	return s;
}

void sdl_audio_close(struct sdl_audio *s)
{
	if (!s)
		return;
	audio_listen(s->vm->audio, NULL, NULL);
	if (s->device)
		SDL_CloseAudioDevice(s->device);
	free(s);
}
#endif

/*
 * text.c - the VGA's text screen in the terminal. The one file that knows curses.
 */
#include "ui/front.h"
#include <stdio.h>

bool text_open(struct front *f, struct vm *vm, char *err, size_t errsize)
{
	snprintf(err, errsize, "--display text: this ringfence was built without ncurses");
	return false;
}

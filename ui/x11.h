/*
 * x11.h - a connection to an X server: to wait for it, and to outlive it.
 */
#ifndef RF_X11_H
#define RF_X11_H
#include "monitor/lib/types.h"

/*
 * The file descriptor of a Display *. Xlib ends the process when the server vanishes; from now on it sets *lost instead (atomic, on the
 * thread that uses the connection), and its functions return with nothing. -1: this is no Xlib that can do that (before 1.7, 2020).
 */
int x11_outlive(void *display, bool *lost);
#endif

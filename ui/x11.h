/*
 * x11.h - a connection to an X server: to wait for it, and to outlive it.
 */
#ifndef RF_X11_H
#define RF_X11_H
#include "monitor/lib/types.h"

/*
 * The file descriptor of a Display *. Xlib ends the process when the server vanishes; from now on it calls lost(display, arg) instead, on
 * the thread that uses the connection. If that returns, so do Xlib's functions, with nothing, for which not all of SDL is ready. -1: this
 * is no Xlib that can do that (before 1.7, 2020).
 */
int x11_outlive(void *display, void (*lost)(void *display, void *arg), void *arg);
#endif

/*
 * x11.c - what SDL does not do with its connection to the X server. Xlib is looked up in what SDL has loaded, so its headers are not
 * needed to build.
 */
#define _GNU_SOURCE	/* RTLD_NOLOAD */
#include "ui/x11.h"

#include <dlfcn.h>
#include <stddef.h>

/* Xlib's own ends the process before the exit handler has a say. */
static int lost_error(void *display)
{
	return 0;
}

int x11_outlive(void *display, void (*lost)(void *display, void *arg), void *arg)
{
	void *lib = dlopen("libX11.so.6", RTLD_LAZY | RTLD_NOLOAD);
	if (!lib)
		return -1;
	int (*number)(void *display) = (int (*)(void *))dlsym(lib, "XConnectionNumber");
	void (*set_handler)(void *display, void (*handler)(void *, void *), void *arg) =
		(void (*)(void *, void (*)(void *, void *), void *))dlsym(lib, "XSetIOErrorExitHandler");
	void *(*set_error_handler)(int (*handler)(void *)) = (void *(*)(int (*)(void *)))dlsym(lib, "XSetIOErrorHandler");
	dlclose(lib);	/* SDL has it still */
	if (!number || !set_handler || !set_error_handler)
		return -1;
	set_error_handler(lost_error);
	set_handler(display, lost, arg);
	return number(display);
}

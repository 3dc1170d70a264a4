/*
 * rundir.h - where this user's running machines are found: $XDG_RUNTIME_DIR/ringfence/NAME.sock, or /tmp/ringfence-UID/NAME.sock.
 */
#ifndef RF_RUNDIR_H
#define RF_RUNDIR_H
#include "monitor/lib/types.h"

#define RUNDIR_NAME_MAX 48	/* bytes of a machine's name: the socket's path must fit into struct sockaddr_un */

/* False with a sentence in err: the path would be too long. */
bool rundir_path(char *buf, size_t size, char *err, size_t errsize);
/* The folder, made if it is missing and nobody else's: an open descriptor, or -1 with a sentence in err. */
int rundir_open(char *err, size_t errsize);
/* Path of a machine's socket; `name` with a slash is a path already. */
bool rundir_socket(const char *name, char *buf, size_t size, char *err, size_t errsize);
/* A descriptor, or -1 and errno; ECONNREFUSED: nobody listens any more. */
int rundir_connect(const char *path);
/* Fits a file name and a window's title: printable, no slash, no dot in front, not too long. */
bool rundir_name_valid(const char *name);
#endif

/*
 * control_client.h - talking to a running machine over its control socket.
 */
#ifndef RF_CONTROL_CLIENT_H
#define RF_CONTROL_CLIENT_H
#include "monitor/lib/types.h"

struct json;
struct control_client {
	int fd;
	int patience_ms;	/* how long the machine may be silent */
	char *buf;
	size_t len, size, used;
};

/* `name` of a machine, or a path. False with a sentence in err. */
bool control_client_open(struct control_client *c, const char *name, int patience_ms, char *err, size_t errsize);
void control_client_close(struct control_client *c);
/* The command's answer, to be freed (never NULL on success); events in between are dropped. NULL with a sentence in err. Takes args. */
struct json *control_client_ask(struct control_client *c, const char *command, struct json *args, char *err, size_t errsize);
#endif

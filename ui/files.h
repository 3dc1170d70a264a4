/*
 * files.h - files and folders of machines: copied, replaced, removed, made durable. False comes with a sentence in err.
 */
#ifndef RF_FILES_H
#define RF_FILES_H
#include "monitor/lib/types.h"

/* A whole regular file of at most `most` bytes, of malloc, with a NUL behind it. NULL with a sentence. */
char *file_read(const char *path, size_t most, size_t *len, char *err, size_t errsize);
/* Written beside it, made durable, then renamed: whole or not at all. */
bool file_replace(const char *path, const void *data, size_t len, char *err, size_t errsize);
/* A new file; `to` must not be there. Shares blocks where the file system can, keeps holes, is durable. Says how far it is on a terminal
 * if it takes long. What was begun is removed on failure. */
bool file_copy(const char *from, const char *to, char *err, size_t errsize);
bool folder_sync(const char *path, char *err, size_t errsize);
/* With all that is in it; links are removed, not followed. Also true if it is not there. */
bool folder_remove(const char *path, char *err, size_t errsize);
bool folder_make(const char *path, char *err, size_t errsize);	/* and those above it; mode 0700; it may be there */
/* Bytes that the host holds for the files in it. */
u64  folder_usage(const char *path);
#endif

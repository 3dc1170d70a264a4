/*
 * blob.h - numbers and texts in a row: a buffer that grows, and a reader that stays inside. All numbers are little-endian.
 */
#ifndef RF_BLOB_H
#define RF_BLOB_H
#include "monitor/lib/types.h"

/* All zero: empty. The owner frees data. */
struct blob {
	u8 *data;
	size_t len, room;
	bool failed;		/* out of memory: what is there is not all */
};
void blob_put(struct blob *b, const void *data, size_t len);
void blob_number(struct blob *b, u64 value, u32 bytes);	/* 1 to 8 bytes */
void blob_text(struct blob *b, const char *text);		/* up to 65535 bytes: a length of 16 bits, then the text */
void blob_free(struct blob *b);

/* Whatever is read behind the end is 0, and `bad` says so. */
struct blob_reader {
	const u8 *at;
	size_t left;
	bool bad;
};
const u8 *blob_take(struct blob_reader *r, size_t len);	/* NULL: there is not that much left */
u64  blob_take_number(struct blob_reader *r, u32 bytes);
/* Cut to what fits into buf; the text cannot contain a zero byte. */
void blob_take_text(struct blob_reader *r, char *buf, size_t size);
#endif

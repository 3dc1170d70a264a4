/*
 * blob.c - numbers and texts in a row. See blob.h.
 */
#include "monitor/lib/blob.h"
#include <stdlib.h>
#include <string.h>

void blob_put(struct blob *b, const void *data, size_t len)
{
	if (b->len + len > b->room) {
		size_t room = (b->len + len) * 2 + 256;
		u8 *more = realloc(b->data, room);
		b->failed |= !more;
		if (!more)
			return;
		b->data = more;
		b->room = room;
	}
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
}

void blob_number(struct blob *b, u64 value, u32 bytes)
{
	blob_put(b, &value, bytes);
}

void blob_text(struct blob *b, const char *text)
{
	size_t len = strlen(text);
	len = len < 65535 ? len : 65535;
	blob_number(b, len, 2);
	blob_put(b, text, len);
}

void blob_free(struct blob *b)
{
	free(b->data);
	*b = (struct blob){ 0 };
}

const u8 *blob_take(struct blob_reader *r, size_t len)
{
	const u8 *at = r->at;
	if (r->bad || len > r->left) {
		r->bad = true;
		return NULL;
	}
	r->at += len;
	r->left -= len;
	return at;
}

u64 blob_take_number(struct blob_reader *r, u32 bytes)
{
	const u8 *at = blob_take(r, bytes);
	u64 value = 0;
	if (at)
		memcpy(&value, at, bytes);
	return value;
}

void blob_take_text(struct blob_reader *r, char *buf, size_t size)
{
	size_t len = blob_take_number(r, 2);
	const u8 *at = blob_take(r, len);
	size_t n = at ? strnlen((const char *)at, len) : 0;
	n = n < size ? n : size - 1;
	if (n)
		memcpy(buf, at, n);
	buf[n] = 0;
}

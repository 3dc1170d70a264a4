/*
 * digest.c - message digests for manifests, by nettle.
 */
#ifdef HAVE_OVA
#include "images/ova.h"
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <strings.h>

struct digest {
	enum digest_kind kind;
	union {
		struct sha1_ctx sha1;
		struct sha256_ctx sha256;
		struct sha512_ctx sha512;
	};
};

enum digest_kind digest_kind(const char *name, size_t len)
{
	static const char *const names[] = { [DIGEST_SHA1] = "SHA1", [DIGEST_SHA256] = "SHA256", [DIGEST_SHA512] = "SHA512" };
	for (u32 k = DIGEST_SHA1; k < ARRAY_SIZE(names); k++)
		if (!strncasecmp(name, names[k], len) && !names[k][len])
			return (enum digest_kind)k;
	return DIGEST_NONE;
}

u32 digest_bytes(enum digest_kind kind)
{
	static const u8 bytes[] = { 0, SHA1_DIGEST_SIZE, SHA256_DIGEST_SIZE, SHA512_DIGEST_SIZE };
	return bytes[kind];
}

struct digest *digest_new(enum digest_kind kind)
{
	struct digest *d = malloc(sizeof(*d));
	if (!d)
		return NULL;
	d->kind = kind;
	if (kind == DIGEST_SHA1)
		sha1_init(&d->sha1);
	else if (kind == DIGEST_SHA256)
		sha256_init(&d->sha256);
	else
		sha512_init(&d->sha512);
	return d;
}

void digest_add(struct digest *d, const void *data, size_t len)
{
	if (d->kind == DIGEST_SHA1)
		sha1_update(&d->sha1, len, data);
	else if (d->kind == DIGEST_SHA256)
		sha256_update(&d->sha256, len, data);
	else
		sha512_update(&d->sha512, len, data);
}

void digest_end(struct digest *d, u8 out[DIGEST_MAX])
{
	if (d->kind == DIGEST_SHA1)
		sha1_digest(&d->sha1, SHA1_DIGEST_SIZE, out);
	else if (d->kind == DIGEST_SHA256)
		sha256_digest(&d->sha256, SHA256_DIGEST_SIZE, out);
	else
		sha512_digest(&d->sha512, SHA512_DIGEST_SIZE, out);
	free(d);
}
#endif

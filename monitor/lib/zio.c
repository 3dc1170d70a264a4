/*
 * zio.c - zlib, for all that is packed. See zlib's manual.
 */
#include "monitor/lib/zio.h"
#include <zlib.h>

size_t zio_unpack(enum zio_format f, const void *in, size_t len, void *out, size_t room)
{
	z_stream z = { .next_in = (Bytef *)in, .avail_in = (uInt)len, .next_out = out, .avail_out = (uInt)room };
	if (len > UINT32_MAX || room > UINT32_MAX || inflateInit2(&z, f == ZIO_RAW ? -15 : 15) != Z_OK)
		return ZIO_BAD;
	int r = inflate(&z, Z_FINISH);
	size_t done = room - z.avail_out;
	inflateEnd(&z);
	return r == Z_STREAM_END ? done : ZIO_BAD;
}

size_t zio_pack(enum zio_format f, int level, const void *in, size_t len, void *out, size_t room)
{
	z_stream z = { 0 };
	if (len > UINT32_MAX || room > UINT32_MAX || deflateInit2(&z, level, Z_DEFLATED, f == ZIO_RAW ? -12 : 15, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		return ZIO_BAD;
	z.next_in = (Bytef *)in;
	z.avail_in = (uInt)len;
	z.next_out = out;
	z.avail_out = (uInt)room;
	int r = deflate(&z, Z_FINISH);
	size_t done = room - z.avail_out;
	deflateEnd(&z);
	return r == Z_STREAM_END ? done : ZIO_BAD;
}

u32 zio_crc(u32 crc, const void *data, size_t len)
{
	return (u32)crc32_z(crc, data, len);
}

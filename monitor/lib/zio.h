/*
 * zio.h - packing and unpacking blocks of memory: zlib's format (RFC 1950) and bare deflate (RFC 1951). Any thread may call.
 */
#ifndef RF_ZIO_H
#define RF_ZIO_H
#include "monitor/lib/types.h"

enum zio_format { ZIO_ZLIB, ZIO_RAW };	/* ZIO_RAW: without header and checksum; packs with a window of 4 KiB, as qcow2 wants it */
#define ZIO_BAD ((size_t)-1)

/* Bytes that came out, at most `room`; ZIO_BAD if the input is damaged or more than that would come. Input may be left over. */
size_t zio_unpack(enum zio_format f, const void *in, size_t len, void *out, size_t room);
/* Level 1 (fast) to 9. ZIO_BAD if it does not fit into `room`, or memory is short. */
size_t zio_pack(enum zio_format f, int level, const void *in, size_t len, void *out, size_t room);
/* CRC-32 (RFC 1952) of these bytes behind those whose CRC is `crc`; 0 to begin with. */
u32 zio_crc(u32 crc, const void *data, size_t len);
#endif

/*
 * vmdk_stream.c - reads the compressed grains of stream-optimized VMware disks. Source: VMware, Virtual Disk Format 1.1,
 * "Stream-Optimized Compressed Sparse Extents".
 *
 * A grain lies at any sector: its first sector on the disk (64 bits), the length of its data (32 bits), the data in zlib's format.
 * The last grain read is kept, since a guest reads in smaller pieces.
 */
#include "images/vmdk.h"
#include "images/bytes.h"
#include "monitor/lib/zio.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define GRAIN_HEADER 12u

struct vmdk_stream {
	u8 *packed, *grain;
	u32 room;		/* of packed */
	u64 have;		/* which grain is in `grain`; ~0: none */
};

void vmdk_stream_free(struct vmdk_extent *e)
{
	if (!e->stream)
		return;
	free(e->stream->packed);
	free(e->stream->grain);
	free(e->stream);
	e->stream = NULL;
}

int vmdk_stream_open(struct image *im, struct vmdk_extent *e)
{
	struct vmdk_stream *s = host_alloc(im->io, 1, sizeof(*s));
	e->stream = s;
	if (!s)
		return ENOMEM;
	s->have = ~0ull;
	s->room = GRAIN_HEADER + e->map.block_bytes + e->map.block_bytes / 8 + 1024;
	s->packed = host_alloc(im->io, 1, s->room);
	s->grain = host_alloc(im->io, 1, e->map.block_bytes);
	return s->packed && s->grain ? 0 : ENOMEM;
}

/* The last grain of a disk may come short. */
static int unpack(struct vmdk_extent *e, u32 i, u32 in_file)
{
	struct vmdk_stream *s = e->stream;
	u32 packed = le32(s->packed + 8);
	u64 sectors = (u64)i * (e->map.block_bytes / VMDK_SECTOR), out = e->map.block_bytes;
	u64 needed = e->size - (u64)i * e->map.block_bytes;
	if (le64(s->packed) != sectors || packed > in_file - GRAIN_HEADER)
		return EIO;
	size_t got = zio_unpack(ZIO_ZLIB, s->packed + GRAIN_HEADER, packed, s->grain, out);
	if (got != ZIO_BAD && got < out)
		memset(s->grain + got, 0, out - got);
	return got != ZIO_BAD && got >= (needed < out ? needed : out) ? 0 : EIO;
}

static int load_grain(struct vmdk_extent *e, u32 i)
{
	struct vmdk_stream *s = e->stream;
	u64 at = e->map.entry[i] * VMDK_SECTOR;
	if (s->have == i)
		return 0;
	if (at >= e->file_size || e->file_size - at < GRAIN_HEADER)
		return EIO;
	u32 n = e->file_size - at < s->room ? (u32)(e->file_size - at) : s->room;
	s->have = ~0ull;
	int error = host_read_all(e->map.im->io, e->fd, at, s->packed, n);
	if (!error)
		error = unpack(e, i, n);
	if (!error)
		s->have = i;
	return error;
}

int vmdk_stream_read(struct vmdk_extent *e, u64 offset, void *buf, u64 len)
{
	u8 *to = buf;
	int error = 0;
	while (len && !error) {
		u32 i = (u32)(offset / e->map.block_bytes), in = (u32)(offset % e->map.block_bytes);
		u64 n = e->map.block_bytes - in < len ? e->map.block_bytes - in : len;
		if (e->map.entry[i] == BLOCK_BAD)
			error = EIO;
		else if (e->map.entry[i] == BLOCK_HOLE && e->map.im->backing)
			error = image_read_backing(e->map.im, e->at + offset, to, n);
		else if (e->map.entry[i] > BLOCK_LAST)
			memset(to, 0, n);
		else if (!(error = load_grain(e, i)))
			memcpy(to, e->stream->grain + in, n);
		to += n, offset += n, len -= n;
	}
	return error;
}

int vmdk_stream_check(struct vmdk_extent *e, struct image_check *c)
{
	char text[200];
	for (u32 i = 0; i < e->map.count; i++) {
		u32 entry = e->map.entry[i];
		c->total_clusters++;
		if (entry == BLOCK_HOLE || entry == BLOCK_ZERO)
			continue;
		int error = entry == BLOCK_BAD ? EIO : load_grain(e, i);
		if (!error) {
			c->allocated_clusters++;
			c->compressed_clusters++;
			continue;
		}
		c->corruptions++;
		snprintf(text, sizeof(text), "grain %u of %.100s cannot be read: %s", i, e->map.path, strerror(error));
		if (c->say)
			c->say(c->arg, text);
	}
	if (e->file_size > c->end_offset)
		c->end_offset = e->file_size;
	return 0;
}

/*
 * disk_model.c - random reads, writes, zeroes, discards and flushes of a disk image and of an array; see disk_model.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "tests/unit/disk_model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

u64 disk_model_random(struct disk_model *m, u64 below)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return below ? m->rng % below : 0;
}

void disk_model_init(struct disk_model *m, struct image *im, u64 seed)
{
	*m = (struct disk_model){ .im = im, .size = image_size(im), .rng = seed * 2654435761u + 88172645463325252ull };
	m->granule = image_granularity(im) ? image_granularity(im) : 4096;
	m->bytes = malloc(m->size);
	assert_int_equal(image_read(im, 0, m->bytes, m->size), 0);
}

void disk_model_fini(struct disk_model *m)
{
	free(m->bytes);
	m->bytes = NULL;
}

void disk_model_compare(struct disk_model *m)
{
	u8 *is = malloc(m->size);
	assert_int_equal(image_read(m->im, 0, is, m->size), 0);
	for (u64 i = 0; i < m->size; i++)
		if (is[i] != m->bytes[i])
			fail_msg("%s: byte %#llx is %02x, not %02x", image_path(m->im), (unsigned long long)i, is[i], m->bytes[i]);
	free(is);
}

/* A stretch: sectors, odd bytes, whole granules; now and then long. */
static void stretch(struct disk_model *m, u64 *at, u64 *len)
{
	u64 unit = disk_model_random(m, 3) == 0 ? m->granule : disk_model_random(m, 8) == 0 ? 1 : 512;
	u64 most = disk_model_random(m, 4) == 0 ? 6ull * m->granule : 65536;
	*at = disk_model_random(m, m->size) / unit * unit;
	*len = (disk_model_random(m, most) + unit) / unit * unit;
	if (*len > m->size - *at)
		*len = m->size - *at;
}

static void step(struct disk_model *m)
{
	u64 at, len, g = m->granule;
	u8 *buf;
	int error = 0;
	stretch(m, &at, &len);
	buf = malloc(len);
	switch (disk_model_random(m, 16)) {
	case 0: case 1: case 2: case 3: case 4: case 5: case 6:
		for (u64 i = 0; i < len; i++)
			buf[i] = (u8)(m->rng >> (i & 31)) + (u8)i;
		error = image_write(m->im, at, buf, len);
		memcpy(m->bytes + at, buf, len);
		break;
	case 7: case 8:
		error = image_write_zeroes(m->im, at, len);
		memset(m->bytes + at, 0, len);
		break;
	case 9:
		error = image_discard(m->im, at, len);
		if (!error)	/* zeroes, or as before */
			error = image_read(m->im, at, buf, len);
		for (u64 i = 0; i < len; i++)
			if (buf[i] && buf[i] != m->bytes[at + i])
				fail_msg("%s: byte %#llx is %02x after discard", image_path(m->im), (unsigned long long)(at + i), buf[i]);
		memcpy(m->bytes + at, buf, len);
		break;
	case 10:
		if (!image_can_compress(m->im))
			break;
		at = at / g * g;
		len = m->size - at < g ? m->size - at : g;
		buf = realloc(buf, len);
		memset(buf, (int)(m->rng & 255), len);
		for (u64 i = 0; i < len / 7; i++)
			buf[i] = (u8)(m->rng >> (i & 15));
		error = image_write_compressed(m->im, at, buf, len);
		memcpy(m->bytes + at, buf, len);
		break;
	case 11:
		error = image_flush(m->im);
		break;
	default:
		error = image_read(m->im, at, buf, len);
		for (u64 i = 0; i < len && !error; i++)
			if (buf[i] != m->bytes[at + i])
				fail_msg("%s: byte %#llx is %02x, not %02x", image_path(m->im), (unsigned long long)(at + i), buf[i], m->bytes[at + i]);
	}
	free(buf);
	if (error)
		fail_msg("%s: %s at %#llx, %#llx bytes", image_path(m->im), strerror(error), (unsigned long long)at, (unsigned long long)len);
}

void disk_model_run(struct disk_model *m, u32 n)
{
	for (u32 i = 0; i < n; i++)
		step(m);
	disk_model_compare(m);
}

int disk_model_command(char *out, size_t room, const char *fmt, ...)
{
	char line[1000], with[1020];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	snprintf(with, sizeof(with), "%s 2>&1", line);
	FILE *f = popen(with, "r");
	size_t n = f ? fread(out, 1, room - 1, f) : 0;
	out[n] = 0;
	while (f && getc(f) != EOF)
		;
	int status = f ? pclose(f) : -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool disk_model_have_qemu(void) { return !system("command -v qemu-img >/dev/null 2>&1"); }

void disk_model_judge(const struct disk_model *m, const char *path, const char *format, bool leaks)
{
	char out[4000], raw[200];
	int status = disk_model_command(out, sizeof(out), "qemu-img check -f %s %s", format, path);
	if (status && !(leaks && status == 3) && status != 63)	/* 63: the format has no check */
		fail_msg("qemu-img check %s: status %d: %s", path, status, out);
	snprintf(raw, sizeof(raw), "%s.model", path);
	FILE *f = fopen(raw, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(m->bytes, 1, m->size, f), m->size);
	fclose(f);
	status = disk_model_command(out, sizeof(out), "qemu-img compare -f raw -F %s %s %s", format, raw, path);
	unlink(raw);
	if (status)
		fail_msg("qemu-img compare %s: status %d: %s", path, status, out);
}

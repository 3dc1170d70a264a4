/*
 * screenshot.c - the frame as a PNG file (libpng's simplified interface). The one file that knows libpng.
 */
#include "devices/screenshot.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct display_frame *screenshot_copy(struct display *d)
{
	const struct display_frame *f = display_lock(d);
	size_t bytes = f->pixels ? (size_t)f->width * f->height * sizeof(u32) : 0;
	struct display_frame *copy = malloc(sizeof(*copy) + bytes);
	if (copy) {
		*copy = *f;
		copy->pixels = (u32 *)(copy + 1);
		if (bytes)
			memcpy(copy->pixels, f->pixels, bytes);
		else
			copy->width = copy->height = 0;
	}
	display_unlock(d);
	return copy;
}

#ifdef HAVE_PNG
#include <png.h>

static void rgb_bytes(u8 *to, const u32 *pixels, size_t count)
{
	for (size_t i = 0; i < count; i++, to += 3) {
		to[0] = (u8)(pixels[i] >> 16);
		to[1] = (u8)(pixels[i] >> 8);
		to[2] = (u8)pixels[i];
	}
}

static bool write_png(const struct display_frame *f, const u8 *rgb, FILE *file, const char *path, char *err, size_t errsize)
{
	png_image image = { .version = PNG_IMAGE_VERSION, .width = f->width, .height = f->height, .format = PNG_FORMAT_RGB,
			    .flags = PNG_IMAGE_FLAG_FAST };
	bool ok = png_image_write_to_stdio(&image, file, 0, rgb, (png_int_32)(3 * f->width), NULL);
	int error = ok ? 0 : errno;
	if (fclose(file) && ok) {
		ok = false;
		error = errno;
	}
	if (!ok)
		snprintf(err, errsize, "cannot write the screenshot %s: %s", path, error ? strerror(error) : image.message);
	png_image_free(&image);
	return ok;
}

bool screenshot_write(const struct display_frame *f, const char *path, char *err, size_t errsize)
{
	size_t count = (size_t)f->width * f->height;
	if (!count) {
		snprintf(err, errsize, "no screenshot in %s: the machine has shown no picture yet", path);
		return false;
	}
	u8 *rgb = malloc(3 * count);
	if (!rgb) {
		snprintf(err, errsize, "no screenshot in %s: out of memory", path);
		return false;
	}
	rgb_bytes(rgb, f->pixels, count);
	errno = 0;
	FILE *file = fopen(path, "wbe");
	bool ok = false;
	if (file)
		ok = write_png(f, rgb, file, path, err, errsize);
	else
		snprintf(err, errsize, "cannot write the screenshot %s: %s", path, strerror(errno));
	free(rgb);
	return ok;
}
#else

bool screenshot_write(const struct display_frame *f, const char *path, char *err, size_t errsize)
{
	snprintf(err, errsize, "no screenshot in %s: this program was built without libpng", path);
	return false;
}
#endif

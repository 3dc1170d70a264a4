/*
 * device.c - a chip's state through its field table: read, write, print.
 */
#include "devices/device.h"
#include "monitor/clock.h"
#include <stdio.h>
#include <string.h>

static u32 field_size(enum field_kind kind)
{
	switch (kind) {
	case FIELD_U8: return 1;
	case FIELD_U16: return 2;
	case FIELD_U32: return 4;
	case FIELD_U64: return 8;
	case FIELD_BOOL: return sizeof(bool);
	case FIELD_TIMER: return sizeof(struct timer);
	}
	bug("field of kind %d", kind);
}

u64 field_get(const void *dev, const struct field *f, u32 index)
{
	const u8 *at = (const u8 *)dev + f->offset + index * field_size(f->kind);
	u64 value = 0;
	bug_on(index >= f->count, "field %s has no element %u", f->name, index);
	if (f->kind == FIELD_TIMER)
		return ((const struct timer *)at)->deadline;
	memcpy(&value, at, field_size(f->kind));
	return value;
}

void field_put(void *dev, const struct field *f, u32 index, u64 value)
{
	u8 *at = (u8 *)dev + f->offset + index * field_size(f->kind);
	bug_on(index >= f->count, "field %s has no element %u", f->name, index);
	if (f->kind == FIELD_TIMER)
		timer_arm((struct timer *)at, value);
	else if (f->kind == FIELD_BOOL)
		*(bool *)at = value != 0;
	else
		memcpy(at, &value, field_size(f->kind));
}

void device_dump(const struct device *dev, void (*line)(void *arg, const char *text), void *arg)
{
	char text[160];
	for (const struct field *f = dev->cls->fields; f->name; f++) {
		for (u32 i = 0; i < f->count; i++) {
			char index[16] = "";
			if (f->count > 1)
				snprintf(index, sizeof(index), "[%u]", i);
			snprintf(text, sizeof(text), "%s.%s%s = 0x%llx", dev->id, f->name, index,
				 (unsigned long long)field_get(dev, f, i));
			line(arg, text);
		}
	}
}

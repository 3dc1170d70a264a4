/*
 * ps2.h - the plug between the keyboard controller and what hangs on one of its two ports: bytes both ways, nothing else.
 *
 * The device embeds the port and fills it in; the board connects its line to the controller and gives the port to the controller.
 * The controller takes a byte when its buffer is free: until then the device keeps it.
 */
#ifndef RF_PS2_H
#define RF_PS2_H
#include "devices/device.h"

struct ps2_port {
	struct line ready;			/* device to controller: high while a byte waits */
	u8 (*read)(void *dev);			/* takes the byte that waits; 0 when none does */
	void (*write)(void *dev, u8 value);	/* a byte for the device; it answers by `ready` */
	void *dev;
};

/* What a device keeps of bytes until they are taken; part of its state. */
#define PS2_QUEUE 32
struct ps2_queue { u8 bytes[PS2_QUEUE], head, count; };

static inline bool ps2_put(struct ps2_queue *q, u8 value)
{
	if (q->count >= PS2_QUEUE)
		return false;
	q->bytes[(q->head + q->count++) % PS2_QUEUE] = value;
	return true;
}
static inline u8 ps2_get(struct ps2_queue *q)
{
	u8 value = q->bytes[q->head];
	q->head = (u8)((q->head + 1) % PS2_QUEUE);
	q->count--;
	return value;
}
static inline void ps2_clear(struct ps2_queue *q) { q->head = q->count = 0; }
/* After the state was set from outside. */
static inline void ps2_bound(struct ps2_queue *q)
{
	q->head %= PS2_QUEUE;
	if (q->count > PS2_QUEUE)
		q->count = PS2_QUEUE;
}
#define PS2_QUEUE_FIELDS(type, q) \
	FIELD_ARRAY(type, q.bytes, FIELD_U8), FIELD(type, q.head, FIELD_U8), FIELD(type, q.count, FIELD_U8)
#endif

/*
 * mouse.c - the PS/2 mouse. Sources: IBM PS/2 Hardware Interface Technical Reference, "Auxiliary device"; Synaptics TouchPad
 * Interfacing Guide, "Standard PS/2 mouse commands"; Microsoft IntelliMouse: wheel after sample rates 200, 100, 80, side buttons
 * after 200, 200, 80.
 *
 * Invariant: the port's line is high while bytes wait (mouse_update). Packets go out all or none; movements that wait are summed and
 * bounded, so a guest that does not read costs nothing.
 */
#include "devices/emulated/mouse.h"

#define MOUSE_ACK    0xfa
#define MOUSE_ERROR  0xfc
#define MOUSE_RESEND 0xfe
#define COUNT_MAX    4096
#define STALE_BYTES  8		/* more than two packets unread: rather sum up */

static const struct field mouse_fields[] = {
	FIELD(struct mouse, command, FIELD_U8),
	FIELD(struct mouse, id, FIELD_U8),
	FIELD_ARRAY(struct mouse, knock, FIELD_U8),
	FIELD(struct mouse, resolution, FIELD_U8),
	FIELD(struct mouse, rate, FIELD_U8),
	FIELD(struct mouse, scaling, FIELD_BOOL),
	FIELD(struct mouse, remote, FIELD_BOOL),
	FIELD(struct mouse, wrap, FIELD_BOOL),
	FIELD(struct mouse, enabled, FIELD_BOOL),
	FIELD(struct mouse, buttons, FIELD_U8),
	FIELD(struct mouse, sent_buttons, FIELD_U8),
	FIELD(struct mouse, dx, FIELD_U32),
	FIELD(struct mouse, dy, FIELD_U32),
	FIELD(struct mouse, dz, FIELD_U32),
	PS2_QUEUE_FIELDS(struct mouse, out),
	FIELD(struct mouse, last, FIELD_U8),
	FIELD(struct mouse, bad, FIELD_U8),
	FIELD(struct mouse, sample, FIELD_TIMER),
	FIELD_END
};

static void mouse_update(struct mouse *m)
{
	line_set(&m->port.ready, m->out.count != 0);
}

static int bounded(int n, int lo, int hi)
{
	return n < lo ? lo : n > hi ? hi : n;
}

/* Takes what a field of a packet can hold out of a sum. */
static int take(u32 *sum, int lo, int hi)
{
	int n = bounded((int)*sum, lo, hi);
	*sum -= (u32)n;
	return n;
}

/* Stream mode's scaling 2:1 */
static int scaled(const struct mouse *m, int n)
{
	static const u8 small[] = { 0, 1, 1, 3, 6, 9 };
	int size = n < 0 ? -n : n;
	if (!m->scaling || m->remote)
		return n;
	size = size < (int)ARRAY_SIZE(small) ? small[size] : 2 * size;
	return bounded(n < 0 ? -size : size, -255, 255);
}

static void put_packet(struct mouse *m)
{
	int x = scaled(m, take(&m->dx, -255, 255)), y = -scaled(m, take(&m->dy, -255, 255));
	ps2_put(&m->out, (u8)((y < 0) << 5 | (x < 0) << 4 | 0x08 | (m->buttons & 7)));
	ps2_put(&m->out, (u8)x);
	ps2_put(&m->out, (u8)y);
	if (m->id == 3)
		ps2_put(&m->out, (u8)take(&m->dz, -8, 7));
	else if (m->id == 4)
		ps2_put(&m->out, (u8)((take(&m->dz, -8, 7) & 0x0f) | (m->buttons & 0x18) << 1));
	else
		m->dz = 0;
	m->sent_buttons = m->buttons;
}

static bool has_news(const struct mouse *m)
{
	return m->dx || m->dy || (m->dz && m->id) || ((m->buttons ^ m->sent_buttons) & (m->id == 4 ? 0x1f : 0x07));
}

static void stream(struct mouse *m)
{
	bool open = m->enabled && !m->remote && !m->wrap && m->out.count < STALE_BYTES;
	if (!open || !has_news(m) || m->sample.deadline != ~0ull)
		return;
	put_packet(m);
	timer_arm(&m->sample, clock_now(m->dev.vm) + 1000000000ull / (m->rate ? m->rate : 1));
}

static void sample_due(void *arg, u64 now)
{
	struct mouse *m = arg;
	stream(m);
	mouse_update(m);
}

static u32 summed(u32 sum, int n)
{
	return (u32)bounded((int)sum + bounded(n, -COUNT_MAX, COUNT_MAX), -COUNT_MAX, COUNT_MAX);
}

void mouse_move(struct mouse *m, int dx, int dy, int dz, u8 buttons)
{
	if (buttons != m->buttons && m->buttons != m->sent_buttons) {
		timer_cancel(&m->sample);	/* two changes within one sample: no click is lost */
		stream(m);
	}
	m->dx = summed(m->dx, dx);
	m->dy = summed(m->dy, dy);
	m->dz = summed(m->dz, dz);
	m->buttons = buttons;
	stream(m);
	mouse_update(m);
}

/* --- commands --- */

static void forget_movement(struct mouse *m)
{
	m->dx = m->dy = m->dz = 0;
	m->sent_buttons = m->buttons;
	timer_cancel(&m->sample);
}

static void defaults(struct mouse *m)
{
	m->command = 0;
	m->resolution = 2;
	m->rate = 100;
	m->scaling = m->remote = m->wrap = m->enabled = false;
	forget_movement(m);
}

static void reply(struct mouse *m, u8 value)
{
	ps2_put(&m->out, value);
}

/* The first refusal asks to send again, the second in a row is an error. */
static void refuse(struct mouse *m)
{
	reply(m, m->bad ? MOUSE_ERROR : MOUSE_RESEND);
	m->bad = !m->bad;
}

static void set_rate(struct mouse *m, u8 rate)
{
	if (rate == 80 && m->knock[0] == 200 && m->knock[1] == 100)
		m->id = 3;
	else if (rate == 80 && m->knock[0] == 200 && m->knock[1] == 200 && m->id == 3)
		m->id = 4;
	m->knock[0] = m->knock[1];
	m->knock[1] = rate;
	m->rate = rate;
}

static bool is_rate(u8 rate)
{
	return rate == 10 || rate == 20 || rate == 40 || rate == 60 || rate == 80 || rate == 100 || rate == 200;
}

static void argument(struct mouse *m, u8 value)
{
	u8 command = m->command;
	bool good = command == 0xf3 ? is_rate(value) : value <= 3;
	m->command = 0;
	if (!good) {
		m->command = m->bad ? 0 : command;	/* it may be sent again */
		refuse(m);
		return;
	}
	if (command == 0xf3)
		set_rate(m, value);
	else
		m->resolution = value;
	m->bad = false;
	reply(m, MOUSE_ACK);
}

static u8 status_bits(const struct mouse *m)
{
	u8 b = m->buttons;
	return (u8)(m->remote << 6 | m->enabled << 5 | m->scaling << 4 | (b & 1) << 2 | (b >> 2 & 1) << 1 | (b >> 1 & 1));
}

static void mouse_command(struct mouse *m, u8 value)
{
	u8 resent = m->last;
	if (value == 0xfe) {
		reply(m, resent);
		return;
	}
	if (value < 0xe6 || value == 0xed || value == 0xef || value == 0xf1 || (value > 0xf6 && value < 0xff)) {
		refuse(m);
		return;
	}
	m->bad = false;
	reply(m, MOUSE_ACK);
	switch (value) {
	case 0xe6: m->scaling = false; break;
	case 0xe7: m->scaling = true; break;
	case 0xe8: case 0xf3: m->command = value; break;	/* resolution, sample rate */
	case 0xe9:						/* status */
		reply(m, status_bits(m));
		reply(m, m->resolution);
		reply(m, m->rate);
		break;
	case 0xea: m->remote = false; break;
	case 0xeb: put_packet(m); break;			/* read data */
	case 0xec: m->wrap = false; break;
	case 0xee: m->wrap = true; break;
	case 0xf0: m->remote = true; break;
	case 0xf2: reply(m, m->id); break;			/* what are you? */
	case 0xf4: m->enabled = true; forget_movement(m); break;
	case 0xf5: m->enabled = false; break;
	case 0xf6: defaults(m); break;
	case 0xff:						/* passes its self test; a plain mouse again */
		defaults(m);
		m->id = m->knock[0] = m->knock[1] = 0;
		reply(m, 0xaa);
		reply(m, 0x00);
		break;
	}
}

/* A byte from the host takes the place of what waits to be sent. */
static void mouse_write(void *dev, u8 value)
{
	struct mouse *m = dev;
	ps2_clear(&m->out);
	if (m->wrap && value != 0xff && value != 0xec)
		reply(m, value);
	else if (m->command && value < 0xe6)
		argument(m, value);
	else {
		m->command = 0;
		mouse_command(m, value);
	}
	mouse_update(m);
}

static u8 mouse_read(void *dev)
{
	struct mouse *m = dev;
	u8 value = 0;
	if (m->out.count) {
		value = ps2_get(&m->out);
		if (value != MOUSE_RESEND)
			m->last = value;
	}
	stream(m);
	mouse_update(m);
	return value;
}

/* --- life --- */

static void mouse_reset(void *dev)
{
	struct mouse *m = dev;
	defaults(m);
	ps2_clear(&m->out);
	m->id = m->knock[0] = m->knock[1] = m->last = m->bad = 0;
	mouse_update(m);
}

static void mouse_loaded(void *dev)
{
	struct mouse *m = dev;
	ps2_bound(&m->out);
	m->dx = summed(0, (int)m->dx);
	m->dy = summed(0, (int)m->dy);
	m->dz = summed(0, (int)m->dz);
	mouse_update(m);
}

static const struct device_class mouse_class = {
	.name = "mouse", .what = "PS/2 mouse", .version = 1, .fields = mouse_fields, .reset = mouse_reset, .loaded = mouse_loaded,
};

void mouse_init(struct mouse *m, struct vm *vm, const char *id)
{
	*m = (struct mouse){ .dev = { .cls = &mouse_class, .vm = vm, .id = id },
			     .port = { .read = mouse_read, .write = mouse_write, .dev = m } };
	timer_init(vm, &m->sample, sample_due, m);
	mouse_reset(m);
}

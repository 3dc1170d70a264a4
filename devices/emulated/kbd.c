/*
 * kbd.c - an MF2 keyboard: commands, scan code sets 1 to 3, repetition. Source: IBM PS/2 Hardware Interface Technical Reference,
 * "Keyboards (101- and 102-Key)".
 *
 * Invariant: the port's line is high while replies or codes wait (kbd_update). Codes of a key go into the queue all or none; what
 * does not fit is lost and an overrun code says so. Keys of the number pad's grey twins send no additional shift codes.
 */
#include "devices/emulated/kbd.h"

#define KBD_ACK    0xfa
#define KBD_RESEND 0xfe
#define KBD_BAT_OK 0xaa
#define KBD_ECHO   0xee
#define RATE_DEFAULT 0x2b	/* 500 ms, then 10.9 a second */

enum usage {
	USAGE_PRINT = 0x46, USAGE_PAUSE = 0x48, USAGE_CTRL = 0xe0, USAGE_SHIFT = 0xe1, USAGE_ALT = 0xe2,
	USAGE_CTRL_R = 0xe4, USAGE_SHIFT_R = 0xe5, USAGE_ALT_R = 0xe6
};
/* Set 3: what else a key does than to say that it went down. */
enum { TYPE_BREAK = 1, TYPE_REPEAT = 2 };

struct key_row { u8 usage; u32 set1, set2; u8 set3; };
static const struct key_row keys[] = {
#define KEY(name, usage, set1, set2, set3, plain, shifted) { usage, set1, set2, set3 },
#include "devices/keys.def"
#undef KEY
};

static const struct field kbd_fields[] = {
	FIELD(struct kbd, command, FIELD_U8),
	FIELD(struct kbd, leds, FIELD_U8),
	FIELD(struct kbd, rate, FIELD_U8),
	FIELD(struct kbd, set, FIELD_U8),
	FIELD(struct kbd, scanning, FIELD_BOOL),
	FIELD_ARRAY(struct kbd, type, FIELD_U8),
	PS2_QUEUE_FIELDS(struct kbd, replies),
	PS2_QUEUE_FIELDS(struct kbd, codes),
	FIELD(struct kbd, last, FIELD_U8),
	FIELD_ARRAY(struct kbd, down, FIELD_U8),
	FIELD(struct kbd, repeats, FIELD_U8),
	FIELD(struct kbd, repeat, FIELD_TIMER),
	FIELD_END
};

static void kbd_update(struct kbd *k)
{
	line_set(&k->port.ready, k->replies.count || k->codes.count);
}

bool kbd_idle(const struct kbd *k)
{
	return !k->replies.count && !k->codes.count;
}

/* --- keys to codes --- */

struct sequence { u8 bytes[10]; u32 n; };

static void add(struct sequence *s, u8 byte)
{
	s->bytes[s->n++] = byte;
}

/* A make or break code of set 1 or 2, with its prefix. */
static void add_code(const struct kbd *k, struct sequence *s, u32 code, bool down)
{
	if (code >> 8)
		add(s, (u8)(code >> 8));
	if (!down && k->set == 2)
		add(s, 0xf0);
	add(s, (u8)(down || k->set == 2 ? code : code | 0x80));
}

static bool is_down(const struct kbd *k, u8 usage)
{
	return k->down[usage / 8] >> usage % 8 & 1;
}

/* With Alt it is SysRq; alone it takes a shift along, so that an old program sees the shifted asterisk of an 84-key keyboard. */
static void add_print(const struct kbd *k, struct sequence *s, bool down)
{
	bool first = k->set == 1;
	bool alone = !is_down(k, USAGE_SHIFT) && !is_down(k, USAGE_SHIFT_R) && !is_down(k, USAGE_CTRL) && !is_down(k, USAGE_CTRL_R);
	u32 shift = first ? 0xe02a : 0xe012, print = first ? 0xe037 : 0xe07c;
	if (is_down(k, USAGE_ALT) || is_down(k, USAGE_ALT_R)) {
		add_code(k, s, first ? 0x54 : 0x84, down);
		return;
	}
	if (down && alone)
		add_code(k, s, shift, true);
	add_code(k, s, print, down);
	if (!down && alone)
		add_code(k, s, shift, false);
}

/* Pressed and released in one; with Ctrl it is Break. */
static void add_pause(const struct kbd *k, struct sequence *s)
{
	bool first = k->set == 1;
	if (is_down(k, USAGE_CTRL) || is_down(k, USAGE_CTRL_R)) {
		add_code(k, s, first ? 0xe046 : 0xe07e, true);
		add_code(k, s, first ? 0xe046 : 0xe07e, false);
		return;
	}
	for (int up = 0; up < 2; up++) {
		add(s, 0xe1);
		add_code(k, s, first ? 0x1d : 0x14, !up);
		add_code(k, s, first ? 0x45 : 0x77, !up);
	}
}

static u8 set3_type(const struct kbd *k, const struct key_row *key)
{
	return key->set3 < KBD_SET3_CODES ? k->type[key->set3] : 0;
}

static void add_set3(const struct kbd *k, struct sequence *s, const struct key_row *key, bool down)
{
	if (!key->set3 || (!down && !(set3_type(k, key) & TYPE_BREAK)))
		return;
	if (!down)
		add(s, 0xf0);
	add(s, key->set3);
}

static void emit(struct kbd *k, const struct key_row *key, bool down)
{
	struct sequence s = { .n = 0 };
	u8 overrun = k->set == 1 ? 0xff : 0;
	if (k->set == 3)
		add_set3(k, &s, key, down);
	else if (key->usage == USAGE_PRINT)
		add_print(k, &s, down);
	else if (key->usage == USAGE_PAUSE && down)
		add_pause(k, &s);
	else if (key->usage != USAGE_PAUSE)
		add_code(k, &s, k->set == 1 ? key->set1 : key->set2, down);
	if (k->codes.count + s.n < PS2_QUEUE) {
		for (u32 i = 0; i < s.n; i++)
			ps2_put(&k->codes, s.bytes[i]);
	} else if (s.n && k->codes.bytes[(k->codes.head + k->codes.count - 1) % PS2_QUEUE] != overrun) {
		ps2_put(&k->codes, overrun);	/* its place was kept free */
	}
}

static const struct key_row *find_key(u8 usage)
{
	for (u32 i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].usage == usage)
			return &keys[i];
	return NULL;
}

/* --- repetition --- */

static u64 delay_ns(const struct kbd *k)
{
	return ((k->rate >> 5 & 3) + 1) * 250000000ull;
}

/* (8 + A) * 2^B * 4.17 ms */
static u64 period_ns(const struct kbd *k)
{
	return (u64)((8 + (k->rate & 7)) << (k->rate >> 3 & 3)) * 4170000ull;
}

static void stop_repeating(struct kbd *k)
{
	k->repeats = 0;
	timer_cancel(&k->repeat);
}

static void start_repeating(struct kbd *k, const struct key_row *key)
{
	stop_repeating(k);
	if (k->set == 3 ? !(set3_type(k, key) & TYPE_REPEAT) : key->usage == USAGE_PAUSE)
		return;
	k->repeats = key->usage;
	timer_arm(&k->repeat, clock_now(k->dev.vm) + delay_ns(k));
}

/* A guest that is slow gets no backlog of repetitions. */
static void repeat_due(void *arg, u64 now)
{
	struct kbd *k = arg;
	const struct key_row *key = find_key(k->repeats);
	if (!key || !k->scanning)
		return;
	if (kbd_idle(k))
		emit(k, key, true);
	timer_arm(&k->repeat, now + period_ns(k));
	kbd_update(k);
}

void kbd_key(struct kbd *k, u8 usage, bool down)
{
	const struct key_row *key = find_key(usage);
	if (!key || is_down(k, usage) == down)
		return;
	if (k->scanning)
		emit(k, key, down);	/* what is sent may depend on other keys, never on itself */
	k->down[usage / 8] ^= (u8)(1 << usage % 8);
	if (k->scanning && down)
		start_repeating(k, key);
	else if (k->repeats == usage)
		stop_repeating(k);
	kbd_update(k);
}

/* --- commands --- */

static void all_types(struct kbd *k, u8 type)
{
	for (u32 i = 0; i < KBD_SET3_CODES; i++)
		k->type[i] = type;
}

static void default_types(struct kbd *k)
{
	static const u8 breaks[] = { 0x11, 0x12, 0x14, 0x19, 0x59, 0x8b, 0x8c, 0x8d };
	static const u8 makes[] = {
		0x07, 0x08, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x39, 0x3f, 0x47, 0x4f, 0x56, 0x57, 0x58, 0x5e, 0x5f, 0x62, 0x65, 0x67,
		0x69, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x79, 0x7a, 0x7d, 0x7e, 0x84,
	};
	all_types(k, TYPE_REPEAT);
	for (u32 i = 0; i < ARRAY_SIZE(makes); i++)
		k->type[makes[i]] = 0;
	for (u32 i = 0; i < ARRAY_SIZE(breaks); i++)
		k->type[breaks[i]] = TYPE_BREAK;
}

static void defaults(struct kbd *k)
{
	k->command = 0;
	k->rate = RATE_DEFAULT;
	k->set = 2;
	default_types(k);
	ps2_clear(&k->codes);
	stop_repeating(k);
}

static void set_leds(struct kbd *k, u8 leds)
{
	k->leds = leds;
	if (k->leds_changed)
		k->leds_changed(k->leds_arg, leds);
}

static void reply(struct kbd *k, u8 value)
{
	ps2_put(&k->replies, value);
}

static void argument(struct kbd *k, u8 value)
{
	static const u8 types[] = { TYPE_REPEAT, TYPE_BREAK, 0 };
	u8 command = k->command;
	if (command < 0xfb)		/* the lists of keys go on until the next command */
		k->command = 0;
	switch (command) {
	case 0xed:
		set_leds(k, value & 7);
		break;
	case 0xf3:
		k->rate = value & 0x7f;
		break;
	case 0xf0:
		if (value > 3) {
			reply(k, KBD_RESEND);
			return;
		}
		reply(k, KBD_ACK);
		if (value == 0)
			reply(k, k->set);
		else
			k->set = value;
		ps2_clear(&k->codes);
		return;
	case 0xfb: case 0xfc: case 0xfd:
		if (value < KBD_SET3_CODES)
			k->type[value] = types[command - 0xfb];
		break;
	}
	reply(k, KBD_ACK);
}

static void kbd_command(struct kbd *k, u8 value)
{
	static const u8 all[] = { TYPE_REPEAT, TYPE_BREAK, 0, TYPE_REPEAT | TYPE_BREAK };
	switch (value) {
	case 0xed:				/* LEDs */
	case 0xf0:				/* scan code set */
	case 0xf3:				/* typematic rate */
	case 0xfb: case 0xfc: case 0xfd:	/* set 3: type of single keys */
		k->command = value;
		reply(k, KBD_ACK);
		break;
	case 0xee:
		reply(k, KBD_ECHO);
		break;
	case 0xf2:				/* identify */
		reply(k, KBD_ACK);
		reply(k, 0xab);
		reply(k, 0x83);
		break;
	case 0xf4:				/* enable */
		ps2_clear(&k->codes);
		stop_repeating(k);
		k->scanning = true;
		reply(k, KBD_ACK);
		break;
	case 0xf5: case 0xf6:			/* defaults; F5h disables */
		defaults(k);
		k->scanning = value == 0xf6;
		reply(k, KBD_ACK);
		break;
	case 0xf7: case 0xf8: case 0xf9: case 0xfa:	/* set 3: type of all keys */
		all_types(k, all[value - 0xf7]);
		reply(k, KBD_ACK);
		break;
	case 0xfe:
		reply(k, k->last);
		break;
	case 0xff:				/* acknowledges, then says that its self test passed */
		defaults(k);
		ps2_clear(&k->replies);
		set_leds(k, 0);
		k->scanning = true;
		reply(k, KBD_ACK);
		reply(k, KBD_BAT_OK);
		break;
	default:
		reply(k, KBD_RESEND);
	}
}

static void kbd_write(void *dev, u8 value)
{
	struct kbd *k = dev;
	if (k->command && value < 0xed) {
		argument(k, value);
	} else {
		k->command = 0;
		kbd_command(k, value);
	}
	kbd_update(k);
}

static u8 kbd_read(void *dev)
{
	struct kbd *k = dev;
	u8 value = 0;
	if (!kbd_idle(k)) {
		value = ps2_get(k->replies.count ? &k->replies : &k->codes);
		if (value != KBD_RESEND)
			k->last = value;
	}
	kbd_update(k);
	return value;
}

/* --- life --- */

static void kbd_reset(void *dev)
{
	struct kbd *k = dev;
	defaults(k);
	ps2_clear(&k->replies);
	set_leds(k, 0);
	k->last = 0;
	k->scanning = true;
	kbd_update(k);
}

static void kbd_loaded(void *dev)
{
	struct kbd *k = dev;
	ps2_bound(&k->replies);
	ps2_bound(&k->codes);
	if (k->set < 1 || k->set > 3)
		k->set = 2;
	kbd_update(k);
}

static const struct device_class kbd_class = {
	.name = "kbd", .what = "keyboard", .version = 1, .fields = kbd_fields, .reset = kbd_reset, .loaded = kbd_loaded,
};

void kbd_init(struct kbd *k, struct vm *vm, const char *id)
{
	*k = (struct kbd){ .dev = { .cls = &kbd_class, .vm = vm, .id = id }, .port = { .read = kbd_read, .write = kbd_write, .dev = k } };
	timer_init(vm, &k->repeat, repeat_due, k);
	kbd_reset(k);
}

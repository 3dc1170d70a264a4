/*
 * i8042.c - the keyboard controller and the answers of an MF2 keyboard. Sources: IBM PS/2 Hardware Interface Technical Reference,
 * "Keyboard and Auxiliary Device Controller"; Intel 8042 UPI.
 *
 * Invariant: status OBF (and MOBF) and the two interrupt lines are what the head of the queue and the command byte say (i8042_update).
 * The controller takes no time, so IBF never reads as 1.
 */
#include "devices/emulated/i8042.h"

#define ST_OBF  0x01
#define ST_SYS  0x04
#define ST_CMD  0x08
#define ST_UNLOCKED 0x10
#define ST_MOBF 0x20
#define ST_TIMEOUT 0x40

#define CB_KBD_INT 0x01
#define CB_AUX_INT 0x02
#define CB_SYS     0x04
#define CB_KBD_OFF 0x10
#define CB_AUX_OFF 0x20

#define OP_NO_RESET 0x01
#define OP_A20      0x02
#define OP_KBD_INT  0x10
#define OP_AUX_INT  0x20

#define KBD_ACK    0xfa
#define KBD_RESEND 0xfe
#define KBD_BAT_OK 0xaa

enum source { FROM_CONTROLLER, FROM_KBD, FROM_AUX, FROM_AUX_TIMEOUT };

static const struct field i8042_fields[] = {
	FIELD(struct i8042, status, FIELD_U8),
	FIELD(struct i8042, command_byte, FIELD_U8),
	FIELD(struct i8042, command, FIELD_U8),
	FIELD(struct i8042, output_port, FIELD_U8),
	FIELD_ARRAY(struct i8042, ram, FIELD_U8),
	FIELD(struct i8042, kbd_command, FIELD_U8),
	FIELD(struct i8042, kbd_leds, FIELD_U8),
	FIELD(struct i8042, kbd_rate, FIELD_U8),
	FIELD(struct i8042, kbd_scan_set, FIELD_U8),
	FIELD(struct i8042, kbd_scanning, FIELD_BOOL),
	FIELD_ARRAY(struct i8042, queue, FIELD_U8),
	FIELD_ARRAY(struct i8042, source, FIELD_U8),
	FIELD(struct i8042, queue_head, FIELD_U8),
	FIELD(struct i8042, queue_count, FIELD_U8),
	FIELD(struct i8042, last, FIELD_U8),
	FIELD_END
};

static void i8042_update(struct i8042 *k)
{
	u8 from = k->source[k->queue_head];
	bool aux = k->queue_count && (from == FROM_AUX || from == FROM_AUX_TIMEOUT);
	bool kbd = k->queue_count && from == FROM_KBD;
	k->status &= (u8)~(ST_OBF | ST_MOBF | ST_TIMEOUT);
	if (k->queue_count)
		k->status |= ST_OBF;
	if (aux)
		k->status |= ST_MOBF;
	if (aux && from == FROM_AUX_TIMEOUT)
		k->status |= ST_TIMEOUT;
	line_set(&k->kbd_irq, kbd && (k->command_byte & CB_KBD_INT));
	line_set(&k->aux_irq, aux && (k->command_byte & CB_AUX_INT));
}

/* A full queue loses the byte, as the keyboard's own buffer does. */
static void answer(struct i8042 *k, u8 value, enum source from)
{
	if (k->queue_count == I8042_QUEUE)
		return;
	int i = (k->queue_head + k->queue_count++) % I8042_QUEUE;
	k->queue[i] = value;
	k->source[i] = (u8)from;
}

static void set_output_port(struct i8042 *k, u8 value)
{
	k->output_port = value;
	line_set(&k->a20, value & OP_A20);
	if (!(value & OP_NO_RESET) && k->cpu_reset)
		k->cpu_reset(k->cpu_reset_arg);
}

void i8042_set_a20(struct i8042 *k, bool on)
{
	k->output_port = (u8)(on ? k->output_port | OP_A20 : k->output_port & ~OP_A20);
	k->a20.level = on;
}

/* --- the keyboard --- */

static void kbd_defaults(struct i8042 *k)
{
	k->kbd_command = 0;
	k->kbd_rate = 0x2b;
	k->kbd_scan_set = 2;
}

static void kbd_argument(struct i8042 *k, u8 value)
{
	u8 command = k->kbd_command;
	k->kbd_command = 0;
	switch (command) {
	case 0xed: k->kbd_leds = value & 7; break;
	case 0xf3: k->kbd_rate = value & 0x7f; break;
	case 0xf0:
		if (value > 3) {
			answer(k, KBD_RESEND, FROM_KBD);
			return;
		}
		answer(k, KBD_ACK, FROM_KBD);
		if (value == 0)
			answer(k, k->kbd_scan_set, FROM_KBD);
		else
			k->kbd_scan_set = value;
		return;
	}
	answer(k, KBD_ACK, FROM_KBD);
}

static void kbd_write(struct i8042 *k, u8 value)
{
	if (k->kbd_command && value < 0x80) {
		kbd_argument(k, value);
		return;
	}
	k->kbd_command = 0;
	switch (value) {
	case 0xed:		/* set LEDs */
	case 0xf0:		/* scan code set */
	case 0xf3:		/* typematic rate */
		k->kbd_command = value;
		answer(k, KBD_ACK, FROM_KBD);
		break;
	case 0xee:		/* echo */
		answer(k, 0xee, FROM_KBD);
		break;
	case 0xf2:		/* identify: an MF2 keyboard */
		answer(k, KBD_ACK, FROM_KBD);
		answer(k, 0xab, FROM_KBD);
		answer(k, 0x83, FROM_KBD);
		break;
	case 0xf4:		/* enable */
		k->kbd_scanning = true;
		answer(k, KBD_ACK, FROM_KBD);
		break;
	case 0xf5:		/* default and disable */
	case 0xf6:		/* default */
		kbd_defaults(k);
		k->kbd_scanning = value == 0xf6;
		answer(k, KBD_ACK, FROM_KBD);
		break;
	case 0xf7: case 0xf8: case 0xf9: case 0xfa:	/* key modes of scan code set 3 */
		answer(k, KBD_ACK, FROM_KBD);
		break;
	case 0xff:		/* reset: acknowledges, then says that its self test passed */
		kbd_defaults(k);
		k->kbd_leds = 0;
		k->kbd_scanning = true;
		answer(k, KBD_ACK, FROM_KBD);
		answer(k, KBD_BAT_OK, FROM_KBD);
		break;
	default:
		answer(k, KBD_RESEND, FROM_KBD);
	}
}

/* --- the controller --- */

static u8 read_ram(const struct i8042 *k, u8 index)
{
	return index ? k->ram[index] : k->command_byte;
}

static void write_ram(struct i8042 *k, u8 index, u8 value)
{
	if (index) {
		k->ram[index] = value;
		return;
	}
	k->command_byte = value;
	k->status = (u8)((k->status & ~ST_SYS) | (value & CB_SYS ? ST_SYS : 0));
}

static u8 output_port_value(const struct i8042 *k)
{
	return (u8)(k->output_port | (k->kbd_irq.level ? OP_KBD_INT : 0) | (k->aux_irq.level ? OP_AUX_INT : 0));
}

static void pulse_outputs(struct i8042 *k, u8 low_bits)
{
	if ((low_bits & OP_NO_RESET) && k->cpu_reset)	/* FEh: the reset line goes low */
		k->cpu_reset(k->cpu_reset_arg);
}

void i8042_write_command(struct i8042 *k, u8 value)
{
	k->status |= ST_CMD;
	k->command = 0;
	if (value < 0x40)
		answer(k, read_ram(k, value & 0x1f), FROM_CONTROLLER);
	else if (value < 0x80)
		k->command = value & 0x5f;		/* 40h-5Fh repeat at 60h-7Fh */
	else if (value >= 0xf0)
		pulse_outputs(k, (u8)(~value & 0x0f));
	else switch (value) {
	case 0xa4: answer(k, 0xf1, FROM_CONTROLLER); break;	/* no password is installed */
	case 0xa7: k->command_byte |= CB_AUX_OFF; break;
	case 0xa8: k->command_byte &= (u8)~CB_AUX_OFF; break;
	case 0xa9: answer(k, 0x00, FROM_CONTROLLER); break;	/* auxiliary port test: no error */
	case 0xaa:						/* self test: also sets SYS, and a test's defaults */
		k->status |= ST_SYS;
		k->command_byte |= CB_SYS;
		answer(k, 0x55, FROM_CONTROLLER);
		break;
	case 0xab: answer(k, 0x00, FROM_CONTROLLER); break;	/* keyboard port test: no error */
	case 0xad: k->command_byte |= CB_KBD_OFF; break;
	case 0xae: k->command_byte &= (u8)~CB_KBD_OFF; break;
	case 0xc0: answer(k, 0x80, FROM_CONTROLLER); break;	/* input port: keyboard not locked */
	case 0xd0: answer(k, output_port_value(k), FROM_CONTROLLER); break;
	case 0xd1: case 0xd2: case 0xd3: case 0xd4:
		k->command = value;
		break;
	case 0xdd: set_output_port(k, k->output_port & (u8)~OP_A20); break;
	case 0xdf: set_output_port(k, k->output_port | OP_A20); break;
	case 0xe0: answer(k, 0x00, FROM_CONTROLLER); break;	/* test inputs: clock and data low */
	}
	i8042_update(k);
}

void i8042_write_data(struct i8042 *k, u8 value)
{
	u8 command = k->command;
	k->status &= (u8)~ST_CMD;
	k->command = 0;
	if (command >= 0x40 && command < 0x60)
		write_ram(k, command & 0x1f, value);
	else switch (command) {
	case 0xd1: set_output_port(k, value); break;
	case 0xd2: answer(k, value, FROM_KBD); break;	/* as if the keyboard had sent it */
	case 0xd3: answer(k, value, FROM_AUX); break;
	case 0xd4: answer(k, KBD_RESEND, FROM_AUX_TIMEOUT); break;	/* nothing there to answer */
	default:
		k->command_byte &= (u8)~CB_KBD_OFF;	/* a byte for the keyboard opens its port */
		kbd_write(k, value);
	}
	i8042_update(k);
}

u8 i8042_read_data(struct i8042 *k)
{
	if (k->queue_count) {
		k->last = k->queue[k->queue_head];
		k->queue_head = (k->queue_head + 1) % I8042_QUEUE;
		k->queue_count--;
		/* Each byte raises its own edge. */
		line_set(&k->kbd_irq, false);
		line_set(&k->aux_irq, false);
		i8042_update(k);
	}
	return k->last;
}

u8 i8042_read_status(struct i8042 *k)
{
	return k->status;
}

static void i8042_reset(void *dev)
{
	struct i8042 *k = dev;
	k->status = ST_SYS | ST_UNLOCKED;	/* as a BIOS leaves it: tested, keyboard on, interrupts on */
	k->command_byte = CB_KBD_INT | CB_SYS | CB_AUX_OFF | 0x40 /* translates to scan code set 1 */;
	k->command = 0;
	k->queue_head = k->queue_count = k->last = 0;
	k->kbd_leds = 0;
	k->kbd_scanning = true;
	kbd_defaults(k);
	for (u32 i = 0; i < sizeof(k->ram); i++)
		k->ram[i] = 0;
	k->output_port = OP_NO_RESET | OP_A20 | 0xc0;
	line_set(&k->a20, true);
	i8042_update(k);
}

static void i8042_loaded(void *dev)
{
	struct i8042 *k = dev;
	k->queue_head %= I8042_QUEUE;
	if (k->queue_count > I8042_QUEUE)
		k->queue_count = I8042_QUEUE;
	line_set(&k->a20, k->output_port & OP_A20);
	i8042_update(k);
}

static const struct device_class i8042_class = {
	.name = "i8042", .what = "keyboard controller", .version = 1,
	.fields = i8042_fields, .reset = i8042_reset, .loaded = i8042_loaded,
};

void i8042_init(struct i8042 *k, struct vm *vm, const char *id)
{
	*k = (struct i8042){ .dev = { .cls = &i8042_class, .vm = vm, .id = id } };
	i8042_reset(k);
}

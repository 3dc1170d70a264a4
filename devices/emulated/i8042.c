/*
 * i8042.c - the keyboard controller. Sources: IBM PS/2 Hardware Interface Technical Reference,
 * "Keyboard and Auxiliary Device Controller"; Intel 8042 UPI.
 *
 * Invariant: status MOBF and the two interrupt lines are what the output buffer and the command byte say (i8042_update). The controller
 * takes no time for commands, so IBF never reads as 1; bytes of the devices take theirs on the wire, so that each is seen alone.
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
#define CB_TRANSLATE 0x40

#define OP_NO_RESET 0x01
#define OP_A20      0x02
#define OP_KBD_INT  0x10
#define OP_AUX_INT  0x20

/* A byte takes about 11 clocks of 12 kHz on the wire; half of it is enough for interrupt handlers that read port 60h twice. */
#define BYTE_NS 500000ull
#define NO_DEVICE_ANSWER 0xfe

enum port { KBD, AUX };
enum source { FROM_CONTROLLER, FROM_KBD, FROM_AUX, FROM_AUX_TIMEOUT };

static const struct field i8042_fields[] = {
	FIELD(struct i8042, status, FIELD_U8),
	FIELD(struct i8042, command_byte, FIELD_U8),
	FIELD(struct i8042, command, FIELD_U8),
	FIELD(struct i8042, output_port, FIELD_U8),
	FIELD_ARRAY(struct i8042, ram, FIELD_U8),
	FIELD(struct i8042, out, FIELD_U8),
	FIELD(struct i8042, out_from, FIELD_U8),
	FIELD(struct i8042, reply, FIELD_U8),
	FIELD(struct i8042, reply_from, FIELD_U8),
	FIELD(struct i8042, has_reply, FIELD_BOOL),
	FIELD(struct i8042, breaks, FIELD_BOOL),
	FIELD(struct i8042, wire, FIELD_TIMER),
	FIELD_END
};

/* Scan code set 2 to 1; codes above are themselves, but for two. */
static const u8 translation[128] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
	0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
	0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
	0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
	0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
	0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
	0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
	0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

static bool is_aux(u8 from)
{
	return from == FROM_AUX || from == FROM_AUX_TIMEOUT;
}

static bool waits(const struct i8042 *k, enum port port)
{
	u8 off = port == AUX ? CB_AUX_OFF : CB_KBD_OFF;
	return k->port[port] && k->port[port]->ready.level && !(k->command_byte & off);
}

static void fill(struct i8042 *k, u8 value, u8 from)
{
	k->out = value;
	k->out_from = from;
	k->status |= ST_OBF;
}

static void i8042_update(struct i8042 *k)
{
	if (!(k->status & ST_OBF) && k->has_reply) {
		k->has_reply = false;
		fill(k, k->reply, k->reply_from);
	}
	bool full = k->status & ST_OBF, aux = is_aux(k->out_from);
	k->status &= (u8)~(ST_MOBF | ST_TIMEOUT);
	if (full && aux)
		k->status |= ST_MOBF;
	if (full && k->out_from == FROM_AUX_TIMEOUT)
		k->status |= ST_TIMEOUT;
	if (!full && k->wire.deadline == ~0ull && (waits(k, KBD) || waits(k, AUX)))
		timer_arm(&k->wire, clock_now(k->dev.vm) + BYTE_NS);
	line_set(&k->kbd_irq, full && !aux && (k->command_byte & CB_KBD_INT));
	line_set(&k->aux_irq, full && aux && (k->command_byte & CB_AUX_INT));
}

/* The controller's own bytes go before those of the devices. */
static void answer(struct i8042 *k, u8 value, enum source from)
{
	k->reply = value;
	k->reply_from = (u8)from;
	k->has_reply = true;
}

static void from_keyboard(struct i8042 *k, u8 value)
{
	if (!(k->command_byte & CB_TRANSLATE)) {
		fill(k, value, FROM_KBD);
		return;
	}
	if (value == 0xf0) {		/* becomes bit 7 of the next byte */
		k->breaks = true;
		return;
	}
	if (value < 0x80)
		value = translation[value];
	else if (value == 0x83 || value == 0x84)
		value = value == 0x83 ? 0x41 : 0x54;
	fill(k, k->breaks ? value | 0x80 : value, FROM_KBD);
	k->breaks = false;
}

static void byte_arrives(void *arg, u64 now)
{
	struct i8042 *k = arg;
	if (!(k->status & ST_OBF)) {
		if (waits(k, KBD))
			from_keyboard(k, k->port[KBD]->read(k->port[KBD]->dev));
		else if (waits(k, AUX))
			fill(k, k->port[AUX]->read(k->port[AUX]->dev), FROM_AUX);
	}
	i8042_update(k);
}

/* A byte for a device opens its port. */
static void send(struct i8042 *k, enum port port, u8 value)
{
	struct ps2_port *to = k->port[port];
	k->command_byte &= (u8)~(port == AUX ? CB_AUX_OFF : CB_KBD_OFF);
	if (to)
		to->write(to->dev, value);
	else
		answer(k, NO_DEVICE_ANSWER, port == AUX ? FROM_AUX_TIMEOUT : FROM_KBD);
}

void i8042_port_changed(struct i8042 *k)
{
	i8042_update(k);
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
	case 0xa5: case 0xd1: case 0xd2: case 0xd3: case 0xd4:
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
	case 0xd4: send(k, AUX, value); break;
	case 0xa5: k->command = value ? command : 0; break;	/* a password, which ends with 0 and is not kept */
	default: send(k, KBD, value); break;
	}
	i8042_update(k);
}

/* Without new data the port repeats the last. */
u8 i8042_read_data(struct i8042 *k)
{
	u8 value = k->out;
	if (k->status & ST_OBF) {
		k->status &= (u8)~ST_OBF;
		line_set(&k->kbd_irq, false);	/* each byte raises its own edge */
		line_set(&k->aux_irq, false);
		i8042_update(k);
	}
	return value;
}

u8 i8042_read_status(struct i8042 *k)
{
	return k->status;
}

static void i8042_reset(void *dev)
{
	struct i8042 *k = dev;
	k->status = ST_SYS | ST_UNLOCKED;	/* as a BIOS leaves it: tested, keyboard on, interrupts on */
	k->command_byte = CB_KBD_INT | CB_SYS | CB_AUX_OFF | CB_TRANSLATE;
	k->command = 0;
	k->out = k->out_from = k->reply = k->reply_from = 0;
	k->has_reply = k->breaks = false;
	timer_cancel(&k->wire);
	for (u32 i = 0; i < sizeof(k->ram); i++)
		k->ram[i] = 0;
	k->output_port = OP_NO_RESET | OP_A20 | 0xc0;
	line_set(&k->a20, true);
	i8042_update(k);
}

static void i8042_loaded(void *dev)
{
	struct i8042 *k = dev;
	line_set(&k->a20, k->output_port & OP_A20);
	i8042_update(k);
}

static const struct device_class i8042_class = {
	.name = "i8042", .what = "keyboard controller", .version = 2,
	.fields = i8042_fields, .reset = i8042_reset, .loaded = i8042_loaded,
};

void i8042_init(struct i8042 *k, struct vm *vm, const char *id)
{
	*k = (struct i8042){ .dev = { .cls = &i8042_class, .vm = vm, .id = id } };
	timer_init(vm, &k->wire, byte_arrives, k);
	i8042_reset(k);
}

/*
 * i8042.h - the keyboard controller of a PC/AT with a PS/2 auxiliary port, and the keyboard at its first port.
 *
 * No key is ever pressed yet: the keyboard answers commands. Nothing is plugged into the auxiliary port.
 */
#ifndef RF_I8042_H
#define RF_I8042_H
#include "devices/device.h"

#define I8042_QUEUE 16

struct i8042 {
	struct device dev;
	u8 status;		/* OBF is computed; the other bits as they are read */
	u8 command_byte;
	u8 command;		/* controller command that expects its byte at port 60h; 0: none */
	u8 output_port;
	u8 ram[32];		/* internal RAM; byte 0 is the command byte and lives above */
	u8 kbd_command;		/* keyboard command that expects its argument; 0: none */
	u8 kbd_leds, kbd_rate, kbd_scan_set;
	bool kbd_scanning;
	/* What port 60h gives next: bytes, and whether each comes from the auxiliary port or from the controller. */
	u8 queue[I8042_QUEUE], source[I8042_QUEUE], queue_head, queue_count;
	u8 last;		/* port 60h without new data repeats it */
	struct line kbd_irq, aux_irq;
	struct line a20;
	void (*cpu_reset)(void *arg);
	void *cpu_reset_arg;
};

void i8042_init(struct i8042 *k, struct vm *vm, const char *id);
u8   i8042_read_data(struct i8042 *k);
void i8042_write_data(struct i8042 *k, u8 value);
u8   i8042_read_status(struct i8042 *k);
void i8042_write_command(struct i8042 *k, u8 value);
/* A20 was switched elsewhere (port 92h): the output port shows it. */
void i8042_set_a20(struct i8042 *k, bool on);
#endif

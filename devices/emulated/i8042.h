/*
 * i8042.h - the keyboard controller of a PC/AT with a PS/2 auxiliary port.
 */
#ifndef RF_I8042_H
#define RF_I8042_H
#include "devices/ps2.h"
#include "monitor/clock.h"

struct i8042 {
	struct device dev;
	u8 status;		/* as it is read */
	u8 command_byte;
	u8 command;		/* controller command that expects its byte at port 60h; 0: none */
	u8 output_port;
	u8 ram[32];		/* internal RAM; byte 0 is the command byte and lives above */
	u8 out, out_from;	/* the output buffer, full while status says so, and who filled it */
	u8 reply, reply_from;	/* the controller's own byte that goes there next */
	bool has_reply;
	bool breaks;		/* translation: F0h came, the next byte is a break code */
	struct timer wire;	/* armed: a device's byte is on its way */
	struct line kbd_irq, aux_irq;
	struct line a20;
	struct ps2_port *port[2];	/* keyboard, auxiliary device; NULL: nothing is plugged in */
	void (*cpu_reset)(void *arg);
	void *cpu_reset_arg;
};

void i8042_init(struct i8042 *k, struct vm *vm, const char *id);
u8   i8042_read_data(struct i8042 *k);
void i8042_write_data(struct i8042 *k, u8 value);
u8   i8042_read_status(struct i8042 *k);
void i8042_write_command(struct i8042 *k, u8 value);
/* The `ready` line of a port changed. */
void i8042_port_changed(struct i8042 *k);
/* A20 was switched elsewhere (port 92h): the output port shows it. */
void i8042_set_a20(struct i8042 *k, bool on);
#endif

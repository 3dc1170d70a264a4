/*
 * floppy.c - the 82077AA floppy disk controller: registers, commands, seeks. Datasheet: Intel 82077AA (290166), in AT mode: there are no
 * registers SRA and SRB.
 *
 * A command is collected byte by byte, executed, and its results are handed out. Seeks go on beside other commands. Times are those of a
 * drive of our dreams, but never zero: software that programs the chip by hand expects to see it busy.
 * As on the real chip, a command with data on a drive that does not turn waits until there is a medium, or a reset.
 */
#include "devices/emulated/floppy_int.h"
#include <string.h>

#define MSR_RQM 0x80
#define MSR_DIO 0x40
#define MSR_NON_DMA 0x20
#define MSR_BUSY 0x10
#define DSR_RESET 0x80
#define DSR_POWER_DOWN 0x40
#define DIR_CHANGED 0x80

#define STEP_NS     20000u
#define SETTLE_NS  200000u
#define RECALIBRATE_STEPS 79
#define LAST_CYLINDER 85	/* the drive's mechanical stop */
#define RESET_NS   250000u

static const struct field floppy_fields[] = {
	FIELD(struct floppy, dor, FIELD_U8), FIELD(struct floppy, tdr, FIELD_U8), FIELD(struct floppy, dsr, FIELD_U8),
	FIELD(struct floppy, rate, FIELD_U8), FIELD(struct floppy, phase, FIELD_U8),
	FIELD_ARRAY(struct floppy, cmd, FIELD_U8), FIELD(struct floppy, cmd_len, FIELD_U8), FIELD(struct floppy, cmd_need, FIELD_U8),
	FIELD_ARRAY(struct floppy, result, FIELD_U8), FIELD(struct floppy, result_len, FIELD_U8),
	FIELD(struct floppy, result_pos, FIELD_U8),
	FIELD_ARRAY(struct floppy, pcn, FIELD_U8), FIELD_ARRAY(struct floppy, sense, FIELD_U8),
	FIELD(struct floppy, sense_seek, FIELD_U8), FIELD(struct floppy, sense_reset, FIELD_U8),
	FIELD_ARRAY(struct floppy, specify, FIELD_U8), FIELD_ARRAY(struct floppy, config, FIELD_U8),
	FIELD(struct floppy, perpendicular, FIELD_U8), FIELD(struct floppy, last_sectors, FIELD_U8), FIELD(struct floppy, lock, FIELD_BOOL),
	FIELD(struct floppy, exec, FIELD_U8), FIELD(struct floppy, st1, FIELD_U8), FIELD(struct floppy, st2, FIELD_U8),
	FIELD(struct floppy, c, FIELD_U8), FIELD(struct floppy, h, FIELD_U8), FIELD(struct floppy, r, FIELD_U8),
	FIELD(struct floppy, left, FIELD_U8), FIELD(struct floppy, tc, FIELD_BOOL),
	FIELD_ARRAY(struct floppy, buf, FIELD_U8), FIELD_ARRAY(struct floppy, guest, FIELD_U8),
	FIELD(struct floppy, pos, FIELD_U16), FIELD(struct floppy, len, FIELD_U16),
	FIELD(struct floppy, timer, FIELD_TIMER), FIELD(struct floppy, irq.level, FIELD_BOOL),
#define DRIVE(n) \
	FIELD(struct floppy, drive[n].cylinder, FIELD_U8), FIELD(struct floppy, drive[n].changed, FIELD_BOOL), \
	FIELD(struct floppy, drive[n].target, FIELD_U8), FIELD(struct floppy, drive[n].seeking, FIELD_BOOL), \
	FIELD(struct floppy, drive[n].no_track0, FIELD_BOOL), FIELD(struct floppy, drive[n].timer, FIELD_TIMER)
	DRIVE(0), DRIVE(1),
#undef DRIVE
	FIELD_END
};

struct floppy_drive *floppy_drive(struct floppy *f, int unit)
{
	return unit < FLOPPY_DRIVES && f->drive[unit].blk ? &f->drive[unit] : NULL;
}

static void interrupt(struct floppy *f, bool level)
{
	line_set(&f->irq, level && (f->dor & DOR_DMA_GATE));
}

/* The guest reads why there was an interrupt. A seek that ended meanwhile has its own; after a reset there is one for all drives. */
static void acknowledge(struct floppy *f)
{
	interrupt(f, false);
	interrupt(f, f->sense_seek && !f->sense_reset);
}

/* --- phases --- */

static void command_phase(struct floppy *f)
{
	f->phase = FLOPPY_COMMAND;
	f->cmd_len = 0;
}

void floppy_results(struct floppy *f, u32 count)
{
	f->phase = FLOPPY_RESULT;
	f->result_len = (u8)count;
	f->result_pos = 0;
}

static void result1(struct floppy *f, u8 value)
{
	f->result[0] = value;
	floppy_results(f, 1);
}

void floppy_finish(struct floppy *f, u8 st0)
{
	u8 size_code = f->cmd[5];
	if ((f->cmd[0] & 0x1f) == 0x0a || (f->cmd[0] & 0x1f) == 0x0d) {	/* READ ID, FORMAT TRACK */
		struct floppy_drive *d = floppy_drive(f, floppy_unit(f));
		size_code = d ? d->geo.size_code : 2;
	}
	u8 all[7] = { (u8)(st0 | (f->cmd[1] & 7)), f->st1, f->st2, f->c, f->h, f->r, size_code };
	if (f->st1 | (f->st2 & (ST2_DATA_ERROR | ST2_WRONG_CYLINDER)))
		all[0] |= ST0_ABNORMAL;
	memcpy(f->result, all, sizeof(all));
	floppy_results(f, sizeof(all));
	interrupt(f, true);
}

/* --- seeks --- */

/* Each step pulse with a medium in the drive takes the disk-changed signal back. */
u64 floppy_move(struct floppy *f, int unit, int target)
{
	struct floppy_drive *d = floppy_drive(f, unit);
	int steps = target - f->pcn[unit];
	f->pcn[unit] = (u8)target;
	if (!d || !steps)
		return SETTLE_NS;
	int at = d->cylinder + steps;
	d->cylinder = (u8)(at < 0 ? 0 : at > LAST_CYLINDER ? LAST_CYLINDER : at);
	if (blockdev_present(d->blk))
		d->changed = false;
	return SETTLE_NS + (u64)(steps < 0 ? -steps : steps) * STEP_NS;
}

static void seek_ended(struct floppy *f, int unit, u8 st0)
{
	f->sense[unit] = (u8)(st0 | unit);
	f->sense_seek |= (u8)(1 << unit);
	interrupt(f, true);
}

static void seek_timer(void *arg, u64 now)
{
	struct floppy_drive *d = arg;
	d->seeking = false;
	seek_ended(d->ctl, (int)(d - d->ctl->drive), ST0_SEEK_END | (d->no_track0 ? ST0_ABNORMAL | ST0_EQUIPMENT : 0));
}

/* The command is over at once; the interrupt comes when the head has arrived. */
static void start_seek(struct floppy *f, int unit, u64 ns, bool no_track0)
{
	struct floppy_drive *d = floppy_drive(f, unit);
	command_phase(f);
	if (!d) {
		seek_ended(f, unit, ST0_SEEK_END | (no_track0 ? ST0_ABNORMAL | ST0_EQUIPMENT : 0));
		return;
	}
	d->seeking = true;
	d->no_track0 = no_track0;
	timer_arm(&d->timer, clock_now(f->dev.vm) + ns);
}

static void cmd_recalibrate(struct floppy *f)
{
	int unit = floppy_unit(f);
	struct floppy_drive *d = floppy_drive(f, unit);
	int from = d ? d->cylinder : RECALIBRATE_STEPS + 1, steps = from < RECALIBRATE_STEPS ? from : RECALIBRATE_STEPS;
	f->pcn[unit] = (u8)steps;
	u64 ns = floppy_move(f, unit, 0);
	start_seek(f, unit, ns, !d || d->cylinder != 0);
}

static void cmd_seek(struct floppy *f)
{
	start_seek(f, floppy_unit(f), floppy_move(f, floppy_unit(f), f->cmd[2]), false);
}

/* Opcode 8Fh steps out (to lower cylinders), CFh in. */
static void cmd_relative_seek(struct floppy *f)
{
	int unit = floppy_unit(f), target = f->pcn[unit] + (f->cmd[0] & 0x40 ? f->cmd[2] : -f->cmd[2]);
	target = target < 0 ? 0 : target > 255 ? 255 : target;
	start_seek(f, unit, floppy_move(f, unit, target), false);
}

/* --- the other commands without data --- */

static void cmd_specify(struct floppy *f)
{
	f->specify[0] = f->cmd[1];
	f->specify[1] = f->cmd[2];
	command_phase(f);
}

/* Status register 3: bits 5 and 3 are always 1 on this chip. */
static void cmd_sense_drive(struct floppy *f)
{
	struct floppy_drive *d = floppy_drive(f, floppy_unit(f));
	u8 st3 = 0x28 | (f->cmd[1] & 7);
	if (d && !d->cylinder)
		st3 |= 0x10;
	if (d && blockdev_present(d->blk) && blockdev_readonly(d->blk))
		st3 |= 0x40;
	result1(f, st3);
}

static void cmd_sense_interrupt(struct floppy *f)
{
	u8 *from = f->sense_reset ? &f->sense_reset : &f->sense_seek;
	if (!*from) {
		result1(f, ST0_INVALID);
		return;
	}
	int unit = __builtin_ctz(*from);
	*from &= (u8)~(1 << unit);
	f->result[0] = f->sense[unit];
	f->result[1] = f->pcn[unit];
	floppy_results(f, 2);
	acknowledge(f);
}

static void cmd_dumpreg(struct floppy *f)
{
	u8 all[10] = { f->pcn[0], f->pcn[1], f->pcn[2], f->pcn[3], f->specify[0], f->specify[1], f->last_sectors,
		       (u8)(f->lock << 7 | f->perpendicular), f->config[0], f->config[1] };
	memcpy(f->result, all, sizeof(all));
	floppy_results(f, sizeof(all));
}

static void cmd_version(struct floppy *f)
{
	result1(f, 0x90);
}

static void cmd_configure(struct floppy *f)
{
	f->config[0] = f->cmd[2] & 0x7f;
	f->config[1] = f->cmd[3];
	command_phase(f);
}

/* The drive bits change only together with OW (bit 7). */
static void cmd_perpendicular(struct floppy *f)
{
	u8 drives = f->cmd[1] & 0x80 ? f->cmd[1] & 0x3c : f->perpendicular & 0x3c;
	f->perpendicular = (u8)(drives | (f->cmd[1] & 3));
	command_phase(f);
}

static void cmd_lock(struct floppy *f)
{
	f->lock = f->cmd[0] & 0x80;
	result1(f, (u8)(f->lock << 4));
}

static void cmd_invalid(struct floppy *f)
{
	result1(f, ST0_INVALID);
}

/* Datasheet, table 5-1. Bits outside the mask: MT, MFM, SK. */
static const struct { u8 mask, code, bytes; void (*run)(struct floppy *f); } commands[] = {
	{ 0x1f, 0x06, 9, floppy_start_data },		/* READ DATA */
	{ 0x1f, 0x0c, 9, floppy_start_data },		/* READ DELETED DATA */
	{ 0x3f, 0x05, 9, floppy_start_data },		/* WRITE DATA */
	{ 0x3f, 0x09, 9, floppy_start_data },		/* WRITE DELETED DATA */
	{ 0x9f, 0x02, 9, floppy_start_data },		/* READ TRACK */
	{ 0x1f, 0x16, 9, floppy_start_data },		/* VERIFY */
	{ 0x1f, 0x11, 9, floppy_start_data },		/* SCAN EQUAL */
	{ 0x1f, 0x19, 9, floppy_start_data },		/* SCAN LOW OR EQUAL */
	{ 0x1f, 0x1d, 9, floppy_start_data },		/* SCAN HIGH OR EQUAL */
	{ 0xbf, 0x0d, 6, floppy_start_data },		/* FORMAT TRACK */
	{ 0xbf, 0x0a, 2, floppy_start_read_id },
	{ 0xff, 0x03, 3, cmd_specify },
	{ 0xff, 0x04, 2, cmd_sense_drive },
	{ 0xff, 0x07, 2, cmd_recalibrate },
	{ 0xff, 0x08, 1, cmd_sense_interrupt },
	{ 0xff, 0x0e, 1, cmd_dumpreg },
	{ 0xff, 0x0f, 3, cmd_seek },
	{ 0xbf, 0x8f, 3, cmd_relative_seek },
	{ 0xff, 0x10, 1, cmd_version },
	{ 0xff, 0x12, 2, cmd_perpendicular },
	{ 0xff, 0x13, 4, cmd_configure },
	{ 0x7f, 0x14, 1, cmd_lock },
	{ 0x00, 0x00, 1, cmd_invalid },			/* the rest, PART ID of later chips among it */
};

static u32 command_of(u8 code)
{
	u32 i = 0;
	while ((code & commands[i].mask) != commands[i].code)
		i++;
	return i;
}

static void write_command(struct floppy *f, u8 value)
{
	if (!f->cmd_len)
		f->cmd_need = commands[command_of(value)].bytes;
	f->cmd[f->cmd_len++] = value;
	if (f->cmd_len < f->cmd_need)
		return;
	f->phase = FLOPPY_EXECUTION;
	commands[command_of(f->cmd[0])].run(f);
}

/* --- registers --- */

static u8 read_msr(const struct floppy *f)
{
	u8 msr = 0;
	if (!(f->dor & DOR_NOT_RESET))
		return 0;
	for (int i = 0; i < FLOPPY_DRIVES; i++)
		msr |= (u8)(f->drive[i].seeking << i);
	switch (f->phase) {
	case FLOPPY_COMMAND:
		return msr | MSR_RQM | (f->cmd_len ? MSR_BUSY : 0);
	case FLOPPY_RESULT:
		return msr | MSR_RQM | MSR_DIO | MSR_BUSY;
	}
	msr |= MSR_BUSY;
	if (floppy_pio(f)) {
		msr |= MSR_NON_DMA;
		if (f->exec == FLOPPY_TRANSFER)
			msr |= MSR_RQM | (floppy_to_host(f) ? MSR_DIO : 0);
	}
	return msr;
}

static u8 read_fifo(struct floppy *f)
{
	if (f->phase == FLOPPY_EXECUTION && floppy_pio(f) && f->exec == FLOPPY_TRANSFER && floppy_to_host(f))
		return floppy_data_read(f);
	if (f->phase != FLOPPY_RESULT)
		return 0;
	if (f->result_pos == 0 && f->result_len == 7)
		acknowledge(f);
	u8 value = f->result[f->result_pos++];
	if (f->result_pos == f->result_len)
		command_phase(f);
	return value;
}

static void write_fifo(struct floppy *f, u8 value)
{
	if (!(f->dor & DOR_NOT_RESET))
		return;
	if (f->phase == FLOPPY_COMMAND)
		write_command(f, value);
	else if (f->phase == FLOPPY_EXECUTION && floppy_pio(f) && f->exec == FLOPPY_TRANSFER && !floppy_to_host(f))
		floppy_data_write(f, value);
}

/* A reset by DOR or DSR: after it the polling finds all four drives changed, with one interrupt. */
static void soft_reset(struct floppy *f)
{
	command_phase(f);
	f->stale = f->busy;
	f->sense_seek = f->sense_reset = 0;
	memset(f->pcn, 0, sizeof(f->pcn));
	f->perpendicular &= 0x3c;
	if (!f->lock) {
		f->config[0] = CONFIG_NO_FIFO;
		f->config[1] = 0;
	}
	for (int i = 0; i < FLOPPY_DRIVES; i++) {
		f->drive[i].seeking = false;
		timer_cancel(&f->drive[i].timer);
	}
	timer_cancel(&f->timer);
	interrupt(f, false);
}

static void leave_reset(struct floppy *f)
{
	if (!(f->config[0] & CONFIG_NO_POLL))
		timer_arm(&f->timer, clock_now(f->dev.vm) + RESET_NS);
}

static void timer_due(void *arg, u64 now)
{
	struct floppy *f = arg;
	if (f->phase == FLOPPY_EXECUTION) {
		floppy_data_timer(f, now);
		return;
	}
	for (int i = 0; i < 4; i++)
		f->sense[i] = (u8)(0xc0 | i);
	f->sense_reset = 0xf;
	interrupt(f, true);
}

static void write_dor(struct floppy *f, u8 value)
{
	bool was = f->dor & DOR_NOT_RESET, is = value & DOR_NOT_RESET;
	f->dor = value;
	if (!is)
		soft_reset(f);
	else if (!was)
		leave_reset(f);
	if (!(value & DOR_DMA_GATE))
		interrupt(f, false);
}

static void write_dsr(struct floppy *f, u8 value)
{
	f->dsr = value & (u8)~DSR_RESET;
	f->rate = value & 3;
	if (value & DSR_RESET) {	/* clears itself */
		soft_reset(f);
		leave_reset(f);
	}
}

static u8 read_dir(struct floppy *f)
{
	struct floppy_drive *d = floppy_drive(f, f->dor & 3);
	return d && d->changed ? DIR_CHANGED : 0;
}

u8 floppy_read(struct floppy *f, u32 offset)
{
	switch (offset) {
	case 2: return f->dor;
	case 3: return f->tdr | 0xfc;
	case 4: return read_msr(f);
	case 5: return read_fifo(f);
	case 7: return read_dir(f);
	}
	return 0xff;
}

void floppy_write(struct floppy *f, u32 offset, u8 value)
{
	switch (offset) {
	case 2: write_dor(f, value); break;
	case 3: f->tdr = value & 3; break;
	case 4: write_dsr(f, value); break;
	case 5: write_fifo(f, value); break;
	case 7: f->rate = value & 3; break;
	}
}

static void floppy_reset(void *dev)
{
	struct floppy *f = dev;
	f->lock = false;
	f->dor = f->tdr = f->dsr = 0;
	f->rate = 2;
	f->perpendicular = f->last_sectors = 0;
	f->specify[0] = f->specify[1] = 0;
	soft_reset(f);
}

/* A command whose I/O was under way elsewhere, or nonsense: nothing may index beyond a buffer. */
static void floppy_loaded(void *dev)
{
	struct floppy *f = dev;
	bool bad = f->phase > FLOPPY_RESULT || f->cmd_len > sizeof(f->cmd) || f->result_len > sizeof(f->result) ||
		   (f->phase == FLOPPY_RESULT && f->result_pos >= f->result_len) || f->len > sizeof(f->buf) || f->pos > f->len ||
		   (f->phase == FLOPPY_COMMAND && f->cmd_len == sizeof(f->cmd)) || f->exec > FLOPPY_TRANSFER ||
		   (f->phase == FLOPPY_EXECUTION && f->exec == FLOPPY_TRANSFER && f->pos == f->len);
	f->sense_seek &= 15;
	f->sense_reset &= 15;
	f->rate &= 3;
	if (f->phase == FLOPPY_EXECUTION && f->exec == FLOPPY_MEDIUM && !f->busy) {
		f->exec = FLOPPY_POSITION;
		timer_arm(&f->timer, clock_now(f->dev.vm));
	}
	if (bad)
		soft_reset(f);
}

static const struct device_class floppy_class = {
	.name = "floppy", .what = "82077AA floppy disk controller", .version = 1,
	.fields = floppy_fields, .reset = floppy_reset, .loaded = floppy_loaded,
};

void floppy_init(struct floppy *f, struct vm *vm, const char *id)
{
	*f = (struct floppy){ .dev = { .cls = &floppy_class, .vm = vm, .id = id } };
	timer_init(vm, &f->timer, timer_due, f);
	for (int i = 0; i < FLOPPY_DRIVES; i++) {
		f->drive[i].ctl = f;
		timer_init(vm, &f->drive[i].timer, seek_timer, &f->drive[i]);
	}
	floppy_reset(f);
}

void floppy_attach(struct floppy *f, int n, struct blockdev *blk)
{
	f->drive[n].blk = blk;
	blockdev_on_change(blk, floppy_media_changed, &f->drive[n]);
	floppy_media_changed(&f->drive[n]);
}

u8 floppy_cmos_type(const struct floppy *f, int n)
{
	const struct floppy_drive *d = &f->drive[n];
	if (!d->blk)
		return 0;
	if (d->geo.cmos)
		return d->geo.cmos;
	return blockdev_present(d->blk) && blockdev_size(d->blk) > 80 * 2 * 18 * 512 ? 5 : 4;
}

void floppy_set_dma(struct floppy *f, const struct isadma *dma, int channel)
{
	f->dma = *dma;
	f->dma_channel = channel;
	dma->on_ready(dma->dma, channel, floppy_data_ready, f);
}

/*
 * floppy_data.c - the 82077AA's commands that read, write, compare or format sectors.
 *
 * One sector at a time: it comes by (POSITION), is read from the medium (MEDIUM), goes to the guest (TRANSFER); for writing the other
 * way round. The host's I/O ends some time later on the vCPU thread; a reset meanwhile makes its result stale, and the next command waits
 * until it is gone. A masked DMA channel makes the chip wait, never overrun: the guest gets all the time that it needs.
 */
#include "devices/emulated/floppy_int.h"
#include <string.h>

#define LATENCY_NS   100000u	/* until the first sector comes by */
#define SECTOR_NS     20000u
#define STILL_NS   50000000u	/* how often to look whether a medium has come */

enum { OP_READ_TRACK = 0x02, OP_WRITE = 0x05, OP_READ = 0x06, OP_WRITE_DELETED = 0x09, OP_READ_ID = 0x0a, OP_READ_DELETED = 0x0c,
	OP_FORMAT = 0x0d, OP_SCAN_EQUAL = 0x11, OP_VERIFY = 0x16, OP_SCAN_LOW = 0x19, OP_SCAN_HIGH = 0x1d };
#define MT  0x80
#define MFM 0x40
#define SK  0x20

static int op_of(const struct floppy *f) { return f->cmd[0] & 0x1f; }
static bool scans(int op) { return op == OP_SCAN_EQUAL || op == OP_SCAN_LOW || op == OP_SCAN_HIGH; }
static bool writes(int op) { return op == OP_WRITE || op == OP_WRITE_DELETED || op == OP_FORMAT; }
static u8 last_sector(const struct floppy *f) { return f->cmd[6]; }
static bool verify_counts(const struct floppy *f) { return f->cmd[1] & 0x80; }	/* VERIFY's EC bit: the last byte is a sector count */

bool floppy_to_host(const struct floppy *f)
{
	return !writes(op_of(f)) && !scans(op_of(f));
}

static void wait_ns(struct floppy *f, u64 ns)
{
	f->exec = FLOPPY_POSITION;
	timer_arm(&f->timer, clock_now(f->dev.vm) + ns);
}

void floppy_start_data(struct floppy *f)
{
	u64 ns = LATENCY_NS;
	f->st1 = f->st2 = 0;
	f->tc = false;
	f->pos = f->len = 0;
	if (op_of(f) == OP_FORMAT) {
		f->c = f->pcn[floppy_unit(f)];
		f->h = (u8)floppy_head(f);
		f->r = 1;
		f->left = f->last_sectors = f->cmd[3];
	} else {
		f->c = f->cmd[2];
		f->h = f->cmd[3];
		f->r = op_of(f) == OP_READ_TRACK ? 1 : f->cmd[4];
		f->last_sectors = last_sector(f);
		f->left = op_of(f) == OP_VERIFY ? f->cmd[8] : last_sector(f);
		if ((f->config[0] & CONFIG_IMPLIED_SEEK) && f->pcn[floppy_unit(f)] != f->c)
			ns += floppy_move(f, floppy_unit(f), f->c);
	}
	wait_ns(f, ns);
}

void floppy_start_read_id(struct floppy *f)
{
	f->st1 = f->st2 = 0;
	wait_ns(f, LATENCY_NS);
}

/* Does the disk turn? Without index pulses no command with data ends. */
static bool turns(struct floppy *f, const struct floppy_drive *d)
{
	return d && blockdev_present(d->blk) && (f->dor >> (4 + floppy_unit(f)) & 1);
}

/* The medium was written in MFM at one rate; with anything else set there are no address marks. */
static bool readable(const struct floppy *f, const struct floppy_drive *d)
{
	return (f->cmd[0] & MFM) && (d->geo.rates >> f->rate & 1) && d->cylinder < d->geo.cylinders &&
	       floppy_head(f) < d->geo.heads;
}

/* --- the result's cylinder, head and sector --- */

/* Datasheet, table 6-5: the sector after the last one of the transfer. */
static void to_next_id(struct floppy *f)
{
	if (f->r != last_sector(f)) {
		f->r++;
		return;
	}
	f->r = 1;
	if ((f->cmd[0] & MT) && !floppy_head(f)) {
		f->h |= 1;
		return;
	}
	f->c++;
	if (f->cmd[0] & MT)
		f->h &= 0xfe;
}

static void end(struct floppy *f)
{
	if (op_of(f) != OP_FORMAT)
		to_next_id(f);
	floppy_finish(f, 0);
}

static void end_of_cylinder(struct floppy *f)
{
	to_next_id(f);
	f->st1 |= ST1_END_OF_CYLINDER;
	floppy_finish(f, 0);
}

/* --- sectors --- */

static bool last_of_side(struct floppy *f)
{
	if (op_of(f) == OP_READ_TRACK)
		return !--f->left;
	if (op_of(f) == OP_VERIFY && verify_counts(f) && !--f->left)
		return true;
	if (scans(op_of(f)))		/* the last byte is the step: 1 or 2 */
		return f->r + (f->cmd[8] == 2) >= last_sector(f);
	return f->r == last_sector(f);
}

static void after_last(struct floppy *f)
{
	bool counted = op_of(f) == OP_VERIFY && verify_counts(f) && !f->left;
	if (!counted && (f->cmd[0] & MT) && !floppy_head(f)) {
		f->cmd[1] |= 4;
		f->h |= 1;
		f->r = 1;
		wait_ns(f, SECTOR_NS);
		return;
	}
	if (scans(op_of(f))) {
		f->st2 |= ST2_SCAN_NOT_SATISFIED;
		floppy_finish(f, 0);
	} else if (op_of(f) == OP_VERIFY) {
		end(f);
	} else {
		end_of_cylinder(f);
	}
}

static void next_sector(struct floppy *f)
{
	if (op_of(f) == OP_FORMAT) {
		if (!--f->left || f->tc)
			end(f);
		else
			wait_ns(f, SECTOR_NS);
	} else if (f->tc) {
		end(f);
	} else if (last_of_side(f)) {
		after_last(f);
	} else {
		f->r = (u8)(f->r + (scans(op_of(f)) && f->cmd[8] == 2 ? 2 : 1));
		wait_ns(f, SECTOR_NS);
	}
}

/* Offset of the sector on the image; false with st1 and st2 set when no such ID comes by. */
static bool find(struct floppy *f, const struct floppy_drive *d, u64 *offset)
{
	u8 at = d->cylinder;
	bool double_steps = d->geo.cylinders < 50 && at == f->c * 2;	/* what a driver does for 40 tracks in an 80 track drive */
	if (f->c != at && !double_steps) {
		f->st1 |= ST1_NO_DATA;
		f->st2 |= f->c == 0xff ? ST2_BAD_CYLINDER : ST2_WRONG_CYLINDER;
		return false;
	}
	if (f->h != floppy_head(f) || !f->r || f->r > d->geo.sectors || (op_of(f) != OP_FORMAT && f->cmd[5] != d->geo.size_code)) {
		f->st1 |= ST1_NO_DATA;
		return false;
	}
	*offset = (((u64)f->c * d->geo.heads + f->h) * d->geo.sectors + f->r - 1) << (7 + d->geo.size_code);
	return true;
}

static void io_done(struct blk_req *req, int error)
{
	struct floppy *f = req->arg;
	bool stale = f->stale;
	f->busy = f->stale = false;
	if (stale)
		return;
	if (error) {
		f->st1 |= req->op == BLK_READ ? ST1_DATA_ERROR : ST1_NO_DATA;
		f->st2 |= req->op == BLK_READ ? ST2_DATA_ERROR : 0;
		floppy_finish(f, 0);
	} else if (req->op == BLK_WRITE || op_of(f) == OP_VERIFY) {
		next_sector(f);
	} else {
		f->exec = FLOPPY_TRANSFER;
		floppy_data_ready(f);
	}
}

/* Sectors behind the end of a short image read as zeros and cannot be written. */
static void submit(struct floppy *f, struct floppy_drive *d, enum blk_op op, u64 offset)
{
	u32 len = 128u << d->geo.size_code;
	f->exec = FLOPPY_MEDIUM;
	f->busy = true;
	f->req = (struct blk_req){ .op = op, .offset = offset, .len = len, .buf = f->buf, .done = io_done, .arg = f };
	if (op == BLK_READ && offset + len > blockdev_size(d->blk)) {
		memset(f->buf, 0, len);
		io_done(&f->req, 0);
		return;
	}
	blockdev_submit(d->blk, &f->req);
}

static void read_id(struct floppy *f, struct floppy_drive *d)
{
	f->c = d->cylinder;
	f->h = (u8)floppy_head(f);
	f->r = 1;
	floppy_finish(f, 0);
}

static void want_bytes(struct floppy *f, u32 n)
{
	f->pos = 0;
	f->len = (u16)n;
}

static void await_guest(struct floppy *f)
{
	f->exec = FLOPPY_TRANSFER;
	floppy_data_ready(f);
}

/* A sector without the mark that was asked for: skipped with SK, else transferred as the last one. */
static bool skip_for_mark(struct floppy *f)
{
	if (op_of(f) != OP_READ_DELETED)
		return false;
	f->st2 |= ST2_CONTROL_MARK;
	if (!(f->cmd[0] & SK))
		return false;
	next_sector(f);
	return true;
}

/* The sector comes by. */
void floppy_data_timer(void *arg, u64 now)
{
	struct floppy *f = arg;
	struct floppy_drive *d = floppy_drive(f, floppy_unit(f));
	u64 offset = 0;
	if (f->busy || (d && d->probing)) {
		wait_ns(f, SECTOR_NS);
		return;
	}
	if (!turns(f, d)) {
		wait_ns(f, STILL_NS);
		return;
	}
	if (writes(op_of(f)) && blockdev_readonly(d->blk)) {
		f->st1 |= ST1_NOT_WRITABLE;
		floppy_finish(f, 0);
		return;
	}
	if (!readable(f, d)) {
		f->st1 |= ST1_MISSING_ADDRESS;
		floppy_finish(f, 0);
		return;
	}
	if (op_of(f) == OP_READ_ID) {
		read_id(f, d);
		return;
	}
	if (op_of(f) == OP_FORMAT) {
		want_bytes(f, 4);
		await_guest(f);
		return;
	}
	if (!find(f, d, &offset)) {
		floppy_finish(f, 0);
		return;
	}
	if (skip_for_mark(f))
		return;
	want_bytes(f, 128u << d->geo.size_code);
	if (writes(op_of(f)))
		await_guest(f);
	else
		submit(f, d, BLK_READ, offset);
}

/* --- data to and from the guest --- */

/* One ID field came: C, H, R, N. Sectors that the geometry does not have cannot be made on this medium. */
static void format_sector(struct floppy *f, struct floppy_drive *d)
{
	u64 offset;
	f->c = f->guest[0];
	f->h = f->guest[1];
	f->r = f->guest[2];
	if (f->guest[3] != d->geo.size_code || !find(f, d, &offset)) {
		f->st1 |= ST1_NO_DATA;
		floppy_finish(f, 0);
		return;
	}
	memset(f->buf, f->cmd[5], sizeof(f->buf));
	submit(f, d, BLK_WRITE, offset);
}

/* SCAN: a byte of FFh on either side fits everything. */
static bool scan_fits(struct floppy *f, bool *equal)
{
	*equal = true;
	for (u32 i = 0; i < f->len; i++) {
		u8 disk = f->buf[i], guest = f->guest[i];
		if (disk == guest || disk == 0xff || guest == 0xff)
			continue;
		*equal = false;
		return op_of(f) == OP_SCAN_LOW ? disk < guest : op_of(f) == OP_SCAN_HIGH && disk > guest;
	}
	return true;
}

static void scanned(struct floppy *f)
{
	bool equal, fits = scan_fits(f, &equal);
	if (fits) {
		f->st2 = (u8)((f->st2 & ~ST2_SCAN_NOT_SATISFIED) | (equal ? ST2_SCAN_EQUAL : 0));
		end(f);
	} else if (f->tc) {
		f->st2 |= ST2_SCAN_NOT_SATISFIED;
		end(f);
	} else {
		next_sector(f);
	}
}

/* All bytes of the sector (of the ID) went through, or the terminal count cut it short: the rest is written as zeros. */
static void transferred(struct floppy *f)
{
	struct floppy_drive *d = floppy_drive(f, floppy_unit(f));
	u64 offset;
	if (!d || !blockdev_present(d->blk) || !d->geo.cylinders) {
		f->st1 |= ST1_MISSING_ADDRESS;	/* taken out meanwhile */
		floppy_finish(f, 0);
	} else if (op_of(f) == OP_FORMAT) {
		format_sector(f, d);
	} else if (scans(op_of(f))) {
		scanned(f);
	} else if (!writes(op_of(f))) {
		if (f->st2 & ST2_CONTROL_MARK)
			f->tc = true;
		next_sector(f);
	} else if (find(f, d, &offset)) {
		memcpy(f->buf, f->guest, sizeof(f->buf));
		memset(f->buf + f->pos, 0, sizeof(f->buf) - f->pos);
		submit(f, d, BLK_WRITE, offset);
	} else {
		floppy_finish(f, 0);
	}
}

/* An interrupt asks for the next bytes: one, or as many as the FIFO's threshold lets pass. */
static void ask_for_bytes(struct floppy *f)
{
	u32 burst = f->config[0] & CONFIG_NO_FIFO ? 1 : 16 - (f->config[0] & 15);
	line_set(&f->irq, f->pos % burst == 0 && (f->dor & DOR_DMA_GATE));
}

static u8 *side_of(struct floppy *f)
{
	return floppy_to_host(f) ? f->buf : f->guest;
}

void floppy_data_ready(void *arg)
{
	struct floppy *f = arg;
	if (f->phase != FLOPPY_EXECUTION || f->exec != FLOPPY_TRANSFER)
		return;
	if (floppy_pio(f)) {
		line_set(&f->irq, false);
		ask_for_bytes(f);
		return;
	}
	if (!f->dma.transfer || !(f->dor & DOR_DMA_GATE))
		return;
	f->pos = (u16)(f->pos + f->dma.transfer(f->dma.dma, f->dma_channel, floppy_to_host(f), side_of(f) + f->pos,
						(u32)(f->len - f->pos), &f->tc));
	if (f->pos == f->len || f->tc)
		transferred(f);
}

static void byte_done(struct floppy *f)
{
	line_set(&f->irq, false);
	if (f->pos == f->len)
		transferred(f);
	else
		ask_for_bytes(f);
}

u8 floppy_data_read(struct floppy *f)
{
	u8 value = f->buf[f->pos++];
	byte_done(f);
	return value;
}

void floppy_data_write(struct floppy *f, u8 value)
{
	f->guest[f->pos++] = value;
	byte_done(f);
}

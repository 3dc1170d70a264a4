/*
 * ide.c - an IDE channel: its registers, the interrupt line, and the way of data between a drive's medium and the host's data port.
 *
 * A transfer goes through the buffer piece by piece. In: a request fills it (IDE_IO), then the host takes it in DRQ blocks (IDE_PIO_IN)
 * or the bus master does (IDE_DMA_IN). Out: the other way round. Commands that only tell something put it into the buffer at once.
 *
 * A reset may come while a request is at the blockdev, which still owns the buffer then. `stale` says that nobody waits for the
 * result, and a command that arrives meanwhile stays BSY and `deferred` until the request comes back.
 *
 * Both drives see every write to the task file; commands are for the selected one. An absent drive reads as 0.
 */
#include "devices/emulated/ide.h"
#include "devices/emulated/ide_int.h"
#include "monitor/vm.h"
#include <string.h>

enum { R_DATA, R_ERROR, R_COUNT, R_LBA0, R_LBA1, R_LBA2, R_DEVICE, R_STATUS };
enum { CMD_DEVICE_RESET = 0x08, CMD_DIAGNOSTIC = 0x90 };

#define DRIVE_FIELDS(n) \
	FIELD(struct ide_channel, drive[n].feature, FIELD_U8), FIELD(struct ide_channel, drive[n].count, FIELD_U8), \
	FIELD_ARRAY(struct ide_channel, drive[n].lba, FIELD_U8), FIELD(struct ide_channel, drive[n].device, FIELD_U8), \
	FIELD(struct ide_channel, drive[n].status, FIELD_U8), FIELD(struct ide_channel, drive[n].error, FIELD_U8), \
	FIELD(struct ide_channel, drive[n].hob_feature, FIELD_U8), FIELD(struct ide_channel, drive[n].hob_count, FIELD_U8), \
	FIELD_ARRAY(struct ide_channel, drive[n].hob_lba, FIELD_U8), FIELD(struct ide_channel, drive[n].cylinders, FIELD_U16), \
	FIELD(struct ide_channel, drive[n].heads, FIELD_U16), FIELD(struct ide_channel, drive[n].sectors, FIELD_U16), \
	FIELD(struct ide_channel, drive[n].multiple, FIELD_U8), FIELD(struct ide_channel, drive[n].dma_mode, FIELD_U8), \
	FIELD(struct ide_channel, drive[n].write_cache, FIELD_BOOL), FIELD(struct ide_channel, drive[n].look_ahead, FIELD_BOOL), \
	FIELD(struct ide_channel, drive[n].smart, FIELD_BOOL), FIELD(struct ide_channel, drive[n].standby, FIELD_BOOL), \
	FIELD(struct ide_channel, drive[n].sense_key, FIELD_U8), FIELD(struct ide_channel, drive[n].asc, FIELD_U8), \
	FIELD(struct ide_channel, drive[n].ascq, FIELD_U8), FIELD(struct ide_channel, drive[n].attention, FIELD_BOOL), \
	FIELD(struct ide_channel, drive[n].locked, FIELD_BOOL), FIELD(struct ide_channel, drive[n].media_event, FIELD_U8)

/* No request is in flight when state is saved: busy, stale and deferred are false then. */
static const struct field ide_fields[] = {
	DRIVE_FIELDS(0),
	DRIVE_FIELDS(1),
	FIELD(struct ide_channel, selected, FIELD_U8),
	FIELD(struct ide_channel, control, FIELD_U8),
	FIELD(struct ide_channel, active, FIELD_U8),
	FIELD(struct ide_channel, command, FIELD_U8),
	FIELD(struct ide_channel, irq_pending, FIELD_BOOL),
	FIELD(struct ide_channel, phase, FIELD_U8),
	FIELD(struct ide_channel, write, FIELD_BOOL),
	FIELD(struct ide_channel, dma, FIELD_BOOL),
	FIELD(struct ide_channel, extended, FIELD_BOOL),
	FIELD(struct ide_channel, unit, FIELD_U32),
	FIELD(struct ide_channel, block, FIELD_U32),
	FIELD(struct ide_channel, pos, FIELD_U32),
	FIELD(struct ide_channel, end, FIELD_U32),
	FIELD(struct ide_channel, filled, FIELD_U32),
	FIELD(struct ide_channel, next_lba, FIELD_U64),
	FIELD(struct ide_channel, left, FIELD_U32),
	FIELD_ARRAY(struct ide_channel, packet, FIELD_U8),
	FIELD(struct ide_channel, bm_command, FIELD_U8),
	FIELD(struct ide_channel, bm_status, FIELD_U8),
	FIELD(struct ide_channel, bm_table, FIELD_U32),
	FIELD(struct ide_channel, prd_next, FIELD_U32),
	FIELD(struct ide_channel, prd_at, FIELD_U32),
	FIELD(struct ide_channel, prd_left, FIELD_U32),
	FIELD(struct ide_channel, prd_last, FIELD_BOOL),
	FIELD_ARRAY(struct ide_channel, state, FIELD_U64),
	FIELD_END
};

static struct ide_drive *chosen(struct ide_channel *c)
{
	return &c->drive[c->selected];
}

/* --- interrupt --- */

static void update(struct ide_channel *c)
{
	bool level = c->irq_pending && !(c->control & CTL_NIEN);
	if (level && !c->irq.level)
		c->bm_status |= BM_INT;		/* the PIIX3 sees the edge, whatever command it came from */
	line_set(&c->irq, level);
}

static void raise_irq(struct ide_channel *c)
{
	c->irq_pending = true;
	update(c);
}

/* --- transfers --- */

void ide_done(struct ide_channel *c, u8 status)
{
	c->phase = IDE_IDLE;
	ide_active(c)->status = ST_DRDY | ST_DSC | status;
	raise_irq(c);
}

void ide_fail(struct ide_channel *c, u8 error)
{
	ide_active(c)->error = error;
	ide_done(c, ST_ERR);
}

static void request_done(struct blk_req *req, int error);

void ide_submit(struct ide_channel *c, enum blk_op op, u64 offset, u32 len)
{
	c->phase = IDE_IO;
	c->busy = true;
	ide_active(c)->status = ST_BSY;
	c->req = (struct blk_req){ .op = op, .offset = offset, .len = len, .buf = c->data, .done = request_done, .arg = c };
	blockdev_submit(ide_active(c)->blk, &c->req);
}

/* Sectors in the next piece. A raw CD sector takes its room in the buffer although fewer bytes are read. */
static u32 piece(const struct ide_channel *c)
{
	u32 most = (c->dma ? IDE_BUFFER : IDE_PIO_BUFFER) / c->unit;
	return c->left < most ? c->left : most;
}

/* The next DRQ block, of the buffer from pos on. */
static void next_block(struct ide_channel *c, bool irq)
{
	struct ide_drive *d = ide_active(c);
	u32 n = c->filled - c->pos;
	n = n < c->block ? n : c->block;
	c->end = c->pos + n;
	c->phase = c->write ? IDE_PIO_OUT : IDE_PIO_IN;
	d->status = ST_DRDY | ST_DSC | ST_DRQ;
	if (d->kind == IDE_CD)
		atapi_drq(c, n);
	if (irq)
		raise_irq(c);
}

static void to_host(struct ide_channel *c)
{
	c->pos = 0;
	if (!c->dma) {
		next_block(c, true);
		return;
	}
	c->phase = IDE_DMA_IN;
	ide_active(c)->status = ST_DRDY | ST_DSC | ST_DRQ;
	ide_dma_run(c);
}

static u32 medium_unit(const struct ide_channel *c)
{
	return c->unit == 512 ? 512 : 2048;
}

static void fill(struct ide_channel *c)
{
	ide_submit(c, BLK_READ, c->next_lba * medium_unit(c), piece(c) * medium_unit(c));
}

void ide_start_in(struct ide_channel *c, u32 bytes)
{
	c->write = false;
	c->filled = bytes;
	if (bytes)
		to_host(c);
	else
		fill(c);
}

static void from_host(struct ide_channel *c, bool irq)
{
	c->pos = 0;
	if (c->unit)
		c->filled = piece(c) * c->unit;
	if (!c->dma) {
		next_block(c, irq);
		return;
	}
	c->phase = IDE_DMA_OUT;
	ide_active(c)->status = ST_DRDY | ST_DSC | ST_DRQ;
	ide_dma_run(c);
}

void ide_start_out(struct ide_channel *c, u32 bytes)
{
	c->write = true;
	c->filled = bytes;
	from_host(c, false);
}

static void finished(struct ide_channel *c)
{
	if (ide_active(c)->kind == IDE_CD)
		atapi_done(c);
	else
		ata_finished(c);
}

/* The buffer is empty (in) or full (out). */
void ide_buffer_done(struct ide_channel *c)
{
	if (c->write && c->unit)
		ide_submit(c, BLK_WRITE, c->next_lba * c->unit, c->filled);
	else if (c->write)
		ata_received(c);
	else if (c->unit && c->left)
		fill(c);
	else if (ide_active(c)->kind == IDE_DISK && !c->dma)
		ide_active(c)->status = ST_DRDY | ST_DSC, c->phase = IDE_IDLE;	/* PIO data in ends without an interrupt (ATA-6, 9.7) */
	else
		finished(c);
}

static void block_done(struct ide_channel *c)
{
	if (c->phase == IDE_PACKET_OUT)
		atapi_packet(c);
	else if (c->pos < c->filled)
		next_block(c, true);
	else
		ide_buffer_done(c);
}

static void request_failed(struct ide_channel *c, int error)
{
	if (ide_active(c)->kind == IDE_CD) {
		atapi_read_error(c, error);
	} else {
		ata_set_address(c, c->next_lba);
		ide_fail(c, c->req.op == BLK_READ ? ER_UNC : ER_ABRT);
	}
}

static void run_command(struct ide_channel *c);

static void request_done(struct blk_req *req, int error)
{
	struct ide_channel *c = req->arg;
	c->busy = false;
	if (c->stale) {
		c->stale = false;
		if (c->deferred) {
			c->deferred = false;
			run_command(c);
		}
		return;
	}
	if (error) {
		request_failed(c, error);
		return;
	}
	if (req->op == BLK_FLUSH || req->op == BLK_DISCARD) {
		finished(c);
		return;
	}
	u32 n = req->len / medium_unit(c);
	u64 first = c->next_lba;
	c->next_lba += n;
	c->left -= n;
	if (!c->write && ata_verifies(c)) {
		if (c->left)
			fill(c);
		else
			finished(c);
	} else if (!c->write) {
		c->filled = n * c->unit;
		if (c->unit > 2048)
			atapi_filled(c, n, first);
		to_host(c);
	} else if (c->left) {
		from_host(c, true);
	} else {
		finished(c);
	}
}

/* --- the data port --- */

static bool at_port(const struct ide_channel *c, u8 in)
{
	return c->selected == c->active && (c->phase == in || (in == IDE_PIO_OUT && c->phase == IDE_PACKET_OUT)) && c->pos < c->end;
}

/* An odd byte at a block's end is followed by one that counts for nothing. */
static u32 data_read(struct ide_channel *c, int size)
{
	u32 value = 0;
	if (!at_port(c, IDE_PIO_IN))
		return 0;
	u32 n = size == 1 ? 2 : (u32)size, room = c->end - c->pos;
	n = n < room ? n : room;
	memcpy(&value, c->data + c->pos, n);
	c->pos += n;
	if (c->pos >= c->end)
		block_done(c);
	return value;
}

static void data_write(struct ide_channel *c, u32 value, int size)
{
	if (!at_port(c, IDE_PIO_OUT))
		return;
	u32 n = size == 1 ? 2 : (u32)size, room = c->end - c->pos;
	n = n < room ? n : room;
	memcpy((c->phase == IDE_PACKET_OUT ? c->packet : c->data) + c->pos, &value, n);
	c->pos += n;
	if (c->pos >= c->end)
		block_done(c);
}

/* Whole elements only; the rest, and a port that gives nothing, are for the functions above. */
u32 ide_read_data(struct ide_channel *c, void *buf, int size, u32 n)
{
	if (size == 1 || !at_port(c, IDE_PIO_IN))
		return 0;
	u32 room = (c->end - c->pos) / (u32)size;
	n = n < room ? n : room;
	memcpy(buf, c->data + c->pos, n * (u32)size);
	c->pos += n * (u32)size;
	if (c->pos >= c->end)
		block_done(c);
	return n;
}

u32 ide_write_data(struct ide_channel *c, const void *buf, int size, u32 n)
{
	if (size == 1 || c->phase == IDE_PACKET_OUT || !at_port(c, IDE_PIO_OUT))
		return 0;
	u32 room = (c->end - c->pos) / (u32)size;
	n = n < room ? n : room;
	memcpy(c->data + c->pos, buf, n * (u32)size);
	c->pos += n * (u32)size;
	if (c->pos >= c->end)
		block_done(c);
	return n;
}

/* --- reset, commands --- */

static void abandon(struct ide_channel *c)
{
	c->phase = IDE_IDLE;
	c->stale = c->busy;
	c->deferred = false;
	c->pos = c->end = c->filled = c->left = 0;
}

void ide_signature(struct ide_drive *d)
{
	d->count = d->lba[0] = 1;
	d->lba[1] = d->kind == IDE_CD ? 0x14 : 0;
	d->lba[2] = d->kind == IDE_CD ? 0xeb : 0;
	d->device &= (u8)~0x0f;
	d->error = 1;					/* diagnostic: passed */
	d->status = d->kind == IDE_DISK ? ST_DRDY | ST_DSC : 0;
}

static void device_reset(struct ide_channel *c)
{
	abandon(c);
	ide_signature(chosen(c));
}

static void diagnose(struct ide_channel *c)
{
	c->selected = c->active = 0;
	for (int i = 0; i < 2; i++)
		ide_signature(&c->drive[i]);
	if (c->drive[0].kind != IDE_NONE || c->drive[1].kind != IDE_NONE)
		raise_irq(c);
}

static void run_command(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);
	d->error = 0;
	c->unit = c->left = c->filled = c->pos = c->end = 0;
	c->dma = c->write = c->extended = false;
	if (d->kind == IDE_CD)
		atapi_command(c);
	else
		ata_command(c);
}

static void command(struct ide_channel *c, u8 value)
{
	struct ide_drive *d = chosen(c);
	vm_trace(c->dev.vm, TRACE_DEV, "dev: %s drive %d command %02x count %02x lba %02x %02x %02x device %02x\n", c->dev.id, c->selected,
		 value, d->count, d->lba[0], d->lba[1], d->lba[2], d->device);
	if (value == CMD_DEVICE_RESET && d->kind == IDE_CD) {
		device_reset(c);
		return;
	}
	if (d->kind == IDE_NONE && value != CMD_DIAGNOSTIC)
		return;
	if (ide_active(c)->status & ST_BSY)
		return;
	abandon(c);
	c->irq_pending = false;
	update(c);
	c->command = value;
	if (value == CMD_DIAGNOSTIC) {
		diagnose(c);
		return;
	}
	c->active = c->selected;
	if (c->busy) {
		d->status = ST_BSY;
		c->deferred = true;
		return;
	}
	run_command(c);
}

void ide_write_control(struct ide_channel *c, u8 value)
{
	u8 old = c->control;
	c->control = value & (CTL_HOB | CTL_SRST | CTL_NIEN);
	if (value & ~old & CTL_SRST) {
		abandon(c);
		c->irq_pending = false;
		for (int i = 0; i < 2; i++)
			c->drive[i].status = ST_BSY;
	} else if (old & ~value & CTL_SRST) {
		c->selected = c->active = 0;
		for (int i = 0; i < 2; i++) {
			ide_signature(&c->drive[i]);
			c->drive[i].device = DEV_FIXED;
		}
	}
	update(c);
}

/* --- the registers --- */

static void put_register(u8 *now, u8 *before, u8 value)
{
	*before = *now;
	*now = value;
}

static void write_task(struct ide_channel *c, u32 offset, u8 value)
{
	c->control &= (u8)~CTL_HOB;
	if (ide_active(c)->status & ST_BSY)
		return;
	for (int i = 0; i < 2; i++) {
		struct ide_drive *d = &c->drive[i];
		switch (offset) {
		case R_ERROR: put_register(&d->feature, &d->hob_feature, value); break;
		case R_COUNT: put_register(&d->count, &d->hob_count, value); break;
		case R_LBA0: case R_LBA1: case R_LBA2:
			put_register(&d->lba[offset - R_LBA0], &d->hob_lba[offset - R_LBA0], value);
			break;
		default: d->device = value | DEV_FIXED; break;
		}
	}
	if (offset == R_DEVICE)
		c->selected = value & DEV_SECOND ? 1 : 0;
}

static u8 read_task(struct ide_channel *c, u32 offset)
{
	struct ide_drive *d = chosen(c);
	bool hob = c->control & CTL_HOB;
	if (d->kind == IDE_NONE)
		return offset == R_DEVICE && c->drive[!c->selected].kind != IDE_NONE ? d->device : 0;
	switch (offset) {
	case R_ERROR: return hob ? d->hob_feature : d->error;
	case R_COUNT: return hob ? d->hob_count : d->count;
	case R_LBA0: case R_LBA1: case R_LBA2: return hob ? d->hob_lba[offset - R_LBA0] : d->lba[offset - R_LBA0];
	case R_DEVICE: return d->device;
	default:
		c->irq_pending = false;
		update(c);
		return d->status;
	}
}

u32 ide_read(struct ide_channel *c, u32 offset, int size)
{
	u32 value = 0;
	if (offset == R_DATA)
		return data_read(c, size);
	for (int i = 0; i < size && offset + (u32)i <= R_STATUS; i++)
		value |= (u32)read_task(c, offset + (u32)i) << 8 * i;
	return value;
}

void ide_write(struct ide_channel *c, u32 offset, u32 value, int size)
{
	if (offset == R_DATA) {
		data_write(c, value, size);
		return;
	}
	for (int i = 0; i < size && offset + (u32)i <= R_STATUS; i++) {
		u8 byte = (u8)(value >> 8 * i);
		if (offset + (u32)i == R_STATUS)
			command(c, byte);
		else
			write_task(c, offset + (u32)i, byte);
	}
}

u32 ide_read_alt_status(struct ide_channel *c)
{
	return chosen(c)->kind == IDE_NONE ? 0 : chosen(c)->status;
}

/* --- life --- */

static void ide_reset(void *dev)
{
	struct ide_channel *c = dev;
	abandon(c);
	c->selected = c->active = c->control = c->command = 0;
	c->irq_pending = false;
	for (int i = 0; i < 2; i++) {
		struct ide_drive *d = &c->drive[i];
		ide_signature(d);
		d->device = DEV_FIXED;
		d->multiple = 0;
		d->dma_mode = 0;
		d->write_cache = d->look_ahead = true;
		d->smart = d->kind == IDE_DISK;
		d->standby = d->locked = false;
		d->sense_key = d->asc = d->ascq = 0;
		if (d->kind == IDE_DISK)
			ata_default_geometry(d);
		else if (d->kind == IDE_CD)
			blockdev_set_locked(d->blk, false);
	}
	ide_dma_reset(c);
	update(c);
}

/* State from outside may be anything: what would lead out of the buffers or divide by 0 is made harmless. */
static void ide_loaded(void *dev)
{
	struct ide_channel *c = dev;
	u32 room = c->phase == IDE_PACKET_OUT ? IDE_PACKET : c->dma ? IDE_BUFFER : IDE_PIO_BUFFER;
	c->selected &= 1;
	c->active &= 1;
	if (c->phase > IDE_PACKET_OUT || c->filled > room || c->end > room || c->pos > c->end + c->filled || c->pos > room ||
	    (c->unit && c->unit != 512 && c->unit != 2048 && c->unit != 2352) || ide_active(c)->kind == IDE_NONE)
		abandon(c);
	for (int i = 0; i < 2; i++)
		if (c->drive[i].kind == IDE_CD)
			blockdev_set_locked(c->drive[i].blk, c->drive[i].locked);
		else if (c->drive[i].kind == IDE_DISK && (!c->drive[i].heads || !c->drive[i].sectors))
			ata_default_geometry(&c->drive[i]);
	c->irq.level = c->irq_pending && !(c->control & CTL_NIEN);
	if (c->irq.set)
		c->irq.set(c->irq.to, c->irq.n, c->irq.level);
}

static const struct device_class ide_class = {
	.name = "ide", .what = "IDE channel", .version = 1, .fields = ide_fields, .reset = ide_reset, .loaded = ide_loaded,
};

void ide_channel_init(struct ide_channel *c, struct vm *vm, const char *id)
{
	memset(c, 0, sizeof(*c));
	c->dev = (struct device){ .cls = &ide_class, .vm = vm, .id = id };
	ide_reset(c);
}

static void medium_changed(void *arg)
{
	atapi_changed(arg);
}

static void blank_padded(char *to, size_t n, const char *from)
{
	size_t len = strlen(from);
	memset(to, ' ', n);
	memcpy(to, from, len < n ? len : n);
}

void ide_attach(struct ide_channel *c, int unit, enum ide_kind kind, struct blockdev *blk)
{
	struct ide_drive *d = &c->drive[unit & 1];
	d->kind = kind;
	d->blk = blk;
	blank_padded(d->model, sizeof(d->model), kind == IDE_CD ? "RINGFENCE CD-ROM" : "RINGFENCE DISK");
	blank_padded(d->firmware, sizeof(d->firmware), "1.0");
	blank_padded(d->serial, sizeof(d->serial), blockdev_id(blk));
	if (kind == IDE_CD)
		blockdev_on_change(blk, medium_changed, d);
	ide_reset(c);
}

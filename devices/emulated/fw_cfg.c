/*
 * fw_cfg.c - firmware configuration. Source: QEMU's specification "fw_cfg" (docs/specs/fw_cfg).
 *
 * A guest selects an item by its number and reads it byte by byte, or has it copied by a request in memory: control, length, address, all
 * big-endian. What is behind the end of an item, or has no number, reads as zeroes. Nothing can be written. The file directory,
 * item 19h, says which numbers the named items have.
 */
#include "devices/emulated/fw_cfg.h"
#include "monitor/mem.h"
#include <stdlib.h>
#include <string.h>

#define KEY_MASK   0x3fff	/* bit 14 asks for writing, which no item wants; bit 15, items of the architecture, is told apart */
#define KEY_ARCH   0x8000
#define DMA_ERROR  1u
#define DMA_READ   2u
#define DMA_SKIP   4u
#define DMA_SELECT 8u
#define DMA_WRITE  16u
#define DMA_MAX    (16u << 20)	/* bytes a request; no item is that long */
#define DMA_SIGNATURE 0x51454d5520434647ull	/* "QEMU CFG" */
#define DIR_ENTRY  64

static const struct field fw_cfg_fields[] = {
	FIELD(struct fw_cfg, selected, FIELD_U16),
	FIELD(struct fw_cfg, at, FIELD_U32),
	FIELD(struct fw_cfg, dma, FIELD_U64),
	FIELD_END
};

static void put_be32(u8 *p, u32 v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}

static u32 get_be32(const u8 *p)
{
	u32 v;
	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

/* --- items --- */

void fw_cfg_set(struct fw_cfg *f, u16 key, const void *data, u32 len)
{
	bug_on(key >= ARRAY_SIZE(f->item), "fw_cfg item %x", key);
	u8 *copy = malloc(len ? len : 1);
	bug_on(!copy, "out of memory for firmware configuration");
	if (len)
		memcpy(copy, data, len);
	free((void *)f->item[key].data);
	f->item[key] = (struct fw_cfg_item){ copy, len };
}

void fw_cfg_set_u16(struct fw_cfg *f, u16 key, u16 value)
{
	fw_cfg_set(f, key, &value, sizeof(value));
}

void fw_cfg_set_u64(struct fw_cfg *f, u16 key, u64 value)
{
	fw_cfg_set(f, key, &value, sizeof(value));
}

static void make_directory(struct fw_cfg *f)
{
	u8 dir[4 + FW_CFG_FILES * DIR_ENTRY] = { 0 };
	put_be32(dir, f->files);
	for (u32 i = 0; i < f->files; i++) {
		u8 *entry = dir + 4 + i * DIR_ENTRY;
		put_be32(entry, f->item[FW_CFG_FILE_FIRST + i].len);
		put_be32(entry + 4, (FW_CFG_FILE_FIRST + i) << 16);	/* number, reserved */
		memcpy(entry + 8, f->file[i].name, FW_CFG_NAME_MAX);
	}
	fw_cfg_set(f, FW_CFG_FILE_DIR, dir, 4 + f->files * DIR_ENTRY);
}

void fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *data, u32 len)
{
	u32 i = 0;
	while (i < f->files && strcmp(f->file[i].name, name))
		i++;
	bug_on(i == FW_CFG_FILES || strlen(name) >= FW_CFG_NAME_MAX, "fw_cfg file %s", name);
	if (i == f->files)
		strcpy(f->file[f->files++].name, name);
	fw_cfg_set(f, (u16)(FW_CFG_FILE_FIRST + i), data, len);
	make_directory(f);
}

static const struct fw_cfg_item *selected(const struct fw_cfg *f)
{
	static const struct fw_cfg_item nothing = { NULL, 0 };
	u32 key = f->selected & KEY_MASK;
	return (f->selected & KEY_ARCH) || key >= ARRAY_SIZE(f->item) ? &nothing : &f->item[key];
}

static u32 left(const struct fw_cfg *f)
{
	const struct fw_cfg_item *item = selected(f);
	return f->at < item->len ? item->len - f->at : 0;
}

static void advance(struct fw_cfg *f, u32 n)
{
	f->at = n < left(f) ? f->at + n : selected(f)->len;
}

/* --- ports --- */

static void select_item(struct fw_cfg *f, u16 key)
{
	f->selected = key;
	f->at = 0;
}

u32 fw_cfg_read(struct fw_cfg *f, u32 offset, int size)
{
	if (offset != 1 || !left(f))
		return 0;
	return selected(f)->data[f->at++];
}

void fw_cfg_write(struct fw_cfg *f, u32 offset, u32 value, int size)
{
	if (offset == 0 && size == 2)
		select_item(f, (u16)value);
}

/* --- requests in memory --- */

static void copy_out(struct fw_cfg *f, gpa_t to, u32 len)
{
	static const u8 zeroes[PAGE_SIZE];
	u32 n = left(f) < len ? left(f) : len;
	if (n)
		mem_write(f->dev.vm, to, selected(f)->data + f->at, n);
	for (u32 at = n; at < len; at += PAGE_SIZE)
		mem_write(f->dev.vm, to + at, zeroes, len - at < PAGE_SIZE ? len - at : PAGE_SIZE);
	advance(f, len);
}

/* The request's result is its control word. */
static u32 dma_run(struct fw_cfg *f, u32 control, u32 len, gpa_t addr)
{
	if (control & DMA_SELECT)
		select_item(f, (u16)(control >> 16));
	if ((control & DMA_WRITE) || len > DMA_MAX)
		return DMA_ERROR;
	if (control & DMA_READ)
		copy_out(f, addr, len);
	else if (control & DMA_SKIP)
		advance(f, len);
	return 0;
}

static void dma_start(struct fw_cfg *f)
{
	u8 request[16], result[4];
	gpa_t at = f->dma;
	f->dma = 0;
	mem_read(f->dev.vm, at, request, sizeof(request));
	put_be32(result, dma_run(f, get_be32(request), get_be32(request + 4), (u64)get_be32(request + 8) << 32 | get_be32(request + 12)));
	mem_write(f->dev.vm, at, result, sizeof(result));
}

u32 fw_cfg_dma_read(struct fw_cfg *f, u32 offset, int size)
{
	u32 half = offset < 4 ? DMA_SIGNATURE >> 32 : (u32)DMA_SIGNATURE;
	return __builtin_bswap32(half) >> 8 * (offset & 3);
}

void fw_cfg_dma_write(struct fw_cfg *f, u32 offset, u32 value, int size)
{
	if (size != 4)
		return;
	value = __builtin_bswap32(value);
	if (offset == 0) {
		f->dma = (u64)value << 32 | (u32)f->dma;
	} else if (offset == 4) {
		f->dma = (f->dma & ~0xffffffffull) | value;
		dma_start(f);
	}
}

static void fw_cfg_reset(void *dev)
{
	struct fw_cfg *f = dev;
	select_item(f, 0);
	f->dma = 0;
}

static const struct device_class fw_cfg_class = {
	.name = "fw_cfg", .what = "firmware configuration", .version = 1, .fields = fw_cfg_fields, .reset = fw_cfg_reset,
};

void fw_cfg_init(struct fw_cfg *f, struct vm *vm, const char *id)
{
	static const u8 dma_too[4] = { 3 };	/* the data port, and requests in memory */
	*f = (struct fw_cfg){ .dev = { .cls = &fw_cfg_class, .vm = vm, .id = id } };
	fw_cfg_set(f, FW_CFG_SIGNATURE, "QEMU", 4);
	fw_cfg_set(f, FW_CFG_ID, dma_too, sizeof(dma_too));
	make_directory(f);
}

void fw_cfg_fini(struct fw_cfg *f)
{
	for (u32 i = 0; i < ARRAY_SIZE(f->item); i++)
		free((void *)f->item[i].data);
}

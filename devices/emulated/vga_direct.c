/*
 * vga_direct.c - lets the guest reach the window at A0000h as memory, where the chip would only have passed its bytes on: text and the
 * CGA modes (odd/even), 256 colours (chain 4), banks of VBE.
 *
 * A bank is a piece of video memory. For the others the guest gets a copy, the shadow, in which bytes lie in the order of its
 * addresses; what it wrote there is spread over the planes by vga_flush(), before each drawing and before the chip does anything else
 * with its memory. Invariant: while a shadow is mapped, it is right for all the window, and video memory is right but for the shadow's
 * dirty pages. Programs that change the chip's registers all the time get no shadow: it takes DIRECT_AFTER accesses without such a
 * change. Reads from the shadow do not load the latches; who needs them has another write mode or mask, and then there is no shadow.
 */
#include "devices/emulated/vga_int.h"
#include "monitor/event.h"
#include <string.h>

#define DIRECT_AFTER 256
#define BANK_BYTES 0x10000u
#define TEXT_BYTES 0x8000u

static enum vga_direct possible(const struct vga *v)
{
	u8 memory = v->seq[SEQ_MEMORY], map = v->gc[GC_MISC] >> 2 & 3;
	if (!v->map || !(v->misc & MISC_RAM))
		return DIRECT_NONE;
	if (vbe_on(v))
		return vbe_linear(v) && map == 1 ? DIRECT_BANK : DIRECT_NONE;
	if (!v->shadow || !v->plain_write || (v->gc[GC_MODE] & MODE_READ))
		return DIRECT_NONE;
	if (memory & MEMORY_CHAIN4)
		return map == 1 && v->seq[SEQ_MAP_MASK] == 0xf ? DIRECT_CHAIN4 : DIRECT_NONE;
	bool odd_even = !(memory & MEMORY_NO_ODD_EVEN) && (v->gc[GC_MODE] & MODE_ODD_EVEN) && (v->gc[GC_MISC] & GC_MISC_CHAIN);
	return odd_even && map >= 2 && v->seq[SEQ_MAP_MASK] == 3 && !(v->gc[GC_READ_MAP] & 2) && (v->misc & MISC_PAGE) ?
		DIRECT_ODD_EVEN : DIRECT_NONE;
}

/* --- shadow and planes --- */

static u32 shadow_bytes(const struct vga *v)
{
	return v->direct == DIRECT_CHAIN4 ? VGA_SHADOW_BYTES : TEXT_BYTES;
}

static void gather(struct vga *v)
{
	const u32 *words = vga_words(v);
	u32 step = v->direct == DIRECT_CHAIN4 ? 4 : 2;
	for (u32 at = 0; at < shadow_bytes(v); at += step)
		memcpy(v->shadow + at, &words[at], step);
}

/* A page of the shadow is four pages of words. */
static void spread(struct vga *v, u32 page)
{
	u32 *words = vga_words(v) + page * PAGE_SIZE;
	const u8 *from = v->shadow + page * PAGE_SIZE;
	u32 step = v->direct == DIRECT_CHAIN4 ? 4 : 2;
	for (u32 at = 0; at < PAGE_SIZE; at += step)
		memcpy(&words[at], from + at, step);
	memset(&v->dirty[4 * page], 1, 4);
}

void vga_flush(struct vga *v)
{
	if (v->direct != DIRECT_ODD_EVEN && v->direct != DIRECT_CHAIN4)
		return;
	for (u32 page = 0; page < shadow_bytes(v) >> PAGE_SHIFT; page++) {
		if (!v->shadow_dirty[page])
			continue;
		spread(v, page);
		v->shadow_dirty[page] = 0;
		v->map_clean(v->board_arg, page, 1);
	}
}

/* --- when --- */

static void map_bank(struct vga *v)
{
	u32 at = v->vbe[VBE_BANK] * BANK_BYTES & (v->vram_size - 1);
	v->map(v->board_arg, 0, BANK_BYTES, v->vram + at, v->dirty + (at >> PAGE_SHIFT));
}

void vga_direct_end(struct vga *v)
{
	if (v->direct == DIRECT_NONE)
		return;
	vga_flush(v);
	v->map(v->board_arg, 0, 0, NULL, NULL);
	v->direct = DIRECT_NONE;
}

void vga_direct_forget(struct vga *v)
{
	memset(v->shadow_dirty, 0, sizeof(v->shadow_dirty));
	vga_direct_end(v);
}

void vga_direct_registers(struct vga *v)
{
	v->slow_accesses = 0;
	if (v->direct == DIRECT_NONE)
		return;
	if (possible(v) != v->direct || (v->gc[GC_MISC] & 0x0c) != v->direct_map) {
		vga_direct_end(v);
	} else if (v->direct == DIRECT_BANK && v->direct_bank != v->vbe[VBE_BANK]) {
		v->direct_bank = v->vbe[VBE_BANK];
		map_bank(v);
	}
}

/* At a block boundary: an access that is being served does not have its memory changed under it. */
static void begin(void *arg)
{
	static const u32 places[4] = { 0, 0, 0x10000, 0x18000 };
	struct vga *v = arg;
	v->direct_asked = false;
	if (v->direct != DIRECT_NONE || v->slow_accesses < DIRECT_AFTER)
		return;
	v->direct = (u8)possible(v);
	v->direct_map = v->gc[GC_MISC] & 0x0c;
	v->direct_bank = v->vbe[VBE_BANK];
	if (v->direct == DIRECT_NONE)
		return;
	if (v->direct == DIRECT_BANK) {
		map_bank(v);
		return;
	}
	gather(v);
	memset(v->shadow_dirty, 0, sizeof(v->shadow_dirty));
	v->map(v->board_arg, places[v->direct_map >> 2], shadow_bytes(v), v->shadow, v->shadow_dirty);
}

void vga_direct_count(struct vga *v)
{
	if (++v->slow_accesses % DIRECT_AFTER || v->direct_asked || v->direct != DIRECT_NONE || possible(v) == DIRECT_NONE)
		return;
	v->direct_asked = event_post(v->dev.vm, begin, v);
}

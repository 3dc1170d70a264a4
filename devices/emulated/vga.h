/*
 * vga.h - the IBM VGA with Bochs' VBE registers ("stdvga"), PCI 1234:1111.
 *
 * Sources: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem (1992); Bochs VBE DISPI interface 0xB0C5. Video
 * memory is the board's: the guest reaches it as RAM behind BAR 0, with a dirty log, and through the window at A0000h, which is
 * registers to the bus. All functions run on the vCPU thread.
 */
#ifndef RF_VGA_H
#define RF_VGA_H
#include "devices/pci.h"

#define VGA_VRAM_BYTES   (16u << 20)
#define VGA_VRAM_PAGES   (VGA_VRAM_BYTES >> PAGE_SHIFT)
#define VGA_WINDOW_BYTES 0x20000u	/* A0000h to BFFFFh */
#define VGA_SHADOW_BYTES 0x10000u
#define VGA_PORTS_BASE   0x3b0		/* vga_read() and vga_write() count from here */
#define VGA_MMIO_BYTES   4096u		/* BAR 2 */
enum { VGA_SEQ_REGS = 5, VGA_CRTC_REGS = 25, VGA_GC_REGS = 9, VGA_AC_REGS = 21, VBE_REGS = 11 };
enum { VGA_BAR_VRAM = 0, VGA_BAR_MMIO = 2 };

struct display;
struct vga {
	struct device dev;
	struct pci_func func;
	u8 misc, feature;		/* 3C2h; 3DAh when written */
	u8 seq_index, seq[VGA_SEQ_REGS];
	u8 crtc_index, crtc[VGA_CRTC_REGS];
	u8 gc_index, gc[VGA_GC_REGS];
	u8 ac_index, ac[VGA_AC_REGS];	/* bit 5 of the index: the screen gets the palette */
	bool ac_data;			/* 3C0h takes data next */
	u8 dac_mask, dac_read, dac_write, dac_step, dac_state, dac_held[2], dac[768];
	u32 latch;			/* plane p in byte p, as in video memory */
	u16 vbe_index, vbe[VBE_REGS];

	/* The board's, set before use. */
	u8 *vram;			/* u32 of each offset: plane p in byte p */
	u32 vram_size;			/* bytes, a power of two, 256 KiB to VGA_VRAM_BYTES */
	/* Video memory pages are clean from now on: the next write by the guest to each is to set `dirty`. May be NULL. */
	void (*clean)(void *arg, u32 first, u32 count);
	/* [offset, offset + len) of the window at A0000h is this memory from now on, with this dirty log; len 0: none is. May be NULL. */
	void (*map)(void *arg, u32 offset, u32 len, u8 *host, u8 *dirty_log);
	/* Pages of that memory are clean from now on. */
	void (*map_clean)(void *arg, u32 first, u32 count);
	void *board_arg;
	u8 *shadow;			/* VGA_SHADOW_BYTES, page-aligned; vga_direct.c's */

	/* Derived or about the picture: no state of the guest. */
	u8 dirty[VGA_VRAM_PAGES];	/* page of video memory written since it was drawn */
	bool touched;			/* the display knows that something changed */
	bool redraw;			/* a register, the palette or the font changed: all of it */
	bool moved;			/* the start address or cursor changed */
	bool plain_write;		/* writes go to memory without latches, masks and functions */
	bool timing_known;
	u32 line_ps, frame_ns, lines, blank_line, retrace_line, retrace_lines, blank_ps;
	u8 direct;			/* enum vga_direct, vga_direct.c */
	bool direct_asked;
	u8 direct_map;			/* where the window was mapped: bits 2 and 3 of the graphics controller's register 6 */
	u16 direct_bank;
	u32 slow_accesses;		/* to the window since a register changed that matters to it */
	u8 shadow_dirty[VGA_SHADOW_BYTES >> PAGE_SHIFT];
	u8 mmio_tag;			/* its address is BAR 2's name on the bus */
};

void vga_init(struct vga *v, struct vm *vm, const char *id, u8 *vram, u32 vram_size);
void vga_display(struct vga *v, struct display *d);	/* becomes the display's source */

/* Port VGA_PORTS_BASE + offset, 0 to 2Fh. */
u8   vga_read(struct vga *v, u32 offset);
void vga_write(struct vga *v, u32 offset, u8 value);
/* The window at A0000h, 0 to VGA_WINDOW_BYTES - 1. */
u32  vga_window_read(struct vga *v, u32 offset, int size);
void vga_window_write(struct vga *v, u32 offset, u32 value, int size);
/* Ports 1CEh (offset 0: index) and 1CFh, 1D0h (data), 16 bits. */
u16  vbe_port_read(struct vga *v, u32 offset);
void vbe_port_write(struct vga *v, u32 offset, u16 value);
/* Before anybody but the chip looks at video memory: all that the guest wrote is in it afterwards. */
void vga_flush(struct vga *v);
/* The guest wrote to video memory behind BAR 0; `dirty` is set already. */
void vga_vram_written(struct vga *v);
#endif

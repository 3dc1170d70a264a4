/*
 * vga_edid.c - the monitor's data (EDID) as a driver reads it behind BAR 2. Source: VESA E-EDID, release A, revision 1 (EDID 1.3).
 *
 * The monitor prefers 1024x768 and takes what the VBE registers can show with 32 bits.
 */
#include "devices/emulated/vga_int.h"

#define RATIO_16_10 0x00
#define RATIO_4_3   0x40
#define RATIO_5_4   0x80
#define TIMING_60(width, ratio) ((width) / 8 - 31), (ratio)

static const u8 edid[VGA_EDID_BYTES - 1] = {
	0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00,
	('R' - '@') << 2 | ('F' - '@') >> 3, (('F' - '@') << 5 | ('C' - '@')) & 0xff,	/* three letters of five bits */
	0x01, 0x00, 0, 0, 0, 0, 0, 2026 - 1990,		/* product, serial number, week and year */
	1, 3,						/* version */
	0x80, 27, 20, 120, 0x0a,			/* digital; cm; gamma 2.2; RGB, the first timing is preferred */
	0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54,	/* colours of sRGB */
	0xa1, 0x08, 0x00,				/* 720x400, 640x480, 800x600, 1024x768 */
	TIMING_60(1280, RATIO_5_4), TIMING_60(1280, RATIO_4_3), TIMING_60(1600, RATIO_4_3), TIMING_60(1400, RATIO_4_3),
	TIMING_60(1280, RATIO_16_10), TIMING_60(1440, RATIO_16_10), TIMING_60(1680, RATIO_16_10), TIMING_60(1920, RATIO_16_10),
	/* 1024x768 at 60 Hz: 65 MHz; blank, sync offset and width 320, 24, 136 dots and 38, 3, 6 lines; 271 mm x 203 mm */
	6500 & 0xff, 6500 >> 8, 1024 & 0xff, 320 & 0xff, (1024 >> 8) << 4 | 320 >> 8, 768 & 0xff, 38, (768 >> 8) << 4,
	24, 136, 3 << 4 | 6, 0, 271 & 0xff, 203, (271 >> 8) << 4, 0, 0, 0x18,
	0, 0, 0, 0xfd, 0, 50, 85, 30, 90, 20, 0, '\n', ' ', ' ', ' ', ' ', ' ', ' ',	/* Hz, kHz, 10 MHz at most */
	0, 0, 0, 0xfc, 0, 'R', 'i', 'n', 'g', 'f', 'e', 'n', 'c', 'e', '\n', ' ', ' ', ' ',
	0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0,						/* no further block */
};

u8 vga_edid(u32 offset)
{
	u8 sum = 0;
	if (offset < sizeof(edid))
		return edid[offset];
	if (offset >= VGA_EDID_BYTES)
		return 0;
	for (u32 i = 0; i < sizeof(edid); i++)
		sum = (u8)(sum + edid[i]);
	return (u8)-sum;
}

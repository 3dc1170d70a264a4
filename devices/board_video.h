/*
 * board_video.h - the graphics card on the board: chip, video memory, ROM, its ports and windows.
 */
#ifndef RF_BOARD_VIDEO_H
#define RF_BOARD_VIDEO_H
#include "monitor/lib/types.h"

struct device;
struct pci;
struct video;
struct vm;
/* Puts the card into PCI slot 2 and makes it the source of vm->display.
 * NULL with a sentence in err: no memory, or its BIOS cannot be read. */
struct video *video_init(struct vm *vm, struct pci *pci, char *err, size_t errsize);
void video_fini(struct video *v);
/* Video memory, with all that the guest wrote in it. */
u8 *video_memory(struct video *v, u64 *bytes);
struct device *video_device(struct video *v);
#endif

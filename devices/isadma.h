/*
 * isadma.h - how a chip on the ISA bus moves bytes through the DMA controller, without knowing the controller.
 *
 * The board fills the struct; all of it runs on the vCPU thread. Channels 0-3 count bytes, 5-7 words.
 */
#ifndef RF_ISADMA_H
#define RF_ISADMA_H
#include "monitor/lib/types.h"

struct isadma {
	void *dma;
	/*
	 * The chip requests service (DREQ) for len bytes; to_memory says which way it drives the bus. Returns how many bytes were moved:
	 * less than len when the channel is masked or reaches terminal count, which also sets *tc (never clears it).
	 * What the guest programmed the other way round is counted, but moves nothing.
	 */
	u32 (*transfer)(void *dma, int channel, bool to_memory, void *buf, u32 len, bool *tc);
	/* `ready` is called when a masked channel becomes able to transfer. One chip a channel. */
	void (*on_ready)(void *dma, int channel, void (*ready)(void *arg), void *arg);
};
#endif

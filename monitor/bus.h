/*
 * bus.h - I/O ports and memory-mapped registers: who answers at which address.
 *
 * Chips know offsets, not addresses: the board registers a range with the chip's handlers, and the bus subtracts the base.
 * All handlers run on the vCPU thread. Accesses that nobody claims read as all ones and are ignored when written. An access wider
 * than a range's `max_size` is split into several, low address first; one that straddles two ranges is split at the border.
 */
#ifndef RF_BUS_H
#define RF_BUS_H
#include "monitor/lib/types.h"

struct vm;
struct bus_ops {
	u32  (*read)(void *dev, u32 offset, int size);		/* size 1, 2 or 4 */
	void (*write)(void *dev, u32 offset, u32 value, int size);
	int max_size;						/* 1, 2 or 4 */
};
bool bus_init(struct vm *vm);
void bus_fini(struct vm *vm);
/* Overlap is a bug of the board: returns false and says which two ranges. `name` must outlive the bus. */
bool bus_add_io(struct vm *vm, const char *name, u16 first, u32 count, const struct bus_ops *ops, void *dev);
bool bus_add_mmio(struct vm *vm, const char *name, gpa_t first, u64 len, const struct bus_ops *ops, void *dev);
/*
 * Ports through which data streams (INS, OUTS) may take several elements of `size` bytes at once: the functions do what n accesses to this
 * port would, or fewer, and return how many. 0: do it one by one. They are given `buf` in host memory, in the guest's order.
 */
struct bus_stream {
	u32 (*read)(void *dev, void *buf, int size, u32 n);
	u32 (*write)(void *dev, const void *buf, int size, u32 n);
};
void bus_set_stream(struct vm *vm, u16 port, const struct bus_stream *s);	/* of a port that bus_add_io() has put there */
u32  bus_stream_read(struct vm *vm, u16 port, void *buf, int size, u32 n);
u32  bus_stream_write(struct vm *vm, u16 port, const void *buf, int size, u32 n);
void bus_remove(struct vm *vm, void *dev);			/* all ranges of dev (PCI BARs move) */
u32  bus_io_read(struct vm *vm, u16 port, int size);
void bus_io_write(struct vm *vm, u16 port, u32 value, int size);
u32  bus_mmio_read(struct vm *vm, gpa_t gpa, int size);
void bus_mmio_write(struct vm *vm, gpa_t gpa, u32 value, int size);
#endif

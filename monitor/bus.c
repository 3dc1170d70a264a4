/*
 * bus.c - the port table and the list of memory-mapped ranges.
 *
 * Ports: a table over all 64 Ki ports gives the range's slot (0: nobody), so a look-up is one load. MMIO: a sorted array, binary search.
 * Invariants: ranges of one space do not overlap; a range's handlers see offsets below its length only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "monitor/bus.h"
#include "monitor/mem.h"
#include "monitor/vm.h"

#define PORTS      0x10000u
#define IO_SLOTS   256			/* slot 0 is "nobody" */
#define MMIO_SLOTS 64

struct range {
	const char *name;
	u64 first, len;
	const struct bus_ops *ops;
	void *dev;
	const struct bus_stream *stream;	/* of the port stream_at; NULL: none */
	u64 stream_at;
};

struct bus {
	u8 port[PORTS];
	struct range io[IO_SLOTS];	/* free when len is 0 */
	struct range mmio[MMIO_SLOTS];	/* sorted by `first` */
	int mmio_count;
};

bool bus_init(struct vm *vm)
{
	vm->bus = calloc(1, sizeof(*vm->bus));
	return vm->bus != NULL;
}

void bus_fini(struct vm *vm)
{
	free(vm->bus);
	vm->bus = NULL;
}

static bool refuse(struct vm *vm, const char *what, const char *name, u64 first, u64 len, const struct range *other)
{
	if (other)
		snprintf(vm->error, sizeof(vm->error), "%s %llx to %llx of %s overlap %llx to %llx of %s", what,
			 (unsigned long long)first, (unsigned long long)(first + len - 1), name,
			 (unsigned long long)other->first, (unsigned long long)(other->first + other->len - 1), other->name);
	else
		snprintf(vm->error, sizeof(vm->error), "no room on the bus for %s %llx to %llx of %s", what,
			 (unsigned long long)first, (unsigned long long)(first + len - 1), name);
	vm_trace(vm, TRACE_IO, "bus: %s\n", vm->error);
	return false;
}

bool bus_add_io(struct vm *vm, const char *name, u16 first, u32 count, const struct bus_ops *ops, void *dev)
{
	struct bus *bus = vm->bus;
	int slot = 1;

	while (slot < IO_SLOTS && bus->io[slot].len)
		slot++;
	if (slot == IO_SLOTS || !count || first + count > PORTS)
		return refuse(vm, "ports", name, first, count, NULL);
	for (u32 p = first; p < first + count; p++)
		if (bus->port[p])
			return refuse(vm, "ports", name, first, count, &bus->io[bus->port[p]]);
	bus->io[slot] = (struct range){ .name = name, .first = first, .len = count, .ops = ops, .dev = dev };
	memset(bus->port + first, slot, count);
	return true;
}

/* Index of the first MMIO range that ends behind gpa. */
static int mmio_lower(const struct bus *bus, gpa_t gpa)
{
	int lo = 0, hi = bus->mmio_count;

	while (lo < hi) {
		int mid = (lo + hi) / 2;

		if (bus->mmio[mid].first + bus->mmio[mid].len - 1 < gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Marks the pages that a range touches. RAM and ROM stay what they are: as in an i440FX, where memory decodes before PCI. */
static void mark_pages(struct vm *vm, u64 first, u64 len, enum mem_kind from, enum mem_kind to)
{
	u64 end = first + len - 1;

	for (u64 p = first >> PAGE_SHIFT; p <= end >> PAGE_SHIFT && p < 1u << 20; p++)
		if (mem_kind_below(vm->mem, p << PAGE_SHIFT) == from)
			mem_set_kind(vm, p << PAGE_SHIFT, PAGE_SIZE, to);
}

bool bus_add_mmio(struct vm *vm, const char *name, gpa_t first, u64 len, const struct bus_ops *ops, void *dev)
{
	struct bus *bus = vm->bus;
	int at = mmio_lower(bus, first);

	if (bus->mmio_count == MMIO_SLOTS || !len || first + len - 1 < first)
		return refuse(vm, "addresses", name, first, len, NULL);
	if (at < bus->mmio_count && bus->mmio[at].first <= first + len - 1)
		return refuse(vm, "addresses", name, first, len, &bus->mmio[at]);
	memmove(&bus->mmio[at + 1], &bus->mmio[at], (size_t)(bus->mmio_count - at) * sizeof(bus->mmio[0]));
	bus->mmio[at] = (struct range){ .name = name, .first = first, .len = len, .ops = ops, .dev = dev };
	bus->mmio_count++;
	mark_pages(vm, first, len, MEM_NONE, MEM_MMIO);
	return true;
}

void bus_remove(struct vm *vm, void *dev)
{
	struct bus *bus = vm->bus;
	int kept = 0;

	for (int i = 1; i < IO_SLOTS; i++)
		if (bus->io[i].len && bus->io[i].dev == dev) {
			memset(bus->port + bus->io[i].first, 0, bus->io[i].len);
			bus->io[i].len = 0;
		}
	for (int i = 0; i < bus->mmio_count; i++) {
		struct range r = bus->mmio[i];

		if (r.dev == dev)
			mark_pages(vm, r.first, r.len, MEM_MMIO, MEM_NONE);
		else
			bus->mmio[kept++] = r;
	}
	bus->mmio_count = kept;
}

static const struct range *find_io(const struct bus *bus, u64 addr)
{
	return addr < PORTS && bus->port[addr] ? &bus->io[bus->port[addr]] : NULL;
}

static const struct range *find_mmio(const struct bus *bus, u64 addr)
{
	int i = mmio_lower(bus, addr);

	return i < bus->mmio_count && bus->mmio[i].first <= addr ? &bus->mmio[i] : NULL;
}

typedef const struct range *find_fn(const struct bus *bus, u64 addr);

/* The largest piece (4, 2 or 1 bytes) of an access of `left` bytes that this range takes at once; 1 where nobody answers. */
static int piece(const struct range *r, u64 addr, int left)
{
	u64 room;
	int n = 4;

	if (!r)
		return 1;
	room = r->first + r->len - addr;
	while (n > 1 && (n > left || n > r->ops->max_size || (u64)n > room))
		n /= 2;
	return n;
}

static inline u32 size_mask(int size)
{
	return size >= 4 ? ~0u : (1u << 8 * size) - 1;
}

static inline u32 bus_read(const struct bus *bus, find_fn *find, u64 addr, int size)
{
	u32 value = 0;

	for (int at = 0, n; at < size; at += n) {
		const struct range *r = find(bus, addr + (u64)at);
		u32 part = ~0u;

		n = piece(r, addr + (u64)at, size - at);
		if (r && r->ops->read)
			part = r->ops->read(r->dev, (u32)(addr + (u64)at - r->first), n);
		value |= (part & size_mask(n)) << 8 * at;
	}
	return value;
}

static inline void bus_write(const struct bus *bus, find_fn *find, u64 addr, u32 value, int size)
{
	for (int at = 0, n; at < size; at += n) {
		const struct range *r = find(bus, addr + (u64)at);

		n = piece(r, addr + (u64)at, size - at);
		if (r && r->ops->write)
			r->ops->write(r->dev, (u32)(addr + (u64)at - r->first), value >> 8 * at & size_mask(n), n);
	}
}

u32 bus_io_read(struct vm *vm, u16 port, int size)
{
	u32 value = bus_read(vm->bus, find_io, port, size);

	vm->activity++;
	vm_trace(vm, TRACE_IO, "in  %04x size %d = %x\n", port, size, value);
	return value;
}

void bus_io_write(struct vm *vm, u16 port, u32 value, int size)
{
	vm->activity++;
	vm_trace(vm, TRACE_IO, "out %04x size %d = %x\n", port, size, value & size_mask(size));
	bus_write(vm->bus, find_io, port, value, size);
}

u32 bus_mmio_read(struct vm *vm, gpa_t gpa, int size)
{
	u32 value = bus_read(vm->bus, find_mmio, gpa, size);

	vm->activity++;
	vm_trace(vm, TRACE_IO, "mmio read  %llx size %d = %x\n", (unsigned long long)gpa, size, value);
	return value;
}

void bus_mmio_write(struct vm *vm, gpa_t gpa, u32 value, int size)
{
	vm->activity++;
	vm_trace(vm, TRACE_IO, "mmio write %llx size %d = %x\n", (unsigned long long)gpa, size, value & size_mask(size));
	bus_write(vm->bus, find_mmio, gpa, value, size);
}

/* --- streams --- */

void bus_set_stream(struct vm *vm, u16 port, const struct bus_stream *s)
{
	struct range *r = &vm->bus->io[vm->bus->port[port]];

	bug_on(!r->len, "a stream at port %x, where nobody is", port);
	r->stream = s;
	r->stream_at = port;
}

/* With a trace of accesses asked for, each is to be seen. */
static const struct range *find_stream(struct vm *vm, u16 port)
{
	const struct range *r = find_io(vm->bus, port);

	return r && r->stream && r->stream_at == port && !(vm->trace & TRACE_IO) ? r : NULL;
}

u32 bus_stream_read(struct vm *vm, u16 port, void *buf, int size, u32 n)
{
	const struct range *r = find_stream(vm, port);

	return r && r->stream->read ? r->stream->read(r->dev, buf, size, n) : 0;
}

u32 bus_stream_write(struct vm *vm, u16 port, const void *buf, int size, u32 n)
{
	const struct range *r = find_stream(vm, port);

	return r && r->stream->write ? r->stream->write(r->dev, buf, size, n) : 0;
}

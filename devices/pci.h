/*
 * pci.h - PCI bus 0 behind configuration mechanism #1, and what every function shares: type 0 configuration space.
 */
#ifndef RF_PCI_H
#define RF_PCI_H
#include "devices/device.h"

#define PCI_SLOTS 32
#define PCI_BARS  6

/* Offsets in configuration space (PCI 2.1, figure 6-1) */
enum { PCI_VENDOR = 0x00, PCI_DEVICE = 0x02, PCI_COMMAND = 0x04, PCI_STATUS = 0x06, PCI_REVISION = 0x08, PCI_CLASS = 0x09,
	PCI_CACHE_LINE = 0x0c, PCI_LATENCY = 0x0d, PCI_HEADER = 0x0e, PCI_BAR = 0x10, PCI_SUBSYSTEM = 0x2c, PCI_ROM = 0x30,
	PCI_INT_LINE = 0x3c, PCI_INT_PIN = 0x3d };
#define PCI_COMMAND_IO      0x0001
#define PCI_COMMAND_MEM     0x0002
#define PCI_COMMAND_MASTER  0x0004
#define PCI_COMMAND_NO_INTX 0x0400
#define PCI_STATUS_INTX     0x0008
#define PCI_ROM_ENABLE      0x0001

struct bus_ops;
struct pci;
struct pci_func {
	struct pci *bus;	/* set by pci_add() */
	const char *name;	/* for the bus, of the chip */
	u8 slot, function;
	bool intx;		/* the chip's interrupt output, before the command register's mask */
	u8 config[256];
	u8 writable[256];	/* which bits a guest can write */
	u8 clears[256];		/* which bits a written 1 clears */
	u32 bar_size[PCI_BARS];	/* 0: no such BAR */
	u64 bar_at[PCI_BARS];	/* where it answers now; ~0: nowhere */
	const struct bus_ops *bar_ops[PCI_BARS];	/* registers behind BAR n: the bus learns where they are. May be NULL. */
	void *bar_dev[PCI_BARS];
	const u8 *rom;		/* expansion ROM, rom_size bytes (a power of two); NULL: none. Must outlive the function. */
	u32 rom_size;
	u64 rom_at;
	/* BAR n answers at `at` (port or address) from now on; ~0: nowhere. May be NULL. */
	void (*bar_moved)(struct pci_func *f, int n, u64 at);
	/* Registers [first, first + size) were written. May be NULL. */
	void (*written)(struct pci_func *f, u32 first, int size);
};

struct pci {
	struct device dev;
	struct pci_func *func[PCI_SLOTS][8];
	u32 address;		/* CONFADD */
	u8 reset_control;	/* port CF9h */
	void (*cpu_reset)(void *arg);
	void *cpu_reset_arg;
	u32 intx_slots[4];	/* INTA# to INTD# as wired: bit n: slot n pulls it */
	struct line intx[4];	/* to the interrupt router (PIIX3: PIRQA# to PIRQD#) */
};

void pci_init(struct pci *p, struct vm *vm, const char *id);
/* Fills the identification; the caller sets more fields of config and writable, BARs with pci_func_bar(). */
void pci_func_init(struct pci_func *f, u16 vendor, u16 device, u8 revision, u32 class_code);
/* BAR n of size bytes (a power of two); `type` is its read-only low bits: 1 I/O, 0 memory, 8 prefetchable memory. */
void pci_func_bar(struct pci_func *f, int n, u32 size, u8 type);
/* Lets BAR n's registers answer on the bus wherever the guest puts them; `dev` must be a pointer that no other range has. */
void pci_func_bar_ops(struct pci_func *f, int n, const struct bus_ops *ops, void *dev);
/* An expansion ROM behind the ROM base register. */
void pci_func_rom(struct pci_func *f, const u8 *rom, u32 size);
/* The function's interrupt output, level. Its pin is config[PCI_INT_PIN] (1 to 4), which must be set. */
void pci_func_intx(struct pci_func *f, bool level);
/* May the function read and write memory by itself? */
static inline bool pci_func_master(const struct pci_func *f) { return f->config[PCI_COMMAND] & PCI_COMMAND_MASTER; }
/* Command register, interrupt line and BARs to 0. */
void pci_func_reset(struct pci_func *f);
/* After config was set from outside: tell where the BARs are. */
void pci_func_loaded(struct pci_func *f);
void pci_add(struct pci *p, int slot, int function, struct pci_func *f);

/* Ports CF8h to CFFh, by offset. */
u32  pci_read(struct pci *p, u32 offset, int size);
void pci_write(struct pci *p, u32 offset, u32 value, int size);
#endif

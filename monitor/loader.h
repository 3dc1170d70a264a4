/*
 * loader.h - starts a kernel without firmware (Linux bzImages by the 32-bit boot protocol, Multiboot 1 kernels), or firmware, or
 * a kernel behind firmware, as a boot loader would (Linux by the 16-bit protocol, so that its setup code asks the BIOS).
 *
 * Opening reads the files once, recognises the kernel by its content, checks everything and decides where each byte goes;
 * loading, which cannot fail any more, puts it there and sets the CPU to the state that the kernel expects. So a reset is
 * the same call again, and bad files are told before there is a machine. Sources: the kernel's
 * Documentation/arch/x86/boot.rst, and the Multiboot Specification 0.6.96.
 */
#ifndef RF_LOADER_H
#define RF_LOADER_H
#include "monitor/lib/types.h"

struct vm;
struct loader;

struct loader_options {
	const char *firmware;	/* path of a ROM image that starts at the reset vector; NULL: a kernel is started directly */
	const char *kernel;	/* path; NULL: the firmware finds something to start */
	const char *initrd;	/* path; for Multiboot a list "FILE [ARGS],FILE [ARGS]", two commas stand for one; NULL: none */
	const char *append;	/* the kernel's command line; NULL: empty */
	u64 ram_size;		/* bytes of guest RAM, as given to mem_init() */
};

/* NULL with one sentence in err, naming file or option, when these files cannot be started in that much memory. */
struct loader *loader_open(const struct loader_options *opt, char *err, size_t errsize);
void loader_close(struct loader *l);
/* "Linux bzImage, boot protocol 2.15" or "Multiboot kernel (ELF)". */
const char *loader_kind(const struct loader *l);
/* Places everything in the guest's memory and sets its CPU, which has just been reset; `loader` is a struct loader.
 * The signature is vm->reset_hook's. */
void loader_load(struct vm *vm, void *loader);
/* Behind firmware: the boot ROM's port was written, the kernel takes over. The signature is vm->start_hook's. */
void loader_start_kernel(struct vm *vm, void *loader);
/* The boot ROM: an option ROM of LOADER_ROM_BYTES whose boot entry (BIOS Boot Specification 1.01, BEV) writes to an I/O port. */
#define LOADER_ROM_BYTES 512
void loader_boot_rom(u8 rom[LOADER_ROM_BYTES], u16 port);
#endif

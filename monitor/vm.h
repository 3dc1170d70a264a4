/*
 * vm.h - a virtual machine: what hangs together, and who owns what.
 *
 * Two threads: the vCPU thread runs guest code and all chips; the event thread (event.c) waits for host files, sockets
 * and the next timer and never touches a chip's state. No mutable file-scope data anywhere: two machines fit in a process.
 */
#ifndef RF_VM_H
#define RF_VM_H
#include "monitor/lib/types.h"

struct vcpu;
struct mem;
struct bus;
struct clock;
struct event_loop;
struct board;
struct display;
struct input;
struct audio;
struct vm_state_ops;
struct snapshots;
struct machine_dir;

enum vm_stop {
	VM_RUNNING,
	VM_POWEROFF,	/* the guest powered off, or halted for good (HLT with interrupts off): exit status 0 */
	VM_REBOOT,	/* the guest reset the machine and --no-reboot was given: exit status 0 */
	VM_DEBUG_EXIT,	/* --debug-exit port written: exit status in vm->exit_status */
	VM_QUIT,	/* the user left: exit status 0 */
	VM_ERROR,	/* vm->error says why: exit status 1 */
};

/* What others may want to hear of: vm_on(). */
enum vm_happening {
	VM_PAUSED,	/* guest and guest clock stand still; vm->pause_why says why */
	VM_CONTINUED,	/* they go on */
	VM_RESET,	/* CPU, chips and kernel are back at their start */
	VM_POWER_BUTTON,	/* was pressed */
};
#define VM_LISTENERS 32
#define VM_PAUSE_WHY 256

/* Who or what paused the machine. */
enum vm_pause_kind {
	VM_PAUSE_USER,		/* somebody asked for it */
	VM_PAUSE_NO_SPACE,	/* the host has no room for what the guest writes, or a limit forbids it */
	VM_PAUSE_IO_ERROR,	/* the host cannot write it for another reason */
};

struct vm {
	const char *name;
	struct mem *mem;		/* monitor/mem.c: guest-physical memory */
	struct bus *bus;		/* monitor/bus.c: ports and MMIO */
	struct clock *clock;		/* monitor/clock.c: guest clock and timers */
	struct event_loop *events;	/* monitor/event.c */
	struct vcpu *vcpu;
	struct board *board;		/* devices/board_pc.c */
	struct display *display;	/* devices/display.c; NULL in tests of single chips */
	struct input *input;		/* devices/input.c; NULL in tests of single chips */
	struct audio *audio;		/* devices/audio.c; NULL: nobody hears the machine */
	void (*board_reset)(struct vm *vm);	/* all chips to their reset state; set by the board */
	void (*reset_hook)(struct vm *vm, void *arg);	/* after a reset of CPU and chips: the kernel loader puts the kernel back */
	void *reset_arg;
	void (*start_hook)(struct vm *vm, void *arg);	/* behind firmware: the kernel loader starts its kernel; arg is reset_arg */
	int (*intr_ack)(struct vm *vm);	/* INTA cycle: vector of the highest pending interrupt; set by the board */
	void (*ferr)(struct vm *vm, bool level);	/* FERR# for CR0.NE=0; set by the board */

	/* The local APIC's registers that are MSRs; set by the board, may be NULL. */
	void (*apic_base_changed)(void *arg, u64 value);	/* IA32_APIC_BASE, valid */
	u64 (*tsc_deadline)(void *arg);
	void (*set_tsc_deadline)(void *arg, u64 tsc);
	void *apic_arg;
	const struct vm_state_ops *state;	/* what the chips do for snapshots; set by the board, may be NULL */
	const char *conf;		/* how the user made this machine, for snapshots; may be NULL */
	struct machine_dir *kept;	/* ui's: the folder that the machine is kept in; NULL: none */
	char snapshot_error[256];	/* why the last snapshot was not written; vCPU thread */
	struct snapshots *snapshots;	/* monitor/snapshot.c; NULL: none was taken or restored */

	bool (*cpu_restarts)(struct vm *vm);	/* the program that resets the CPU wants to go on: firmware is there for it. May be NULL. */

	u64 activity;			/* vCPU thread: counts what connects guest code with the outside: accesses to devices, interrupts */
	bool no_reboot;
	bool halt_waits;		/* HLT with interrupts off waits for the user, as on a PC, and does not power off */
	enum vm_stop stop;		/* written by vm_request_stop() */
	u32 pause;			/* vm.c: asked to pause; atomic */
	char pause_why[VM_PAUSE_WHY];	/* vCPU thread, while vm_paused(); and the next */
	enum vm_pause_kind pause_kind;
	struct { enum vm_happening what; void (*fn)(void *arg); void *arg; } listener[VM_LISTENERS];
	u32 listeners;
	bool reset_requested;
	bool reset_cpu;			/* the request is for the CPU alone */
	bool start_requested;		/* the boot ROM asks for start_hook; vCPU thread */
	int exit_status;
	char error[256];
	u64 trace;			/* enum trace_bit, --trace= */
};

/* Any thread. The first reason stands. */
void vm_request_stop(struct vm *vm, enum vm_stop why);
/* vCPU thread: at the next block boundary CPU, chips and kernel go back to their start (or VM_REBOOT when no_reboot). */
void vm_request_reset(struct vm *vm);
/* The same for the processor's INIT input (keyboard controller, port 92h, shutdown after a triple fault). Programs for the 80286 return
 * to real mode this way and leave word in the CMOS memory: then vm->cpu_restarts() is true, and chips and memory stay as they are. */
void vm_request_cpu_reset(struct vm *vm);

/*
 * Pausing: guest and guest clock, the TSC with it, stand still from the next block boundary on; posted calls (event_post()) still run,
 * and reset and stop requests are heard. Any thread. `why` is a sentence; the first reason stands until the machine goes on.
 */
void vm_pause(struct vm *vm, enum vm_pause_kind kind, const char *why);
void vm_continue(struct vm *vm);
bool vm_paused(const struct vm *vm);	/* asked to, that is: the vCPU may not have come to rest yet */
/* Before the machine runs: fn runs on the vCPU thread each time that this has happened. At most VM_LISTENERS of them. */
void vm_on(struct vm *vm, enum vm_happening what, void (*fn)(void *arg), void *arg);
static inline void vm_on_continue(struct vm *vm, void (*fn)(void *arg), void *arg) { vm_on(vm, VM_CONTINUED, fn, arg); }
void vm_happened(struct vm *vm, enum vm_happening what);	/* the run loop, to the listeners */

/* monitor/trace.c: --trace=exit,tc,irq,dev:NAME,...; trace lines go to stderr */
enum trace_bit {
	TRACE_EXIT = 1, TRACE_TC = 2, TRACE_IRQ = 4, TRACE_EXC = 8, TRACE_MSR = 16, TRACE_IO = 32, TRACE_MEM = 64, TRACE_DEV = 128
};
#define vm_trace(vm, bit, ...) do { if (unlikely((vm)->trace & (bit))) vm_trace_print(__VA_ARGS__); } while (0)
void vm_trace_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Parses the option's value. False with a sentence in err for an unknown word. */
bool vm_trace_parse(const char *words, u64 *bits, char *err, size_t errsize);
#endif

/*
 * fake_vm.h - what chips need of a machine, without one: a clock that the test sets, and records of what the chips asked for.
 */
#ifndef RF_FAKE_VM_H
#define RF_FAKE_VM_H
#include "devices/device.h"
#include "monitor/clock.h"
#include "monitor/vm.h"

struct fake_vm {
	struct vm vm;
	int rises;		/* how often the line of fake_line() rose */
	bool level;
	int resets;		/* vm_request_reset() */
	bool a20;
	u8 shadow[256];		/* as mem_shadow() was told, by page */
};

struct vm *fake_vm_new(void);
void fake_vm_free(struct vm *vm);
struct fake_vm *fake(struct vm *vm);
/* Guest time goes on by ns; timers run at their exact deadlines. */
void fake_advance(struct vm *vm, u64 ns);
/* Guest time jumps: timers run late, once, as in a machine whose vCPU was busy. */
void fake_jump(struct vm *vm, u64 ns);
struct line fake_line(struct vm *vm);
/* A function for cpu_reset members; arg is the vm. */
void fake_reset(void *arg);
u32 fake_random(u32 *state);
/* Copies a chip's state through its field table; to is a chip of the same class. */
void fake_copy_state(struct device *to, const struct device *from);
#endif

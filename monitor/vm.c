/*
 * vm.c - how a machine ends, starts over, pauses and goes on, and who is told. The first reason to stop or to pause stands.
 */
#include "monitor/vm.h"
#include "monitor/vcpu.h"
#include <stdio.h>

enum { PAUSE_NO, PAUSE_ASKING /* somebody writes the reason */, PAUSE_YES };

static bool change(u32 *word, u32 from, u32 to)
{
	return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void kick(struct vm *vm)
{
	if (vm->vcpu)
		vcpu_kick(vm->vcpu);
}

void vm_request_stop(struct vm *vm, enum vm_stop why)
{
	enum vm_stop running = VM_RUNNING;

	__atomic_compare_exchange_n(&vm->stop, &running, why, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	kick(vm);
}

void vm_request_reset(struct vm *vm)
{
	vm->reset_requested = true;
	vm->reset_cpu = false;
	vcpu_kick(vm->vcpu);
}

void vm_request_cpu_reset(struct vm *vm)
{
	vm->reset_cpu |= !vm->reset_requested;
	vm->reset_requested = true;
	vcpu_kick(vm->vcpu);
}

void vm_pause(struct vm *vm, enum vm_pause_kind kind, const char *why)
{
	if (!change(&vm->pause, PAUSE_NO, PAUSE_ASKING))
		return;
	snprintf(vm->pause_why, sizeof(vm->pause_why), "%s", why);
	vm->pause_kind = kind;
	__atomic_store_n(&vm->pause, PAUSE_YES, __ATOMIC_SEQ_CST);
	kick(vm);
}

void vm_continue(struct vm *vm)
{
	if (change(&vm->pause, PAUSE_YES, PAUSE_NO))
		kick(vm);
}

bool vm_paused(const struct vm *vm)
{
	return __atomic_load_n(&vm->pause, __ATOMIC_SEQ_CST) == PAUSE_YES;
}

void vm_on(struct vm *vm, enum vm_happening what, void (*fn)(void *arg), void *arg)
{
	bug_on(vm->listeners == VM_LISTENERS, "more than %d listeners", VM_LISTENERS);
	vm->listener[vm->listeners].what = what;
	vm->listener[vm->listeners].fn = fn;
	vm->listener[vm->listeners++].arg = arg;
}

void vm_happened(struct vm *vm, enum vm_happening what)
{
	for (u32 i = 0; i < vm->listeners; i++)
		if (vm->listener[i].what == what)
			vm->listener[i].fn(vm->listener[i].arg);
}

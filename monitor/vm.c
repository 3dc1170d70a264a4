/*
 * vm.c - how a machine ends or starts over. The first reason to stop stands.
 */
#include "monitor/vm.h"
#include "monitor/vcpu.h"

void vm_request_stop(struct vm *vm, enum vm_stop why)
{
	enum vm_stop running = VM_RUNNING;

	__atomic_compare_exchange_n(&vm->stop, &running, why, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	if (vm->vcpu)
		vcpu_kick(vm->vcpu);
}

void vm_request_reset(struct vm *vm)
{
	vm->reset_requested = true;
	vcpu_kick(vm->vcpu);
}

/*
 * debugexit.c - ends the machine on a write. It has no state.
 */
#include "devices/emulated/debugexit.h"
#include "monitor/vm.h"

static const struct field debugexit_fields[] = { FIELD_END };

static void debugexit_reset(void *dev)
{
}

static const struct device_class debugexit_class = {
	.name = "debugexit", .what = "exit port", .version = 1, .fields = debugexit_fields, .reset = debugexit_reset,
};

void debugexit_write(struct debugexit *d, u32 value)
{
	struct vm *vm = d->dev.vm;
	if (vm->stop == VM_RUNNING)
		vm->exit_status = (int)((value << 1 | 1) & 0xff);
	vm_request_stop(vm, VM_DEBUG_EXIT);
}

void debugexit_init(struct debugexit *d, struct vm *vm, const char *id)
{
	*d = (struct debugexit){ .dev = { .cls = &debugexit_class, .vm = vm, .id = id } };
}

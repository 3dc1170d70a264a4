/*
 * fake_vm.c - clock.h and vm.h for chip tests. Timers are kept in a plain list: what is tested here is the chips.
 */
#include "tests/unit/fake_vm.h"
#include "monitor/bus.h"
#include "monitor/mem.h"
#include <stdlib.h>
#include <string.h>

#define FAKE_TIMERS 64

struct clock {
	u64 now;
	struct timer *timers[FAKE_TIMERS];
	int count;
};

struct fake_vm *fake(struct vm *vm)
{
	return container_of(vm, struct fake_vm, vm);
}

struct vm *fake_vm_new(void)
{
	struct fake_vm *f = calloc(1, sizeof(*f));
	bug_on(!f || !(f->vm.clock = calloc(1, sizeof(struct clock))), "out of memory");
	f->a20 = true;
	return &f->vm;
}

void fake_vm_free(struct vm *vm)
{
	free(vm->clock);
	free(fake(vm));
}

u64 clock_now(struct vm *vm)
{
	return vm->clock->now;
}

/* 2 GHz */
u64 clock_tsc(struct vm *vm)
{
	return vm->clock->now * 2;
}

u64 clock_tsc_hz(struct vm *vm)
{
	return 2000000000;
}

/* 2024-02-29 23:59:50 UTC, a Thursday */
s64 clock_epoch(struct vm *vm)
{
	return 1709251190;
}

void timer_init(struct vm *vm, struct timer *t, void (*fn)(void *arg, u64 now), void *arg)
{
	*t = (struct timer){ .deadline = ~0ull, .fn = fn, .arg = arg, .vm = vm };
	bug_on(vm->clock->count == FAKE_TIMERS, "too many timers");
	vm->clock->timers[vm->clock->count++] = t;
}

void timer_arm(struct timer *t, u64 deadline)
{
	t->deadline = deadline;
}

void timer_cancel(struct timer *t)
{
	t->deadline = ~0ull;
}

static struct timer *first_timer(struct clock *c)
{
	struct timer *first = c->timers[0];
	for (int i = 1; i < c->count; i++)
		if (c->timers[i]->deadline < first->deadline)
			first = c->timers[i];
	return first;
}

static void run(struct clock *c)
{
	struct timer *t = first_timer(c);
	t->deadline = ~0ull;
	t->fn(t->arg, c->now);
}

void fake_advance(struct vm *vm, u64 ns)
{
	struct clock *c = vm->clock;
	u64 end = c->now + ns;
	while (c->count && first_timer(c)->deadline <= end) {
		if (first_timer(c)->deadline > c->now)
			c->now = first_timer(c)->deadline;
		run(c);
	}
	c->now = end;
}

void fake_jump(struct vm *vm, u64 ns)
{
	struct clock *c = vm->clock;
	c->now += ns;
	for (int i = 0; i < 1000 && c->count && first_timer(c)->deadline <= c->now; i++)
		run(c);
}

static void fake_line_set(void *to, int n, bool level)
{
	struct fake_vm *f = to;
	f->rises += level;
	f->level = level;
}

struct line fake_line(struct vm *vm)
{
	return (struct line){ .set = fake_line_set, .to = fake(vm) };
}

void fake_reset(void *arg)
{
	vm_request_reset(arg);
}

void vm_request_reset(struct vm *vm)
{
	fake(vm)->resets++;
}

void vm_request_stop(struct vm *vm, enum vm_stop why)
{
	if (vm->stop == VM_RUNNING)
		vm->stop = why;
}

u32 fake_random(u32 *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

void fake_copy_state(struct device *to, const struct device *from)
{
	for (const struct field *f = from->cls->fields; f->name; f++)
		for (u32 i = 0; i < f->count; i++)
			field_put(to, f, i, field_get(from, f, i));
	if (to->cls->loaded)
		to->cls->loaded(to);
}

/* PCI functions tell the bus where they are; tests that want to know look at bar_at. */
bool bus_add_io(struct vm *vm, const char *name, u16 first, u32 count, const struct bus_ops *ops, void *dev) { return true; }
bool bus_add_mmio(struct vm *vm, const char *name, gpa_t first, u64 len, const struct bus_ops *ops, void *dev) { return true; }
void bus_remove(struct vm *vm, void *dev) { }

void mem_shadow(struct vm *vm, gpa_t gpa, u64 len, int shadow)
{
	memset(fake(vm)->shadow + (gpa >> PAGE_SHIFT), shadow, len >> PAGE_SHIFT);
}

/*
 * control_debug.c - the commands of control.def that look into the machine: registers, memory, code, chips. Their answers are texts.
 *
 * Addresses are linear and hexadecimal, with or without 0x; SEGMENT:OFFSET as in real mode, or a register's name.
 */
#define _GNU_SOURCE	/* strcasecmp */
#include "ui/control_cmds.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/board_pc.h"
#include "monitor/inspect.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"
#include "ui/json.h"

#define CONTROL(fn, name, args, help) bool control_##fn(struct control_call *c);
#include "ui/control.def"
#undef CONTROL

enum { MEM_COUNT = 128, DISAS_COUNT = 12, BLOCKS_MOST = 200 };

static bool no_memory(struct control_call *c)
{
	snprintf(c->err, sizeof(c->err), "out of memory");
	return false;
}

/* A text that grows as it is written; finish() makes it the result. */
struct page {
	FILE *out;
	char *text;
	size_t size;
};

static bool begin(struct control_call *c, struct page *p)
{
	*p = (struct page){ .out = NULL };
	p->out = open_memstream(&p->text, &p->size);
	return p->out || no_memory(c);
}

static bool finish(struct control_call *c, struct page *p)
{
	bool ok = !fclose(p->out);
	c->result = ok ? js_text(p->text) : NULL;
	free(p->text);
	return ok || no_memory(c);
}

static u64 code_address(const struct control_call *c)
{
	const struct cpu_state *cs = &c->vm->vcpu->cs;
	return (u32)(cs->seg[S_CS].base + cs->rip);
}

static bool register_value(const struct cpu_state *cs, const char *name, u64 *value)
{
	static const char *const names[] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };
	for (u32 i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcasecmp(name, names[i])) {
			*value = (u32)(cs->gpr[i] + (i == R_ESP || i == R_EBP ? cs->seg[S_SS].base : 0));
			return true;
		}
	return false;
}

/* False with a sentence: it is no address. The argument must be there. */
static bool address(struct control_call *c, const char *name, u64 *lin)
{
	const char *text = control_arg(c, name);
	char *end;
	if (!strcasecmp(text, "eip") || !strcasecmp(text, "pc")) {
		*lin = code_address(c);
		return true;
	}
	if (register_value(&c->vm->vcpu->cs, text, lin))
		return true;
	*lin = strtoull(text, &end, 16);
	if (end != text && *end == ':' && isxdigit((unsigned char)end[1]))
		*lin = (*lin << 4) + strtoull(end + 1, &end, 16);
	if (isxdigit((unsigned char)*text) && !*end && *lin <= 0xffffffff)
		return true;
	snprintf(c->err, sizeof(c->err), "'%.40s' is no address: hexadecimal, SEGMENT:OFFSET, or a register", text);
	return false;
}

static u32 count_of(const struct control_call *c, u32 otherwise)
{
	s64 n;
	return control_arg_number(c, "count", &n) && n > 0 ? (u32)(n < 100000 ? n : 100000) : otherwise;
}

bool control_regs(struct control_call *c)
{
	struct page p;
	if (!begin(c, &p))
		return false;
	inspect_regs(c->vm->vcpu, p.out);
	return finish(c, &p);
}

bool control_walk(struct control_call *c)
{
	struct page p;
	u64 lin;
	if (!address(c, "address", &lin) || !begin(c, &p))
		return false;
	inspect_walk(c->vm->vcpu, lin, p.out);
	return finish(c, &p);
}

bool control_mem(struct control_call *c)
{
	struct page p;
	u64 lin;
	if (!address(c, "address", &lin) || !begin(c, &p))
		return false;
	inspect_mem(c->vm->vcpu, lin, count_of(c, MEM_COUNT), p.out);
	return finish(c, &p);
}

bool control_disas(struct control_call *c)
{
	struct page p;
	u64 lin = code_address(c);
	if ((control_arg(c, "address") && !address(c, "address", &lin)) || !begin(c, &p))
		return false;
	inspect_disas(c->vm->vcpu, lin, count_of(c, DISAS_COUNT), p.out);
	return finish(c, &p);
}

bool control_blocks(struct control_call *c)
{
	struct page p;
	u64 lo = 0, hi = ~0ull;
	if ((control_arg(c, "from") && !address(c, "from", &lo)) || (control_arg(c, "to") && !address(c, "to", &hi)) || !begin(c, &p))
		return false;
	u32 n = tr_list(c->vm->vcpu->tr, p.out, lo, hi, BLOCKS_MOST);
	fprintf(p.out, "%u blocks%s\n", n, n > BLOCKS_MOST ? ", the first of which are shown" : "");
	return finish(c, &p);
}

/* --- chips --- */

static void print_line(void *arg, const char *text)
{
	fprintf(arg, "%s\n", text);
}

static struct device *find_device(struct vm *vm, const char *id)
{
	struct device *d = board_devices(vm);
	while (d && strcmp(d->id, id))
		d = d->next;
	return d;
}

bool control_dev(struct control_call *c)
{
	const char *id = control_arg(c, "name");
	struct device *one = id ? find_device(c->vm, id) : NULL;
	struct page p;
	if (id && !one) {
		snprintf(c->err, sizeof(c->err), "there is no device '%.40s'; 'dev' alone lists them", id);
		return false;
	}
	if (!begin(c, &p))
		return false;
	if (one)
		device_dump(one, print_line, p.out);
	for (struct device *d = board_devices(c->vm); d && !one; d = d->next)
		fprintf(p.out, "%-12s %s\n", d->id, d->cls->what);
	return finish(c, &p);
}

bool control_irq(struct control_call *c)
{
	static const char *const ids[] = { "pic", "ioapic", "lapic" };
	const struct cpu_state *cs = &c->vm->vcpu->cs;
	struct page p;
	if (!begin(c, &p))
		return false;
	fprintf(p.out, "cpu: interrupt line %s, IF %d\n", cs->irq_line ? "up" : "down", cs->iflag);
	for (u32 i = 0; i < ARRAY_SIZE(ids); i++) {
		struct device *d = find_device(c->vm, ids[i]);
		if (d)
			device_dump(d, print_line, p.out);
	}
	return finish(c, &p);
}

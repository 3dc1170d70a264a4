/*
 * vectors.c - runs published single-step vectors of the 8086 and 80286 (MOO files, real mode) through the virtual CPU.
 *
 *     zcat 00.MOO.gz | vectors [undefined-flags-mask]
 *
 * Each vector is an instruction with the registers and bytes of memory before and after; HLT follows it in the 80286's, and is put
 * where the instruction ends in the 8086's, which also get that chip's megabyte (A20 off). Compared are all
 * registers, the flags outside the mask (hexadecimal: those that the SDM leaves undefined for the opcode) and the bytes of
 * memory; pushed flags are bytes of memory too. Vectors that end in an exception by the chip's own rules differ; where the 8086
 * differs from all later processors is known by rule (vectors_8086.h), counted, and not a difference.
 * A MOO file is a list of chunks, each a name of four letters and a length; TEST holds INIT and FINA, those REGS and RAM.
 */
/* objs: all tests/ext/vectors_8086.o */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "monitor/bus.h"
#include "monitor/clock.h"
#include "monitor/cpuid.h"
#include "monitor/event.h"
#include "monitor/mem.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"
#include "tests/ext/vectors.h"

static const char *const names[] = { "ax", "bx", "cx", "dx", "cs", "ss", "ds", "es", "sp", "bp", "si", "di", "ip", "flags" };
static const u8 gprs[][2] = { { V_AX, R_EAX }, { V_BX, R_EBX }, { V_CX, R_ECX }, { V_DX, R_EDX },
	{ V_SP, R_ESP }, { V_BP, R_EBP }, { V_SI, R_ESI }, { V_DI, R_EDI } };
static const u8 segs[][2] = { { V_CS, S_CS }, { V_SS, S_SS }, { V_DS, S_DS }, { V_ES, S_ES } };

static u32 get32(const u8 *p) { u32 v; memcpy(&v, p, 4); return v; }

static void parse_state(struct state *s, const u8 *p, const u8 *end)
{
	for (; p + 8 <= end; p += 8 + get32(p + 4)) {
		const u8 *d = p + 8;

		if (!memcmp(p, "REGS", 4)) {
			s->has = (u16)(d[0] | d[1] << 8);
			d += 2;
			for (int r = 0; r < V_COUNT; r++)
				if (s->has >> r & 1)
					s->reg[r] = (u16)(d[0] | d[1] << 8), d += 2;
		} else if (!memcmp(p, "RAM ", 4)) {
			s->bytes = get32(d);
			s->ram = d + 4;
		}
	}
}

static void parse_vector(struct moo_case *v, const u8 *p, const u8 *end)
{
	memset(v, 0, sizeof(*v));
	for (; p + 8 <= end; p += 8 + get32(p + 4)) {
		const u8 *d = p + 8;

		if (!memcmp(p, "NAME", 4))
			v->name = (const char *)d + 4, v->name_len = (int)get32(d);
		else if (!memcmp(p, "INIT", 4))
			parse_state(&v->init, d, d + get32(p + 4));
		else if (!memcmp(p, "FINA", 4))
			parse_state(&v->fina, d, d + get32(p + 4));
		else if (!memcmp(p, "BYTS", 4))
			v->code = d + 4, v->code_len = (int)get32(d);
		else if (!memcmp(p, "EXCP", 4))
			v->excepted = true;
	}
}

enum { CAUGHT_CS = 0xf000, CAUGHT_IP = 0xfe00 };	/* an exception that the vector does not expect ends at once, at its own HLT */

static void load(struct vcpu *vcpu, const struct moo_case *v)
{
	static const u8 hlt = HLT;
	struct cpu_state *cs = &vcpu->cs;

	vcpu_reset(vcpu);
	for (u32 n = 0; n < 256; n++) {
		u8 gate[4] = { (u8)n, CAUGHT_IP >> 8, 0, CAUGHT_CS >> 8 };

		mem_write(vcpu->vm, 4 * n, gate, 4);
		mem_write(vcpu->vm, 16 * CAUGHT_CS + CAUGHT_IP + n, &hlt, 1);
	}
	for (size_t k = 0; k < ARRAY_SIZE(gprs); k++)
		cs->gpr[gprs[k][1]] = v->init.reg[gprs[k][0]];
	for (size_t k = 0; k < ARRAY_SIZE(segs); k++)
		seg_load_real(cs, segs[k][1], v->init.reg[segs[k][0]]);
	cs->rip = v->init.reg[V_IP];
	cpu_set_eflags(cs, (v->init.reg[V_FLAGS] & (FL_ARITH | FL_DF)) | FL_R1);
	for (u32 i = 0; i < v->init.bytes; i++)
		mem_write(vcpu->vm, get32(v->init.ram + 5 * i), v->init.ram + 5 * i + 4, 1);
	if (v->end) {
		mem_write(vcpu->vm, v->end, &hlt, 1);
		mem_write(vcpu->vm, v->next, &hlt, 1);
	}
}

static void get_registers(const struct cpu_state *cs, u16 got[V_COUNT])
{
	for (size_t k = 0; k < ARRAY_SIZE(gprs); k++)
		got[gprs[k][0]] = (u16)cs->gpr[gprs[k][1]];
	for (size_t k = 0; k < ARRAY_SIZE(segs); k++)
		got[segs[k][0]] = cs->seg[segs[k][1]].sel;
	got[V_IP] = (u16)cs->rip;
	got[V_FLAGS] = (u16)cpu_eflags(cs);
}

/* The first difference goes into `text`; false if there is none. */
static bool differs(struct vcpu *vcpu, const struct moo_case *v, const u16 got[V_COUNT], u32 undefined, char *text, size_t size)
{
	u16 want, mask;
	u32 flags_at;

	for (int r = 0; r < V_COUNT; r++) {
		want = final_reg(v, r);
		if (r == V_IP && v->end)
			want++;
		mask = r == V_FLAGS ? (u16)((FL_ARITH | FL_DF) & ~undefined) : 0xffff;
		if ((got[r] ^ want) & mask) {
			snprintf(text, size, "%s is %04x, should be %04x", names[r], got[r], want);
			return true;
		}
	}
	flags_at = (u32)(v->init.reg[V_SS] << 4) + (u16)(v->fina.reg[V_SP] + 4);
	for (u32 i = 0; i < v->fina.bytes; i++) {
		u32 at = get32(v->fina.ram + 5 * i);
		u8 b, open = 0;

		if (v->excepted && at - flags_at < 2)
			open = (u8)((undefined & FL_ARITH) >> 8 * (at - flags_at));
		mem_read(vcpu->vm, at, &b, 1);
		if (v->end)
			open |= open_8086(v, at, b, undefined);
		if ((b ^ v->fina.ram[5 * i + 4]) & ~open) {
			snprintf(text, size, "byte at %x is %02x, should be %02x", at, b, v->fina.ram[5 * i + 4]);
			return true;
		}
	}
	return false;
}

struct tally { int count, failed, skipped, known[RULES]; };

static void judge(struct vcpu *vcpu, const struct moo_case *v, u32 undefined, struct tally *t)
{
	u16 got[V_COUNT];
	char text[80];
	int vector;
	enum rule rule = RULE_NONE;

	get_registers(&vcpu->cs, got);
	vector = got[V_CS] == CAUGHT_CS && (u16)(got[V_IP] - CAUGHT_IP - 1) < 256 ? got[V_IP] - CAUGHT_IP - 1 : -1;
	if (differs(vcpu, v, got, undefined, text, sizeof(text))) {
		if (v->end)
			rule = known_8086(v, got, vector);
		if (rule == RULE_NONE) {
			printf("%d %.*s: %s\n", t->count, v->name_len, v->name, text);
			t->failed++;
		} else {
			t->known[rule]++;
		}
	}
	t->count++;
}

static void print_tally(const struct tally *t)
{
	for (int rule = 0; rule < RULES; rule++)
		if (t->known[rule])
			printf("known: %d %s\n", t->known[rule], rule_name(rule));
	printf("%d vectors, %d differ, %d had no place for a HLT\n", t->count, t->failed, t->skipped);
}

/* A HLT that waits for an interrupt ends the vector as any other, and so does a loop. */
struct watch { struct vm *vm; struct timer timer; int slices; };
enum { SLICE = 100000, SLICES = 10000 };	/* ns */

static void on_timer(void *arg, u64 now)
{
	struct watch *w = arg;

	if (w->vm->vcpu->cs.halted || ++w->slices == SLICES)
		vm_request_stop(w->vm, VM_QUIT);
	timer_arm(&w->timer, now + SLICE);
}

static u8 *read_all(size_t *len)
{
	size_t cap = 1 << 20;
	u8 *p = malloc(cap);

	for (*len = 0; p;) {
		size_t n = fread(p + *len, 1, cap - *len, stdin);

		*len += n;
		if (!n)
			return p;
		if (*len == cap)
			p = realloc(p, cap *= 2);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct vm vm = { .name = "vectors" };
	struct tr_options tr = { 0 };
	const char *why = "out of memory";
	u32 undefined = argc > 1 ? (u32)strtoul(argv[1], NULL, 16) : 0;
	struct tally tally = { 0 };
	bool chip_8086;
	struct watch watch = { .vm = &vm };
	struct moo_case v;
	size_t len;
	u8 *p = read_all(&len), *end = p + len;

	if (!p || len < 20 || memcmp(p, "MOO ", 4)) {
		fprintf(stderr, "vectors: standard input is no MOO file\n");
		return 2;
	}
	if (!mem_init(&vm, 2 << 20, vm.error, sizeof(vm.error)) || !bus_init(&vm) || !clock_init(&vm) ||
	    !event_init(&vm, vm.error, sizeof(vm.error)) ||
	    !(vm.vcpu = vcpu_init(&vm, cpu_model_find("host"), &tr, &why))) {
		fprintf(stderr, "vectors: %s\n", vm.error[0] ? vm.error : why);
		return 1;
	}
	for (gpa_t a = 0xa0000; a < 0x100000; a += PAGE_SIZE)
		mem_set_kind(&vm, a, PAGE_SIZE, MEM_RAM);	/* the vectors' machine has RAM everywhere */
	chip_8086 = !memcmp(p + 16, "808", 3);
	mem_set_a20(&vm, !chip_8086);
	timer_init(&vm, &watch.timer, on_timer, &watch);
	for (; p + 8 <= end; p += 8 + get32(p + 4)) {
		if (memcmp(p, "TEST", 4))
			continue;
		parse_vector(&v, p + 8 + 4, p + 8 + get32(p + 4));
		if (chip_8086 && reused_8086(&v)) {
			tally.known[RULE_UNDEFINED]++;
			tally.count++;
			continue;
		}
		if (chip_8086 && !find_end_8086(&v)) {
			tally.skipped++;
			continue;
		}
		load(vm.vcpu, &v);
		vm.stop = VM_RUNNING;
		watch.slices = 0;
		timer_arm(&watch.timer, clock_now(&vm) + SLICE);
		vcpu_kick(vm.vcpu);
		vcpu_run(vm.vcpu);
		judge(vm.vcpu, &v, undefined, &tally);
	}
	print_tally(&tally);
	return tally.failed != 0;
}

/*
 * oracle.c - the case as Unicorn runs it.
 *
 * Unicorn hands an exception to a hook and delivers none, so a case ends there. Its interface gives neither the error code nor the
 * hidden parts of segment registers; they are read from a saved context, at offsets that oracle_init() finds out by means of
 * values of its own (a task register, a failed segment load). The state that a mode begins with is reached by start-up code, once.
 */
#ifdef HAVE_UNICORN
#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>
#include "tests/unit/unicorn/case.h"

#define MAX_INSNS 200u
#define NOWHERE   0xfffffff0u
enum { SEGMENT_BYTES = 24, TR_INDEX = 7 };	/* ES CS SS DS FS GS LDTR TR lie in a row: selector, base, limit, flags */

struct oracle {
	uc_engine *uc;
	uc_context *start[MODES], *scratch;
	u8 *ram;
	size_t context_bytes, tr_at, error_at;
	const struct uc_case *running;
	bool wild;
	u32 insns, eip;
	int vector;
	u32 error;
};

static u32 context32(const struct oracle *o, size_t at)
{
	u32 v;

	memcpy(&v, (u8 *)o->scratch + at, 4);
	return v;
}

static void on_exception(uc_engine *uc, u32 vector, void *arg)
{
	struct oracle *o = arg;

	uc_context_save(uc, o->scratch);
	uc_reg_read(uc, UC_X86_REG_EIP, &o->eip);
	o->vector = (int)vector;
	o->error = o->error_at ? context32(o, o->error_at) : 0;
	uc_emu_stop(uc);
}

/* Ends what takes too long, and wild jumps that hit no HLT: data as code is not comparable. */
static void on_insn(uc_engine *uc, u64 address, u32 size, void *arg)
{
	struct oracle *o = arg;

	o->wild |= o->running && address - (AT_CODE + o->running->at) >= o->running->len && address < RAM_BYTES && o->ram[address] != 0xf4;
	if (o->wild || ++o->insns == MAX_INSNS)
		uc_emu_stop(uc);
}

static u32 on_in(uc_engine *uc, u32 port, int size, void *arg) { return size == 4 ? ~0u : (1u << 8 * size) - 1; }
static void on_out(uc_engine *uc, u32 port, int size, u32 value, void *arg) {}

static uc_err go(struct oracle *o, u32 eip, u32 until)
{
	o->vector = -1;
	o->insns = 0;
	return uc_emu_start(o->uc, eip, until, 0, 0);
}

static void forget_code(struct oracle *o, u32 at, u32 len) { uc_ctl_remove_cache(o->uc, (u64)at, (u64)at + len); }

/* Offsets of a value that stands once in the context; 0 when it does not. */
static size_t find_once(const struct oracle *o, u32 value)
{
	size_t found = 0;

	for (size_t at = 0; at + 4 <= o->context_bytes; at += 4)
		if (context32(o, at) == value) {
			if (found)
				return 0;
			found = at;
		}
	return found;
}

static bool find_offsets(struct oracle *o, uc_context *reset)
{
	uc_x86_mmr tr = { .selector = 0x7138, .base = 0x5eeb1234, .limit = 0x5678, .flags = 0x8b00 }, gdt = { .limit = 7 };
	static const u8 code[] = { 0xb8, 0x78, 0xd6, 0, 0, 0x8e, 0xd8 };	/* mov eax, 0xd678; mov ds, eax: #GP(0xd678) */

	uc_reg_write(o->uc, UC_X86_REG_TR, &tr);
	uc_context_save(o->uc, o->scratch);
	o->tr_at = find_once(o, 0x7138);
	if (!o->tr_at || context32(o, o->tr_at + 8) != 0x5eeb1234 || context32(o, o->tr_at + 16) != 0x5678)
		return false;
	uc_reg_write(o->uc, UC_X86_REG_GDTR, &gdt);
	memcpy(o->ram + AT_START, code, sizeof(code));
	go(o, AT_START, NOWHERE);
	for (size_t at = o->tr_at; at + 4 <= o->context_bytes; at += 4)		/* EAX lies before */
		if (context32(o, at) == 0xd678)
			o->error_at = at;
	forget_code(o, AT_START, 64);
	uc_context_restore(o->uc, reset);
	return o->vector == 13 && o->error_at;
}

static bool reach(struct oracle *o, enum case_mode mode, const uc_context *reset)
{
	uc_x86_mmr gdt = { .base = AT_GDT, .limit = GDT_BYTES - 1 }, idt = { .base = AT_IDT, .limit = 0x7ff };

	uc_context_restore(o->uc, (uc_context *)reset);
	uc_reg_write(o->uc, UC_X86_REG_GDTR, &gdt);
	uc_reg_write(o->uc, UC_X86_REG_IDTR, &idt);
	image_fill(o->ram);
	image_start(mode, o->ram);
	forget_code(o, AT_START, 0x400);
	forget_code(o, AT_CODE, 0x400);
	if (go(o, AT_START, mode_cpl(mode) ? AT_CODE : NOWHERE) != UC_ERR_OK || o->vector >= 0)	/* HLT would fault in ring 3 */
		return false;
	if (mode == IN_REAL || mode == IN_BIG_REAL) {
		idt = (uc_x86_mmr){ .limit = 0x3ff };
		uc_reg_write(o->uc, UC_X86_REG_IDTR, &idt);
	}
	uc_context_alloc(o->uc, &o->start[mode]);
	return uc_context_save(o->uc, o->start[mode]) == UC_ERR_OK;
}

struct oracle *oracle_init(const char **err)
{
	struct oracle *o = calloc(1, sizeof(*o));
	uc_context *reset;
	uc_hook h;

	*err = "out of memory";
	if (!o || !(o->ram = aligned_alloc(4096, RAM_BYTES)))
		return NULL;
	*err = "Unicorn does not start";
	if (uc_open(UC_ARCH_X86, UC_MODE_32, &o->uc) || uc_ctl_set_cpu_model(o->uc, UC_CPU_X86_CORE2DUO) ||
	    uc_mem_map_ptr(o->uc, 0, RAM_BYTES, UC_PROT_ALL, o->ram))
		return NULL;
	o->context_bytes = uc_context_size(o->uc);
	uc_context_alloc(o->uc, &o->scratch);
	uc_context_alloc(o->uc, &reset);
	uc_context_save(o->uc, reset);
	uc_hook_add(o->uc, &h, UC_HOOK_INTR, on_exception, o, 1, 0);
	uc_hook_add(o->uc, &h, UC_HOOK_CODE, on_insn, o, 1, 0);
	uc_hook_add(o->uc, &h, UC_HOOK_INSN, on_in, o, 1, 0, UC_X86_INS_IN);
	uc_hook_add(o->uc, &h, UC_HOOK_INSN, on_out, o, 1, 0, UC_X86_INS_OUT);
	*err = "this Unicorn keeps its state in another form than version 2.0";
	if (!find_offsets(o, reset))
		return NULL;
	*err = "Unicorn does not get through the start-up code";
	for (int mode = 0; mode < MODES; mode++)
		if (!reach(o, (enum case_mode)mode, reset))
			return NULL;
	uc_context_free(reset);
	image_fill(o->ram);
	forget_code(o, 0, RAM_BYTES);
	return o;
}

static const int gpr_ids[8] = { UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX, UC_X86_REG_ESP, UC_X86_REG_EBP,
	UC_X86_REG_ESI, UC_X86_REG_EDI };

static void read_segment(const struct oracle *o, int index, struct seg_state *s)
{
	size_t at = o->tr_at + (size_t)(index - TR_INDEX) * SEGMENT_BYTES;

	s->sel = (u16)context32(o, at);
	s->base = context32(o, at + 8);
	s->limit = context32(o, at + 16);
	s->attr = (u16)(context32(o, at + 20) >> 8 & 0xf0ff);
}

static u32 reg(const struct oracle *o, int id)
{
	u64 v = 0;

	uc_reg_read(o->uc, id, &v);
	return (u32)v;
}

static void read_state(struct oracle *o, struct cpu_image *out)
{
	uc_x86_mmr m;

	uc_context_save(o->uc, o->scratch);
	for (int r = 0; r < 8; r++)
		out->gpr[r] = reg(o, gpr_ids[r]);
	out->eip = reg(o, UC_X86_REG_EIP);
	out->eflags = reg(o, UC_X86_REG_EFLAGS);
	out->cr0 = reg(o, UC_X86_REG_CR0);
	out->cr2 = reg(o, UC_X86_REG_CR2);
	out->cr3 = reg(o, UC_X86_REG_CR3);
	out->cr4 = reg(o, UC_X86_REG_CR4);
	for (int s = 0; s < 6; s++)
		read_segment(o, s, &out->seg[s]);
	read_segment(o, TR_INDEX - 1, &out->ldt);
	read_segment(o, TR_INDEX, &out->tr);
	uc_reg_read(o->uc, UC_X86_REG_GDTR, &m);
	out->gdt.base = (u32)m.base, out->gdt.limit = m.limit;
	uc_reg_read(o->uc, UC_X86_REG_IDTR, &m);
	out->idt.base = (u32)m.base, out->idt.limit = m.limit;
}

void oracle_run(struct oracle *o, const struct uc_case *c, struct cpu_image *out)
{
	uc_err err;

	uc_context_restore(o->uc, o->start[c->mode]);
	for (int r = 0; r < 8; r++)
		uc_reg_write(o->uc, gpr_ids[r], &c->gpr[r]);
	uc_reg_write(o->uc, UC_X86_REG_EFLAGS, &c->eflags);
	memcpy(o->ram + AT_CODE + c->at, c->code, c->len);
	forget_code(o, AT_CODE + c->at, c->len);
	o->running = c;
	o->wild = false;
	err = go(o, c->at, NOWHERE);
	memset(out, 0, sizeof(*out));
	read_state(o, out);
	if (o->vector >= 0)
		out->eip = o->eip;
	out->vector = o->vector;
	out->error = o->vector >= 0 ? o->error : 0;
	out->end = o->vector >= 0 ? END_EXCEPTION : END_HLT;
	if (err == UC_ERR_INSN_INVALID) {
		out->end = END_EXCEPTION;
		out->vector = 6;
	} else if (err != UC_ERR_OK || o->insns >= MAX_INSNS || o->wild) {
		out->end = END_SKIP;
	}
}

u8 *oracle_ram(struct oracle *o) { return o->ram; }

void oracle_restore(struct oracle *o, const u8 *golden)
{
	for (u32 at = 0; at < RAM_BYTES; at += PAGE_SIZE)
		if (memcmp(o->ram + at, golden + at, PAGE_SIZE)) {
			memcpy(o->ram + at, golden + at, PAGE_SIZE);
			forget_code(o, at, PAGE_SIZE);
		}
}

void oracle_fini(struct oracle *o)
{
	for (int m = 0; m < MODES; m++)
		uc_context_free(o->start[m]);
	uc_context_free(o->scratch);
	uc_close(o->uc);
	free(o->ram);
	free(o);
}
#else
typedef int no_unicorn;	/* a file must hold something */
#endif

/*
 * inspect.c - registers, page walks, memory and instructions as text. Looks through the guest's page tables without setting accessed bits
 * and never at device registers: looking must not change the machine.
 */
#include "monitor/inspect.h"

#include <ctype.h>
#include <string.h>

#include "monitor/mem.h"
#include "monitor/mmu_int.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"
#include "monitor/walk.h"

enum { MEM_MAX = 4096, DISAS_MAX = 256, INSN_MAX = 15 };

static const char *const gpr_names[] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };
static const char *const seg_names[] = { "es", "cs", "ss", "ds", "fs", "gs" };

static unsigned long long ll(u64 n) { return n; }

static void print_flags(u32 eflags, FILE *out)
{
	static const struct { u32 bit; const char *name; } names[] = {
		{ FL_CF, "CF" }, { FL_PF, "PF" }, { FL_AF, "AF" }, { FL_ZF, "ZF" }, { FL_SF, "SF" }, { FL_TF, "TF" }, { FL_IF, "IF" },
		{ FL_DF, "DF" }, { FL_OF, "OF" }, { FL_NT, "NT" }, { FL_RF, "RF" }, { FL_VM, "VM" }, { FL_AC, "AC" }, { FL_ID, "ID" },
	};
	fprintf(out, "eflags %08x", eflags);
	for (u32 i = 0; i < ARRAY_SIZE(names); i++)
		if (eflags & names[i].bit)
			fprintf(out, " %s", names[i].name);
	fprintf(out, " IOPL=%u\n", (eflags & FL_IOPL) >> 12);
}

static void print_seg(const char *name, const struct cpu_seg *s, FILE *out)
{
	fprintf(out, "%-4s %04x base %08llx limit %08x attr %04x\n", name, s->sel, ll(s->base), s->limit, s->attr);
}

void inspect_regs(struct vcpu *v, FILE *out)
{
	const struct cpu_state *cs = &v->cs;
	for (u32 i = 0; i < ARRAY_SIZE(gpr_names); i++)
		fprintf(out, "%s %08llx%s", gpr_names[i], ll(cs->gpr[i]), i % 4 == 3 ? "\n" : "  ");
	fprintf(out, "eip %08llx  cpl %u%s\n", ll(cs->rip), cs->cpl, cs->halted ? "  halted" : "");
	print_flags(cpu_eflags(cs), out);
	for (u32 i = 0; i < ARRAY_SIZE(seg_names); i++)
		print_seg(seg_names[i], &cs->seg[i], out);
	print_seg("ldt", &cs->ldt, out);
	print_seg("tr", &cs->tr, out);
	fprintf(out, "gdt  base %08llx limit %04x\nidt  base %08llx limit %04x\n", ll(cs->gdt.base), cs->gdt.limit, ll(cs->idt.base),
		cs->idt.limit);
	fprintf(out, "cr0 %08llx  cr2 %08llx  cr3 %08llx  cr4 %08llx  efer %llx\n", ll(cs->cr0), ll(cs->cr2), ll(cs->cr3), ll(cs->cr4),
		ll(cs->efer));
	fprintf(out, "dr0 %08llx  dr1 %08llx  dr2 %08llx  dr3 %08llx  dr6 %08llx  dr7 %08llx\n", ll(cs->dr[0]), ll(cs->dr[1]),
		ll(cs->dr[2]), ll(cs->dr[3]), ll(cs->dr[6]), ll(cs->dr[7]));
}

static bool peek(struct vcpu *v, gla_t lin, struct walk *w)
{
	return walk_page(&v->mmu->env, lin, 0, WALK_PEEK, w) == WALK_OK;
}

void inspect_walk(struct vcpu *v, gla_t lin, FILE *out)
{
	static const char *const kinds[] = { [MEM_NONE] = "nothing", [MEM_RAM] = "RAM", [MEM_ROM] = "ROM", [MEM_MMIO] = "a device" };
	struct walk w = { 0 };
	bool ok = peek(v, lin, &w);
	for (u32 i = 0; i < w.levels; i++) {
		u64 e = w.value[i];
		if (w.entry_gpa[i] == ~0ull)
			fprintf(out, "register: %llx", ll(e));
		else
			fprintf(out, "at %08llx: %llx", ll(w.entry_gpa[i]), ll(e));
		fprintf(out, "%s%s%s%s%s%s%s\n", e & PTE_P ? " P" : " not present", e & PTE_W ? " W" : "", e & PTE_U ? " U" : "",
			e & PTE_A ? " A" : "", e & PTE_D ? " D" : "", e & PTE_PS ? " PS" : "", e & PTE_NX ? " NX" : "");
	}
	if (!ok) {
		fprintf(out, "%08llx is not mapped (page fault error %x)\n", ll(lin), w.error);
		return;
	}
	enum mem_kind kind = mem_kind(v->vm->mem, w.gpa);
	fprintf(out, "%08llx is physical %08llx, %s\n", ll(lin), ll(w.gpa), (u32)kind < ARRAY_SIZE(kinds) ? kinds[kind] : "?");
}

/* Up to len bytes that lie in memory; returns how many there are. */
static u32 peek_bytes(struct vcpu *v, gla_t lin, u8 *buf, u32 len)
{
	for (u32 i = 0; i < len; i++) {
		struct walk w;
		const u8 *at = peek(v, (u32)(lin + i), &w) ? mem_host(v->vm, w.gpa) : NULL;
		if (!at)
			return i;
		buf[i] = *at;
	}
	return len;
}

void inspect_mem(struct vcpu *v, gla_t lin, u32 count, FILE *out)
{
	u8 b[16];
	count = count < MEM_MAX ? count : MEM_MAX;
	while (count) {
		u32 want = count < 16 ? count : 16, n = peek_bytes(v, lin, b, want);
		fprintf(out, "%08x ", (u32)lin);
		for (u32 i = 0; i < n; i++)
			fprintf(out, "%s%02x", i == 8 ? "  " : " ", b[i]);
		if (n < want) {
			fprintf(out, " (no memory)\n");
			return;
		}
		fprintf(out, "%*s", (int)(16 - n) * 3 + (n <= 8 ? 3 : 2), "");
		for (u32 i = 0; i < n; i++)
			fputc(isprint(b[i]) ? b[i] : '.', out);
		fputc('\n', out);
		lin += n;
		count -= n;
	}
}

void inspect_disas(struct vcpu *v, gla_t lin, u32 count, FILE *out)
{
	u8 bytes[INSN_MAX];
	count = count < DISAS_MAX ? count : DISAS_MAX;
	while (count--) {
		u32 n = peek_bytes(v, lin, bytes, sizeof(bytes));
		if (!n) {
			fprintf(out, "%08x  (no memory)\n", (u32)lin);
			return;
		}
		lin = (u32)(lin + tr_disas(bytes, n, (u32)lin, v->cs.mode & MK_CS32, out));
	}
}

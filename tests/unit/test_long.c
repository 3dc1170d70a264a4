/*
 * test_long.c - 64-bit code through the translator, against the host processor.
 *
 * Every form runs natively, with all sixteen registers loaded and stored by a few lines of assembler, and translated, from the same
 * registers, flags and memory; registers, flags and memory must then be the same. Native memory lies at the guest's own
 * linear addresses, far above 4 GiB; the translator's copy lies elsewhere, behind the hashed virtual TLB of vtlb.h.
 */
/* objs: translator/all monitor/lib/bug.o */
#define _GNU_SOURCE	/* MAP_FIXED_NOREPLACE */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <asm/prctl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "translator/translator.h"

#define BASE       0x123456780000ull	/* linear address of the first page; forms know the distances */
#define CODE       0x0100		/* offset of a form's first byte */
#define CODE_BYTES 0x1000
#define DATA       0x10000		/* four pages */
#define STACK      0x20000		/* two pages */
#define SIZE       0x22000
#define ALIAS      (1ull << 32)
#define ROUNDS     200

/* In forms: rbp rsi r12 point into the data, rsp into the stack, r9 is below 64; all else is random. */
#define FORMS(X) \
	X(add_64, "addq %r8, %r15; adcq %rsp, %r14; subq %r15, %rax") \
	X(add_32_clears_upper_half, "addl %r9d, %r10d; adcl %eax, %r8d; subl %r13d, %edx") \
	X(add_16_keeps_the_rest, "addw %r11w, %r13w; sbbw %cx, %r8w; xorw %r15w, %di") \
	X(add_8_keeps_the_rest, "addb %r13b, %r14b; adcb %bl, %r8b; sbbb %r15b, %cl") \
	X(low_byte_registers, "subb %sil, %dil; addb %bpl, %r8b; movb %spl, %al; cmpb %dil, %spl") \
	X(high_byte_registers, "addb %ah, %ch; movzbl %dh, %edi; xchgb %bl, %ch; addb %ch, (%rsi)") \
	X(high_bytes_and_esp, "movzbl %ch, %edi; movzbl %ah, %esp; movsbw %ch, %cx") \
	X(one_register_twice, "addq %r11, %r11; xchgq %r10, %r10; imulq %r8, %r8") \
	X(exchange_with_rax, "xchgq %rax, %r8; xchgq %rax, %r15; xchgl %eax, %r10d") \
	X(immediates, "movabsq $0x8123456789abcdef, %r10; movq $-5, %r11; movl $-5, %r8d; addq $-128, %r13; " \
		"cmpq $-0x12345678, %r14") \
	X(multiply_divide, "imulq $-77, %r11, %r13; mulq %r8; xorl %edx, %edx; orq $1, %r10; divq %r10") \
	X(shifts_by_cl, "shlq %cl, %r10; shldq %cl, %r11, %r14; rclq %cl, %rcx; rorl %cl, (%rsi); sarq %cl, 8(%r12)") \
	X(one_operand, "incq %r13; decl %r8d; negq %r10; notq %r15; bswapq %r11; incw (%rbp)") \
	X(bit_scans, "bsfq %r8, %r10; bsrq (%rsi), %r11; popcntq %r13, %r14; tzcntl %r15d, %r8d; lzcntq %r10, %rcx") \
	X(sign_extensions, "movslq %r8d, %r10; cltq; cqto; movslq (%rsi), %r11; movsbq %r15b, %r14; " \
		"movswl 3(%r12), %r8d; movzwl %r13w, %r13d") \
	X(loads_by_size, "movq (%rsi), %r8; movl 8(%rbp), %r10d; movw (%r12), %r11w; movb 1(%r12), %r13b; " \
		"movzbl 2(%rsi), %r14d") \
	X(stores_by_size, "movq %r8, (%rsi); movl %r10d, 16(%rbp); movw %r11w, 9(%r12); movb %r13b, 1(%r12); " \
		"movq $-2, 40(%rsi)") \
	X(stores_of_low_bytes, "movb %sil, (%r12); movb %spl, 1(%r12); movb %ah, 2(%rsi); movb %cl, 3(%rsi)") \
	X(all_address_parts, "movq 0x20(%rsi,%r9,8), %r8; addq %r8, -0x40(%r12,%r9,4); subl 0x123(%rbp,%r9), %r15d; " \
		"movq %r14, (%rsp,%r9,2)") \
	X(base_r13_index_r12, "leaq -0x10(%r12), %r13; leaq 8(%r9), %r12; movq (%r13), %r8; movq (%r13,%r12,1), %r10; " \
		"addq %r8, 64(%r13,%r12,4)") \
	X(lea, "leaq (%r8,%r10,4), %r11; leal 5(%r15,%rax,2), %r14d; leaq -1(%rsp), %rdx; leaw (%r8), %r13w; " \
		"leaq 0x1234(,%r15,8), %rcx") \
	X(lea_32_bit_address, "leaq 4(%r9d,%r10d,2), %r11; leal (%esi), %r8d; leaq -8(%ebp), %rdx") \
	X(rip_relative_load, "movq 0x10010(%rip), %r8; movzwl 0x10020(%rip), %ecx; leaq 0x10000(%rip), %r13; " \
		"leaq -16(%rip), %rbx") \
	X(rip_relative_store, "addq %r14, 0x10030(%rip); cmpl $0x12345678, 0x10040(%rip); movw $0x1234, 0x10050(%rip); " \
		"shlq $3, 0x10060(%rip)") \
	X(absolute_address, "movabsq %rax, 0x123456790018; movabsl 0x123456790ffe, %eax; movabsb 0x123456791000, %al") \
	X(gs_base, "movq %gs:0x10, %r10; movq %gs:(,%r9,8), %r11; addl %r8d, %gs:0x20(%r9)") \
	X(push_pop, "pushq %r8; pushq %rax; pushq %r15; popq %r10; popq %rcx; popq %r12; pushw %r11w; popw %r14w") \
	X(push_immediates_and_memory, "pushq $-1; pushq $0x12345678; pushq $-0x12345678; pushq (%rsi); popq 8(%r12); " \
		"popq (%rsp,%r9,8); popq %r13") \
	X(push_and_pop_rsp, "pushq %rsp; popq %r8; pushq %rsp; popq %rsp; movq %rsp, %r10") \
	X(frames, "pushq %rbp; movq %rsp, %rbp; subq $0x120, %rsp; movq %r8, -0x10(%rbp); leave") \
	X(bit_tests_of_registers, "btq %r8, %r10; setb %r13b; btsl %eax, %r11d; btrq $40, %r14; btcq $63, %r15; setb %cl") \
	X(bit_tests_of_memory, "movswq %r8w, %r10; btsq %r10, 0x300(%rbp); setb %cl; btcl %r10d, (%rsi); " \
		"btrw %r11w, (%r12); btq %r10, (%rbp)") \
	X(bit_offsets_of_memory, "movswq %cx, %rcx; andl $0xfff, %r8d; btq %rcx, (%rsi); setb %r14b; btsq $60, (%r12); " \
		"btrq %r8, -0x80(%rsi)") \
	X(exchange_memory, "xaddq %r8, (%rsi); xchgl %r10d, 4(%r12); xaddb %r14b, 3(%rbp); xchgq %rax, (%r12,%r9,4)") \
	X(compare_and_exchange, "movq (%rsi), %rax; cmpxchgq %r8, (%rsi); cmpxchgl %r10d, (%r12); cmpxchgq %r11, %r15") \
	X(compare_and_exchange_16_bytes, "andq $-16, %rsi; cmpxchg16b (%rsi); cmpxchg8b 16(%rsi); movq %rcx, %r8") \
	X(flags_live_across_look_up, "cmpq %r8, %r10; movq (%rsi,%r9,8), %r11; adcq %r14, (%r12); movq %rax, 8(%rbp); " \
		"seta %r13b; popq %r15; sbbq %r8, %r8") \
	X(conditional_moves, "cmpq %r8, %r10; cmovaq %r11, %r13; cmovll (%rsi), %r14d; cmovgew %r15w, %r8w; sets (%r12)") \
	X(three_operands, "andnq %r8, %r10, %r11; pdepq %r11, %r13, %r14; pextq (%rsi), %r15, %r8; " \
		"rorxq $13, (%r12), %r13; shlxq %r8, %r10, %r15") \
	X(two_results, "mulxq %r8, %r10, %r11; mulxq (%rsi), %r13, %r14; blsrq %r15, %r15; bextrq %r8, (%r12), %rcx") \
	X(sixteen_vectors, "movq %r8, %xmm9; movq %xmm9, %xmm1; paddq %xmm9, %xmm1; movq %xmm1, %r10; " \
		"movdqu (%rsi), %xmm15; movdqu %xmm15, (%r12); " \
		"pextrq $1, %xmm15, %r14; cvtsi2sdq %r15, %xmm12; cvttsd2siq %xmm12, %r11") \
	X(vex_vectors, "vmovq %r8, %xmm11; vpinsrq $1, %r10, %xmm11, %xmm14; vpaddb %xmm14, %xmm11, %xmm8; " \
		"vmovdqu %ymm8, (%rsi); vmovq %xmm8, %r13") \
	X(jumps, "cmpq %r8, %r10; jb 1f; addq $1, %r11; 1: js 2f; incq %r13; 2: jmp 3f; .byte 0x0f, 0x0b; " \
		"3: leaq 4f(%rip), %r8; jmp *%r8; ud2; 4: nop") \
	X(loops, "movl $5, %ecx; 1: addq %rcx, %r8; loop 1b; 2: addq %r8, %r10; decq %r9; jns 2b; jrcxz 3f; ud2; " \
		"3: incq %r11") \
	X(counts_by_size, "movabsq $0x100000000, %rcx; jrcxz 1f; incq %r8; 1: jecxz 2f; incq %r10; " \
		"2: movq $3, %rcx; 3: incq %r11; addr32 loop 3b") \
	X(calls, "call 1f; addq %r8, %r10; jmp 4f; 1: incq %r11; leaq 2f(%rip), %r15; callq *%r15; ret; 2: pushq %r8; " \
		"callq 3f; popq %r13; ret; 3: ret $0; 4: nop") \
	X(indirect_through_memory, "leaq 1f(%rip), %r8; movq %r8, (%rsi); jmp *(%rsi); ud2; 1: leaq 2f(%rip), %r8; " \
		"movq %r8, 8(%r12); callq *8(%r12); " \
		"jmp 3f; 2: popq %r14; jmp *%r14; 3: nop") \
	X(writes_its_own_next_instructions, "movabsq $0x9090909090909090, %r8; xchgq %r8, (%rip); " \
		".byte 0x66,0x90,0x66,0x90,0x66,0x90,0x66,0x90; incq %r8")

#define FORM_CODE(name, text) __asm__(".pushsection .rodata\nform_" #name ":\n" text "\nform_end_" #name ":\n.popsection\n");
FORMS(FORM_CODE)
#define FORM_LABELS(name, text) extern const u8 form_##name[], form_end_##name[];
FORMS(FORM_LABELS)

static const struct form { const char *name; const u8 *code, *end; } forms[] = {
#define FORM_ROW(name, text) { #name, form_##name, form_end_##name },
FORMS(FORM_ROW)
};

struct regs { u64 gpr[16], flags; };

/* --- natively --- */

/* in: 16 registers, flags; out: the same. The assembler below finds them by name. */
u64 native_in[17], native_out[17], native_sp, native_target;
extern const u8 native_exit[];
void native_enter(void);

__asm__(
	".text\n"
	"native_enter:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, native_sp(%rip)\n"
	"	pushq 128+native_in(%rip); popfq\n"
	"	mov native_in(%rip), %rax; mov 8+native_in(%rip), %rcx; mov 16+native_in(%rip), %rdx; mov 24+native_in(%rip), %rbx\n"
	"	mov 32+native_in(%rip), %rsp; mov 40+native_in(%rip), %rbp; mov 48+native_in(%rip), %rsi; mov 56+native_in(%rip), %rdi\n"
	"	mov 64+native_in(%rip), %r8; mov 72+native_in(%rip), %r9; mov 80+native_in(%rip), %r10; mov 88+native_in(%rip), %r11\n"
	"	mov 96+native_in(%rip), %r12; mov 104+native_in(%rip), %r13; mov 112+native_in(%rip), %r14; mov 120+native_in(%rip), %r15\n"
	"	jmp *native_target(%rip)\n"
	"native_exit:\n"
	"	mov %rax, native_out(%rip); mov %rcx, 8+native_out(%rip); mov %rdx, 16+native_out(%rip); mov %rbx, 24+native_out(%rip)\n"
	"	mov %rsp, 32+native_out(%rip); mov %rbp, 40+native_out(%rip); mov %rsi, 48+native_out(%rip); mov %rdi, 56+native_out(%rip)\n"
	"	mov %r8, 64+native_out(%rip); mov %r9, 72+native_out(%rip); mov %r10, 80+native_out(%rip); mov %r11, 88+native_out(%rip)\n"
	"	mov %r12, 96+native_out(%rip); mov %r13, 104+native_out(%rip); mov %r14, 112+native_out(%rip); mov %r15, 120+native_out(%rip)\n"
	"	mov native_sp(%rip), %rsp\n"
	"	pushfq; popq 128+native_out(%rip)\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n"
);

/* The way out behind the form: jmp [rip + 0]; address. */
static void native_run(const struct form *f, struct regs *r)
{
	u8 *code = (u8 *)(BASE + CODE), *end = code + (f->end - f->code);
	u64 to = (u64)(uintptr_t)native_exit;

	memcpy(code, f->code, f->end - f->code);
	memcpy(end, "\xff\x25\0\0\0\0", 6);
	memcpy(end + 6, &to, 8);
	memcpy(native_in, r, sizeof native_in);
	native_target = BASE + CODE;
	native_enter();
	memcpy(r, native_out, sizeof native_out);
	r->flags &= FL_ARITH;
}

/* --- translated --- */

struct guest {
	struct cpu_state cs;		/* first: the tr_ops find the rest by it */
	struct tr_ops ops;
	struct translator *tr;
	u8 *half, *ram;
	bool code_page;
	jmp_buf ended;
	int vector;
	u32 fills, slow;
};

static struct guest *guest_of(struct cpu_state *cs) { return (struct guest *)cs; }

/* The guest's memory appears at two linear addresses that differ in one high bit only. */
static u64 offset_of(gla_t lin) { return (lin - BASE) & ~ALIAS; }
static bool in_ram(gla_t lin, u64 size) { return offset_of(lin) < SIZE && offset_of(lin) + size <= SIZE; }

/* Neighbouring pages are no neighbours on the host. */
static u8 *host_of(const struct guest *g, u64 offset) { return g->ram + (offset ^ PAGE_SIZE); }

static void ram_read(const struct guest *g, u64 offset, u8 *to, u32 len)
{
	for (u32 k = 0; k < len; k++)
		to[k] = *host_of(g, offset + k);
}

static void ram_write(struct guest *g, u64 offset, const u8 *from, u32 len)
{
	for (u32 k = 0; k < len; k++)
		*host_of(g, offset + k) = from[k];
}

static _Noreturn void end_run(struct cpu_state *cs, int vector)
{
	guest_of(cs)->vector = vector;
	longjmp(guest_of(cs)->ended, 1);
}

static const u8 *fetch(struct cpu_state *cs, gla_t lin, gpa_t *gpa, bool probe)
{
	if (!in_ram(lin, 1)) {
		if (!probe)
			end_run(cs, 14);
		return NULL;
	}
	*gpa = offset_of(lin);
	return host_of(guest_of(cs), *gpa);
}

static void code_page(struct cpu_state *cs, gpa_t page, bool has_code)
{
	guest_of(cs)->code_page = has_code;
	vtlb_long_clear(guest_of(cs)->half, VTLB_LONG_WRITE, BASE + page);	/* the alias has the same entry */
}

static bool holds_code(struct guest *g, gla_t lin) { return g->code_page && offset_of(lin) < CODE_BYTES; }

static u64 mem_fill(struct cpu_state *cs, gla_t lin, u32 info)
{
	struct guest *g = guest_of(cs);
	u64 delta = (u64)(uintptr_t)host_of(g, offset_of(lin)) - lin;

	g->fills++;
	if (!in_ram(lin, 1) || (lin & PAGE_MASK) + (info & MEM_SIZE) > PAGE_SIZE || (info & MEM_WRITE && holds_code(g, lin)))
		return 0;
	vtlb_long_set(g->half, info & MEM_WRITE ? VTLB_LONG_WRITE : VTLB_LONG_READ, lin, delta);
	return delta;
}

/* Pages are crossed in the bounce buffer, as with pages that lie apart. */
static u64 mem_slow(struct cpu_state *cs, gla_t lin, u32 info)
{
	struct guest *g = guest_of(cs);
	u32 size = info & MEM_SIZE;
	u8 *bounce = cs->bounce + (lin & 63);

	g->slow++;
	if (!in_ram(lin, size)) {
		cs->cr2 = lin;
		end_run(cs, 14);
	}
	ram_read(g, offset_of(lin), bounce, size);
	if (info & MEM_WRITE) {
		cs->commit_lin = lin;
		cs->commit_len = size;
	}
	return (u64)(uintptr_t)bounce - lin;
}

static void mem_commit(struct cpu_state *cs)
{
	struct guest *g = guest_of(cs);

	ram_write(g, offset_of(cs->commit_lin), cs->bounce + (cs->commit_lin & 63), cs->commit_len);
	if (holds_code(g, cs->commit_lin))
		tr_write_notify(g->tr, offset_of(cs->commit_lin), cs->commit_len);
	cs->commit_len = 0;
}

static void raised(struct cpu_state *cs, u32 arg) { end_run(cs, (int)(arg & 0xff)); }
static void host_fault(struct cpu_state *cs, int vector, int error) { end_run(cs, vector); }
static void unexpected(struct cpu_state *cs, u32 arg) { end_run(cs, -1); }
static bool has_feature(struct cpu_state *cs, int feature) { return feature != TF_NEVER; }

static struct guest *guest_new(const struct tr_options *opt)
{
	static const u32 mxcsr = 0x1f80;
	struct guest *g = aligned_alloc(64, (sizeof *g + 63) & ~63ul);
	const char *err;

	assert_non_null(g);
	memset(g, 0, sizeof *g);
	g->half = mmap(NULL, VTLB_HALF_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	g->ram = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(g->half != MAP_FAILED && g->ram != MAP_FAILED);
	vtlb_long_flush(g->half);
	g->ops = (struct tr_ops){ .fetch = fetch, .code_page = code_page, .mem_fill = mem_fill, .mem_slow = mem_slow, .mem_commit = mem_commit,
		.host_fault = host_fault, .has_feature = has_feature };
	for (int k = 0; k < CO_MAX; k++)
		g->ops.callout[k] = unexpected;
	g->ops.callout[CO_RAISE] = raised;
	g->tr = tr_init(&g->cs, &g->ops, opt, &err);
	assert_non_null(g->tr);
	tr_half_add(g->tr, g->half);
	g->cs.half = g->half;
	g->cs.seg[S_GS].base = BASE + DATA;
	g->cs.xcr0 = 7;
	memcpy(g->cs.fpu + 24, &mxcsr, 4);
	return g;
}

static void guest_free(struct guest *g)
{
	tr_fini(g->tr);
	munmap(g->half, VTLB_HALF_SIZE);
	munmap(g->ram, SIZE);
	free(g);
}

/* The way out behind the form: #UD. Returns where it ended; g->vector says how. */
static u64 translated_run(struct guest *g, const struct form *f, struct regs *r, u32 mode)
{
	struct cpu_state *cs = &g->cs;
	size_t len = f->end - f->code;

	ram_write(g, CODE, f->code, len);
	ram_write(g, CODE + len, (const u8 *)"\x0f\x0b", 2);
	tr_write_notify(g->tr, CODE, CODE_BYTES - CODE);
	memcpy(cs->gpr, r->gpr, sizeof cs->gpr);
	cs->cc = (u32)r->flags & FL_ARITH;
	cs->rip = BASE + CODE;
	cs->mode = mode;
	g->vector = -2;
	if (!setjmp(g->ended))
		for (;;) {
			cs->go = 1;
			tr_run(g->tr);
		}
	tr_fpu_save(cs);
	tr_abandoned(g->tr);
	memcpy(r->gpr, cs->gpr, sizeof cs->gpr);
	r->flags = cs->cc;
	return cs->rip;
}

/* --- comparison --- */

static u64 next_random(u64 *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* A place in the two middle pages, often at their border or end. */
static u64 data_pointer(u64 *seed)
{
	u64 r = next_random(seed), at = r & 0xfff;

	if (r >> 60 < 6)
		at = 0xff8 + (r & 7);
	return BASE + DATA + PAGE_SIZE + (r >> 32 & 1) * PAGE_SIZE + (r >> 59 & 1 ? at & ~7ull : at);
}

static void random_regs(struct regs *r, u64 *seed)
{
	for (int k = 0; k < 16; k++) {
		r->gpr[k] = next_random(seed);
		if ((next_random(seed) & 7) == 0)
			r->gpr[k] = (u64)(s64)(s8)r->gpr[k];
	}
	r->gpr[R_EBP] = data_pointer(seed);
	r->gpr[R_ESI] = data_pointer(seed);
	r->gpr[12] = data_pointer(seed);
	r->gpr[R_ESP] = BASE + STACK + PAGE_SIZE - 64 + (next_random(seed) & 127);
	r->gpr[9] &= 63;
	r->flags = (next_random(seed) & FL_ARITH) | FL_R1;
}

static void compare(const char *name, const struct regs *in, const struct regs *want, const struct regs *got)
{
	for (int k = 0; k < 16; k++)
		if (want->gpr[k] != got->gpr[k])
			fail_msg("%s: register %d was %llx, is %llx, should be %llx", name, k, (unsigned long long)in->gpr[k],
				 (unsigned long long)got->gpr[k], (unsigned long long)want->gpr[k]);
	if (want->flags != got->flags)
		fail_msg("%s: flags are %llx, should be %llx", name, (unsigned long long)got->flags, (unsigned long long)want->flags);
}

static void compare_memory(const char *name, const u8 *want, const struct guest *g)
{
	for (u32 k = DATA; k < SIZE; k++)
		if (want[k] != *host_of(g, k))
			fail_msg("%s: byte %x of memory is %02x, should be %02x", name, k, *host_of(g, k), want[k]);
}

enum { LONG_MODE = MK_LONG | MK_PE | MK_CPL3 | SEG_BASED << (MK_SEG_SHIFT + 2 * S_GS) | SEG_BASED << (MK_SEG_SHIFT + 2 * S_FS) };

static void run_forms(u32 extra_mode, const struct tr_options *opt)
{
	struct guest *g = guest_new(opt);
	u8 *native = (u8 *)BASE;
	u64 seed = 0x9e3779b97f4a7c15ull;

	for (size_t n = 0; n < ARRAY_SIZE(forms); n++)
		for (int round = 0; round < ROUNDS; round++) {
			struct regs in, want, got;
			u64 end;

			random_regs(&in, &seed);
			for (u32 k = DATA; k < SIZE; k += 8) {
				u64 v = next_random(&seed);

				memcpy(native + k, &v, 8);
			}
			ram_write(g, DATA, native + DATA, SIZE - DATA);
			want = got = in;
			native_run(&forms[n], &want);
			end = translated_run(g, &forms[n], &got, LONG_MODE | extra_mode);
			if (g->vector != 6 || end != BASE + CODE + (u64)(forms[n].end - forms[n].code))
				fail_msg("%s: exception %d at %llx", forms[n].name, g->vector, (unsigned long long)end);
			compare(forms[n].name, &in, &want, &got);
			compare_memory(forms[n].name, native, g);
		}
	assert_true(g->fills > 0 && g->slow > 0);
	guest_free(g);
}

static void forms_in_blocks(void **state) { run_forms(0, &(struct tr_options){ 0 }); }
static void forms_in_single_steps(void **state) { run_forms(MK_STEP, &(struct tr_options){ 0 }); }
static void forms_by_slow_path(void **state) { run_forms(MK_ALIGN, &(struct tr_options){ 0 }); }
static void forms_without_links(void **state) { run_forms(0, &(struct tr_options){ .check_links = true, .max_insns = 2 }); }

/* An entry that never was filled must not match any address, nor one whose page went away. */
static void empty_entries_match_nothing(void **state)
{
	static u8 half[VTLB_LONG_WRITE * 2];
	struct vtlb_entry *e;

	vtlb_long_flush(half);
	for (u32 k = 0; k < VTLB_LONG_ENTRIES; k++) {
		gla_t lin = (gla_t)k << PAGE_SHIFT;

		e = vtlb_long_entry(half, VTLB_LONG_READ, lin);
		for (int high = 0; high < 64; high++)	/* addresses whose first byte chooses this entry, the last up to 4095 further */
			for (u32 last = 0; last <= 2 * PAGE_MASK; last += PAGE_MASK)
				assert_true((e->tag + lin + ((u64)high << 24) + ((u64)high << 58) + last) >> PAGE_SHIFT);
	}
	vtlb_long_set(half, VTLB_LONG_WRITE, 0xffff800000123456, 42);
	e = vtlb_long_entry(half, VTLB_LONG_WRITE, 0xffff800000123456);
	assert_int_equal(e->delta, 42);
	assert_int_equal((e->tag + 0xffff800000123fff) >> PAGE_SHIFT, 0);
	assert_int_not_equal((e->tag + 0xffff800000124000) >> PAGE_SHIFT, 0);
	vtlb_long_clear(half, VTLB_LONG_WRITE, 0xffff800000123000);
	assert_int_not_equal((e->tag + 0xffff800000123fff) >> PAGE_SHIFT, 0);
}

#define FAULTS(X) \
	X(fault_rip_rel, "incq %r8; xaddq %r9, 0x40000000(%rip); incq %r8") \
	X(fault_cross, "incq %r8; movq %r13, %r14; xchgq %r9, 0x21ffc - 0x10d(%rip); incq %r8") \
	X(fault_not_canonical, "movabsq $0x8000000000000000, %r15; incq %r8; addq (%r15), %r9; incq %r8") \
	X(fault_push, "incq %r8; xorl %esp, %esp; pushq %r9; incq %r8") \
	X(fault_divide, "incq %r8; xorl %r11d, %r11d; divq %r11; incq %r8") \
	X(fault_misaligned, "incq %r8; movq %rsi, %r15; orq $1, %r15; movdqa (%r15), %xmm9; incq %r8")
FAULTS(FORM_CODE)
FAULTS(FORM_LABELS)

/* The signal handler must find the guest that runs. */
static struct guest *running;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	if (!running || !tr_recover(running->tr, context))
		abort();
}

/* Whether a page is missing or the host's processor faults: the registers are those before the instruction, borrowed ones too. */
static void exceptions_are_precise(void **state)
{
	static const struct form rows[] = {
#define FAULT_ROW(name, text) { #name, form_##name, form_end_##name },
		FAULTS(FAULT_ROW)
	};
	static const struct { int vector; u32 at; } want[] = { { 14, 3 }, { 14, 6 }, { 14, 13 }, { 14, 5 }, { 0, 6 }, { 13, 10 } };
	const struct sigaction act = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	struct sigaction old[2];
	u64 seed = 77;

	sigaction(SIGFPE, &act, &old[0]);
	sigaction(SIGSEGV, &act, &old[1]);
	for (size_t n = 0; n < ARRAY_SIZE(rows); n++) {
		struct guest *g = guest_new(&(struct tr_options){ 0 });
		struct regs in, out;
		u64 at;

		random_regs(&in, &seed);
		out = in;
		running = g;
		at = translated_run(g, &rows[n], &out, LONG_MODE);
		running = NULL;
		if (g->vector != want[n].vector || at != BASE + CODE + want[n].at)
			fail_msg("%s: exception %d at %llx", rows[n].name, g->vector, (unsigned long long)at);
		assert_int_equal(out.gpr[8], in.gpr[8] + 1);
		assert_int_equal(out.gpr[9], in.gpr[9]);
		assert_int_equal(out.gpr[R_EAX], in.gpr[R_EAX]);
		assert_int_equal(out.gpr[R_EDI], in.gpr[R_EDI]);
		assert_int_equal(out.gpr[12], in.gpr[12]);
		guest_free(g);
	}
	sigaction(SIGFPE, &old[0], NULL);
	sigaction(SIGSEGV, &old[1], NULL);
}

/* Indirect jumps to places whose low 32 bits, and so their slot in the IBT, are the same. */
#define ALIASES(X) \
	X(aliases, "leaq 1f(%rip), %rax; movl $4, %ecx; 0: jmp *%rax; 1: leaq (%rip), %r8; addq %r8, %r9; btcq $32, %rax; loop 0b")
ALIASES(FORM_CODE)
ALIASES(FORM_LABELS)

static void indirect_jumps_compare_64_bits(void **state)
{
	const struct form f = { "aliases", form_aliases, form_end_aliases };
	struct guest *g = guest_new(&(struct tr_options){ 0 });
	struct regs r = { .flags = 0 };

	translated_run(g, &f, &r, LONG_MODE);
	assert_int_equal(g->vector, 6);
	assert_int_equal(r.gpr[9], 2 * (r.gpr[8] & ~ALIAS) + 2 * (r.gpr[8] | ALIAS));
	guest_free(g);
}

/* What the rules do not know in 64-bit code is undefined there, never translated as 32-bit code. */
static void other_rules_are_undefined(void **state)
{
	static const u8 code[] = { 0xf3, 0xa4 };	/* rep movsb */
	const struct form f = { "rep movsb", code, code + sizeof code };
	struct guest *g = guest_new(&(struct tr_options){ 0 });
	struct regs r = { .flags = 0 };

	assert_int_equal(translated_run(g, &f, &r, LONG_MODE), BASE + CODE);
	assert_int_equal(g->vector, 6);
	guest_free(g);
}

static int setup(void **state)
{
	void *p = mmap((void *)BASE, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return p != (void *)BASE || syscall(SYS_arch_prctl, ARCH_SET_GS, BASE + DATA) != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_entries_match_nothing), cmocka_unit_test(forms_in_blocks), cmocka_unit_test(forms_in_single_steps),
		cmocka_unit_test(forms_by_slow_path), cmocka_unit_test(forms_without_links), cmocka_unit_test(exceptions_are_precise),
		cmocka_unit_test(indirect_jumps_compare_64_bits), cmocka_unit_test(other_rules_are_undefined),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

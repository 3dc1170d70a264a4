/* cflags: -mno-red-zone */
/*
 * native.c - runs a case on the bare processor, in compatibility mode, from this 64-bit process.
 *
 * The way in is a far jump out of 64-bit code with the guest's registers loaded, the way back is a far jump in the guest's
 * code, or a signal. What both need lies in one page below 2 GiB (struct native_area), because on the way back no register
 * can be trusted and only absolute addresses reach memory. Signal handlers run on their own stack: guest ESP may be anything.
 *
 * FS belongs to thread-local storage and holds a null selector in 64-bit code: guest accesses through FS raise #GP, which is a
 * case worth having. A ticking timer ends sequences that loop.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include "tests/fuzz/insn/insn.h"
#include "translator/cpustate.h"


struct native_area {
	u32 gpr[8];			/*   0 */
	u64 eflags;			/*  32 */
	u32 eip;			/*  40 */
	u16 cs, ss, ds, gs;		/*  44 .. 51 */
	u32 active;			/*  52: native code runs (or is being entered or left) */
	u64 host_sp;			/*  56 */
	u32 out_gpr[8];			/*  64 */
	u64 out_eflags;			/*  96 */
	u32 serial, seen;		/* 104: case counter, and its value at the last tick */
	u32 host_mxcsr;			/* 112 */
	struct fpu_image fpu;		/* 128 */
	struct fpu_image out_fpu __attribute__((aligned(64)));	/* 960 */
	int vector;
	u32 error, address, out_eip;
};
_Static_assert(offsetof(struct native_area, fpu) == 128 && offsetof(struct native_area, out_fpu) == 960, "offsets in native_enter");
#define STRING_(x) #x
#define STRING(x)  STRING_(x)
#define AREA       STRING(NATIVE_AREA)
#define area ((struct native_area *)(uintptr_t)NATIVE_AREA)

void native_enter(void);
void native_exit(void);
void native_fault_exit(void);
__asm__(
	".text\n"
	".globl native_enter, native_exit, native_fault_exit\n"
	"native_enter:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	stmxcsr " AREA "+112\n"
	"	mov %rsp, " AREA "+56\n"
	"	mov $7, %eax; xor %edx, %edx; xrstor " AREA "+128\n"
	"	movw " AREA "+48, %ds; movw " AREA "+48, %es; movw " AREA "+50, %gs\n"
	"	pushq " AREA "+32; popfq\n"
	"	mov " AREA "+0, %eax; mov " AREA "+4, %ecx; mov " AREA "+8, %edx; mov " AREA "+12, %ebx\n"
	"	mov " AREA "+20, %ebp; mov " AREA "+24, %esi; mov " AREA "+28, %edi\n"
	"	movw " AREA "+46, %ss; mov " AREA "+16, %esp\n"
	"	ljmpl *" AREA "+40\n"
	"native_exit:\n"
	"	mov %eax, " AREA "+64; mov %ecx, " AREA "+68; mov %edx, " AREA "+72; mov %ebx, " AREA "+76\n"
	"	mov %esp, " AREA "+80; mov %ebp, " AREA "+84; mov %esi, " AREA "+88; mov %edi, " AREA "+92\n"
	"	mov " AREA "+56, %rsp\n"
	"	pushfq; popq " AREA "+96\n"
	"	mov $7, %eax; xor %edx, %edx; xsave " AREA "+960\n"
	"native_fault_exit:\n"
	"	mov $0x2b, %eax; mov %eax, %ss; mov " AREA "+56, %rsp\n"
	"	xor %eax, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %gs\n"
	"	pushq $0x202; popfq\n"
	"	fninit; vzeroupper; ldmxcsr " AREA "+112\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n"
);

static void leave_native(ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;

	g[REG_RIP] = (greg_t)native_fault_exit;
	g[REG_EFL] = 0x202;
	g[REG_RSP] = (greg_t)area->host_sp;
	g[REG_CSGSFS] = (greg_t)(((u64)g[REG_CSGSFS] & 0x0000ffffffff0000) | (u64)FLAT_DATA << 48 | END_SELECTOR);
}

static void capture(ucontext_t *uc, int vector)
{
	static const int order[8] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI };
	greg_t *g = uc->uc_mcontext.gregs;

	for (int i = 0; i < 8; i++)
		area->out_gpr[i] = (u32)g[order[i]];
	area->out_eflags = (u32)g[REG_EFL];
	area->out_eip = (u32)g[REG_RIP];
	area->vector = vector;
	area->error = (u32)g[REG_ERR];
	area->address = (u32)g[REG_CR2];
	memcpy(&area->out_fpu, uc->uc_mcontext.fpregs, FPU_BYTES);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	bool in_guest;

	__asm__ volatile("pushfq; andl $0xfffbffff, (%%rsp); popfq" ::: "cc", "memory");	/* the kernel leaves the guest's AC set */
	in_guest = ((u64)uc->uc_mcontext.gregs[REG_CSGSFS] & 0xffff) != END_SELECTOR;

	if (sig == SIGALRM) {
		if (area->active && in_guest && area->serial == area->seen) {
			capture(uc, OUT_TIMEOUT);
			leave_native(uc);
		} else if (!area->active) {
			translated_signal(sig, info, uc);
		}
		area->seen = area->serial;
		return;
	}
	if (area->active && sig == SIGTRAP && uc->uc_mcontext.gregs[REG_RIP] == END_TARGET) {
		u32 eip = area->out_eip;	/* POPF set TF: the trap comes behind the final jump */

		capture(uc, -1);
		area->out_eip = eip;
		leave_native(uc);
		return;
	}
	if (area->active && in_guest) {
		capture(uc, (int)uc->uc_mcontext.gregs[REG_TRAPNO]);
		leave_native(uc);
		return;
	}
	if (area->active && (u64)uc->uc_mcontext.gregs[REG_RIP] >> 32 == 0) {	/* the final jump was overwritten and led elsewhere in 64-bit code */
		capture(uc, OUT_WEIRD);
		leave_native(uc);
		return;
	}
	if (!area->active && translated_signal(sig, info, uc))
		return;
	signal(sig, SIG_DFL);	/* the test's own bug: die with the right signal */
}

static bool map_at(u32 at, u32 pages, int prot)
{
	return mmap((void *)(uintptr_t)at, pages * 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == (void *)(uintptr_t)at;
}

static bool set_ldt(int n, u32 base, u32 limit, int contents, bool is_32)
{
	struct user_desc d = { .entry_number = (unsigned)n, .base_addr = base, .limit = limit, .seg_32bit = is_32,
			       .contents = (unsigned)contents, .useable = 1 };

	return syscall(SYS_modify_ldt, 1, &d, sizeof(d)) == 0;
}

static void memory_write(int image)
{
	static u8 images[MEMORY_IMAGES][(DATA_PAGES + STACK_PAGES) * 4096];
	static bool made;

	if (!made)
		for (int i = 0; i < MEMORY_IMAGES; i++)
			memory_image(i, images[i], images[i] + DATA_PAGES * 4096);
	made = true;
	memcpy((void *)(uintptr_t)GUEST_DATA, images[image], DATA_RW_PAGES * 4096);
	memcpy((void *)(uintptr_t)GUEST_STACK, images[image] + DATA_PAGES * 4096, STACK_PAGES * 4096);
}

bool native_init(bool *have_16, const char **err)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGALRM };
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	stack_t stack = { .ss_size = 65536 };
	struct itimerval tick = { .it_interval.tv_usec = 100000, .it_value.tv_usec = 100000 };
	u8 *code = (u8 *)(uintptr_t)END_TARGET, data[DATA_PAGES * 4096], unused[STACK_PAGES * 4096];
	u64 target = (u64)(uintptr_t)native_exit;

	if (!map_at(NATIVE_AREA, 2, PROT_READ | PROT_WRITE) || !map_at(GUEST_CODE, CODE_PAGES, PROT_READ | PROT_WRITE | PROT_EXEC) ||
	    !map_at(GUEST_DATA, DATA_PAGES, PROT_READ | PROT_WRITE) || !map_at(GUEST_STACK, STACK_PAGES, PROT_READ | PROT_WRITE) ||
	    !map_at(COUNTER, 1, PROT_READ | PROT_WRITE)) {
		*err = "cannot map the guest's pages below 4 GiB";
		return false;
	}
	memory_image(0, data, unused);
	memcpy((void *)(uintptr_t)GUEST_DATA, data, sizeof(data));
	mprotect((void *)(uintptr_t)(GUEST_DATA + DATA_RW_PAGES * 4096), (DATA_PAGES - DATA_RW_PAGES) * 4096, PROT_READ);
	memcpy(code, "\xff\x25\2\0\0\0", 6);	/* jmp *2(%rip): aligned, for AC may be set */
	memcpy(code + 8, &target, 8);
	mprotect(code, 4096, PROT_READ | PROT_EXEC);
	stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL)) {
		*err = "no memory for the signal stack";
		return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &sa, NULL);
	setitimer(ITIMER_REAL, &tick, NULL);
	*have_16 = set_ldt(LDT_CODE16, GUEST_CODE, 0xffff, MODIFY_LDT_CONTENTS_CODE, false) &&
		set_ldt(LDT_DATA16, GUEST_DATA, 0xffff, MODIFY_LDT_CONTENTS_DATA, false) &&
		set_ldt(LDT_STACK16, GUEST_STACK, 0xffff, MODIFY_LDT_CONTENTS_DATA, false) &&
		set_ldt(LDT_GS, GS_BASE, GS_LIMIT, MODIFY_LDT_CONTENTS_DATA, true);
	return true;
}

void native_run(const struct insn_case *c, struct outcome *out)
{
	u8 *code = (u8 *)(uintptr_t)(GUEST_CODE + c->at);

	memory_write(c->memory);
	memset((void *)(uintptr_t)COUNTER, 0, 4096);
	memset((void *)(uintptr_t)GUEST_CODE, CODE_FILL, CODE_PAGES * 4096);
	memcpy(code, c->code, c->len);
	case_end(c, code + c->len);
	memcpy(area->gpr, c->in.gpr, sizeof(area->gpr));
	area->eflags = c->in.eflags | FL_IF | FL_R1;
	area->eip = c->in.eip;
	area->cs = c->code16 ? LDT_SELECTOR(LDT_CODE16) : FLAT_CODE;
	area->ds = c->code16 ? LDT_SELECTOR(LDT_DATA16) : FLAT_DATA;
	area->ss = c->code16 ? LDT_SELECTOR(LDT_STACK16) : FLAT_DATA;
	area->gs = LDT_SELECTOR(LDT_GS);
	area->fpu = c->fpu;
	area->vector = -1;
	area->error = area->address = 0;
	area->out_eip = c->in.eip + c->len;
	area->serial++;
	area->active = 1;
	native_enter();
	area->active = 0;
	memcpy(out->r.gpr, area->out_gpr, sizeof(out->r.gpr));
	out->r.eip = area->out_eip;
	out->r.eflags = (u32)area->out_eflags;
	out->fpu = area->out_fpu;
	out->vector = area->vector;
	out->error = area->error;
	out->address = area->address;
	outcome_code(c, out, (u8 *)(uintptr_t)GUEST_CODE);
	memcpy(out->data, (void *)(uintptr_t)GUEST_DATA, sizeof(out->data));
	memcpy(out->stack, (void *)(uintptr_t)GUEST_STACK, sizeof(out->stack));
}

void native_fini(void)
{
	struct itimerval never = { 0 };

	setitimer(ITIMER_REAL, &never, NULL);
	munmap((void *)(uintptr_t)NATIVE_AREA, 8192);
	munmap((void *)(uintptr_t)GUEST_CODE, CODE_PAGES * 4096);
	munmap((void *)(uintptr_t)GUEST_DATA, DATA_PAGES * 4096);
	munmap((void *)(uintptr_t)GUEST_STACK, STACK_PAGES * 4096);
	munmap((void *)(uintptr_t)COUNTER, 4096);
}

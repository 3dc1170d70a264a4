/*
 * hello.c - a guest of our own: a 32-bit kernel that sets up segments, interrupts and paging, takes timer ticks, runs a
 * ring-3 task that makes system calls, prints what it sees on COM1 and port 0xe9, and leaves.
 *
 * On the command line: "ticks=N" waits for N ticks; "exit=N" writes N to the debug exit port 0xf4 at the end; "reset=1" resets the
 * machine; otherwise it halts for good. The last line before that is "hello: all is well", or "hello: FAILED" and why.
 */
#include "guest.h"

enum { COM1 = 0x3f8, PIC1 = 0x20, PIC2 = 0xa0, PIT = 0x40, DEBUGCON = 0xe9, DEBUG_EXIT = 0xf4, KBD_CTRL = 0x64 };
enum { IRQ_BASE = 32, VECTORS = 49, SYSCALL = 0x80, HZ = 100 };
enum { SYS_PRINT, SYS_CS, SYS_EXIT };
enum { PG_P = 1, PG_W = 2, PG_U = 4 };
#define USER_STACK_AT 0x40000000u	/* linear; somewhere else physically */
#define HOLE_AT       0x50000000u	/* linear, not present until the task touches it */

static volatile u32 ticks;
static u32 faults, page_faults, system_calls;
static int user_done;
static u64 gdt[6], idt[256];
static u32 tss[26];
static u32 page_dir[1024] __attribute__((aligned(4096)));
static u32 low_tables[16][1024] __attribute__((aligned(4096)));	/* 0 to 64 MiB, one to one */
static u32 user_table[1024] __attribute__((aligned(4096)));
static u32 hole_table[1024] __attribute__((aligned(4096)));
static u8 user_stack[4096] __attribute__((aligned(4096)));
static u8 hole_page[4096] __attribute__((aligned(4096)));

static void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" :: "a"(v), "Nd"(port)); }
static u8 inb(u16 port) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }

/* --- printing --- */

static void put(char c)
{
	if (c == '\n')
		put('\r');
	for (u32 wait = 100000; wait && !(inb(COM1 + 5) & 0x20); wait--)
		;
	outb(COM1, (u8)c);
	if (c != '\r')
		outb(DEBUGCON, (u8)c);
}

static void puts(const char *s)
{
	while (*s)
		put(*s++);
}

static void put_number(u32 n, u32 base, int digits)
{
	char text[12], *p = text + sizeof(text);
	*--p = 0;
	do {
		*--p = "0123456789abcdef"[n % base];
		n /= base;
	} while (n || --digits > 0);
	puts(p);
}

/* A word of text and a number: "%u" and "%x" are all it knows. */
static void say(const char *fmt, u32 a, u32 b)
{
	puts("hello: ");
	for (; *fmt; fmt++) {
		if (*fmt == '%') {
			put_number(a, *++fmt == 'x' ? 16 : 10, 1);
			a = b;
		} else {
			put(*fmt);
		}
	}
	put('\n');
}

static void fail(const char *why, u32 a, u32 b)
{
	puts("hello: FAILED\n");
	say(why, a, b);
	outb(DEBUG_EXIT, 1);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* --- tables --- */

static void gate(int vector, u32 entry, u32 type)
{
	idt[vector] = (u64)((entry & 0xffff0000) | type << 8) << 32 | 0x08ull << 16 | (entry & 0xffff);
}

static void load_tables(void)
{
	struct __attribute__((packed)) { u16 limit; u32 base; } r;
	u32 at = (u32)tss;
	gdt[1] = 0x00cf9a000000ffffull;			/* 08 ring-0 code */
	gdt[2] = 0x00cf92000000ffffull;			/* 10 ring-0 data */
	gdt[3] = 0x00cffa000000ffffull;			/* 1b ring-3 code */
	gdt[4] = 0x00cff2000000ffffull;			/* 23 ring-3 data */
	gdt[5] = 0x0000890000000000ull | (sizeof(tss) - 1) | (u64)(at & 0xffffff) << 16 | (u64)(at >> 24) << 56;
	r.limit = sizeof(gdt) - 1;
	r.base = (u32)gdt;
	__asm__ volatile("lgdt %0\n\tljmp $0x08, $1f\n1:\tmov %w1, %%ds\n\tmov %w1, %%es\n\tmov %w1, %%ss\n\tmov %w2, %%fs\n\tmov %w2, %%gs"
		:: "m"(r), "r"(0x10), "r"(0) : "memory");
	tss[1] = (u32)kernel_stack_top;			/* ESP0, SS0 */
	tss[2] = 0x10;
	tss[25] = sizeof(tss) << 16;			/* no I/O bitmap */
	for (int v = 0; v < VECTORS; v++)
		gate(v, vector_entries[v], 0x8e);
	gate(SYSCALL, vector_entries[VECTORS], 0xee);	/* ring 3 may call it */
	r.limit = sizeof(idt) - 1;
	r.base = (u32)idt;
	__asm__ volatile("lidt %0\n\tltr %w1" :: "m"(r), "r"(0x28) : "memory");
}

static void paging_on(void)
{
	for (u32 i = 0; i < 16; i++) {
		for (u32 j = 0; j < 1024; j++) {
			u32 at = i << 22 | j << 12;
			int user = at >= (u32)user_begin && at < (u32)user_end;
			low_tables[i][j] = at | PG_P | PG_W | (user ? PG_U : 0);
		}
		page_dir[i] = (u32)low_tables[i] | PG_P | PG_W | PG_U;
	}
	user_table[0] = (u32)user_stack | PG_P | PG_W | PG_U;
	page_dir[USER_STACK_AT >> 22] = (u32)user_table | PG_P | PG_W | PG_U;
	page_dir[HOLE_AT >> 22] = (u32)hole_table | PG_P | PG_W | PG_U;
	__asm__ volatile("mov %0, %%cr3\n\tmov %%cr0, %%eax\n\tor $0x80010000, %%eax\n\tmov %%eax, %%cr0" :: "r"(page_dir) : "eax", "memory");
}

static void timer_on(void)
{
	outb(PIC1, 0x11); outb(PIC2, 0x11);		/* initialise: edge, cascade, ICW4 */
	outb(PIC1 + 1, IRQ_BASE); outb(PIC2 + 1, IRQ_BASE + 8);
	outb(PIC1 + 1, 4); outb(PIC2 + 1, 2);
	outb(PIC1 + 1, 1); outb(PIC2 + 1, 1);
	outb(PIC1 + 1, 0xfe); outb(PIC2 + 1, 0xff);	/* only IRQ 0 */
	outb(PIT + 3, 0x34);				/* counter 0, mode 2 */
	outb(PIT, (1193182 / HZ) & 0xff);
	outb(PIT, (1193182 / HZ) >> 8);
}

/* --- interrupts --- */

static u32 system_call(struct frame *f)
{
	system_calls++;
	switch (f->eax) {
	case SYS_PRINT:
		puts((const char *)f->ebx);
		return 0;
	case SYS_CS:
		return f->cs;
	default:
		user_done = 1;
		return 0;
	}
}

static void kernel_rest(void);

void interrupt(struct frame *f)
{
	u32 cr2;
	switch (f->vector) {
	case IRQ_BASE:
		ticks++;
		outb(PIC1, 0x20);
		return;
	case SYSCALL:
		f->eax = system_call(f);
		if (user_done)
			kernel_rest();
		return;
	case 14:
		__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
		page_faults++;
		if (cr2 - HOLE_AT >= 4096 || f->error != 6)	/* not present, write, user */
			fail("page fault at %x, error %x", cr2, f->error);
		hole_table[0] = (u32)hole_page | PG_P | PG_W | PG_U;
		return;
	case 13:
		if (!(f->cs & 3))
			fail("general protection fault in the kernel at %x, error %x", f->eip, f->error);
		faults++;
		f->eip++;					/* the task's CLI */
		return;
	case 0: case 6:
		faults++;
		f->eip += 2;					/* DIV %ecx, UD2 */
		return;
	case 3:
		faults++;
		return;
	default:
		fail("unexpected interrupt %u at %x", f->vector, f->eip);
	}
}

/* --- the ring-3 task: its code and texts lie in the pages that ring 3 may read --- */

#define USER      __attribute__((section(".user.text"), noinline))
#define USER_DATA __attribute__((section(".user.data")))
static USER_DATA char user_hello[] = "hello: ring 3 speaking, by a system call\n";
static USER_DATA volatile u32 user_sum;

static USER u32 call(u32 number, u32 arg)
{
	u32 result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(arg) : "memory");
	return result;
}

static USER u32 fibonacci(u32 n)
{
	return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static USER void user_main(void)
{
	call(SYS_PRINT, (u32)user_hello);
	user_sum = fibonacci(20) + call(SYS_CS, 0);
	*(volatile u32 *)(HOLE_AT + 0x123) = 0x12345678;	/* page fault, restarted */
	__asm__ volatile("cli");				/* general protection fault */
	__asm__ volatile("ud2");
	__asm__ volatile("int3");
	__asm__ volatile("xor %%ecx, %%ecx\n\tmov $1, %%eax\n\txor %%edx, %%edx\n\tdiv %%ecx" ::: "eax", "ecx", "edx");
	call(SYS_EXIT, 0);
	for (;;)
		;
}

/* --- start and end --- */

/* The number behind "name=" in the command line, or `otherwise`. */
static u32 option(const char *text, const char *name, u32 otherwise)
{
	for (; text && *text; text++) {
		const char *t = text, *n = name;
		while (*n && *t == *n)
			t++, n++;
		if (*n)
			continue;
		u32 v = 0;
		while (*t >= '0' && *t <= '9')
			v = v * 10 + (u32)(*t++ - '0');
		return v;
	}
	return otherwise;
}

static const char *command_line = "";

static void say_boot(u32 magic, const u32 *mbi)
{
	if (magic != 0x2badb002)
		fail("the boot loader's magic number is %x", magic, 0);
	say("up, %u KiB low and %u KiB high memory", mbi[1], mbi[2]);
	if (mbi[0] & 1 << 9) {
		puts("hello: loaded by ");
		puts((const char *)mbi[16]);
		put('\n');
	}
	if (mbi[0] & 1 << 2)
		command_line = (const char *)mbi[4];
	for (u32 i = 0; mbi[0] & 1 << 6 && i < mbi[11]; i += *(u32 *)(mbi[12] + i) + 4) {
		const u32 *e = (const u32 *)(mbi[12] + i);
		if (e[5] == 1)
			say("memory at %x, %u KiB", e[1], e[3] >> 10);
	}
	const u32 *mod = (const u32 *)mbi[6];
	for (u32 i = 0; mbi[0] & 1 << 3 && i < mbi[5]; i++, mod += 4) {
		u32 sum = 0;
		for (const u8 *p = (const u8 *)mod[0]; p < (const u8 *)mod[1]; p++)
			sum = (sum << 1 | sum >> 31) ^ *p;
		say("module of %u bytes, sum %x", mod[1] - mod[0], sum);
		puts("hello: module text: ");
		puts((const char *)mod[2]);
		put('\n');
	}
}

/* Runs on the ring-0 stack of the task's last system call. */
static void kernel_rest(void)
{
	u32 want = option(command_line, "ticks=", 10), code = option(command_line, "exit=", ~0u);
	u32 sum = *(volatile u32 *)&user_sum;
	say("back from ring 3: %u system calls, %u faults", system_calls, faults);
	if (sum != 6765 + 0x1b)
		fail("the task computed %u", sum, 0);
	if (page_faults != 1 || *(u32 *)(hole_page + 0x123) != 0x12345678)
		fail("%u page faults, then %x", page_faults, *(u32 *)(hole_page + 0x123));
	if (faults != 4 || system_calls != 3)
		fail("%u faults, %u system calls", faults, system_calls);
	while (ticks < want)
		__asm__ volatile("sti; hlt; cli" ::: "memory");
	say("%u timer ticks at %u Hz", want, HZ);
	puts("hello: all is well\n");
	if (code != ~0u)
		outb(DEBUG_EXIT, (u8)code);
	if (option(command_line, "reset=", 0))
		outb(KBD_CTRL, 0xfe);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void kernel_main(u32 magic, const u32 *mbi)
{
	outb(COM1 + 1, 0);				/* 115200 8N1, FIFOs, no interrupts */
	outb(COM1 + 3, 0x80); outb(COM1, 1); outb(COM1 + 1, 0);
	outb(COM1 + 3, 3); outb(COM1 + 2, 7); outb(COM1 + 4, 3);
	say_boot(magic, mbi);
	load_tables();
	paging_on();
	say("segments, interrupts, paging are set up", 0, 0);
	timer_on();
	enter_user((u32)user_main, USER_STACK_AT + 4096);
}

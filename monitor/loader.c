/*
 * loader.c - reads the kernel and its companions, or the firmware, has the format's code make a plan, and carries plans out.
 *
 * Owns the files' bytes (read once, so a file that changes or shrinks later does no harm) and the plan. Invariants: a plan
 * that loader_plan() accepted lies in guest RAM and in its files, so loader_load() checks nothing; no file takes more host
 * memory than the guest has RAM.
 */
#include "monitor/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/cpuid.h"
#include "monitor/loader_plan.h"
#include "monitor/mem.h"
#include "monitor/msr.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"

#define KERNEL_MAX_BYTES (512ull << 20)
#define INITRDS_MAX 64
#define PIECES_MAX  512

struct loader {
	struct load_file firmware, kernel, initrd[INITRDS_MAX];
	u32 initrds;
	char *initrd_words;	/* the initrd option, cut into names and arguments */
	struct load_plan plan;
};

/* --- plans --- */

bool plan_fail(struct load_plan *p, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(p->err, p->errsize, fmt, ap);
	va_end(ap);
	return false;
}

u32 loader_mem_map(u64 ram_size, struct mem_range out[MEM_RANGES_MAX])
{
	u32 n = 0;
	out[n++] = (struct mem_range){ 0, LOW_RAM_END, E820_RAM };
	out[n++] = (struct mem_range){ LOW_RAM_END, 0xa0000 - LOW_RAM_END, E820_RESERVED };
	out[n++] = (struct mem_range){ 0xf0000, 0x10000, E820_RESERVED };
	if (ram_size > HIGH_RAM)
		out[n++] = (struct mem_range){ HIGH_RAM, ram_size - HIGH_RAM, E820_RAM };
	return n;
}

bool plan_in_ram(const struct load_plan *p, u64 gpa, u64 size)
{
	struct mem_range map[MEM_RANGES_MAX];
	u32 n = loader_mem_map(p->ram_size, map);
	for (u32 i = 0; i < n; i++)
		if (map[i].type == E820_RAM && gpa >= map[i].base && size <= map[i].len && gpa - map[i].base <= map[i].len - size)
			return true;
	return false;
}

static bool plan_push(struct load_plan *p, struct load_piece piece)
{
	if (p->count == PIECES_MAX)
		return plan_fail(p, "the kernel and its modules have more than %u parts", PIECES_MAX);
	if (p->count == p->room) {
		u32 room = p->room ? p->room * 2 : 16;
		struct load_piece *bigger = realloc(p->piece, room * sizeof(*bigger));
		if (!bigger)
			return plan_fail(p, "out of memory");
		p->piece = bigger;
		p->room = room;
	}
	p->piece[p->count++] = piece;
	return true;
}

bool plan_add(struct load_plan *p, gpa_t gpa, const u8 *data, u64 len, u64 size)
{
	bug_on(!plan_in_ram(p, gpa, size) || len > size, "loader: piece outside RAM");
	return plan_push(p, (struct load_piece){ gpa, size, len, data, NULL });
}

u8 *plan_add_blob(struct load_plan *p, gpa_t gpa, u64 size)
{
	bug_on(!plan_in_ram(p, gpa, size), "loader: piece outside RAM");
	u8 *blob = calloc(1, size);
	if (!blob) {
		plan_fail(p, "out of memory");
		return NULL;
	}
	if (!plan_push(p, (struct load_piece){ gpa, size, size, blob, blob })) {
		free(blob);
		return NULL;
	}
	return blob;
}

/* Selectors 0x10 and 0x18 are __BOOT_CS and __BOOT_DS (boot.rst, "32-bit Boot Protocol"); accessed, as the CPU would leave them. */
bool plan_add_gdt(struct load_plan *p, gpa_t gpa)
{
	u8 *gdt = plan_add_blob(p, gpa, GDT_BYTES);
	if (!gdt)
		return false;
	put64(gdt + GDT_CODE, 0x00cf9b000000ffffull);
	put64(gdt + GDT_DATA, 0x00cf93000000ffffull);
	p->gdt = gpa;
	return true;
}

/* The piece that overlaps [gpa, gpa+size), or NULL. */
static const struct load_piece *plan_overlap(const struct load_plan *p, u64 gpa, u64 size)
{
	for (u32 i = 0; i < p->count; i++)
		if (gpa < p->piece[i].gpa + p->piece[i].size && p->piece[i].gpa < gpa + size)
			return &p->piece[i];
	return NULL;
}

static gpa_t find_low(const struct load_plan *p, u64 size, u64 align, u64 lo, u64 hi)
{
	for (u64 at = (lo + align - 1) & -align; at + size <= hi;) {
		const struct load_piece *in_the_way = plan_overlap(p, at, size);
		if (!in_the_way)
			return at;
		at = (in_the_way->gpa + in_the_way->size + align - 1) & -align;
	}
	return 0;
}

static gpa_t find_high(const struct load_plan *p, u64 size, u64 align, u64 lo, u64 hi)
{
	while (hi >= size && ((hi - size) & -align) >= lo) {
		u64 at = (hi - size) & -align;
		const struct load_piece *in_the_way = plan_overlap(p, at, size);
		if (!in_the_way)
			return at;
		hi = in_the_way->gpa;
	}
	return 0;
}

gpa_t plan_find(const struct load_plan *p, u64 size, u64 align, u64 lo, u64 hi, bool highest)
{
	struct mem_range map[MEM_RANGES_MAX];
	u32 n = loader_mem_map(p->ram_size, map);
	for (u32 k = 0; k < n; k++) {
		const struct mem_range *r = &map[highest ? n - 1 - k : k];
		if (r->type != E820_RAM)
			continue;
		u64 from = lo > r->base ? lo : r->base, to = hi < r->base + r->len ? hi : r->base + r->len;
		gpa_t at = to <= from ? 0 : highest ? find_high(p, size, align, from, to) : find_low(p, size, align, from, to);
		if (at)
			return at;
	}
	return 0;
}

void plan_fini(struct load_plan *p)
{
	for (u32 i = 0; i < p->count; i++)
		free(p->piece[i].owned);
	free(p->piece);
	p->piece = NULL;
	p->count = p->room = 0;
}

/* --- recognising --- */

enum kernel_kind loader_recognise(const struct load_file *kernel)
{
	if (linux_recognise(kernel))
		return KERNEL_LINUX;
	return multiboot_recognise(kernel) ? KERNEL_MULTIBOOT : KERNEL_UNKNOWN;
}

/* For a file that is no kernel: what it looks like, since that is what the user needs to know. */
static bool plan_not_a_kernel(struct load_plan *p, const struct load_file *f)
{
	static const struct { const char *magic; u32 len; const char *what; } known[] = {
		{ "\x7f" "ELF", 4, "is an ELF file without a Multiboot header in its first 8 KiB" },
		{ "\x1f\x8b", 2, "is compressed by gzip; unpack it first" },
		{ "\xfd" "7zXZ", 5, "is compressed by xz; unpack it first" },
		{ "BZh", 3, "is compressed by bzip2; unpack it first" },
		{ "\x28\xb5\x2f\xfd", 4, "is compressed by zstd; unpack it first" },
		{ "070701", 6, "is a cpio archive: an initrd, not a kernel" },
		{ "!<arch>", 7, "is a Debian package or library archive, not a kernel" },
	};
	for (u32 i = 0; i < ARRAY_SIZE(known); i++)
		if (f->len >= known[i].len && !memcmp(f->data, known[i].magic, known[i].len))
			return plan_fail(p, "%.200s: %s", f->name, known[i].what);
	for (u64 at = 0; at + 16 <= f->len && at < 32768; at += 8)
		if (get32(f->data + at) == 0xe85250d6)
			return plan_fail(p, "%.200s: is a Multiboot 2 kernel; only Multiboot 1 is supported", f->name);
	return plan_fail(p, "%.200s: is neither a Linux kernel (bzImage) nor a Multiboot kernel", f->name);
}

bool loader_plan(struct load_plan *p, const struct load_file *kernel, const struct load_file *initrd, u32 initrds, const char *append)
{
	switch (loader_recognise(kernel)) {
	case KERNEL_LINUX:
		if (initrds > 1)
			return plan_fail(p, "%.200s: a Linux kernel takes one initrd", kernel->name);
		return linux_plan(p, kernel, initrds ? initrd : NULL, append);
	case KERNEL_MULTIBOOT:
		return multiboot_plan(p, kernel, initrd, initrds, append);
	default:
		return plan_not_a_kernel(p, kernel);
	}
}

/* --- files --- */

/* Reads what fd has, at most `max` bytes; *len is max + 1 when there is more. NULL: errno says why. */
static u8 *read_up_to(int fd, u64 guess, u64 max, u64 *len)
{
	u64 room = guess + 1, n = 0;
	u8 *buf = malloc(room);
	while (buf) {
		ssize_t got = read(fd, buf + n, room - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int why = errno;
			free(buf);
			errno = why;
			return NULL;
		}
		n += (u64)got;
		if (got == 0 || n > max) {
			*len = n;
			return buf;
		}
		if (n == room) {
			room = room * 2 > max + 1 ? max + 1 : room * 2;
			u8 *bigger = realloc(buf, room);
			if (!bigger)
				free(buf);
			buf = bigger;
		}
	}
	errno = ENOMEM;
	return NULL;
}

static bool file_read(struct load_file *f, const char *path, u64 max, struct load_plan *p)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return plan_fail(p, "%.200s: %s", path, strerror(errno));
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		close(fd);
		return plan_fail(p, "%.200s: is a directory", path);
	}
	u64 guess = S_ISREG(st.st_mode) && st.st_size > 0 ? (u64)st.st_size : 65535, len = 0;
	u8 *data = read_up_to(fd, guess > max ? max : guess, max, &len);
	int why = errno;
	close(fd);
	if (!data)
		return plan_fail(p, "%.200s: %s", path, strerror(why));
	*f = (struct load_file){ .name = path, .data = data, .len = len };
	if (len == 0)
		return plan_fail(p, "%.200s: is empty", path);
	if (len > max)
		return plan_fail(p, "%.200s: is larger than %llu MiB, which is all that there is room for", path, (unsigned long long)(max >> 20));
	return true;
}

/* Ends the word at s at the next single comma, turning two into one; returns what follows, or NULL. */
static char *cut_at_comma(char *s)
{
	for (char *to = s;; s++, to++) {
		if (*s == ',' && s[1] != ',') {
			*to = 0;
			return s + 1;
		}
		if (*s == ',')
			s++;
		*to = *s;
		if (!*s)
			return NULL;
	}
}

static bool read_initrds(struct loader *l, const char *option)
{
	struct load_plan *p = &l->plan;
	bool list = loader_recognise(&l->kernel) == KERNEL_MULTIBOOT;
	char *word = l->initrd_words = strdup(option);
	if (!word)
		return plan_fail(p, "out of memory");
	while (word) {
		char *next = list ? cut_at_comma(word) : NULL, *args = list ? strchr(word, ' ') : NULL;
		if (l->initrds == INITRDS_MAX)
			return plan_fail(p, "--initrd: more than %d modules", INITRDS_MAX);
		if (args)
			*args++ = 0;
		if (!*word)
			return plan_fail(p, "--initrd: a file name is empty");
		struct load_file *f = &l->initrd[l->initrds++];
		if (!file_read(f, word, p->ram_size, p))
			return false;
		f->args = args;
		word = next;
	}
	return true;
}

static bool open_firmware(struct loader *l, const struct loader_options *opt)
{
	return file_read(&l->firmware, opt->firmware, ROM_MAX_BYTES, &l->plan) && rom_plan(&l->plan, &l->firmware);
}

static bool open_kernel(struct loader *l, const struct loader_options *opt)
{
	u64 kernel_max = opt->ram_size < KERNEL_MAX_BYTES ? opt->ram_size : KERNEL_MAX_BYTES;
	return file_read(&l->kernel, opt->kernel, kernel_max, &l->plan) &&
	       (!opt->initrd || loader_recognise(&l->kernel) == KERNEL_UNKNOWN || read_initrds(l, opt->initrd)) &&
	       loader_plan(&l->plan, &l->kernel, l->initrd, l->initrds, opt->append ? opt->append : "");
}

struct loader *loader_open(const struct loader_options *opt, char *err, size_t errsize)
{
	struct loader *l = calloc(1, sizeof(*l));
	if (!l) {
		snprintf(err, errsize, "out of memory");
		return NULL;
	}
	l->plan = (struct load_plan){ .ram_size = opt->ram_size, .err = err, .errsize = errsize, .behind_firmware = opt->firmware };
	if (opt->firmware && opt->kernel && opt->ram_size >= HIGH_RAM + FIRMWARE_TOP)
		l->plan.ram_size -= FIRMWARE_TOP;
	if ((opt->firmware && !open_firmware(l, opt)) || (opt->kernel && !open_kernel(l, opt))) {
		loader_close(l);
		return NULL;
	}
	l->plan.err = NULL;
	l->plan.errsize = 0;
	return l;
}

void loader_close(struct loader *l)
{
	plan_fini(&l->plan);
	free((void *)l->firmware.data);
	free((void *)l->kernel.data);
	for (u32 i = 0; i < l->initrds; i++)
		free((void *)l->initrd[i].data);
	free(l->initrd_words);
	free(l);
}

const char *loader_kind(const struct loader *l)
{
	return l->plan.kind;
}

/* --- carrying out --- */

static void piece_load(struct vm *vm, const struct load_piece *piece)
{
	static const u8 zeroes[PAGE_SIZE];
	mem_write(vm, piece->gpa, piece->data, piece->len);
	for (u64 at = piece->len; at < piece->size; at += PAGE_SIZE) {
		u64 left = piece->size - at;
		mem_write(vm, piece->gpa + at, zeroes, left < PAGE_SIZE ? left : PAGE_SIZE);
	}
}

/* What firmware would have set: RAM write-back, the VGA window and the hole below 4 GiB uncached (SDM vol. 3, 11.11). */
static void mtrr_load(struct vm *vm)
{
	static const struct { u32 msr; u64 value; } mtrr[] = {
		{ 0x250, 0x0606060606060606 }, { 0x258, 0x0606060606060606 },	/* 0 to 9FFFFh */
		{ 0x200, 0xe0000000 }, { 0x201, 0xfe0000800 },			/* E0000000h to FFFFFFFFh */
		{ 0x2ff, 0xc06 },						/* on, fixed ranges too; the rest is write-back */
	};
	if (!cpu_model_has(vm->vcpu->model, TF_PMC))	/* a processor before the P6 has none */
		return;
	for (u32 i = 0; i < ARRAY_SIZE(mtrr); i++)
		msr_write(vm->vcpu, mtrr[i].msr, mtrr[i].value);
}

/* Both protocols want the same: flat 32-bit protected mode at ring 0, paging and interrupts off. */
static void cpu_load(struct cpu_state *cs, const struct load_plan *p)
{
	cs->gdt = (struct cpu_dtr){ .base = p->gdt, .limit = GDT_BYTES - 1 };
	cs->idt = (struct cpu_dtr){ .base = 0, .limit = 0 };
	cs->cr0 = (cs->cr0 & ~((1ull << 30) | (1ull << 29))) | 1;	/* firmware leaves the caches on (CD, NW clear); PE */
	for (int s = S_ES; s <= S_GS; s++) {
		bool code = s == S_CS;
		cs->seg[s].sel = code ? GDT_CODE : GDT_DATA;
		cs->seg[s].base = 0;
		cs->seg[s].limit = 0xffffffff;
		cs->seg[s].attr = SA_G | SA_DB | SA_P | SA_S | SA_RW | SA_ACCESSED | (code ? SA_CODE : 0);
		seg_update(cs, s);
	}
	for (int r = 0; r < 16; r++)
		cs->gpr[r] = 0;
	cs->gpr[R_EAX] = p->eax;
	cs->gpr[R_EBX] = p->ebx;
	cs->gpr[R_ESI] = p->esi;
	cs->gpr[R_ESP] = p->esp;
	cs->rip = p->eip;
	cpu_set_eflags(cs, FL_R1);
	cpu_set_cpl(cs, 0);
}

/* The 16-bit boot protocol (boot.rst, "Running the Kernel"): real mode, 64 KiB segments, interrupts off. */
static void cpu_load_real(struct cpu_state *cs, const struct load_plan *p)
{
	cs->cr0 &= ~1ull;
	for (int s = S_ES; s <= S_GS; s++) {
		cs->seg[s].limit = 0xffff;
		cs->seg[s].attr = 0;
		seg_load_real(cs, s, (u16)(p->real_seg + (s == S_CS ? 0x20 : 0)));
	}
	cs->gpr[R_ESP] = p->real_sp;
	cs->rip = 0;
	cpu_set_eflags(cs, FL_R1);
	cpu_set_cpl(cs, 0);
}

void loader_start_kernel(struct vm *vm, void *loader)
{
	const struct load_plan *p = &((const struct loader *)loader)->plan;
	mem_set_a20(vm, true);
	for (u32 i = 0; i < p->count; i++)
		piece_load(vm, &p->piece[i]);
	if (!p->behind_firmware)
		mtrr_load(vm);
	if (p->real_seg)
		cpu_load_real(&vm->vcpu->cs, p);
	else
		cpu_load(&vm->vcpu->cs, p);
	vm->vcpu->cs.halted = 0;
}

void loader_load(struct vm *vm, void *loader)
{
	const struct loader *l = loader;
	if (l->firmware.data) {		/* the CPU stays as it was reset */
		mem_set_a20(vm, true);
		rom_load(vm, &l->firmware);
	} else {
		loader_start_kernel(vm, loader);
	}
}

/*
 * probe.c - tries what Ringfence uses or will use of the host, and says in plain lines what that means.
 *
 * Everything is tried, not looked up in version numbers: containers and seccomp filters forbid what kernels have. What
 * may kill us is tried in a child.
 */
#define _GNU_SOURCE	/* memfd_create, sched_getaffinity */
#include "ui/probe.h"

#include <cpuid.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <asm/ldt.h>
#include <unistd.h>

#include "monitor/lib/types.h"

enum { UFFD_USER_MODE_ONLY_FLAG = 1 };

static bool cpu_bit(u32 leaf, int reg, int bit)
{
	u32 r[4];
	return __get_cpuid_count(leaf, 0, &r[0], &r[1], &r[2], &r[3]) && r[reg] >> bit & 1;
}

static bool try_memfd(void)
{
	int fd = memfd_create("ringfence-probe", MFD_CLOEXEC);
	if (fd < 0)
		return false;
	void *p = ftruncate(fd, PAGE_SIZE) ? MAP_FAILED : mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p != MAP_FAILED && munmap(p, PAGE_SIZE) == 0;
}

static bool try_exec_memory(void)
{
	u8 *p = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p != MAP_FAILED && munmap(p, PAGE_SIZE) == 0;
}

/* Runs `trial` in a child; true when that says so and nothing killed it. */
static bool in_child(bool (*trial)(void))
{
	int status = 0;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		_exit(trial() ? 42 : 1);
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

static bool try_modify_ldt(void)
{
	struct user_desc d = { .entry_number = 0, .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1, .useable = 1 };
	return syscall(SYS_modify_ldt, 1, &d, sizeof(d)) == 0;
}

/* A far call to the kernel's 32-bit user code segment and back. All of it lies below 4 GiB, as the return address must. */
__asm__(".pushsection .rodata\n"
	"probe_far_call:\n\t"
	"push %r15\n\tmov %rsp, %r15\n\tlea probe_far_call + 2048(%rip), %rsp\n\t"
	"lcall *probe_far_target(%rip)\n\t"
	"mov %r15, %rsp\n\tpop %r15\n\tret\n"
	"probe_far_target:\n\t.long 0\n\t.word 0x23\n"
	"probe_far_code:\n\t.code32\n\tmov $42, %eax\n\tlret\n\t.code64\n"
	"probe_far_end:\n.popsection");
extern const u8 probe_far_call[], probe_far_target[], probe_far_code[], probe_far_end[];

static bool try_compat_mode(void)
{
	u8 *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (page == MAP_FAILED)
		return false;
	memcpy(page, probe_far_call, (size_t)(probe_far_end - probe_far_call));
	u32 code = (u32)(uintptr_t)(page + (probe_far_code - probe_far_call));
	memcpy(page + (probe_far_target - probe_far_call), &code, sizeof(code));
	int (*far_call)(void) = (int (*)(void))(uintptr_t)page;
	return far_call() == 42;
}

static bool try_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static bool try_seccomp_trap(void)
{
	u32 action = SECCOMP_RET_TRAP;
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static bool try_seccomp_notify(void)
{
	struct seccomp_notif_sizes sizes;
	return syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) == 0;
}

static bool try_userfaultfd(void)
{
	long fd = syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY_FLAG);
	return fd >= 0 && close((int)fd) == 0;
}

/* The first word of a /sys or /proc file; of a list of choices the one in brackets. */
static bool file_word(const char *path, char *word, size_t size)
{
	char line[128], *p;
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(line, sizeof(line), f);
	if (f)
		fclose(f);
	if (!ok)
		return false;
	p = strchr(line, '[');
	p = p ? p + 1 : line;
	p[strcspn(p, "] \n")] = 0;
	snprintf(word, size, "%.*s", (int)size - 1, p);
	return true;
}

struct probe {
	FILE *out;
	int missing;
};

/* One line: the facility, yes or no, and what follows from that. `needed`: Ringfence cannot run without. */
static void say(struct probe *p, const char *what, bool have, bool needed, const char *if_yes, const char *if_no)
{
	p->missing += needed && !have;
	fprintf(p->out, "%-22s %-8s %s\n", what, have ? "yes" : needed ? "NO" : "no", have ? if_yes : if_no);
}

static void say_value(struct probe *p, const char *what, const char *value, const char *means)
{
	fprintf(p->out, "%-22s %-8s %s\n", what, value, means);
}

static void probe_processor(struct probe *p)
{
	say(p, "BMI2", cpu_bit(7, 1, 8), true, "memory look-ups leave the guest's flags alone",
		"needed: translated code looks memory up without touching the guest's flags; Ringfence cannot run here");
	say(p, "XSAVE", cpu_bit(1, 2, 27), false, "the guest's FPU state is kept by XSAVE",
		"the guest's FPU state is kept by FXSAVE; guests see no AVX");
	say(p, "AVX", __builtin_cpu_supports("avx"), false, "--cpu host offers it", "guests see SSE only");
	say(p, "AVX2", __builtin_cpu_supports("avx2"), false, "--cpu host offers it", "guests do not see it");
	say(p, "invariant TSC", cpu_bit(0x80000007, 3, 8), false, "guests read the time stamp counter directly",
		"the time stamp counter may change its rate: guests should use another clock (clocksource=acpi_pm or pit)");
	say(p, "32-bit segments", in_child(try_compat_mode), false, "32-bit user code could run directly in a later version",
		"32-bit user code will always be translated");
	say(p, "modify_ldt", in_child(try_modify_ldt), false, "guests with segments of their own could run directly in a later version",
		"guest code with segments of its own will always be translated");
}

static void probe_kernel(struct probe *p)
{
	say(p, "memfd", try_memfd(), true, "guest memory", "needed for guest memory; Ringfence cannot run here");
	say(p, "executable memory", try_exec_memory(), true, "translated code",
		"needed for translated code (is SELinux's execmem or a hardening policy in the way?); Ringfence cannot run here");
	say(p, "seccomp", try_seccomp_trap(), false, "directly run guest code can be fenced in", "direct execution will not be possible");
	say(p, "seccomp notification", try_seccomp_notify(), false, "not used yet", "not needed yet");
	say(p, "ptrace", in_child(try_ptrace), false, "debuggers can be attached", "no debugger can be attached to Ringfence");
	say(p, "userfaultfd", try_userfaultfd(), false, "snapshots may use it in a later version", "snapshots will track memory in another way");
	char word[32];
	if (file_word("/sys/kernel/mm/transparent_hugepage/enabled", word, sizeof(word)))
		say_value(p, "huge pages", word, strcmp(word, "never") ? "look-up tables can use them" :
			"look-up tables take small pages: somewhat slower");
	if (file_word("/sys/kernel/mm/transparent_hugepage/shmem_enabled", word, sizeof(word)))
		say_value(p, "huge pages for memfd", word, strcmp(word, "never") && strcmp(word, "deny") ? "guest memory can use them" :
			"guest memory takes small pages: somewhat slower");
	if (file_word("/proc/sys/vm/max_map_count", word, sizeof(word)))
		say_value(p, "mappings", word, "limit a process; one machine takes about a hundred");
}

static void probe_size(struct probe *p)
{
	cpu_set_t set;
	char text[32];
	int cores = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
	snprintf(text, sizeof(text), "%d", cores);
	say_value(p, "processors", text, cores > 1 ? "a machine keeps one busy at most, and a second with its input and output" :
		"a machine shares it with everything else");
	long pages = sysconf(_SC_PHYS_PAGES);
	snprintf(text, sizeof(text), "%lldM", (long long)pages * sysconf(_SC_PAGESIZE) >> 20);
	say_value(p, "memory", text, "a machine takes what its guest touches of -m, and up to 150M");
	struct rlimit as;
	if (getrlimit(RLIMIT_AS, &as) == 0 && as.rlim_cur != RLIM_INFINITY) {
		snprintf(text, sizeof(text), "%lluM", (unsigned long long)as.rlim_cur >> 20);
		say_value(p, "address space limit", text, "ulimit -v: a machine needs -m and about 500M");
	}
}

int probe_host(FILE *out)
{
	struct probe p = { out, 0 };
	probe_processor(&p);
	probe_kernel(&p);
	probe_size(&p);
	fprintf(out, "%s\n", p.missing ? "Ringfence cannot run here: see the lines with NO." : "Ringfence runs here.");
	return p.missing;
}

/*
 * fuzz_control.c - 'make fuzz T=control': a running machine, and what comes over its control socket: lines of any kind, in pieces of any
 * length, and clients that ask and never read. After each case the machine must say how it is, within a time; it may not end, nor grow.
 *
 * The program is $RINGFENCE, as in tests. Its sanitizer's report goes to standard error. File names stay in the case's folder: 'mend'
 * leaves no slash and no escaped one; and no 'quit'.
 */
/* objs: tests/fuzz/lib/bytes.o all */
#define _GNU_SOURCE
#include "tests/fuzz/lib/bytes.h"
#include "ui/control_cmds.h"
#include "ui/json.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUDE_MAX     8
#define PATIENCE_MS  20000
#define GROWTH_KIB   (256l << 10)
#define ANSWER_BYTES 65536

static pid_t machine;
static int client = -1, rude[RUDE_MAX];
static long first_kib;
static struct sockaddr_un address = { .sun_family = AF_UNIX };

/* --- the machine --- */

/* A Multiboot kernel that halts with interrupts on. */
static void make_guest(struct fuzz *f)
{
	static const u8 image[] = { 0x02, 0xb0, 0xad, 0x1b, 0, 0, 1, 0, 0xfe, 0x4f, 0x51, 0xe4, 0, 0, 0x10, 0, 0, 0, 0x10, 0, 0x2a, 0, 0x10, 0,
		0, 0x10, 0x10, 0, 0x20, 0, 0x10, 0, 0xb0, 0xff, 0xe6, 0x21, 0xe6, 0xa1, 0xfb, 0xf4,
		0xeb, 0xfd };
	static const u8 blank[1440 << 10];
	fuzz_file(f, "guest", image, sizeof(image));
	fuzz_file(f, "floppy", blank, sizeof(blank));
}

static void start(struct fuzz *f)
{
	const char *program = getenv("RINGFENCE");
	if (!program || access(program, X_OK))
		fuzz_fail(f, "RINGFENCE in the environment is no program; 'make fuzz T=control' sets it");
	make_guest(f);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/ringfence/fuzzed.sock", f->dir);
	machine = fork();
	if (machine < 0)
		fuzz_fail(f, "fork: %s", strerror(errno));
	if (machine)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("ASAN_OPTIONS", "quarantine_size_mb=16", 0);	/* or what it keeps back looks like growth */
	int nothing = open("/dev/null", O_RDWR);
	if (chdir(f->dir) || dup2(nothing, 0) < 0 || dup2(nothing, 1) < 0 || setenv("XDG_RUNTIME_DIR", f->dir, 1))
		_exit(127);
	execl(program, program, "run", "--kernel", "guest", "-m", "16M", "--display", "none", "--serial", "none", "--name", "fuzzed",
	      "--floppy", "floppy", "--cdrom", "none", (char *)NULL);
	_exit(127);
}

static void must_live(struct fuzz *f)
{
	int status;
	if (waitpid(machine, &status, WNOHANG) == machine) {
		machine = 0;
		fuzz_fail(f, "the machine has ended, with wait status %x", (u32)status);
	}
}

static long machine_kib(void)
{
	char path[60], line[200];
	long kib = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)machine);
	FILE *in = fopen(path, "r");
	while (in && fgets(line, sizeof(line), in))
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	if (in)
		fclose(in);
	return kib;
}

/* --- clients --- */

static s64 now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

static int connected(struct fuzz *f)
{
	s64 end = now_ms() + PATIENCE_MS;
	for (;;) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address)))
			return fd;
		close(fd);
		must_live(f);
		if (now_ms() > end)
			fuzz_fail(f, "nobody takes a connection at %s", address.sun_path);
		usleep(10000);
	}
}

/* Reads what there is; looks for `word` (may be NULL) in it. */
static bool read_some(struct fuzz *f, const char *word)
{
	static char text[ANSWER_BYTES * 2 + 1];
	static size_t kept;
	ssize_t n = recv(client, text + kept, ANSWER_BYTES, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		must_live(f);
		fuzz_fail(f, "the machine has closed the connection");
	}
	if (n < 0)
		return false;
	size_t len = kept + (size_t)n;
	bool found = word && memmem(text, len, word, strlen(word));
	kept = len < 100 ? len : 100;		/* the word may come in two parts */
	memmove(text, text + len - kept, kept);
	return found;
}

static void send_all(struct fuzz *f, const u8 *data, u64 len)
{
	s64 end = now_ms() + PATIENCE_MS;
	while (len) {
		u64 piece = 1 + fuzz_random(f, fuzz_random(f, 4) ? 70000 : 10);
		ssize_t n = send(client, data, piece < len ? piece : len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			data += n;
			len -= (u64)n;
			continue;
		}
		struct pollfd p = { .fd = client, .events = POLLIN | POLLOUT };
		poll(&p, 1, 100);
		read_some(f, NULL);
		if (now_ms() > end)
			fuzz_fail(f, "the machine does not read");
	}
}

static void ask(struct fuzz *f)
{
	char line[100], word[40];
	s64 end = now_ms() + PATIENCE_MS;
	snprintf(word, sizeof(word), "\"case%llu.\"", (unsigned long long)f->number);
	int n = snprintf(line, sizeof(line), "\n{\"execute\":\"query-status\",\"id\":%s}\n", word);
	send_all(f, (const u8 *)line, (u64)n);
	while (!read_some(f, word)) {
		struct pollfd p = { .fd = client, .events = POLLIN };
		poll(&p, 1, 100);
		if (now_ms() > end)
			fuzz_fail(f, "the machine does not answer");
	}
}

/* Asks for much, reads nothing, leaves when it is its turn. */
static void be_rude(struct fuzz *f)
{
	static const char line[] = "{\"execute\":\"query-commands\"}\n{\"execute\":\"dev\"}\n{\"execute\":\"screen-text\"}\n";
	u32 k = (u32)fuzz_random(f, RUDE_MAX);
	if (rude[k] > 0)
		close(rude[k]);
	rude[k] = connected(f);
	for (u32 i = 0; i < 3000; i++)
		if (send(rude[k], line, sizeof(line) - 1 - (i & 31), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
}

/* --- cases --- */

static const char *const words[] = {
#define CONTROL(fn, name, args, help) "\"" name "\"",
#include "ui/control.def"
#undef CONTROL
	"{", "}", "[", "]", ":", ",", "\"", "\\", "\n", "null", "true", "1e999", "-9223372036854775809", "1e308", "{\"execute\":",
	"\"arguments\":", "\"id\":", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "{\"a\":{\"a\":{\"a\":{\"a\":", "\xff\xfe", "\xed\xa0\x80",
	"\"floppy0\"", "\"ide0-cd0\"", "%s%n", "ctrl-alt-", "ffffffff", "ds:esi", NULL
};

static void seed_verb(struct fuzz *f, const struct control_verb *verb)
{
	char *const args[] = { (char[]){ "1" }, (char[]){ "2" }, (char[]){ "3" }, (char[]){ "4" } };
	char line[400], err[200];
	for (int n = 4; n >= 0; n--) {
		struct json *j = control_words(verb, n, args, err, sizeof(err));
		char *text = j ? js_write(j) : NULL;
		js_free(j);
		if (!text)
			continue;
		snprintf(line, sizeof(line), "{\"execute\":\"%s\",\"arguments\":%s,\"id\":7}", verb->name, text);
		free(text);
		fuzz_seed_text(f, line);
		return;
	}
}

static void seeds(struct fuzz *f)
{
	static char deep[60000], long_line[70000];
	const struct control_verb *verb;
	for (u32 i = 0; (verb = control_verb(i)) && f->seed_count < FUZZ_SEEDS - 4; i++)
		if (strcmp(verb->name, "quit"))
			seed_verb(f, verb);
	memset(deep, '[', sizeof(deep) - 1);
	fuzz_seed_text(f, deep);
	memset(long_line, 'a', sizeof(long_line) - 1);
	fuzz_seed_text(f, long_line);
	fuzz_seed_text(f, "{\"execute\":\"stop\"}\n{\"execute\":\"cont\"}\n{\"execute\":\"regs\"}\n\n{}\n[]\n1\n\"x\"\n{\"execute\":1}\n");
	start(f);
}

static void mend(struct fuzz *f, u8 *data, u64 len)
{
	for (u64 i = 0; i < len; i++) {
		if (data[i] == '/' || (data[i] == '\\' && i + 1 < len && data[i + 1] == 'u'))
			data[i] = '_';
		if (i + 4 <= len && !memcmp(data + i, "quit", 4))
			data[i] = 'Q';
	}
}

static void one(struct fuzz *f, u8 *data, u64 len)
{
	if (client < 0)
		client = connected(f);
	if (fuzz_random(f, 16) == 0)
		be_rude(f);
	send_all(f, data, len);
	ask(f);
	must_live(f);
	f->accepted++;
	long kib = machine_kib();
	if (f->number < 200 || !first_kib)
		first_kib = kib > first_kib ? kib : first_kib;
	if (kib - first_kib > GROWTH_KIB)
		fuzz_fail(f, "the machine has grown from %ld KiB to %ld KiB", first_kib, kib);
	if (fuzz_random(f, 8) == 0) {
		close(client);
		client = -1;
	}
}

static void end(struct fuzz *f)
{
	int status;
	if (!machine)
		return;
	if (client >= 0)
		close(client);
	kill(machine, SIGTERM);
	for (u32 i = 0; i < 1000; i++) {
		if (waitpid(machine, &status, WNOHANG) == machine) {
			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGTERM)	/* it tidies up, then ends as the signal would */
				fuzz_fail(f, "the machine ended with wait status %x", (u32)status);
			return;
		}
		usleep(10000);
	}
	kill(machine, SIGKILL);
	waitpid(machine, &status, 0);
	fuzz_fail(f, "the machine does not end at SIGTERM");
}

int main(int argc, char **argv)
{
	static const struct fuzz_bytes target = { .name = "control", .seeds = seeds, .one = one, .mend = mend, .end = end, .words = words,
		.max_len = 200000, .hang_seconds = 100 };
	return fuzz_bytes_main(argc, argv, &target);
}

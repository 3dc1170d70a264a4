/*
 * test_snapshot.c - the snapshot file and what is in it: chips in random states come back as they were, memory page by page along a tree;
 * files that are cut, changed or of another machine are refused.
 */
/* objs: all */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/stat.h>
#include "devices/state.h"
#include "monitor/msr.h"
#include "monitor/snap_pages.h"
#include "monitor/snap_state.h"
#include "tests/unit/snap_rig.h"

#define PAGES (RIG_RAM >> PAGE_SHIFT)

static char folder[64];

static const char *in_folder(const char *name)
{
	static char path[4][128];
	static int n;
	char *p = path[n++ & 3];

	snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	return p;
}

static u32 random_at(u32 *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void up(struct rig *r)
{
	if (!rig_up(r, RIG_RAM, "host"))
		fail_msg("%s", r->err);
}

static void take(struct rig *r, const char *path, bool alone)
{
	if (!rig_take(r, path, alone))
		fail_msg("%s", r->err);
}

static void restore(struct rig *r, const char *path)
{
	if (!snapshot_restore(&r->vm, path, SNAPSHOT_FROZEN, r->err, sizeof(r->err)))
		fail_msg("%s", r->err);
}

static u8 *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	struct stat st;

	assert_non_null(f);
	fstat(fileno(f), &st);
	u8 *data = malloc((size_t)st.st_size + 1);
	*len = fread(data, 1, (size_t)st.st_size, f);
	fclose(f);
	return data;
}

static void write_file(const char *path, const u8 *data, size_t len)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

static struct blob section(const char *path, enum snap_type type)
{
	char err[300];
	struct snap_file *f = snap_open(path, err, sizeof(err));
	struct blob b;

	if (!f || !snap_load(f, type, 1, &b, err, sizeof(err)))
		fail_msg("%s", err);
	snap_close(f);
	return b;
}

static void same_section(const char *a, const char *b, enum snap_type type)
{
	struct blob x = section(a, type), y = section(b, type);

	assert_int_equal(x.len, y.len);
	for (size_t i = 0; i < x.len; i++)
		if (x.data[i] != y.data[i])
			fail_msg("byte %zu of %zu differs: %02x and %02x", i, x.len, x.data[i], y.data[i]);
	blob_free(&x);
	blob_free(&y);
}

/* --- chips and processor --- */

/* Fields at random, made harmless by the chips themselves. Timers stay in the future, or the next round of timers would change them. */
static void scramble(struct rig *r, u32 *seed)
{
	u64 now = clock_now(&r->vm);

	for (struct device *d = board_devices(&r->vm); d; d = d->next)
		for (const struct field *f = d->cls->fields; f->name; f++)
			for (u32 i = 0; i < f->count; i++) {
				u64 v = (u64)random_at(seed) << 32 ^ (u64)random_at(seed) << 12 ^ random_at(seed);

				if (f->kind == FIELD_TIMER)
					v = random_at(seed) & 1 ? ~0ull : now + (1ull << 40) + v % (1ull << 40);
				else if (random_at(seed) % 3 == 0)
					v &= 3;
				if (random_at(seed) % 4)
					field_put(d, f, i, f->kind == FIELD_BOOL ? v & 1 : v);
			}
	for (struct device *d = board_devices(&r->vm); d; d = d->next)
		if (d->cls->loaded)
			d->cls->loaded(d);
}

/* Each chip in states that nothing but chance has made: taken, disturbed, restored, taken again. */
static void test_chips(void **state)
{
	struct rig r;
	u32 seed = 5;

	up(&r);
	vcpu_time_stop(r.vm.vcpu);
	for (int round = 0; round < 30; round++) {
		scramble(&r, &seed);
		take(&r, in_folder("first"), true);	/* what the chips do not take as it is becomes what they take */
		restore(&r, in_folder("first"));
		take(&r, in_folder("a"), true);
		scramble(&r, &seed);
		restore(&r, in_folder("a"));
		take(&r, in_folder("b"), true);
		same_section(in_folder("a"), in_folder("b"), SNAP_CHIP);
		same_section(in_folder("a"), in_folder("b"), SNAP_CPU);
	}
	rig_down(&r);
}

static void test_processor(void **state)
{
	struct rig r;
	struct cpu_state *cs;

	up(&r);
	cs = &r.vm.vcpu->cs;
	vcpu_time_stop(r.vm.vcpu);
	for (int i = 0; i < 8; i++)
		cs->gpr[i] = 0x1000u + (u32)i;
	cs->rip = 0x1234;
	cs->dr[0] = 0x5678;
	cs->cr2 = 0xdeadbeef;
	seg_load_real(cs, S_DS, 0x4321);
	cpu_set_eflags(cs, FL_R1 | FL_IF | FL_DF | FL_ZF | FL_OF);
	cs->fpu[32] = 0x77;
	r.vm.vcpu->nmi_pending = r.vm.vcpu->nmi_blocked = true;
	cs->inhibit = SHADOW_STI;
	mem_set_a20(&r.vm, false);
	assert_true(msr_write(r.vm.vcpu, 0x1b, 0xfed00900 + 0x10000));	/* the local APIC elsewhere */
	u64 tsc = vcpu_tsc(r.vm.vcpu), now = clock_now(&r.vm);
	take(&r, in_folder("cpu"), true);

	vcpu_time_cont(r.vm.vcpu);
	vcpu_reset(r.vm.vcpu);
	r.vm.board_reset(&r.vm);
	vcpu_time_stop(r.vm.vcpu);
	restore(&r, in_folder("cpu"));
	assert_int_equal(bus_mmio_read(&r.vm, 0xfed10030, 4) & 0xff, 0x14);	/* its version */
	assert_int_equal(bus_mmio_read(&r.vm, 0xfee00030, 4), 0xffffffff);
	assert_int_equal(cs->gpr[7], 0x1007);
	assert_int_equal(cs->rip, 0x1234);
	assert_int_equal(cs->dr[0], 0x5678);
	assert_int_equal(cs->cr2, 0xdeadbeef);
	assert_int_equal(cs->seg[S_DS].base, 0x43210);
	assert_int_equal(cs->seg[S_DS].rlim1, 0x10000);
	assert_int_equal(cpu_eflags(cs), FL_R1 | FL_IF | FL_DF | FL_ZF | FL_OF);
	assert_int_equal(cs->fpu[32], 0x77);
	assert_true(r.vm.vcpu->nmi_pending && r.vm.vcpu->nmi_blocked);
	assert_int_equal(cs->inhibit, SHADOW_STI);
	assert_int_equal(r.vm.mem->a20_mask, ~(1ull << 20));
	assert_int_equal(vcpu_tsc(r.vm.vcpu), tsc);
	assert_int_equal(clock_now(&r.vm), now);
	rig_down(&r);
}

/* --- memory --- */

static void fill(struct rig *r, u8 *copy, u32 *seed, int count)
{
	for (int i = 0; i < count; i++) {
		u32 page = random_at(seed) % PAGES, kind = random_at(seed) % 4;
		u64 at = (u64)page << PAGE_SHIFT;
		u8 bytes[PAGE_SIZE];

		for (u32 b = 0; b < PAGE_SIZE; b++)
			bytes[b] = kind == 0 ? 0 : kind == 1 ? (u8)random_at(seed) : (u8)(kind + page + b / 256);
		if (page >= 0xa0 && page < 0x100)
			continue;
		mem_write(&r->vm, at, bytes, PAGE_SIZE);
		memcpy(copy + at, bytes, PAGE_SIZE);
	}
}

/* A tree at random, restored in any order by this process and at last by a new one. */
static void test_tree(void **state)
{
	enum { NODES = 12 };
	struct rig r;
	u32 seed = 77;
	u8 *now = calloc(1, RIG_RAM), *at[NODES];
	char path[NODES][128];

	up(&r);
	mem_read(&r.vm, 0, now, RIG_RAM);
	memcpy(now + 0xa0000, r.vm.mem->ram + 0xa0000, 0x60000);
	for (int n = 0; n < NODES; n++) {
		char name[16];

		snprintf(name, sizeof(name), "sub%d", n);
		snprintf(path[n], sizeof(path[n]), "%s", in_folder(name));
		mkdir(path[n], 0700);
		strcat(path[n], "/state");
		if (n > 2 && random_at(&seed) % 3) {
			int to = (int)(random_at(&seed) % (u32)n);

			restore(&r, path[to]);
			memcpy(now, at[to], RIG_RAM);
		}
		fill(&r, now, &seed, 200);
		take(&r, path[n], n == 7);
		at[n] = malloc(RIG_RAM);
		memcpy(at[n], now, RIG_RAM);
	}
	for (int i = 0; i < 40; i++) {
		int n = (int)(random_at(&seed) % NODES);

		fill(&r, now, &seed, 50);
		restore(&r, path[n]);
		if (i % 3)	/* else the next one comes while memory is still being read */
			assert_memory_equal(r.vm.mem->ram, at[n], RIG_RAM);
	}
	rig_down(&r);
	for (int n = 0; n < NODES; n++) {
		up(&r);
		restore(&r, path[n]);
		assert_memory_equal(r.vm.mem->ram, at[n], RIG_RAM);
		rig_down(&r);
		free(at[n]);
	}
	free(now);
}

/* The guest writes while the threads save: what is in the file is what was there at the stop. */
static void test_live(void **state)
{
	struct rig r;
	u32 seed = 3;
	u8 *now = calloc(1, RIG_RAM), *then = malloc(RIG_RAM);

	up(&r);
	for (int round = 0; round < 10; round++) {
		struct snapshot_take how = { .path = in_folder("live"), .done = rig_done, .arg = &r, .alone = round & 1 };

		fill(&r, now, &seed, 2000);
		memcpy(then, r.vm.mem->ram, RIG_RAM);
		r.done = 0;
		assert_true(snapshot_take(&r.vm, &how, r.err, sizeof(r.err)));
		assert_false(snapshot_take(&r.vm, &how, r.err, sizeof(r.err)));
		assert_non_null(strstr(r.err, "still being written"));
		fill(&r, now, &seed, 3000);
		while (!r.done) {
			fill(&r, now, &seed, 10);
			event_run_posted(&r.vm);
		}
		restore(&r, in_folder("live"));
		assert_memory_equal(r.vm.mem->ram, then, RIG_RAM);
		memcpy(now, then, RIG_RAM);
	}
	rig_down(&r);
	free(now);
	free(then);
}

/* --- what is refused --- */

static bool opens(const char *path)
{
	struct snap_chain c;
	struct blob b = { 0 };
	char err[300] = "";
	bool ok = snap_chain_open(&c, path, err, sizeof(err));

	if (!ok) {
		assert_true(err[0]);
		return false;
	}
	for (u32 t = 0; ok && t < c.link[0].file->sections; t++) {
		ok = snap_load(c.link[0].file, c.link[0].file->section[t].type, 1, &b, err, sizeof(err));
		blob_free(&b);
	}
	struct snap_work *work = malloc(sizeof(*work));
	for (u32 i = 0; i < c.link[0].index.regions; i++)
		for (u32 k = 0; ok && k < c.link[0].index.region[i].chunks; k++)
			ok = snap_chunk_load(c.link[0].file, &c.link[0].index.region[i].chunk[k], work, err, sizeof(err));
	free(work);
	snap_chain_close(&c);
	return ok;
}

/* Every cut, and a changed bit in every byte. */
static void test_damage(void **state)
{
	struct rig r;
	size_t len;
	u32 seed = 9;

	up(&r);
	take(&r, in_folder("good"), true);
	rig_down(&r);
	u8 *good = read_file(in_folder("good"), &len);
	assert_true(opens(in_folder("good")));
	int fd = open(in_folder("bad"), O_CREAT | O_RDWR | O_TRUNC, 0600);
	assert_int_equal(pwrite(fd, good, len, 0), (ssize_t)len);
	for (size_t i = 0; i < len; i++) {
		u8 other = good[i] ^ (u8)(1u << (random_at(&seed) & 7));

		assert_int_equal(pwrite(fd, &other, 1, (off_t)i), 1);
		if (opens(in_folder("bad")))
			fail_msg("a changed bit in byte %zu of %zu is not noticed", i, len);
		assert_int_equal(pwrite(fd, &good[i], 1, (off_t)i), 1);
	}
	for (size_t i = len; i-- > 0;) {
		assert_int_equal(ftruncate(fd, (off_t)i), 0);
		if (opens(in_folder("bad")))
			fail_msg("a file of %zu bytes is taken, cut to %zu", len, i);
	}
	close(fd);
	free(good);
}

static void refuses(struct rig *r, const char *path, const char *why)
{
	u64 rip = r->vm.vcpu->cs.rip;

	r->err[0] = 0;
	if (snapshot_restore(&r->vm, path, SNAPSHOT_FROZEN, r->err, sizeof(r->err)) || !strstr(r->err, why))
		fail_msg("it should be refused with '%s', not: %s", why, r->err);
	assert_int_equal(r->vm.vcpu->cs.rip, rip);
}

static void test_other_machine(void **state)
{
	struct rig r;

	up(&r);
	take(&r, in_folder("mine"), true);
	r.vm.vcpu->cs.rip = 0x4711;
	struct device *d = board_devices(&r.vm);
	struct device_class other = *d->cls;
	const struct device_class *own = d->cls;
	const char *id = d->id;
	d->cls = &other;
	other.version = 99;
	refuses(&r, in_folder("mine"), "in version 1 of its state; this program knows version 99");
	d->cls = own;
	d->id = "another";
	refuses(&r, in_folder("mine"), "where this one has another");
	d->id = id;
	refuses(&r, in_folder("nothing"), "cannot be opened");
	write_file(in_folder("text"), (const u8 *)"hello", 5);
	refuses(&r, in_folder("text"), "no snapshot");
	rig_down(&r);
	assert_true(rig_up(&r, 2 * RIG_RAM, "host"));
	refuses(&r, in_folder("mine"), "it has memory=8192 KiB, this one has memory=16384 KiB");
	rig_down(&r);
	assert_true(rig_up(&r, RIG_RAM, "486"));
	refuses(&r, in_folder("mine"), "it has processor=");
	rig_down(&r);
}

/* A parent that is gone, or another file by now. */
static void test_parent(void **state)
{
	struct rig r;
	size_t len;

	up(&r);
	take(&r, in_folder("p"), true);
	take(&r, in_folder("c"), false);
	take(&r, in_folder("other"), true);
	u8 *p = read_file(in_folder("p"), &len), *o;
	unlink(in_folder("p"));
	refuses(&r, in_folder("c"), "cannot be opened");
	write_file(in_folder("p"), p, len);
	restore(&r, in_folder("c"));
	free(p);
	o = read_file(in_folder("other"), &len);
	write_file(in_folder("p"), o, len);
	refuses(&r, in_folder("c"), "another snapshot now");
	free(o);
	rig_down(&r);
}

/* No file, no base: what was to be saved is saved by the next one. */
static void test_failed_write(void **state)
{
	struct rig r;
	u32 seed = 4;
	u8 *now = calloc(1, RIG_RAM), *then = malloc(RIG_RAM);

	up(&r);
	take(&r, in_folder("base"), true);
	fill(&r, now, &seed, 300);
	mkdir(in_folder("dir"), 0700);		/* a folder of that name: the file cannot get it */
	write_file(in_folder("dir/x"), (const u8 *)"", 0);
	assert_false(rig_take(&r, in_folder("dir"), false));
	assert_non_null(strstr(r.err, "cannot"));
	memcpy(then, r.vm.mem->ram, RIG_RAM);
	take(&r, in_folder("next"), false);
	fill(&r, now, &seed, 300);
	restore(&r, in_folder("next"));
	assert_memory_equal(r.vm.mem->ram, then, RIG_RAM);
	rig_down(&r);
	free(now);
	free(then);
}

static void test_conf(void **state)
{
	struct rig r;
	char err[300];

	up(&r);
	take(&r, in_folder("conf"), true);
	rig_down(&r);
	char *conf = snapshot_conf(in_folder("conf"), err, sizeof(err));
	assert_string_equal(conf, "--memory=8192K\n");
	free(conf);
	assert_null(snapshot_conf(in_folder("no"), err, sizeof(err)));
}

static int make_folder(void **state)
{
	const char *tmp = getenv("TEST_TMP");

	snprintf(folder, sizeof(folder), "%.40s/snap-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
	char line[100];

	snprintf(line, sizeof(line), "rm -rf '%s'", folder);
	return system(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chips), cmocka_unit_test(test_processor), cmocka_unit_test(test_tree), cmocka_unit_test(test_live),
		cmocka_unit_test(test_damage), cmocka_unit_test(test_other_machine), cmocka_unit_test(test_parent),
		cmocka_unit_test(test_failed_write), cmocka_unit_test(test_conf),
	};
	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}

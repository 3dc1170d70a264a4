/*
 * control_cmds.c - the functions of control.def. They run on the vCPU thread between two blocks, also while the machine is paused; what
 * waits for the host's files runs elsewhere (control_run.h).
 */
#include "ui/control_cmds.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "devices/blockdev.h"
#include "devices/board_pc.h"
#include "devices/input.h"
#include "devices/screenshot.h"
#include "images/image.h"
#include "monitor/clock.h"
#include "monitor/mem.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"
#include "ui/json.h"

#define CONTROL(fn, name, args, help) bool control_##fn(struct control_call *c);
#include "ui/control.def"
#undef CONTROL

/* QMP's names of run states, and one of our own. */
const char *control_pause_name(enum vm_pause_kind kind)
{
	static const char *const names[] = {
		[VM_PAUSE_USER] = "paused", [VM_PAUSE_NO_SPACE] = "no-space", [VM_PAUSE_IO_ERROR] = "io-error",
	};
	return names[kind];
}

bool control_then(struct control_call *c, enum control_where where, bool (*step)(struct control_call *c))
{
	c->on_host = where == CONTROL_ON_HOST;
	c->step = step;
	return true;
}

static bool fail(struct control_call *c, const char *sentence)
{
	snprintf(c->err, sizeof(c->err), "%s", sentence);
	return false;
}

/* --- about the program and the machine --- */

bool control_qmp_capabilities(struct control_call *c)
{
	return true;
}

bool control_query_commands(struct control_call *c)
{
	const struct control_verb *v;
	c->result = js_array();
	for (u32 i = 0; (v = control_verb(i)); i++) {
		struct json *row = js_object();
		js_put(row, "name", js_text(v->name));
		js_append(c->result, row);
	}
	return true;
}

bool control_query_version(struct control_call *c)
{
	c->result = js_object();
	js_put(c->result, "package", js_text("ringfence"));
	js_put(c->result, "version", js_text(RF_VERSION));
	return true;
}

bool control_query_name(struct control_call *c)
{
	c->result = js_object();
	js_put(c->result, "name", js_text(c->vm->name));
	return true;
}

bool control_query_status(struct control_call *c)
{
	struct vm *vm = c->vm;
	bool paused = vm_paused(vm);
	c->result = js_object();
	js_put(c->result, "status", js_text(paused ? control_pause_name(vm->pause_kind) : "running"));
	js_put(c->result, "running", js_bool(!paused));
	if (paused)
		js_put(c->result, "reason", js_text(vm->pause_why));
	js_put(c->result, "name", js_text(vm->name));
	js_put(c->result, "pid", js_number(getpid()));
	js_put(c->result, "memory", js_number((s64)vm->mem->ram_size));
	js_put(c->result, "since", js_number(clock_epoch(vm)));
	js_put(c->result, "guest-time", js_number((s64)clock_now(vm)));
	return true;
}

bool control_stop(struct control_call *c)
{
	vm_pause(c->vm, VM_PAUSE_USER, "stopped by the user");
	return true;
}

bool control_cont(struct control_call *c)
{
	vm_continue(c->vm);
	return true;
}

bool control_system_reset(struct control_call *c)
{
	vm_request_reset(c->vm);
	return true;
}

bool control_system_powerdown(struct control_call *c)
{
	board_power_button(c->vm);
	vm_happened(c->vm, VM_POWER_BUTTON);
	return true;
}

bool control_quit(struct control_call *c)
{
	vm_request_stop(c->vm, VM_QUIT);
	return true;
}

/* --- the screen --- */

static bool write_picture(struct control_call *c)
{
	return screenshot_write(c->kept, control_arg(c, "filename"), c->err, sizeof(c->err));
}

bool control_screendump(struct control_call *c)
{
	display_update(c->vm->display);
	c->kept = screenshot_copy(c->vm->display);
	c->drop = free;
	return c->kept ? control_then(c, CONTROL_ON_HOST, write_picture) : fail(c, "out of memory");
}

bool control_screen_text(struct control_call *c)
{
	char *text = malloc(SCREEN_TEXT_MAX);
	if (!text)
		return fail(c, "out of memory");
	display_update(c->vm->display);
	const struct display_frame *f = display_lock(c->vm->display);
	bool is_text = f->text && !f->blank;
	screen_text(f, text, SCREEN_TEXT_MAX);
	display_unlock(c->vm->display);
	c->result = is_text ? js_text(text) : NULL;
	free(text);
	return is_text || fail(c, "the screen shows no text: it is off, or in a graphics mode");
}

/* --- keyboard and mouse --- */

#define KEYS_TOGETHER 8

/* Presses those of one word, at most KEYS_TOGETHER, and lets them go in reverse. */
static bool press(struct control_call *c, char *word, bool really)
{
	u8 usage[KEYS_TOGETHER];
	int n = 0;
	char *save = NULL;
	for (char *name = strtok_r(word, "-+", &save); name; name = strtok_r(NULL, "-+", &save)) {
		if (n == KEYS_TOGETHER)
			return fail(c, "more than 8 keys together");
		usage[n] = input_key_by_name(name);
		if (!usage[n++]) {
			snprintf(c->err, sizeof(c->err), "there is no key '%.40s'", name);
			return false;
		}
	}
	for (int i = 0; i < n && really; i++)
		input_key(c->vm->input, usage[i], true);
	for (int i = n; i-- > 0 && really;)
		input_key(c->vm->input, usage[i], false);
	return n || fail(c, "there is no key named");
}

bool control_send_key(struct control_call *c)
{
	bool ok = true;
	for (int really = 0; ok && really < 2; really++) {	/* nothing is pressed when a name is wrong */
		char *words = strdup(control_arg(c, "keys")), *save = NULL;
		ok = words || fail(c, "out of memory");
		for (char *w = words ? strtok_r(words, " ", &save) : NULL; w && ok; w = strtok_r(NULL, " ", &save))
			ok = press(c, w, really);
		free(words);
	}
	return ok;
}

bool control_type(struct control_call *c)
{
	const char *text = control_arg(c, "text"), *bad = input_type(c->vm->input, text);
	if (bad)
		snprintf(c->err, sizeof(c->err), "nothing was typed: a US keyboard cannot type character %zu, or too much waits to be typed",
			 (size_t)(bad - text) + 1);
	return !bad;
}

static int clamp(s64 n, int limit)
{
	return (int)(n < -limit ? -limit : n > limit ? limit : n);
}

bool control_mouse(struct control_call *c)
{
	s64 dx, dy, buttons = 0, wheel = 0;
	control_arg_number(c, "dx", &dx);
	control_arg_number(c, "dy", &dy);
	control_arg_number(c, "buttons", &buttons);
	control_arg_number(c, "wheel", &wheel);
	if (buttons < 0 || buttons > 7)
		return fail(c, "buttons is 0 to 7: 1 left, 2 right, 4 middle, added up");
	input_mouse(c->vm->input, clamp(dx, 10000), clamp(dy, 10000), clamp(wheel, 100), (u8)buttons);
	return true;
}

/* --- drives --- */

bool control_query_block(struct control_call *c)
{
	c->result = js_array();
	for (u32 i = 0; i < BOARD_DRIVES; i++) {
		struct blockdev *b = board_blockdev(c->vm, i);
		struct json *row = b ? js_object() : NULL;
		if (!b)
			continue;
		js_put(row, "device", js_text(blockdev_id(b)));
		js_put(row, "removable", js_bool(blockdev_removable(b)));
		js_put(row, "locked", js_bool(blockdev_locked(b)));
		js_put(row, "inserted", js_bool(blockdev_present(b)));
		js_put(row, "ro", js_bool(blockdev_readonly(b)));
		js_put(row, "size", js_number((s64)blockdev_size(b)));
		js_append(c->result, row);
	}
	return true;
}

bool control_query_blockstats(struct control_call *c)
{
	c->result = js_array();
	for (u32 i = 0; i < BOARD_DRIVES; i++) {
		struct blockdev *b = board_blockdev(c->vm, i);
		struct json *row = b ? js_object() : NULL;
		struct blk_stats st;
		if (!b)
			continue;
		blockdev_stats(b, &st);
		js_put(row, "device", js_text(blockdev_id(b)));
		js_put(row, "rd_operations", js_number((s64)st.reads));
		js_put(row, "rd_bytes", js_number((s64)st.read_bytes));
		js_put(row, "wr_operations", js_number((s64)st.writes));
		js_put(row, "wr_bytes", js_number((s64)st.write_bytes));
		js_put(row, "flush_operations", js_number((s64)st.flushes));
		js_append(c->result, row);
	}
	return true;
}

static struct blockdev *removable(struct control_call *c)
{
	const char *id = control_arg(c, "device");
	for (u32 i = 0; i < BOARD_DRIVES; i++) {
		struct blockdev *b = board_blockdev(c->vm, i);
		if (!b || strcmp(blockdev_id(b), id))
			continue;
		if (blockdev_removable(b))
			return b;
		snprintf(c->err, sizeof(c->err), "%s is a hard disk: its medium stays", id);
		return NULL;
	}
	snprintf(c->err, sizeof(c->err), "there is no drive '%.40s'; query-block lists them", id);
	return NULL;
}

bool control_eject(struct control_call *c)
{
	struct blockdev *b = removable(c);
	const char *how = control_arg(c, "how");
	if (how && strcmp(how, "force")) {
		snprintf(c->err, sizeof(c->err), "eject: how is force, not '%.40s'", how);
		return false;
	}
	if (b && blockdev_locked(b) && !how)
		return fail(c, "the guest holds the medium; 'force' takes it away all the same");
	if (b)
		blockdev_change(b, NULL);
	return b;
}

static void drop_image(void *im)
{
	image_close(im);
}

static bool change_medium(struct control_call *c)
{
	blockdev_change(removable(c), c->kept);
	c->kept = NULL;
	return true;
}

static bool open_medium(struct control_call *c)
{
	const char *path = control_arg(c, "filename");
	struct image_options how = { .readonly = strstr(control_arg(c, "device"), "-cd") || access(path, W_OK) };
	c->kept = image_open(path, &how, c->err, sizeof(c->err));
	c->drop = drop_image;
	return c->kept && control_then(c, CONTROL_ON_VCPU, change_medium);
}

bool control_change(struct control_call *c)
{
	return removable(c) && control_then(c, CONTROL_ON_HOST, open_medium);
}

/* --- the processor --- */

static const char *mode_name(const struct cpu_state *cs)
{
	if (cpu_v86(cs))
		return "virtual 8086";
	if (!cpu_protected(cs))
		return "real";
	return cs->mode & MK_CS32 ? "protected, 32-bit" : "protected, 16-bit";
}

bool control_query_cpus(struct control_call *c)
{
	const struct cpu_state *cs = &c->vm->vcpu->cs;
	struct json *row = js_object();
	char rip[32];
	snprintf(rip, sizeof(rip), "0x%llx", (unsigned long long)(cs->rip + cs->seg[S_CS].base));
	js_put(row, "cpu", js_number(0));
	js_put(row, "pc", js_text(rip));
	js_put(row, "mode", js_text(mode_name(cs)));
	js_put(row, "cpl", js_number(cs->cpl));
	js_put(row, "halted", js_bool(cs->halted));
	c->result = js_array();
	js_append(c->result, row);
	return true;
}

bool control_stats(struct control_call *c)
{
	const struct tr_stats *st = tr_stats(c->vm->vcpu->tr);
	c->result = js_object();
#define STAT(name, what) js_put(c->result, #name, js_number((s64)st->name));
#include "translator/stats.def"
#undef STAT
	return true;
}

/*
 * device.h - what every chip declares: its name, its state as a field table, its reset.
 *
 * Field tables are the one description of a chip's state: state dump, `info`, state-diff tests and later snapshots derive
 * from them. A chip's struct begins with struct device. Chips know registers, output lines and a back end; ports, buses
 * and the host are the board's (board_pc.c).
 */
#ifndef RF_DEVICE_H
#define RF_DEVICE_H
#include "monitor/lib/types.h"

struct vm;
enum field_kind { FIELD_U8, FIELD_U16, FIELD_U32, FIELD_U64, FIELD_BOOL, FIELD_TIMER /* struct timer: its deadline */ };
struct field {
	const char *name;
	u32 offset, count;	/* count > 1: array */
	enum field_kind kind;
};
#define FIELD(type, member, kind_)          { #member, offsetof(type, member), 1, kind_ }
#define FIELD_ARRAY(type, member, kind_)    { #member, offsetof(type, member), ARRAY_SIZE(((type *)0)->member), kind_ }
#define FIELD_END                           { 0, 0, 0, 0 }

struct device_class {
	const char *name, *what;	/* "pit", "8254 interval timer" */
	u32 version;			/* of the field table */
	const struct field *fields;
	void (*reset)(void *dev);
	void (*loaded)(void *dev);	/* after fields were set from outside: recompute what is derived (lines, timers) */
};
struct device {
	const struct device_class *cls;
	struct vm *vm;
	const char *id;			/* unique in the machine: "uart0" */
	struct device *next;		/* the board's list */
};
/* An output line: the board connects it to an input of another chip. */
struct line {
	void (*set)(void *to, int n, bool level);
	void *to;
	int n;
	bool level;
};
static inline void line_set(struct line *l, bool level)
{
	if (l->level != level) {
		l->level = level;
		if (l->set)
			l->set(l->to, l->n, level);
	}
}

u64  field_get(const void *dev, const struct field *f, u32 index);
void field_put(void *dev, const struct field *f, u32 index, u64 value);
/* One line a field: "pit.counter[0] = 0x1234". */
struct text;
void device_dump(const struct device *dev, void (*line)(void *arg, const char *text), void *arg);
#endif

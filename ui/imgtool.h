/*
 * imgtool.h - 'ringfence image': what its verbs are given, for ui/imgtool*.c only.
 */
#ifndef RF_IMGTOOL_H
#define RF_IMGTOOL_H
#include "images/convert.h"
#include "images/image.h"

/* Exit statuses, those of qemu-img. */
enum { IMGTOOL_OK = 0, IMGTOOL_FAILED = 1, IMGTOOL_CORRUPT = 2, IMGTOOL_LEAKS = 3, IMGTOOL_NO_CHECK = 63 };

enum imgtool_verb {
#define VERB(name, synopsis, what) IMGTOOL_VERB_##name,
#include "ui/imgtool.def"
#undef VERB
	IMGTOOL_VERBS
};
enum imgtool_option {
#define OPTION(id, letter, name, arg, verbs, help) IMGTOOL_OPT_##id,
#include "ui/imgtool.def"
#undef OPTION
	IMGTOOL_OPTS
};
struct imgtool_args {
	enum imgtool_verb verb;
	const char *value[IMGTOOL_OPTS];	/* NULL: not given; "" for one without a value */
	char **file;
	int files;
	char err[600];
	int shown;			/* progress: tenths of a percent that were shown last, or -1 */
};
/* Prints args->err, or the sentence, and returns IMGTOOL_FAILED. */
int  imgtool_fails(const struct imgtool_args *a);
int  imgtool_says(struct imgtool_args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "64k"; false with the sentence printed. */
bool imgtool_take_size(struct imgtool_args *a, enum imgtool_option o, u64 otherwise, u64 *bytes);
bool imgtool_wants_json(struct imgtool_args *a, bool *json);
/* As -f, -U and --allow-backing say. */
struct image_options imgtool_options_of(const struct imgtool_args *a, bool readonly);
struct image_progress imgtool_progress_of(struct imgtool_args *a);
void imgtool_progress_end(const struct imgtool_args *a);
/* "196 KiB", as qemu-img writes it. */
const char *imgtool_human(u64 bytes, char text[32]);

#define VERB(name, synopsis, what) int imgtool_##name(struct imgtool_args *a);
#include "ui/imgtool.def"
#undef VERB
#endif

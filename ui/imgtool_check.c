/*
 * imgtool_check.c - 'ringfence image check' and 'repair', with the words and exit statuses of qemu-img.
 */
#include "ui/imgtool.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ui/json.h"

static void print_finding(void *arg, const char *sentence)
{
	fprintf(stderr, "%s\n", sentence);
}

static void put_count(struct json *j, const char *key, u64 n, bool always)
{
	if (n || always)
		js_put(j, key, js_number((s64)n));
}

static void print_json(const struct image *im, const struct image_check *c)
{
	struct json *j = js_object();
	js_put(j, "filename", js_text(image_path(im)));
	js_put(j, "format", js_text(image_format_of(im)));
	put_count(j, "check-errors", c->errors, true);
	put_count(j, "image-end-offset", c->end_offset, false);
	put_count(j, "corruptions", c->corruptions, false);
	put_count(j, "leaks", c->leaks, false);
	put_count(j, "corruptions-fixed", c->corruptions_fixed, false);
	put_count(j, "leaks-fixed", c->leaks_fixed, false);
	put_count(j, "total-clusters", c->total_clusters, false);
	put_count(j, "allocated-clusters", c->allocated_clusters, false);
	put_count(j, "fragmented-clusters", c->fragmented_clusters, false);
	put_count(j, "compressed-clusters", c->compressed_clusters, false);
	char *text = js_write(j);
	puts(text ? text : "null");
	free(text);
	js_free(j);
}

static void print_words(const struct image_check *c)
{
	double all = c->total_clusters ? (double)c->total_clusters : 1, allocated = c->allocated_clusters ? (double)c->allocated_clusters : 1;
	if (!c->corruptions && !c->leaks && !c->errors)
		printf("No errors were found on the image.\n");
	if (c->corruptions)
		printf("\n%llu errors were found on the image.\nData may be corrupted, or further writes to the image may corrupt it.\n",
			(unsigned long long)c->corruptions);
	if (c->leaks)
		printf("\n%llu leaked clusters were found on the image.\nThis means waste of disk space, but no harm to data.\n",
			(unsigned long long)c->leaks);
	if (c->errors)
		printf("\n%llu internal errors have occurred during the check.\n", (unsigned long long)c->errors);
	if (c->total_clusters)
		printf("%llu/%llu = %.2f%% allocated, %.2f%% fragmented, %.2f%% compressed clusters\n", (unsigned long long)c->allocated_clusters,
			(unsigned long long)c->total_clusters, (double)c->allocated_clusters * 100 / all,
			(double)c->fragmented_clusters * 100 / allocated, (double)c->compressed_clusters * 100 / allocated);
	if (c->end_offset)
		printf("Image end offset: %llu\n", (unsigned long long)c->end_offset);
}

static int status_of(const struct image_check *c)
{
	return c->errors ? IMGTOOL_FAILED : c->corruptions ? IMGTOOL_CORRUPT : c->leaks ? IMGTOOL_LEAKS : IMGTOOL_OK;
}

/* After a repair a second look, which counts. */
static int check_twice(struct image *im, struct image_check *c)
{
	int error = image_check(im, c);
	if (error || (!c->leaks_fixed && !c->corruptions_fixed))
		return error;
	struct image_check again = { .say = c->say, .arg = c->arg };
	error = image_check(im, &again);
	again.leaks_fixed = c->leaks_fixed;
	again.corruptions_fixed = c->corruptions_fixed;
	*c = again;
	return error;
}

static int check(struct imgtool_args *a, bool leaks, bool all)
{
	bool json, quiet = a->value[IMGTOOL_OPT_QUIET] != NULL;
	struct image_check c = { .repair_leaks = leaks, .repair_all = all, .say = quiet ? NULL : print_finding };
	struct image_options opt = imgtool_options_of(a, !leaks);
	if (!imgtool_wants_json(a, &json))
		return IMGTOOL_FAILED;
	opt.no_backing = opt.for_repair = true;
	struct image *im = image_open(a->file[0], &opt, a->err, sizeof(a->err));
	if (!im)
		return imgtool_fails(a);
	int error = check_twice(im, &c), status = status_of(&c);
	if (error == ENOTSUP) {
		imgtool_says(a, "%s: an image in %s format has nothing that could be checked", a->file[0], image_format_of(im));
		status = IMGTOOL_NO_CHECK;
	} else if (error && !c.errors) {
		status = imgtool_says(a, "%s: cannot be checked: %s", a->file[0], strerror(error));
	} else {
		if (!quiet && !json && (c.leaks_fixed || c.corruptions_fixed))
			printf("The following inconsistencies were found and repaired:\n\n    %llu leaked clusters\n    %llu corruptions\n\n"
				"Double checking the fixed image now...\n", (unsigned long long)c.leaks_fixed, (unsigned long long)c.corruptions_fixed);
		if (json)
			print_json(im, &c);
		else if (!quiet)
			print_words(&c);
	}
	image_close(im);
	return status;
}

int imgtool_check(struct imgtool_args *a)
{
	const char *what = a->value[IMGTOOL_OPT_REPAIR];
	bool all = what && !strcmp(what, "all");
	if (what && !all && strcmp(what, "leaks"))
		return imgtool_says(a, "--repair: '%.40s' is neither leaks nor all", what);
	return check(a, what != NULL, all);
}

int imgtool_repair(struct imgtool_args *a)
{
	return check(a, true, true);
}

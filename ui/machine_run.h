/*
 * machine_run.h - 'ringfence run NAME [OPTION]...' as the words of 'ringfence run FILE... [OPTION]...'.
 */
#ifndef RF_MACHINE_RUN_H
#define RF_MACHINE_RUN_H
#include "ui/machdir.h"

struct machine_words {
	struct machine_dir m;	/* locked; m.lock is -1 when the first word is no machine */
	char **conf_words, **all;
	int conf_count;
	bool named;		/* the user gave it another name to run under */
	char name[80];
};
/* When the first word is a machine's name, *argv and *argc become its settings and then the rest of the words. False with a sentence in
 * err. machine_words_end() in each case, behind the last use of the words. */
bool machine_words_begin(struct machine_words *w, int *argc, char ***argv, char *err, size_t errsize);
void machine_words_end(struct machine_words *w);
/* Has it memory to go on from? False with a sentence in err. */
bool machine_is_suspended(const char *name, char *err, size_t errsize);
#endif

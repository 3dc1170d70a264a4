/*
 * conf_kind.h - the rows of conf.def, for conf.c and conf_words.c.
 */
#ifndef RF_CONF_KIND_H
#define RF_CONF_KIND_H

enum conf_kind {
	CONF_NOTE, CONF_TEXT, CONF_CPU, CONF_SWITCH, CONF_SNAPSHOT,	/* no file's name in it */
	CONF_DRIVE,	/* FILE[,key=value]..., or none */
	CONF_STATE,	/* in snapshots/states */
	CONF_FIRMWARE,	/* FILE, or seabios */
	CONF_FILE,
	CONF_MODULES,	/* FILE[ ARGUMENTS],FILE... */
	CONF_WHERE,	/* file:FILE, unix:FILE or something else */
};
struct conf_key {
	const char *name, *option;
	int count;
	enum conf_kind kind;
	const char *help;
};
/* By its name, with or without a number; NULL: there is none. */
const struct conf_key *conf_find(const char *word);
#endif

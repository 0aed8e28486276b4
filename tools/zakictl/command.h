#ifndef COMMAND_H
#define COMMAND_H

#include "svc/conf.h"

/*
 * One command of the operator's tool, one file each. run gets what stands after the command's name
 * and returns 0, or -1 with *e set: ERR_INVALID for a wrong use (exit status 2), anything else for a
 * failure (exit status 1). It reads its settings from the environment by conf, and writes what was
 * asked for on standard output; main() writes the reason of a failure on standard error.
 */
struct command {
	const char *name;    /* "migrate" */
	const char *usage;   /* what follows the name: "SUBJECT…" */
	const char *summary; /* one line */
	const char *help;    /* further lines, each ended; "" for none */
	const struct conf_key *conf;
	size_t conf_count;
	int (*run)(int argc, char **argv, struct err *e);
};

extern const struct command command_backups;
extern const struct command command_disaster;
extern const struct command command_instances;
extern const struct command command_migrate;
extern const struct command command_status;
extern const struct command command_tail;
extern const struct command command_trace;
extern const struct command command_user;

#endif

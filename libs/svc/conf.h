#ifndef SVC_CONF_H
#define SVC_CONF_H

#include "base/err.h"

#include <stddef.h>

/*
 * Configuration is the environment, described by tables: parsing, --help and --check-config all
 * come from the same row. A secret may also be given as NAME_FILE, the path of a file that holds
 * it (its last newline is not part of it); both at once are refused.
 */
enum conf_type {
	CONF_STR, /* const char *; min and max are its length in bytes */
	CONF_INT, /* long long */
	CONF_SEC, /* long long, seconds */
};

struct conf_key {
	const char *env; /* "INSTANCES_FREE" */
	enum conf_type type;
	size_t offset;        /* into the struct given to conf_load() */
	const char *fallback; /* as it would be written; NULL: must be set */
	long long min, max;
	bool secret; /* never shown */
	const char *help;
};

/* Fills the struct. Strings live until the process ends. ERR_INVALID naming the variable. */
int conf_load(const struct conf_key *keys, size_t count, void *to, struct err *e);

/* One line a key, on standard output. */
void conf_help(const struct conf_key *keys, size_t count);

#endif

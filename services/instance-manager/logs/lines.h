#ifndef LOGS_LINES_H
#define LOGS_LINES_H

#include "base/arena.h"
#include "base/err.h"

/*
 * What a container wrote, line by line. The engine puts a time before each line and is asked for
 * what came after one. A place in a log ("1785200000.123456789", unix seconds) is where a later
 * request goes on. Pure.
 */
#define LOGS_LINE_MAX  4096 /* bytes of a line; what is beyond is cut */
#define LOGS_PLACE_MAX 32

struct log_line {
	long long at_ms; /* unix ms; 0: the engine gave it none */
	char *text;      /* UTF-8 without control characters, may be changed; in the arena */
};

struct log_lines {
	struct log_line *list;
	size_t count;
	char place[LOGS_PLACE_MAX]; /* just after the last of them; "" where there is none */
};

/* text: "<RFC 3339 with nanoseconds> <line>\n" each; at most max, the last of them. */
int logs_lines(const char *text, size_t max, struct arena *a, struct log_lines *ret, struct err *e);

/* ERR_INVALID with the field after. */
int logs_place_check(const char *place, struct err *e);

#endif

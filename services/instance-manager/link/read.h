#ifndef LINK_READ_H
#define LINK_READ_H

#include "link/ask.h"

/*
 * A gateway's answers as ours: each value is looked at, cut to what our messages take, and copied
 * into the call's arena. What is missing or of another kind is absent, never an error.
 */

const cJSON *read_at(const cJSON *obj, const char *key);

/* One line of at most max characters, NULL where there is none; read_word: printable ASCII without
 * spaces, NULL where it is anything else; read_long: lines stay, at most max bytes. */
const char *read_line(struct arena *a, const cJSON *obj, const char *key, size_t max);
const char *read_word(struct arena *a, const cJSON *obj, const char *key, size_t max);
const char *read_long(struct arena *a, const cJSON *obj, const char *key, size_t max);

/* Unix ms, or the gateway's own text of a time, as our text; NULL where there is none. */
const char *read_time(struct arena *a, const cJSON *obj, const char *key);
const char *read_time_ms(struct arena *a, long long ms); /* 0: NULL */

/* A count; 0 where it is none. cost: dollars as millionths. */
long long read_count(const cJSON *obj, const char *key);
long long read_cost(const cJSON *obj, const char *key);

/* Since when what is answered may be out of date: NULL, where nothing is known. */
const char *read_as_of(struct arena *a, const struct link_place *at);

/* A list's first entries, each as one of ours; those that entry() refuses are left out. NULL: out of
 * memory. */
typedef bool read_entry(struct arena *a, const cJSON *from, void *ret);

struct read_kind {
	size_t max;  /* entries */
	size_t size; /* of one of ours */
	read_entry *entry;
};
void *read_each(struct arena *a, const cJSON *list, const struct read_kind *kind,
                size_t *ret_count);

/* Room for a list of at most max of these; *ret_count: how many there are to be read. */
void *read_list(struct arena *a, const cJSON *list, size_t max, size_t size, size_t *ret_count);

#endif

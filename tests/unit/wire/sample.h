#ifndef SAMPLE_H
#define SAMPLE_H

#include "wire/wire.h"

/* A message with a field of every kind, as protogen would write it, so that a test of the walker
 * does not change when the real messages do. */

struct part {
	const char *name;
	const char *key; /* secret */
};

struct sample {
	const char *id;
	const char *color;
	const char *note; /* nullable */
	const char *pin;  /* secret, optional */
	long long size;
	long long age;
	bool has_age;
	long long rank; /* nullable */
	bool has_rank;
	bool on;
	bool maybe;
	bool has_maybe;
	struct part *part;
	const char **tags;
	size_t tags_count;
	struct part *parts;
	size_t parts_count;
	const char *extra; /* any JSON */
};

extern const struct wire_msg wire_part, wire_sample;

#endif

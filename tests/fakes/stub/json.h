/*
 * JSON in and out, as little as the stub needs: Debian has no static cJSON to link.
 *
 * Strict where a lenient reader would hide a mistake of ours: no trailing bytes, no NUL in strings,
 * at most JSON_DEPTH_MAX levels.
 */
#ifndef STUB_JSON_H
#define STUB_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_DEPTH_MAX = 32 };

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_type type;
	bool truth;         /* JSON_BOOL */
	double number;      /* JSON_NUMBER */
	char *string;       /* JSON_STRING */
	char *key;          /* name in the object that holds it, else NULL */
	struct json *child; /* first of an array's or object's */
	struct json *next;
};

struct json *json_parse(const char *text,
                        size_t len); /* NULL when it is not JSON; json_free() it */
void json_free(struct json *j);

/* By a path of names with '/' between; NULL when there is none. j may be NULL. */
const struct json *json_at(const struct json *j, const char *path);
const char *json_string_at(const struct json *j, const char *path, const char *otherwise);
int64_t json_int_at(const struct json *j, const char *path, int64_t otherwise);
bool json_bool_at(const struct json *j, const char *path, bool otherwise);

/* A text that grows. After a failed allocation it stays as it was and `failed` is set. */
struct text {
	char *data; /* ends in NUL once something was added */
	size_t len;
	size_t size;
	bool failed;
};

void text_add(struct text *t, const char *data, size_t len);
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_json(struct text *t, const char *s); /* quoted and escaped; NULL becomes null */
void text_done(struct text *t);

#endif

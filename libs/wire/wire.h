#ifndef WIRE_H
#define WIRE_H

#include "base/arena.h"
#include "base/err.h"
#include "wire/seal.h"

#include <cjson/cJSON.h>
#include <stddef.h>

/*
 * Messages as C structs. The tables below are generated from proto/schema/ (tools/protogen.py);
 * this library walks them in both directions. Nothing past wire_decode() touches cJSON.
 *
 * In C a string is `const char *` (absent or null: NULL), an integer `long long` and a boolean
 * `bool` (optional ones have a `bool has_NAME`), a message `struct NAME *` (absent: NULL), an array
 * `T *NAME` with `size_t NAME_count` (absent: NULL). All of it lives in the arena.
 */

enum wire_type {
	WIRE_STRING,
	WIRE_INT,
	WIRE_BOOL,
	WIRE_OBJECT,  /* another message */
	WIRE_STRINGS, /* array of strings; min and max are of each */
	WIRE_OBJECTS, /* array of one message */
	WIRE_JSON,    /* any JSON value, kept as text; max is its length in bytes */
};

enum wire_flags {
	WIRE_REQUIRED = 1 << 0,
	WIRE_NULLABLE = 1 << 1, /* written as null when absent; null is read as absent */
	WIRE_SECRET = 1 << 2,   /* sealed on the bus; never printed, in errors or logs */
};

enum wire_format {
	WIRE_FORMAT_NONE,
	WIRE_FORMAT_UUID,
	WIRE_FORMAT_EMAIL,
	WIRE_FORMAT_TIMESTAMP,
	WIRE_FORMAT_LINE,
	WIRE_FORMAT_TOKEN,
	WIRE_FORMAT_URL
};

#define WIRE_ALWAYS ((size_t)-1) /* has_offset of a field with no has_NAME */

struct wire_msg;

struct wire_field {
	const char *name;
	enum wire_type type;
	unsigned flags;
	enum wire_format format;
	size_t offset;
	size_t has_offset;           /* of the bool has_NAME of an optional number or boolean */
	size_t count_offset;         /* of the size_t NAME_count of an array */
	long long min, max;          /* value of an int, length of a string in code points */
	size_t items_max;            /* of an array */
	const char *const *one_of;   /* NULL-terminated; NULL when any value does */
	const struct wire_msg *item; /* message of WIRE_OBJECT, WIRE_OBJECTS */
};

struct wire_msg {
	const char *name;
	size_t size;
	const struct wire_field *fields;
	size_t field_count;
	bool has_secret; /* a field of it, or of a message in it, is WIRE_SECRET */
};

/*
 * Fills *out (m->size bytes) from json, which must be an object with exactly the declared fields.
 * Strings are copied into the arena. With a seal, secret fields must come sealed and are opened;
 * with NULL they are read as they stand. Fails with ERR_INVALID and the field's dotted path at the
 * first thing that does not fit, or with ERR_TOO_LARGE when the arena is full; *out is then not to
 * be read. The value that was refused is never part of the message.
 */
int wire_decode(const struct wire_msg *m, const cJSON *json, const struct seal *seal,
                struct arena *a, void *out, struct err *e);

/* The other way. The caller owns *ret. Leaves out what is absent: NULL strings, has_NAME false. */
int wire_encode(const struct wire_msg *m, const void *in, const struct seal *seal, cJSON **ret,
                struct err *e);

/* The field of that name, NULL if the message has none. */
const struct wire_field *wire_field_find(const struct wire_msg *m, const char *name);

#endif

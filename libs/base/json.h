#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stddef.h>

#define JSON_DEPTH_MAX   32   /* nested objects and arrays */
#define JSON_MEMBERS_MAX 1024 /* of one object; finding a key twice takes their square */

/*
 * The only way JSON enters a process. cJSON 1.7.15 alone also takes bytes after the document, text
 * that is not UTF-8, raw control characters, numbers such as 01 and 1e999, and cuts a string at
 * \u0000 and at \uXXXX that is no hex, so that two readers can see two different values (measured).
 * All of these, an escaped surrogate without its other half, a document nested deeper than
 * JSON_DEPTH_MAX, an object with more than JSON_MEMBERS_MAX members and one with a key twice are
 * ERR_INVALID here. The caller owns *ret.
 */
int json_parse(const char *data, size_t len, cJSON **ret, struct err *e);

/* A member's text; NULL where it is absent or no string. Lives as long as obj. */
const char *json_text(const cJSON *obj, const char *key);

#endif

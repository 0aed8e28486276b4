#ifndef MEMORY_TEXT_H
#define MEMORY_TEXT_H

#include "base/arena.h"
#include "base/err.h"

/* A file's bytes as a JSON text: as they are where they are UTF-8 without control characters but
 * tabs and line ends, else in base64 (RFC 4648, 4). Pure. */
#define MEMORY_UTF8   "utf-8"
#define MEMORY_BASE64 "base64"

bool memory_text_is_plain(const char *data, size_t len);

/* In the arena, or data itself, which then must end in a zero. *ret_encoding is one of the two.
 * ERR_TOO_LARGE: the arena is full. */
int memory_text_from(const char *data, size_t len, struct arena *a, const char **ret,
                     const char **ret_encoding, struct err *e);

/* The other way; *ret lies in the arena or is the text. ERR_INVALID with the field content;
 * ERR_TOO_LARGE: more than MEMORY_FILE_MAX bytes. encoding NULL: utf-8. */
int memory_text_to(const char *text, const char *encoding, struct arena *a, const char **ret,
                   size_t *ret_len, struct err *e);

#endif

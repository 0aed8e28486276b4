#ifndef PATH_TEXT_H
#define PATH_TEXT_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Names of files in a backup are bytes; what people are shown is text. Pure. */

/* The path as text: what is no UTF-8, and control characters, show as '?'; *ret_exact says whether
 * there were none. NULL: out of memory. */
const char *path_text(struct arena *a, const char *path, bool *ret_exact);

/* UTF-8 without a zero byte. */
bool text_is_plain(const char *text, size_t len);

/* Is it a path of a backup: ".openclaw", "workspace", or below one of them, with no empty, "." or ".."
 * part? ERR_INVALID at the field. */
int path_check(const char *path, const char *field, struct err *e);

#endif

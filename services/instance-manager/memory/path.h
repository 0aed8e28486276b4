#ifndef MEMORY_PATH_H
#define MEMORY_PATH_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Names of an assistant's workspace files as people use them: "SOUL.md", "preferences/food.md".
 * Hidden ones (a part that begins with a dot) are the assistant's own and are neither shown nor
 * taken; with that, "." and ".." are no names either. Pure.
 */
#define MEMORY_PATH_MAX   512 /* bytes */
#define MEMORY_DEPTH_MAX  16  /* parts of a path */
#define MEMORY_CURSOR_MAX 700 /* bytes; a path in base64 and the zero */

/* Is it one part of a path: UTF-8, no control character, not hidden, at most 255 bytes? */
bool memory_name_fits(const char *name, size_t len);

/* ERR_INVALID with the field path. */
int memory_path_check(const char *path, struct err *e);

/* The order of lists: part by part, bytewise, a folder before what is in it. As strcmp(). */
int memory_path_compare(const char *a, const char *b);

/* Is path the folder that `of` is somewhere in? */
bool memory_path_is_above(const char *path, const char *of);

/* A place in a list: the path after which it goes on. */
char *memory_cursor_text(const char *path, char out[MEMORY_CURSOR_MAX]);
/* ERR_INVALID with the field cursor for whatever memory_cursor_text() did not write. */
int memory_cursor_parse(const char *text, char out[MEMORY_PATH_MAX + 1], struct err *e);

#endif

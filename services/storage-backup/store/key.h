#ifndef KEY_H
#define KEY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What may be a key of the store (storage.h says it), in any kind of store alike: valid UTF-8 without
 * control characters or any that XML has none for, in parts between '/' that are names of files.
 */
#define KEY_PART_MAX  255 /* bytes of one part: what a directory's name may have */
#define KEY_PARTS_MAX 128

/* max: bytes of the whole key. */
bool key_is_valid(const char *key, size_t max);

/* Could a key begin so? May end within a part, but not within a character; "" is one. */
bool key_is_prefix(const char *prefix, size_t max);

#endif

#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stddef.h>

/* Identifiers: lower-case UUIDs, version 4 (RFC 9562), from libsodium's random bytes. Any thread,
 * once sodium_init() has run. */

#define UUID_SIZE 37 /* 36 characters and the zero */

void uuid_make(char out[UUID_SIZE]);
bool uuid_is_valid(const char *s); /* any version, lower case only */

/* len random bytes as lower-case hex; out holds 2 * len + 1. */
void random_hex(size_t len, char *out);

#endif

#ifndef GATEWAY_PERCENT_H
#define GATEWAY_PERCENT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Undoes percent-encoding (RFC 3986) of len bytes into out, with a zero at its end. plus: a '+' is
 * a space, as in query strings. false: it is not well-formed, holds a zero or a control character,
 * is no UTF-8 or does not fit.
 */
bool percent_decode(const char *s, size_t len, bool plus, char *out, size_t size);

#endif

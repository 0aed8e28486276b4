#ifndef GATEWAY_COOKIE_H
#define GATEWAY_COOKIE_H

#include "base/arena.h"
#include "base/err.h"

/*
 * The tokens as cookies. The __Host- prefix makes browsers refuse one that is not Secure, names a
 * Domain or has another Path, so that no sister host can plant it.
 */
#define COOKIE_ACCESS    "__Host-zaki_access"
#define COOKIE_REFRESH   "__Host-zaki_refresh"
#define COOKIE_REFRESH_S 604800 /* 7 days, as long as a refresh token is good */

/* A cookie's value out of a Cookie header (RFC 6265), in the arena; NULL where it is absent, empty
 * or, being there twice, not to be told. */
const char *cookie_find(const char *header, const char *name, struct arena *a);

/* The Set-Cookie lines, each ended by \r\n, in the arena. A NULL token takes its cookie away. */
int cookie_lines(const char *access, long long access_s, const char *refresh, struct arena *a,
                 const char **ret, struct err *e);

#endif

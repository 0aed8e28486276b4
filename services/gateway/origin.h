#ifndef GATEWAY_ORIGIN_H
#define GATEWAY_ORIGIN_H

#include "base/err.h"

/*
 * Which pages may use the API from a browser: those of PUBLIC_URL and of CORS_ORIGINS, compared
 * whole. Any thread: read-only once made.
 */
struct origin_list;

/* cors_origins: "https://a.example, http://localhost:5173". ERR_INVALID naming the setting. */
int origin_list_new(const char *public_url, const char *cors_origins, struct origin_list **ret,
                    struct err *e);
void origin_list_free(struct origin_list *l); /* NULL is fine */

bool origin_is_allowed(const struct origin_list *l, const char *origin); /* NULL: no */
bool origin_is_https(const struct origin_list *l);                       /* PUBLIC_URL is */

/*
 * Whether a request that a cookie vouches for may change something. The browser sends the cookie
 * whoever asks; only these two headers say who did, and no page can set them.
 */
bool origin_may_act(const struct origin_list *l, const char *origin, const char *fetch_site);

#endif

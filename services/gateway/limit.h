#ifndef GATEWAY_LIMIT_H
#define GATEWAY_LIMIT_H

#include "route.h"
#include "store/redis.h"

/*
 * How many requests in any 60 seconds, exact over all gateways: Redis keeps, for each user or network,
 * when its last allowed requests came, by its own clock. One that is refused counts for nothing. While
 * Redis is away this process counts by itself (gcra.h), and METRIC_LIMITS_LOCAL says so. Any thread.
 */
struct limit_state {
	enum route_limit class;
	bool is_counted; /* false: the route has no limit */
	bool is_allowed;
	long long max;               /* requests a minute */
	long long remaining;         /* that may come at once now */
	long long reset_us, wait_us; /* until all of max may come again; until one more may */
};

/* What Redis knows of a session. */
enum limit_session { SESSION_FINE, SESSION_REVOKED, SESSION_NOT_KNOWN };

struct limit;

/* per_min: of strangers. */
int limit_new(struct redis *r, long long api_per_min, long long auth_per_min, struct limit **ret,
              struct err *e);
void limit_free(struct limit *l); /* NULL is fine */

/* Counts one request of key, a user id or a network. */
void limit_count(struct limit *l, enum route_limit class, const char *key, struct limit_state *ret);

/* The same for a user, and in the same round trip whether the session was revoked; SESSION_NOT_KNOWN
 * where Redis is away or does not know all (services/auth/revoked.h): auth has to be asked. */
struct limit_user {
	const char *user_id, *session_id;
	long long max; /* requests a minute */
};
enum limit_session limit_count_user(struct limit *l, const struct limit_user *who,
                                    struct limit_state *ret);

#endif

#ifndef AUTH_REFRESH_H
#define AUTH_REFRESH_H

#include "session.h"

/*
 * A refresh token is traded for a new one. One that was used before and comes back was stolen, or is
 * the thief's: the whole family ends. But two tabs of one browser may send the same one at the same
 * moment, and an answer may get lost: for REFRESH_GRACE_MS the last used one gives each its own
 * successor, as long as none of these was used. The decision is pure; PostgreSQL's clock counts, so
 * that all processes agree.
 */
#define REFRESH_GRACE_MS  10000
#define REFRESH_HEIRS_MAX 16 /* successors of one token */

struct refresh_state {
	bool session_ended;
	bool user_gone; /* deleted, or being deleted */
	bool session_expired;
	bool token_expired;
	bool is_used;
	long long used_ago_ms;
	long long heirs; /* tokens that it was traded for */
	bool heir_used;  /* one of them was traded on */
};

enum refresh_verdict {
	REFRESH_ROTATE,   /* first use */
	REFRESH_GRACE,    /* used a moment ago: a further successor */
	REFRESH_REUSED,   /* ends the family */
	REFRESH_TOO_MANY, /* refused, and nothing else happens */
	REFRESH_OVER,     /* its session or its own time is over */
};

enum refresh_verdict refresh_decide(const struct refresh_state *s);

/* Trades text for the tokens in *out. ERR_UNAUTHENTICATED: unknown, or over; ERR_TOKEN_REUSED. */
int refresh_trade(struct call *call, const char *text, struct auth_tokens *out, struct err *e);

#endif

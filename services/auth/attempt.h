#ifndef AUTH_ATTEMPT_H
#define AUTH_ATTEMPT_H

#include "bus/bus.h"
#include "store/pg.h"

/*
 * Guesses at one account's password (or code), beside the limit on each address over all accounts,
 * which is the gateway's.
 *
 * Counted by account and source (an IPv4 address, an IPv6 /64). A source has ATTEMPT_FREE failures,
 * then it waits 1 s, 2 s, 4 s … up to ATTEMPT_WAIT_MAX_S after each further one. An account that is
 * guessed at from many sources (ATTEMPT_SIEGE failures within ATTEMPT_KEEP_S) leaves a source that it
 * does not know one failure only. It knows those from which somebody signed in within
 * ATTEMPT_KNOWN_DAYS.
 *
 * So nobody waits for what a stranger elsewhere did: the first try of a source is always looked at,
 * and the right password gets in from anywhere, however much the account is guessed at. The price: a
 * guesser with n sources has n tries, then n in each ATTEMPT_WAIT_MAX_S. A stranger behind the very
 * same address can make its people wait, there and for at most that long at a time; a mailed link
 * (reset) ends the wait.
 *
 * An address that nobody has is counted in the same way, so that this tells nothing. Guesses at once
 * that all are looked at before the first has failed are bounded by the hash pool's workers.
 */
#define ATTEMPT_FREE       5
#define ATTEMPT_SIEGE      20
#define ATTEMPT_WAIT_MAX_S 900
#define ATTEMPT_KEEP_S     3600 /* failures are forgotten so long after the last */
#define ATTEMPT_KNOWN_DAYS 30
#define ATTEMPT_SOURCE_MAX 64

struct attempt_state {
	long long failures, ago_ms; /* of this source: how many, how long since the last */
	long long total;            /* of all sources */
	bool is_known;
};

/* Milliseconds that this source has to wait yet; 0: it may try. Pure. */
long long attempt_wait_ms(const struct attempt_state *s);

/* "203.0.113.9", "2001:db8:0:1::/64"; "" where the address is none. Pure. */
void attempt_source(const char *address, char ret[ATTEMPT_SOURCE_MAX]);

/* ERR_LIMIT, with the time to wait, where it may not try now. email: email_normal()'s. */
int attempt_check(struct pg_conn *c, const struct bus_ctx *ctx, const char *email, struct err *e);

int attempt_failed(struct pg_conn *c, const struct bus_ctx *ctx, const char *email, struct err *e);

/* The right one was given, from here. */
int attempt_passed(struct pg_conn *c, const struct bus_ctx *ctx, const char *email, struct err *e);

/* Forgets all sources of an account. */
int attempt_forget(struct pg_conn *c, const char *email, struct err *e);

#endif

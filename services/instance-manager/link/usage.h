#ifndef LINK_USAGE_H
#define LINK_USAGE_H

#include "instance.h"
#include "link/news.h"

#include "base/arena.h"

/*
 * Tokens and cost, as gateways count them, by day; and what a person lets an assistant spend in a
 * month. Cost is in millionths of a US dollar. Days and months are UTC.
 */
#define USAGE_ROWS_MAX 4000
#define USAGE_REACHED                                                                        \
	"This month's spending limit is reached: the assistant's model is paused until the " \
	"month ends or the limit is raised."
#define USAGE_DAY_SIZE 11 /* "2026-02-10" and the zero */

struct usage_part {
	char day[USAGE_DAY_SIZE];
	char kind[8];   /* total, model, session */
	char name[256]; /* "" of a total; provider/model; the conversation's key */
	long long input, output, cache, total, cost_micros;
};

/* The answer to sessions.usage, in parts; at most max. *ret_fresh: the gateway has counted all. Pure. */
size_t usage_read(const cJSON *answer, struct usage_part *ret, size_t max, bool *ret_fresh);

char *usage_day(long long unix_ms, char out[USAGE_DAY_SIZE]);

/* Keeps them, in the holder's name; what was read of the same day before is replaced. */
int usage_put(struct pg_conn *c, const char *holder, const char *id, const struct usage_part *parts,
              size_t count, struct err *e);

/* Sums over the days from `first` on, the largest or the latest first; in the arena. */
struct usage_query {
	const char *user_id, *id;
	const char *kind;  /* of a part */
	const char *first; /* day */
};
int usage_sums(struct pg_conn *c, const struct usage_query *q, struct arena *a,
               struct usage_row **ret, size_t *ret_count, struct err *e);

/* This month's limit and what is spent of it. */
int usage_limit_load(struct pg_conn *c, const char *user_id, const char *id,
                     struct usage_limit *ret, struct err *e);
/* micros 0: none. */
int usage_limit_write(struct pg_conn *c, const char *user_id, const char *id, long long micros,
                      struct err *e);

/* Is the model paused, this month? For the assistant's config. */
int usage_is_paused(struct pg_conn *c, const char *id, bool *ret, struct err *e);

/*
 * Makes the pause follow limit and spending, with its event and audit entry in one transaction; the
 * reconciler then gives the assistant its config. A crash before it is made up for at the next
 * count. *ret_changed: app_wake().
 */
int usage_settle(struct pg_conn *c, const char *user_id, const char *id, const char *trace_id,
                 bool *ret_changed, struct err *e);

/* Is the month's pause still to be told to those who may write? And that it is. */
int usage_to_tell(struct pg_conn *c, const char *id, bool *ret, struct err *e);
int usage_told(struct pg_conn *c, const char *id, struct err *e);

/* Asks the gateway for the last two days and keeps what it says. On a thread of the news desk. */
int usage_pull(const struct news_of *of, struct err *e);

#endif

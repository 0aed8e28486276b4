#ifndef OWNER_OWNER_H
#define OWNER_OWNER_H

#include "app.h"

/*
 * Whose an assistant is: the one person who may write to it. Known from the start, or bound later:
 * by the link that a new assistant has (owner_links), or by approving who asked.
 *
 * Every change is one transaction with the row's lock, its audit entry and a new generation of
 * OpenClaw's config: a crash leaves all of it or nothing.
 */
#define OWNER_NONCE_SIZE 33

/* A link for a new instance whose owner is not known, for as long as app->owner_link_s. In the
 * transaction that makes it. */
int owner_link_open(const struct app *app, struct pg_conn *c, const struct instance *i,
                    struct arena *a, struct err *e);

/* https://t.me/BOT?start=NONCE in the arena (secret); *ret NULL: its owner is not awaited. */
int owner_link_text(const struct app *app, struct pg_conn *c, const struct instance *i,
                    struct arena *a, const char **ret, struct err *e);

/* What a link ends with, as owner_links has it; in the arena, which wipes it. */
int owner_nonce_open(const struct app *app, const char *user_id, const char *id, const char *sealed,
                     struct arena *a, const char **ret, struct err *e);

/* Is it? Then its Telegram channel is to be off. For the assistant's config. */
int owner_is_awaited(struct pg_conn *c, const char *id, bool *ret, struct err *e);

/* The person says otherwise who may write. In a transaction that holds the instance's row, whose
 * config is made anew after it. */
int owner_link_drop(struct pg_conn *c, const struct instance *i, struct err *e);

/* No longer awaited, and nobody's: people pair. why: for people. *ret_done false: it was not awaited
 * any more. */
int owner_link_end(struct pg_conn *c, const char *user_id, const char *id, const char *why,
                   bool *ret_done, struct err *e);

/* This one it is, from now on alone. by_link: only if it is still awaited, else *ret_done is false. */
struct owner_bind {
	const char *user_id, *id, *trace_id;
	long long owner_id;
	bool by_link;
};
int owner_bind(struct pg_conn *c, const struct owner_bind *b, bool *ret_done, struct err *e);

#endif

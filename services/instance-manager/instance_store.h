#ifndef INSTANCE_STORE_H
#define INSTANCE_STORE_H

#include "base/arena.h"
#include "instance.h"
#include "instance_page.h"
#include "openclaw_config.h"

/*
 * The table `instances` as people's requests read and change it. Every statement has the user's id
 * in it: what is not theirs is not there. The reconciler's side is lease_store.h.
 */

/* ERR_NOT_FOUND when the user has no such instance. */
int store_load(struct pg_conn *c, const char *user_id, const char *id, struct instance *ret,
               struct err *e);
/* The same, and nobody else writes it until the transaction ends. */
int store_lock(struct pg_conn *c, const char *user_id, const char *id, struct instance *ret,
               struct err *e);

/* A page of a user's instances. */
int store_list(struct pg_conn *c, const char *user_id, struct arena *a, struct instance_page *page,
               struct err *e);

/* Conversations of an instance of the user's, the latest first; at most 100. */
int store_sessions(struct pg_conn *c, const char *user_id, const char *id, struct arena *a,
                   struct session_view **ret, size_t *ret_count, struct err *e);

/* A bot as a row has it. */
struct store_bot {
	const char *token_encrypted;
	const char *username; /* "": none */
	const char *key;      /* vault_bot_mac() */
};

/* Puts in a new row. ERR_BOT_TOKEN_IN_USE; ERR_CONFLICT: the port is taken, pick another. */
int store_insert(struct pg_conn *c, const struct instance *i, const struct store_bot *bot,
                 const char *create_key, struct instance *ret, struct err *e);
/* One that comes with it; its key is sealed. */
int store_insert_provider(struct pg_conn *c, const struct instance *i,
                          const struct openclaw_provider *sealed, struct err *e);

/* Writes what a person may change, and asks for a look at it now. bot: NULL where it stays.
 * ERR_BOT_TOKEN_IN_USE. *ret may be i. */
int store_change(struct pg_conn *c, const struct instance *i, const struct store_bot *bot,
                 struct instance *ret, struct err *e);

/* A free port, found from `start` on. ERR_UNAVAILABLE when there is none. */
int store_free_port(struct pg_conn *c, long long min, long long max, long long start, int *ret,
                    struct err *e);

/* Until the transaction ends, nobody else counts or adds to this user's instances. */
int store_lock_user(struct pg_conn *c, const char *user_id, struct err *e);
int store_count(struct pg_conn *c, const char *user_id, long long *ret, struct err *e);

/* The instance that was made with this Idempotency-Key within the last day; *ret_found. */
int store_find_created(struct pg_conn *c, const char *user_id, const char *key,
                       struct instance *ret, bool *ret_found, struct err *e);

/* Ids of the user's instances that are not yet being deleted, at most 100; in the arena. */
int store_ids_to_delete(struct pg_conn *c, const char *user_id, struct arena *a, const char ***ret,
                        size_t *ret_count, struct err *e);

/* What is sealed of an instance: for its config. */
struct store_secrets {
	const char *bot_token_encrypted;
	struct openclaw_provider providers[OPENCLAW_PROVIDERS_MAX]; /* api_key: sealed */
	size_t provider_count;
};
int store_secrets(struct pg_conn *c, const struct instance *i, struct arena *a,
                  struct store_secrets *ret, struct err *e);

#endif

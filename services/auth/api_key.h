#ifndef AUTH_API_KEY_H
#define AUTH_API_KEY_H

#include "app.h"

/*
 * A user's API keys. A key acts for its user without a sign-in, within its scope, until it expires or
 * is revoked; it may not touch the account itself (routes.def, SELF). To gateways its id is what a
 * session's is: one that is revoked is told to them as an ended session (revoked.h), so that it ends
 * at once although they remember keys for a moment.
 */
#define API_KEYS_MAX 100 /* that a list has; how many one user may make, their tier says */

/* Each in the caller's transaction; strings in the call's arena. */

/* ERR_QUOTA; ERR_INVALID naming expires_at; ERR_UNAUTHENTICATED when the account is gone. */
int api_key_create(struct call *call, struct pg_conn *c, const struct api_key_create_req *in,
                   struct api_key_created *out, struct err *e);

int api_key_list(struct call *call, struct pg_conn *c, struct api_key_list *out, struct err *e);

/* The user's one, or all with key_id NULL; once that has committed, the caller wakes app->keeper.
 * ERR_NOT_FOUND: the user has no such key. */
int api_key_revoke(struct app *app, struct pg_conn *c, const struct bus_ctx *ctx,
                   const char *key_id, struct err *e);

/* Whose it is; notes that it was used. out->active is false where there is none that is good. */
int api_key_find(struct call *call, struct pg_conn *c, const char *hash, struct key_state *out,
                 struct err *e);

#endif

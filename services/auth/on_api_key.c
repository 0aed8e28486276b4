/* API keys: one's own, and whose one is. */

#include "api_key.h"
#include "session.h"
#include "user.h"

#include "base/fault.h"
#include "svc/replies.h"

int on_api_key_list(struct call *call, struct err *e)
{
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0)
		return -1;
	return api_key_list(call, c, CALL_OUT(call, api_key_list), e);
}

/* A key that this very request has made already, under the same Idempotency-Key, before its process died:
 * nobody was shown it, and only its hash is left. The next one comes in its place. */
static int end_lost(struct call *call, struct pg_conn *c, const struct once_ask *ask, struct err *e)
{
	char made[UUID_SIZE] = "";

	if (ask->key[0] && once_made(c, ask, made, e) < 0)
		return -1;
	if (!made[0] || api_key_revoke(call->app, c, &call->ctx, made, e) == 0)
		return 0;
	if (e->code != ERR_NOT_FOUND)
		return -1;
	*e = ERR_INIT; /* its owner saw it in the list, and ended it */
	return 0;
}

int on_api_key_create(struct call *call, struct err *e)
{
	struct api_key_created *out = CALL_OUT(call, api_key_created);
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	char owner[REPLIES_OWNER_SIZE];
	const struct once_ask ask = replies_ask(ONCE_AUTH, call, owner);

	/* It outlives the session that makes it: whoever found a session must not be able to stay. */
	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0 ||
	    session_is_proven(call, c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    end_lost(call, c, &ask, e) < 0 ||
	    api_key_create(call, c, CALL_IN(call, api_key_create_req), out, e) < 0 ||
	    (ask.key[0] && once_note(c, &ask, out->api_key->id, e) < 0) || pg_commit(&tx, e) < 0)
		return -1;
	/* A crash here: the claim knows the key, and the same request puts another in its place. */
	fault_point("api_key.created");
	return 0;
}

int on_api_key_revoke(struct call *call, struct err *e)
{
	const struct api_key_ref *in = CALL_IN(call, api_key_ref);
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };

	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    api_key_revoke(app, c, &call->ctx, in->key_id, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	ticker_wake(app->keeper);
	return 0;
}

int on_key_check(struct call *call, struct err *e)
{
	const struct key_check_req *in = CALL_IN(call, key_check_req);
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (pg_take(app->db, &c, e) < 0)
		return -1;
	return api_key_find(call, c, in->hash, CALL_OUT(call, key_state), e);
}

/* API keys: one's own, and whose one is. */

#include "api_key.h"
#include "session.h"
#include "user.h"

int on_api_key_list(struct call *call, struct err *e)
{
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0)
		return -1;
	return api_key_list(call, c, CALL_OUT(call, api_key_list), e);
}

int on_api_key_create(struct call *call, struct err *e)
{
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };

	/* It outlives the session that makes it: whoever found a session must not be able to stay. */
	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0 ||
	    session_is_proven(call, c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    api_key_create(call, c, CALL_IN(call, api_key_create_req),
	                   CALL_OUT(call, api_key_created), e) < 0)
		return -1;
	return pg_commit(&tx, e);
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

/* Refresh, logout, tickets, and whether a session is good. */

#include "app.h"
#include "refresh.h"
#include "user.h"

#include <sodium.h>

#define TICKET_S     30
#define TICKET_BYTES 32
#define KEY_TICKET   "zaki:ticket:"
#define TEXT_(n)     #n
#define TEXT(n)      TEXT_(n)

static const char sql_of_token[] =
	"SELECT s.id, s.user_id FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id"
	" WHERE t.hash = decode($1, 'hex')";

int on_refresh(struct call *c, struct err *e)
{
	const struct auth_refresh_req *in = CALL_IN(c, auth_refresh_req);
	struct auth_tokens *out = CALL_OUT(c, auth_tokens);

	out->user = arena_alloc(&c->arena, sizeof(*out->user));
	if (!out->user)
		return err_set(e, ERR_INTERNAL, "out of memory");
	return refresh_trade(c, in->refresh_token, out, e);
}

/* The session that a logout is about: the refresh token's, or else the actor's. */
static int logout_of(const struct call *call, struct pg_conn *c, char user_id[UUID_SIZE],
                     char session_id[UUID_SIZE], struct err *e)
{
	const struct auth_logout_req *in = CALL_IN(call, auth_logout_req);
	OWN(pg_result) PGresult *res = NULL;
	char hash[REFRESH_HASH_SIZE];
	const char *param = hash;

	if (in->refresh_token) {
		refresh_hash(in->refresh_token, hash);
		if (pg_query(c, sql_of_token, &param, 1, &res, e) < 0)
			return -1;
		if (PQntuples(res) > 0) {
			snprintf(user_id, UUID_SIZE, "%s", pg_text(res, 0, "user_id"));
			snprintf(session_id, UUID_SIZE, "%s", pg_text(res, 0, "id"));
			return 0;
		}
	}
	if (!call->ctx.session_id[0])
		return err_set(e, ERR_UNAUTHENTICATED, "no session to sign out of");
	memcpy(user_id, call->ctx.user_id, UUID_SIZE);
	memcpy(session_id, call->ctx.session_id, UUID_SIZE);
	return 0;
}

int on_logout(struct call *call, struct err *e)
{
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	char user_id[UUID_SIZE], session_id[UUID_SIZE];
	const struct session_ending what = { &call->ctx, user_id,          session_id,
		                             END_LOGOUT, AUDIT_SIGNED_OUT, NULL };

	if (pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    logout_of(call, c, user_id, session_id, e) < 0 || session_end(app, c, &what, e) < 0 ||
	    pg_commit(&tx, e) < 0)
		return -1;
	ticker_wake(app->keeper);
	return 0;
}

static int ticket_keep(struct redis *r, const char *ticket, const char *value, struct err *e)
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	char key[sizeof(KEY_TICKET) + 2 * sizeof(hash)];
	OWN(redis_reply) redisReply *reply = NULL;

	(void)crypto_hash_sha256(hash, (const unsigned char *)ticket, strlen(ticket));
	memcpy(key, KEY_TICKET, sizeof(KEY_TICKET));
	(void)sodium_bin2hex(key + strlen(KEY_TICKET), 2 * sizeof(hash) + 1, hash, sizeof(hash));
	return REDIS_CALL(r, &reply, e, "SET", key, value, "EX", TEXT(TICKET_S));
}

/* What lies in Redis, under the ticket's SHA-256, for the gateway to take out with GETDEL:
 * "<user id> <session id> <unix seconds at which the session ends>". */
int on_ws_ticket(struct call *call, struct err *e)
{
	struct auth_ticket *out = CALL_OUT(call, auth_ticket);
	struct app *app = call->app;
	const struct bus_ctx *ctx = &call->ctx;
	OWN(pg_conn) struct pg_conn *c = NULL;
	unsigned char random[TICKET_BYTES];
	char text[sodium_base64_ENCODED_LEN(TICKET_BYTES,
	                                    sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
	char value[2 * UUID_SIZE + 24];
	long long expires_s = 0;
	bool is_active = false;

	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0 ||
	    session_is_active(c, ctx->user_id, ctx->session_id, &is_active, &expires_s, e) < 0)
		return -1;
	if (!is_active)
		return err_set(e, ERR_UNAUTHENTICATED, "the session has ended");

	randombytes_buf(random, sizeof(random));
	(void)sodium_bin2base64(text, sizeof(text), random, sizeof(random),
	                        sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	snprintf(value, sizeof(value), "%s %s %lld", ctx->user_id, ctx->session_id, expires_s);
	if (ticket_keep(app->redis, text, value, e) < 0)
		return -1;
	out->ticket = arena_strdup(&call->arena, text);
	out->expires_in = TICKET_S;
	sodium_memzero(text, sizeof(text));
	sodium_memzero(random, sizeof(random));
	return out->ticket ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int on_session_check(struct call *call, struct err *e)
{
	const struct session_ref *in = CALL_IN(call, session_ref);
	struct session_state *out = CALL_OUT(call, session_state);
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	long long expires_s = 0;

	if (pg_take(app->db, &c, e) < 0)
		return -1;
	return session_is_active(c, in->user_id, in->session_id, &out->active, &expires_s, e);
}

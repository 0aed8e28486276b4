#include "refresh.h"

#include "user.h"

#include "base/log.h"

#include <sodium.h>

/* Two that trade tokens of one family come one after the other; what is read after this is true
 * until the commit. */
static const char sql_lock[] =
	"SELECT s.id, s.user_id FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id"
	" WHERE t.hash = decode($1, 'hex') FOR UPDATE OF s";

static const char sql_state[] =
	"SELECT s.ended_at IS NOT NULL AS session_ended, u.status = 'deleting' AS user_gone,"
	" s.expires_at <= clock_timestamp() AS session_expired,"
	" t.expires_at <= clock_timestamp() AS token_expired,"
	" t.used_at IS NOT NULL AS is_used,"
	" coalesce(extract(epoch FROM clock_timestamp() - t.used_at) * 1000, 0)::bigint"
	"  AS used_ago_ms,"
	" (SELECT count(*) FROM refresh_tokens h WHERE h.parent = t.hash) AS heirs,"
	" EXISTS (SELECT 1 FROM refresh_tokens h WHERE h.parent = t.hash"
	"  AND h.used_at IS NOT NULL) AS heir_used"
	" FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id"
	" JOIN users u ON u.id = s.user_id WHERE t.hash = decode($1, 'hex')";

static const char sql_use[] = "UPDATE refresh_tokens SET used_at = clock_timestamp()"
			      " WHERE hash = decode($1, 'hex') AND used_at IS NULL";

static const char sql_touch[] =
	"UPDATE sessions SET last_used_at = now(), address = coalesce($2, address),"
	" user_agent = coalesce($3, user_agent) WHERE id = $1";

enum refresh_verdict refresh_decide(const struct refresh_state *s)
{
	if (s->session_ended || s->user_gone)
		return REFRESH_OVER;
	/* Before expiry: an old one that comes back is still a sign that someone kept it. */
	if (s->is_used && (s->heir_used || s->used_ago_ms > REFRESH_GRACE_MS))
		return REFRESH_REUSED;
	if (s->session_expired || s->token_expired)
		return REFRESH_OVER;
	if (!s->is_used)
		return REFRESH_ROTATE;
	return s->heirs >= REFRESH_HEIRS_MAX ? REFRESH_TOO_MANY : REFRESH_GRACE;
}

/* A token as it lies in the database, locked with its session. */
struct found {
	char hash[REFRESH_HASH_SIZE];
	char session_id[UUID_SIZE], user_id[UUID_SIZE];
	enum refresh_verdict verdict;
};

static int find(struct pg_conn *c, const char *text, struct found *ret, struct err *e)
{
	const char *param = ret->hash;
	OWN(pg_result) PGresult *lock = NULL;
	OWN(pg_result) PGresult *res = NULL;
	struct refresh_state s;

	refresh_hash(text, ret->hash);
	if (pg_query(c, sql_lock, &param, 1, &lock, e) < 0)
		return -1;
	if (PQntuples(lock) == 0)
		return err_set(e, ERR_UNAUTHENTICATED, "refresh token is not valid");
	snprintf(ret->session_id, UUID_SIZE, "%s", pg_text(lock, 0, "id"));
	snprintf(ret->user_id, UUID_SIZE, "%s", pg_text(lock, 0, "user_id"));

	if (pg_query(c, sql_state, &param, 1, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_UNAUTHENTICATED, "refresh token is not valid");
	s = (struct refresh_state){
		.session_ended = pg_bool(res, 0, "session_ended"),
		.user_gone = pg_bool(res, 0, "user_gone"),
		.session_expired = pg_bool(res, 0, "session_expired"),
		.token_expired = pg_bool(res, 0, "token_expired"),
		.is_used = pg_bool(res, 0, "is_used"),
		.heir_used = pg_bool(res, 0, "heir_used"),
	};
	if (pg_int(res, 0, "used_ago_ms", &s.used_ago_ms, e) < 0 ||
	    pg_int(res, 0, "heirs", &s.heirs, e) < 0)
		return -1;
	ret->verdict = refresh_decide(&s);
	return 0;
}

static int rotate(struct call *call, struct pg_conn *c, const struct found *f,
                  struct auth_tokens *out, struct err *e)
{
	const char *hash = f->hash, *touch[] = { f->session_id, NULL, NULL };
	char text[REFRESH_TEXT_SIZE];
	struct client client;
	int r;

	client_from(&call->ctx, &client);
	touch[1] = client.address;
	touch[2] = client.agent[0] ? client.agent : NULL;
	if (pg_query(c, sql_use, &hash, 1, NULL, e) < 0 ||
	    pg_query(c, sql_touch, touch, COUNT(touch), NULL, e) < 0 ||
	    session_add_token(c, f->session_id, f->hash, text, e) < 0)
		return -1;
	r = session_answer(call, f->user_id, f->session_id, text, out, e);
	sodium_memzero(text, sizeof(text));
	return r < 0 ? -1 : user_load(c, f->user_id, &call->arena, out->user, e);
}

/* Ends the family. What is answered is a failure, and what is written is kept. */
static int end_family(struct call *call, struct pg_conn *c, struct pg_tx *tx, const struct found *f,
                      struct err *e)
{
	struct app *app = call->app;
	const struct session_ending what = { &call->ctx,       f->user_id,         f->session_id,
		                             END_TOKEN_REUSED, AUDIT_TOKEN_REUSED, NULL };

	if (session_end(app, c, &what, e) < 0 || pg_commit(tx, e) < 0)
		return -1;
	ticker_wake(app->keeper);
	log_warn("a used refresh token came back, its session is ended", "user_id", f->user_id,
	         "session_id", f->session_id);
	return err_set(e, ERR_TOKEN_REUSED,
	               "this refresh token was used before; the session is ended, sign in again");
}

int refresh_trade(struct call *call, const char *text, struct auth_tokens *out, struct err *e)
{
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	struct found f = { .hash = "" };

	if (pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 || find(c, text, &f, e) < 0)
		return -1;
	switch (f.verdict) {
	case REFRESH_REUSED:
		return end_family(call, c, &tx, &f, e);
	case REFRESH_OVER:
		return err_set(e, ERR_UNAUTHENTICATED, "the session has ended");
	case REFRESH_TOO_MANY:
		return err_busy(e, ERR_LIMIT, 1, "too many refreshes of one token at once");
	case REFRESH_ROTATE:
	case REFRESH_GRACE:
		break;
	}
	/* A crash from here on, or an answer that gets lost: the client comes back with the token it
	 * has, within the grace or not at all. */
	return rotate(call, c, &f, out, e) < 0 ? -1 : pg_commit(&tx, e);
}

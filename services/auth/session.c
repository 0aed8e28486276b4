#include "session.h"

#include "revoked.h"

#include "base/log.h"

#include <sodium.h>

#define TEXT_(n) #n
#define TEXT(n)  TEXT_(n)

/* The row of users is locked: an account cannot be marked as deleting between this and the commit. */
static const char sql_open[] =
	"INSERT INTO sessions (id, user_id, expires_at, address, user_agent)"
	" SELECT $1, id, now() + interval '" TEXT(
		SESSION_S) " s', $3, $4 FROM users"
			   " WHERE id = $2 AND status <> 'deleting' FOR SHARE";

static const char sql_over_limit[] =
	"SELECT id FROM sessions WHERE user_id = $1 AND ended_at IS NULL"
	" ORDER BY last_used_at DESC OFFSET " TEXT(SESSIONS_MAX) " - 1";

static const char sql_add_token[] =
	"INSERT INTO refresh_tokens (hash, session_id, parent, expires_at)"
	" SELECT decode($1, 'hex'), id, decode($3, 'hex'),"
	" least(expires_at, now() + interval '" TEXT(REFRESH_S) " s')"
								" FROM sessions WHERE id = $2";

static const char sql_live[] =
	"SELECT id FROM sessions WHERE user_id = $1 AND ended_at IS NULL FOR UPDATE";

static const char sql_end[] =
	"WITH ended AS (UPDATE sessions SET ended_at = now(), ended_reason = $3"
	"  WHERE id = $1 AND user_id = $2 AND ended_at IS NULL RETURNING id, user_id)"
	" INSERT INTO ended_sessions (session_id, user_id, reason, trace_id)"
	" SELECT id, user_id, $3, $4 FROM ended ON CONFLICT (session_id) DO NOTHING";

static const char sql_is_active[] =
	"SELECT extract(epoch FROM s.expires_at)::bigint AS expires_s"
	" FROM sessions s JOIN users u ON u.id = s.user_id"
	" WHERE s.id = $1 AND s.user_id = $2 AND s.ended_at IS NULL AND s.expires_at > now()"
	" AND u.status <> 'deleting'";

static const char sql_is_proven[] =
	"SELECT proven_at > now() - make_interval(secs => $3::int) AS is_proven FROM sessions"
	" WHERE id = $1 AND user_id = $2 AND ended_at IS NULL";

static const char *const reasons[] = {
	[END_LOGOUT] = "logout",
	[END_REVOKED] = "revoked",
	[END_TOKEN_REUSED] = "token_reused",
	[END_DELETED] = "account_deleted",
	[END_EXPIRED] = "expired",
};

void refresh_hash(const char *text, char ret[REFRESH_HASH_SIZE])
{
	unsigned char hash[32];

	(void)crypto_generichash(hash, sizeof(hash), (const unsigned char *)text, strlen(text),
	                         NULL, 0);
	(void)sodium_bin2hex(ret, REFRESH_HASH_SIZE, hash, sizeof(hash));
}

int session_add_token(struct pg_conn *c, const char *session_id, const char *parent,
                      char ret[REFRESH_TEXT_SIZE], struct err *e)
{
	unsigned char random[32];
	char hash[REFRESH_HASH_SIZE];
	const char *params[] = { hash, session_id, parent };

	randombytes_buf(random, sizeof(random));
	(void)sodium_bin2base64(ret, REFRESH_TEXT_SIZE, random, sizeof(random),
	                        sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(random, sizeof(random));
	refresh_hash(ret, hash);
	return pg_query(c, sql_add_token, params, COUNT(params), NULL, e);
}

int session_answer(struct call *call, const char *user_id, const char *session_id,
                   const char *refresh_text, struct auth_tokens *out, struct err *e)
{
	const struct app *app = call->app;
	struct token_claims claims = { 0 };
	char *access = NULL;

	snprintf(claims.user_id, sizeof(claims.user_id), "%s", user_id);
	snprintf(claims.session_id, sizeof(claims.session_id), "%s", session_id);
	if (token_sign(app->keys, &claims, &access, e) < 0)
		return -1;
	out->access_token = arena_strdup(&call->arena, access);
	out->refresh_token = arena_strdup(&call->arena, refresh_text);
	out->token_type = "Bearer";
	out->expires_in = TOKEN_ACCESS_S;
	sodium_memzero(access, strlen(access));
	free(access);
	if (!out->access_token || !out->refresh_token)
		return err_set(e, ERR_INTERNAL, "out of memory");
	return 0;
}

/* Makes room for one more. */
static int end_over_limit(struct app *app, struct pg_conn *c, const struct bus_ctx *ctx,
                          const char *user_id, struct err *e)
{
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql_over_limit, &user_id, 1, &res, e) < 0)
		return -1;
	for (int i = 0; i < PQntuples(res); i++) {
		const struct session_ending what = {
			ctx, user_id, pg_text(res, i, "id"), END_REVOKED, AUDIT_SESSION_LIMIT, NULL
		};

		if (session_end(app, c, &what, e) < 0)
			return -1;
	}
	return 0;
}

int session_open(struct call *call, struct pg_conn *c, const char *user_id, struct auth_tokens *out,
                 struct err *e)
{
	char id[UUID_SIZE], text[REFRESH_TEXT_SIZE];
	OWN(pg_result) PGresult *res = NULL;
	struct client client;
	const char *params[] = { id, user_id, NULL, NULL };
	int r;

	client_from(&call->ctx, &client);
	params[2] = client.address;
	params[3] = client.agent[0] ? client.agent : NULL;
	uuid_make(id);
	if (end_over_limit(call->app, c, &call->ctx, user_id, e) < 0 ||
	    pg_query(c, sql_open, params, COUNT(params), &res, e) < 0)
		return -1;
	if (pg_affected(res) == 0)
		return err_set(e, ERR_CREDENTIALS, "e-mail address or password is wrong");
	if (session_add_token(c, id, NULL, text, e) < 0)
		return -1;
	r = session_answer(call, user_id, id, text, out, e);
	sodium_memzero(text, sizeof(text));
	return r < 0 ? -1 : audit_write(c, &call->ctx, AUDIT_SIGNED_IN, user_id, id, e);
}

int session_end(struct app *app, struct pg_conn *c, const struct session_ending *what,
                struct err *e)
{
	const char *params[] = { what->session_id, what->user_id, reasons[what->reason],
		                 what->ctx->trace_id };
	OWN(pg_result) PGresult *res = NULL;

	revoked_mark(app->redis, what->session_id);
	if (pg_query(c, sql_end, params, COUNT(params), &res, e) < 0)
		return -1;
	if (pg_affected(res) == 0 || what->audit == AUDIT_NONE)
		return 0;
	return audit_write(c, what->ctx, what->audit, what->user_id, what->session_id, e);
}

int session_end_all(struct app *app, struct pg_conn *c, const struct session_ending *what,
                    long long *ret_count, struct err *e)
{
	OWN(pg_result) PGresult *res = NULL;
	long long count = 0;

	if (pg_query(c, sql_live, &what->user_id, 1, &res, e) < 0)
		return -1;
	for (int i = 0; i < PQntuples(res); i++) {
		struct session_ending one = *what;

		one.session_id = pg_text(res, i, "id");
		if (what->keep && strcmp(what->keep, one.session_id) == 0)
			continue;
		if (session_end(app, c, &one, e) < 0)
			return -1;
		count++;
	}
	if (ret_count)
		*ret_count = count;
	return 0;
}

int session_is_proven(const struct call *call, struct pg_conn *c, struct err *e)
{
	const struct app *app = call->app;
	char seconds[24];
	const char *params[] = { call->ctx.session_id, call->ctx.user_id, seconds };
	OWN(pg_result) PGresult *res = NULL;

	if (!call->ctx.session_id[0])
		return err_set(e, ERR_FORBIDDEN, "only a signed-in person may do this");
	snprintf(seconds, sizeof(seconds), "%lld", app->reauth_s);
	if (pg_query(c, sql_is_proven, params, COUNT(params), &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_UNAUTHENTICATED, "the session has ended");
	if (!pg_bool(res, 0, "is_proven"))
		return err_set(e, ERR_REAUTH, "enter your password again first");
	return 0;
}

int session_is_active(struct pg_conn *c, const char *user_id, const char *session_id, bool *ret,
                      long long *ret_expires_s, struct err *e)
{
	const char *params[] = { session_id, user_id };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql_is_active, params, COUNT(params), &res, e) < 0)
		return -1;
	*ret = PQntuples(res) > 0;
	return *ret ? pg_int(res, 0, "expires_s", ret_expires_s, e) : 0;
}

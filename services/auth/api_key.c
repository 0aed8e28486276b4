#include "api_key.h"

#include "audit.h"
#include "base/tier.h"
#include "net/api_key.h"
#include "revoked.h"

#include <sodium.h>

#define TEXT_(n)  #n
#define TEXT(n)   TEXT_(n)
#define TIME(col) "to_char(" col ", 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS " col
#define COLUMNS                                                                         \
	"id, name, scope, hint, " TIME("created_at") ", " TIME("expires_at") ", " TIME( \
		"last_used_at")

/* With the user's row locked, two that create keys come one after the other. */
static const char sql_may_create[] =
	"SELECT $2::timestamptz IS NULL OR $2::timestamptz > now() AS is_ahead, subscription_tier"
	" FROM users WHERE id = $1 AND status = 'active' FOR NO KEY UPDATE";

static const char sql_insert[] =
	"INSERT INTO api_keys (id, user_id, name, scope, hash, hint, expires_at)"
	" SELECT $1, $2, $3, $4, decode($5, 'hex'), $6, $7"
	" WHERE (SELECT count(*) FROM api_keys WHERE user_id = $2) < $8::bigint RETURNING " COLUMNS;

static const char sql_list[] =
	"SELECT " COLUMNS " FROM api_keys WHERE user_id = $1 ORDER BY created_at DESC, id"
	" LIMIT " TEXT(API_KEYS_MAX);

static const char sql_lock[] =
	"SELECT id FROM api_keys WHERE user_id = $1 AND ($2::uuid IS NULL OR id = $2) FOR UPDATE";

static const char sql_revoke[] =
	"WITH gone AS (DELETE FROM api_keys WHERE id = $1 AND user_id = $2 RETURNING id, user_id)"
	" INSERT INTO ended_sessions (session_id, user_id, reason, trace_id)"
	" SELECT id, user_id, 'revoked', $3 FROM gone";

static const char sql_find[] =
	"SELECT k.id, k.user_id, k.scope,"
	" coalesce(extract(epoch FROM k.expires_at), 0)::bigint AS expires_s"
	" FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.hash = decode($1, 'hex')"
	" AND u.status = 'active' AND (k.expires_at IS NULL OR k.expires_at > now())";

static const char sql_used[] =
	"UPDATE api_keys SET last_used_at = now() WHERE id = $1"
	" AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')";

/* *failed is set where the arena is full, so that a row is checked once. */
static const char *copy(struct arena *a, const char *text, bool *failed)
{
	const char *result = text ? arena_strdup(a, text) : NULL;

	*failed |= text && !result;
	return result;
}

static int from_row(const PGresult *res, int row, struct arena *a, struct api_key_view *ret,
                    struct err *e)
{
	bool failed = false;

	*ret = (struct api_key_view){
		.id = copy(a, pg_text(res, row, "id"), &failed),
		.name = copy(a, pg_text(res, row, "name"), &failed),
		.scope = copy(a, pg_text(res, row, "scope"), &failed),
		.hint = copy(a, pg_text(res, row, "hint"), &failed),
		.created_at = copy(a, pg_text(res, row, "created_at"), &failed),
		.expires_at = copy(a, pg_text(res, row, "expires_at"), &failed),
		.last_used_at = copy(a, pg_text(res, row, "last_used_at"), &failed),
	};
	return failed ? err_set(e, ERR_INTERNAL, "out of memory") : 0;
}

static int may_create(const struct call *call, struct pg_conn *c, const char *expires_at,
                      const struct tier **ret, struct err *e)
{
	const char *params[] = { call->ctx.user_id, expires_at };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql_may_create, params, COUNT(params), &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_UNAUTHENTICATED, "the account is not there any more");
	if (!pg_bool(res, 0, "is_ahead"))
		return err_field(e, "expires_at", "must lie in the future");
	return tier_find(pg_text(res, 0, "subscription_tier"), ret, e);
}

int api_key_create(struct call *call, struct pg_conn *c, const struct api_key_create_req *in,
                   struct api_key_created *out, struct err *e)
{
	char id[UUID_SIZE], key[API_KEY_SIZE], hash[API_KEY_HASH_SIZE], most[24];
	const char *hint = key + API_KEY_SIZE - 5;
	const char *params[] = { id,   call->ctx.user_id, in->name, in->scope, hash,
		                 hint, in->expires_at,    most };
	const struct tier *tier = &tiers[TIER_FREE];
	OWN(pg_result) PGresult *res = NULL;

	if (may_create(call, c, in->expires_at, &tier, e) < 0)
		return -1;
	snprintf(most, sizeof(most), "%lld", tier->api_keys);
	uuid_make(id);
	api_key_make(key);
	api_key_hash(key, hash);
	out->key = arena_strdup(&call->arena, key);
	out->api_key = arena_alloc(&call->arena, sizeof(*out->api_key));
	if (!out->key || !out->api_key)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (pg_query(c, sql_insert, params, COUNT(params), &res, e) < 0)
		return -1;
	sodium_memzero(key, sizeof(key));
	if (PQntuples(res) == 0)
		return err_set(e, ERR_QUOTA, "you have %lld API keys already: revoke one first",
		               tier->api_keys);
	if (from_row(res, 0, &call->arena, out->api_key, e) < 0)
		return -1;
	return audit_write(c, &call->ctx, AUDIT_KEY_CREATED, call->ctx.user_id,
	                   call->ctx.session_id, e);
}

int api_key_list(struct call *call, struct pg_conn *c, struct api_key_list *out, struct err *e)
{
	const char *user_id = call->ctx.user_id;
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql_list, &user_id, 1, &res, e) < 0)
		return -1;
	out->items_count = (size_t)PQntuples(res);
	out->items = arena_alloc(&call->arena, (out->items_count + 1) * sizeof(*out->items));
	if (!out->items)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < out->items_count; i++)
		if (from_row(res, (int)i, &call->arena, &out->items[i], e) < 0)
			return -1;
	return 0;
}

/* What a crash leaves at each point is told in revoked.h: it is a session's end. */
static int revoke_one(struct app *app, struct pg_conn *c, const struct bus_ctx *ctx,
                      const char *key_id, struct err *e)
{
	const char *params[] = { key_id, ctx->user_id, ctx->trace_id };

	revoked_mark(app->redis, key_id);
	if (pg_query(c, sql_revoke, params, COUNT(params), NULL, e) < 0)
		return -1;
	return audit_write(c, ctx, AUDIT_KEY_REVOKED, ctx->user_id, ctx->session_id, e);
}

int api_key_revoke(struct app *app, struct pg_conn *c, const struct bus_ctx *ctx,
                   const char *key_id, struct err *e)
{
	const char *params[] = { ctx->user_id, key_id };
	OWN(pg_result) PGresult *res = NULL;

	/* Whose it is comes first: nobody marks what is another's as ended. */
	if (pg_query(c, sql_lock, params, COUNT(params), &res, e) < 0)
		return -1;
	if (key_id && PQntuples(res) == 0)
		return err_set(e, ERR_NOT_FOUND, "you have no such API key");
	for (int i = 0; i < PQntuples(res); i++)
		if (revoke_one(app, c, ctx, pg_text(res, i, "id"), e) < 0)
			return -1;
	return 0;
}

int api_key_find(struct call *call, struct pg_conn *c, const char *hash, struct key_state *out,
                 struct err *e)
{
	OWN(pg_result) PGresult *res = NULL;
	bool failed = false;

	out->active = false;
	if (strspn(hash, "0123456789abcdef") != API_KEY_HASH_SIZE - 1)
		return 0;
	if (pg_query(c, sql_find, &hash, 1, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return 0;
	out->key_id = copy(&call->arena, pg_text(res, 0, "id"), &failed);
	out->user_id = copy(&call->arena, pg_text(res, 0, "user_id"), &failed);
	out->scope = copy(&call->arena, pg_text(res, 0, "scope"), &failed);
	if (failed)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (pg_int(res, 0, "expires_s", &out->expires_s, e) < 0 ||
	    pg_query(c, sql_used, &out->key_id, 1, NULL, e) < 0)
		return -1;
	out->active = out->has_expires_s = true;
	return 0;
}

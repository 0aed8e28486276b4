#include "instance_store.h"

#include "link/session_store.h"
#include "store/params.h"

#include "base/clock.h"

#define SESSIONS_LATEST "100"
#define PURGE_MAX       "100" /* of one call; the caller asks again */

static int one(struct pg_conn *c, const char *sql, const char *user_id, const char *id,
               struct instance *ret, struct err *e)
{
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, (const char *[]){ user_id, id }, 2, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_NOT_FOUND, "no such instance");
	return instance_from_row(res, 0, ret, e);
}

int store_load(struct pg_conn *c, const char *user_id, const char *id, struct instance *ret,
               struct err *e)
{
	static const char sql[] =
		"SELECT " INSTANCE_COLUMNS " FROM instances WHERE user_id = $1 AND id = $2";

	return one(c, sql, user_id, id, ret, e);
}

int store_lock(struct pg_conn *c, const char *user_id, const char *id, struct instance *ret,
               struct err *e)
{
	static const char sql[] = "SELECT " INSTANCE_COLUMNS
				  " FROM instances WHERE user_id = $1 AND id = $2 FOR UPDATE";

	return one(c, sql, user_id, id, ret, e);
}

int store_list(struct pg_conn *c, const char *user_id, struct arena *a, struct instance_page *page,
               struct err *e)
{
	static const char sql[] =
		"SELECT " INSTANCE_COLUMNS " FROM instances"
		" WHERE user_id = $1 AND ($2::bigint IS NULL OR (created_at, id) <"
		"  (timestamptz 'epoch' + $2 * interval '1 microsecond', $3::uuid))"
		" ORDER BY created_at DESC, id DESC LIMIT $4";
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };

	params_text(&p, user_id);
	instance_page_params(page, &p);
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	return instance_page_fill(page, res, a, e);
}

int store_sessions(struct pg_conn *c, const char *user_id, const char *id, struct arena *a,
                   struct session_view **ret, size_t *ret_count, struct err *e)
{
	static const char sql[] =
		"SELECT " SESSION_COLUMNS " FROM session_metadata s"
		" JOIN instances i ON i.id = s.instance_id WHERE i.user_id = $1 AND i.id = $2"
		" ORDER BY s.last_active_at DESC NULLS LAST, s.session_key LIMIT " SESSIONS_LATEST;
	OWN(pg_result) PGresult *res = NULL;
	struct session_view *list;
	size_t count;

	if (pg_query(c, sql, (const char *[]){ user_id, id }, 2, &res, e) < 0)
		return -1;
	count = (size_t)PQntuples(res);
	list = arena_alloc(a, (count + 1) * sizeof(*list));
	if (!list)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < count; i++)
		if (session_from_row(res, (int)i, a, &list[i], e) < 0)
			return -1;
	*ret = list;
	*ret_count = count;
	return 0;
}

/* A bot that another instance has is told apart from a port that was taken just now. */
static int name_conflict(struct pg_conn *c, struct err *e)
{
	if (e->code == ERR_CONFLICT && strcmp(pg_constraint(c), "instances_bot_key_key") == 0)
		err_set(e, ERR_BOT_TOKEN_IN_USE,
		        "this bot already has an assistant: one bot can serve only one");
	return -1;
}

int store_insert(struct pg_conn *c, const struct instance *i, const struct store_bot *bot,
                 const char *create_key, struct instance *ret, struct err *e)
{
	static const char sql[] =
		"INSERT INTO instances (id, user_id, name, container_name, port,"
		"  bot_token_encrypted, bot_username, bot_key, owner_telegram_id, model,"
		"  gateway_token_encrypted, memory_mib, desired, status, operation, trace_id,"
		"  create_key, image)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'running',"
		"  'provisioning', 'create', $13, $14, $15)"
		" RETURNING " INSTANCE_COLUMNS;
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };

	params_text(&p, i->id);
	params_text(&p, i->user_id);
	params_text(&p, i->name);
	params_text(&p, i->container_name);
	params_int(&p, i->port);
	params_text(&p, bot->token_encrypted);
	params_text_or_null(&p, bot->username);
	params_text(&p, bot->key);
	if (i->owner_telegram_id)
		params_int(&p, i->owner_telegram_id);
	else
		params_text(&p, NULL);
	params_text(&p, i->model);
	params_text(&p, i->gateway_token_encrypted);
	params_int(&p, i->memory_mib);
	params_text(&p, i->trace_id);
	params_text_or_null(&p, create_key);
	params_text(&p, i->image);
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return name_conflict(c, e);
	return instance_from_row(res, 0, ret, e);
}

int store_insert_provider(struct pg_conn *c, const struct instance *i,
                          const struct openclaw_provider *sealed, struct err *e)
{
	static const char sql[] =
		"INSERT INTO provider_keys (instance_id, user_id, name, base_url, "
		"api_key_encrypted, input_price_micros, output_price_micros)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7)";
	struct params p = { 0 };

	params_text(&p, i->id);
	params_text(&p, i->user_id);
	params_text(&p, sealed->name);
	params_text(&p, sealed->base_url);
	params_text(&p, sealed->api_key);
	params_int(&p, sealed->input_price_micros);
	params_int(&p, sealed->output_price_micros);
	return pg_query(c, sql, p.values, p.count, NULL, e);
}

int store_change(struct pg_conn *c, const struct instance *i, const struct store_bot *bot,
                 struct instance *ret, struct err *e)
{
	/* Failures are forgotten where instance_forgive() has done so, and stay otherwise. */
	static const char sql[] =
		"UPDATE instances SET name = $3, model = $4, memory_mib = $5,"
		"  owner_telegram_id = $6, desired = $7, status = $8, status_reason = $9,"
		"  status_cause = CASE WHEN $9::text IS NULL THEN NULL ELSE status_cause END,"
		"  operation = $10, trace_id = $11, restart_generation = $12,"
		"  config_generation = $13, probe_misses = $14, retry_at_ms = $15,"
		"  restart_times = CASE WHEN $16::bool THEN '{}' ELSE restart_times END,"
		"  exit_code = $17, not_ready_since_ms = $18,"
		"  bot_token_encrypted = coalesce($19, bot_token_encrypted),"
		"  bot_username = CASE WHEN $19::text IS NULL THEN bot_username ELSE $20 END,"
		"  bot_key = coalesce($21, bot_key),"
		"  wake = wake + 1, next_check_at = now(), updated_at = now()"
		" WHERE user_id = $1 AND id = $2 RETURNING " INSTANCE_COLUMNS;
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };

	params_text(&p, i->user_id);
	params_text(&p, i->id);
	params_text(&p, i->name);
	params_text(&p, i->model);
	params_int(&p, i->memory_mib);
	if (i->owner_telegram_id)
		params_int(&p, i->owner_telegram_id);
	else
		params_text(&p, NULL);
	params_text(&p, instance_desired_name(i->desired));
	params_text(&p, instance_status_name(i->status));
	params_text_or_null(&p, i->reason);
	params_text(&p, instance_operation_name(i->operation));
	params_text(&p, i->trace_id);
	params_int(&p, i->restart_generation);
	params_int(&p, i->config_generation);
	params_int(&p, i->probe_misses);
	params_int(&p, i->retry_at_ms);
	params_bool(&p, i->restart_times[0] == 0);
	params_int(&p, i->exit_code);
	params_int(&p, i->not_ready_since_ms);
	params_text(&p, bot ? bot->token_encrypted : NULL);
	params_text_or_null(&p, bot ? bot->username : NULL);
	params_text(&p, bot ? bot->key : NULL);
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return name_conflict(c, e);
	if (PQntuples(res) == 0)
		return err_set(e, ERR_NOT_FOUND, "no such instance");
	return instance_from_row(res, 0, ret, e);
}

int store_free_port(struct pg_conn *c, long long min, long long max, long long start, int *ret,
                    struct err *e)
{
	/* From the start to the end, then from the beginning: the first hole. */
	static const char sql[] = "SELECT p FROM generate_series($1::int, $2::int) p"
				  " WHERE NOT EXISTS (SELECT 1 FROM instances WHERE port = p)"
				  " ORDER BY p < $3::int, p LIMIT 1";
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };
	long long port = 0;

	params_int(&p, min);
	params_int(&p, max);
	params_int(&p, start);
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_UNAVAILABLE,
		               "all ports of INSTANCE_PORT_MIN to INSTANCE_PORT_MAX are taken");
	if (pg_int(res, 0, "p", &port, e) < 0)
		return -1;
	*ret = (int)port;
	return 0;
}

int store_lock_user(struct pg_conn *c, const char *user_id, struct err *e)
{
	static const char sql[] =
		"SELECT pg_advisory_xact_lock(hashtextextended('instances of ' || $1, 0))";

	return pg_query(c, sql, &user_id, 1, NULL, e);
}

int store_count(struct pg_conn *c, const char *user_id, long long *ret, struct err *e)
{
	static const char sql[] = "SELECT count(*) AS n FROM instances WHERE user_id = $1";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, &user_id, 1, &res, e) < 0)
		return -1;
	return pg_int(res, 0, "n", ret, e);
}

int store_find_created(struct pg_conn *c, const char *user_id, const char *key,
                       struct instance *ret, bool *ret_found, struct err *e)
{
	static const char sql[] =
		"SELECT " INSTANCE_COLUMNS " FROM instances WHERE user_id = $1 AND create_key = $2"
		" AND created_at > now() - interval '1 day'";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, (const char *[]){ user_id, key }, 2, &res, e) < 0)
		return -1;
	*ret_found = PQntuples(res) > 0;
	return *ret_found ? instance_from_row(res, 0, ret, e) : 0;
}

int store_ids_to_delete(struct pg_conn *c, const char *user_id, struct arena *a, const char ***ret,
                        size_t *ret_count, struct err *e)
{
	static const char sql[] = "SELECT id FROM instances WHERE user_id = $1"
				  " AND desired <> 'deleted' ORDER BY id LIMIT " PURGE_MAX;
	OWN(pg_result) PGresult *res = NULL;
	const char **ids;
	size_t count;

	if (pg_query(c, sql, &user_id, 1, &res, e) < 0)
		return -1;
	count = (size_t)PQntuples(res);
	ids = arena_alloc(a, (count + 1) * sizeof(*ids));
	if (!ids)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < count; i++) {
		ids[i] = arena_strdup(a, pg_text(res, (int)i, "id"));
		if (!ids[i])
			return err_set(e, ERR_INTERNAL, "out of memory");
	}
	*ret = ids;
	*ret_count = count;
	return 0;
}

/* One row a provider, at least one row: the bot token comes with each. */
int store_secrets(struct pg_conn *c, const struct instance *i, struct arena *a,
                  struct store_secrets *ret, struct err *e)
{
	static const char sql[] =
		"SELECT i.bot_token_encrypted, p.name, p.base_url, p.api_key_encrypted,"
		" coalesce(p.input_price_micros, 0) AS price_in,"
		" coalesce(p.output_price_micros, 0) AS price_out"
		" FROM instances i LEFT JOIN provider_keys p ON p.instance_id = i.id"
		" WHERE i.user_id = $1 AND i.id = $2 ORDER BY p.name LIMIT $3";
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };
	bool ok;

	*ret = (struct store_secrets){ 0 };
	params_text(&p, i->user_id);
	params_text(&p, i->id);
	params_int(&p, OPENCLAW_PROVIDERS_MAX);
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_NOT_FOUND, "no such instance");

	ret->bot_token_encrypted = arena_strdup(a, pg_text(res, 0, "bot_token_encrypted"));
	ok = ret->bot_token_encrypted != NULL;
	for (int row = 0; row < PQntuples(res) && pg_text(res, row, "name"); row++) {
		struct openclaw_provider *to = &ret->providers[ret->provider_count++];
		const char *base_url = pg_text(res, row, "base_url");

		to->name = arena_strdup(a, pg_text(res, row, "name"));
		to->api_key = arena_strdup(a, pg_text(res, row, "api_key_encrypted"));
		to->base_url = base_url ? arena_strdup(a, base_url) : NULL;
		ok &= to->name && to->api_key && (to->base_url || !base_url);
		if (pg_int(res, row, "price_in", &to->input_price_micros, e) < 0 ||
		    pg_int(res, row, "price_out", &to->output_price_micros, e) < 0)
			return -1;
	}
	return ok ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

#include "link/link_store.h"

#include "base/clock.h"
#include "store/params.h"

#define TEXT_(n) #n
#define TEXT(n)  TEXT_(n)
#define SPAN     "now() + interval '" TEXT(LINK_LEASE_S) " s'"
#define LINKABLE "i.desired = 'running' AND i.status IN ('running', 'unhealthy')"
#define IS_LIVE                                                          \
	"EXISTS (SELECT 1 FROM link_holders h WHERE h.holder = l.holder" \
	" AND h.lease_until > now())"

int link_hold(struct pg_conn *c, const char *holder, struct err *e)
{
	static const char sql_old[] = "DELETE FROM link_holders WHERE lease_until < now() - "
				      "interval '1 day'";
	static const char sql[] =
		"INSERT INTO link_holders (holder, lease_until) VALUES ($1, " SPAN ")";

	if (pg_query(c, sql_old, NULL, 0, NULL, e) < 0)
		return -1;
	return pg_query(c, sql, &holder, 1, NULL, e);
}

int link_beat(struct pg_conn *c, const char *holder, bool *ret, struct err *e)
{
	/* One that has run out is never kept: another may have taken over by now. */
	static const char sql[] = "UPDATE link_holders SET lease_until = " SPAN
				  " WHERE holder = $1 AND lease_until > now() RETURNING 1";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, &holder, 1, &res, e) < 0)
		return -1;
	*ret = PQntuples(res) == 1;
	return 0;
}

int link_release(struct pg_conn *c, const char *holder, struct err *e)
{
	static const char sql[] =
		"UPDATE instance_links SET holder = NULL, connected_at = NULL,"
		"  synced_at = CASE WHEN connected_at IS NOT NULL THEN now() ELSE synced_at END"
		" WHERE holder = $1";
	static const char sql_own[] = "DELETE FROM link_holders WHERE holder = $1";

	if (pg_query(c, sql, &holder, 1, NULL, e) < 0)
		return -1;
	return pg_query(c, sql_own, &holder, 1, NULL, e);
}

int link_claim(struct pg_conn *c, const char *holder, struct err *e)
{
	static const char sql_drop[] =
		"UPDATE instance_links l SET holder = NULL, connected_at = NULL,"
		"  synced_at = CASE WHEN connected_at IS NOT NULL THEN now() ELSE synced_at END"
		" WHERE holder = $1 AND NOT EXISTS (SELECT 1 FROM instances i"
		"  WHERE i.id = l.instance_id AND " LINKABLE ")";
	/* The last condition decides: two who find the same one free do not both get it. */
	static const char sql[] =
		"INSERT INTO instance_links AS l (instance_id, user_id, holder)"
		" SELECT i.id, i.user_id, $1 FROM instances i"
		"  LEFT JOIN instance_links l ON l.instance_id = i.id"
		"  WHERE " LINKABLE " AND (l.holder IS NULL OR NOT " IS_LIVE ")"
		"  LIMIT " LINK_CLAIM_MAX
		" ON CONFLICT (instance_id) DO UPDATE SET holder = $1, connected_at = NULL"
		"  WHERE l.holder IS NULL OR NOT " IS_LIVE;

	if (pg_query(c, sql_drop, &holder, 1, NULL, e) < 0)
		return -1;
	return pg_query(c, sql, &holder, 1, NULL, e);
}

int link_list(struct pg_conn *c, const char *holder, PGresult **ret_res, struct err *e)
{
	static const char sql[] =
		"SELECT i.id, i.user_id, i.container_name, i.port, i.gateway_token_encrypted,"
		"  l.device_token_encrypted FROM instance_links l"
		"  JOIN instances i ON i.id = l.instance_id WHERE l.holder = $1 ORDER BY "
		"i.id::text "
		"COLLATE \"C\"";

	return pg_query(c, sql, &holder, 1, ret_res, e);
}

int link_held_from_row(const PGresult *res, int row, struct link_held *ret, struct err *e)
{
	long long port;

	if (pg_int(res, row, "port", &port, e) < 0)
		return -1;
	*ret = (struct link_held){
		.id = pg_text(res, row, "id"),
		.user_id = pg_text(res, row, "user_id"),
		.container_name = pg_text(res, row, "container_name"),
		.gateway_token = pg_text(res, row, "gateway_token_encrypted"),
		.device_token = pg_text(res, row, "device_token_encrypted"),
		.port = (int)port,
	};
	return 0;
}

int link_write_state(struct pg_conn *c, const char *holder, const char *id, const char *reason,
                     struct err *e)
{
	static const char sql[] =
		"UPDATE instance_links SET reason = $3,"
		"  synced_at = CASE WHEN connected_at IS NOT NULL THEN now() ELSE synced_at END,"
		"  connected_at = CASE WHEN $3::text IS NULL THEN now() ELSE NULL END"
		" WHERE instance_id = $1 AND holder = $2";
	const char *params[] = { id, holder, reason };

	return pg_query(c, sql, params, COUNT(params), NULL, e);
}

int link_write_synced(struct pg_conn *c, const char *holder, const char *id, struct err *e)
{
	/* That it is linked may not have been written when it was told. */
	static const char sql[] = "UPDATE instance_links SET synced_at = now(), reason = NULL,"
				  "  connected_at = coalesce(connected_at, now())"
				  " WHERE instance_id = $1 AND holder = $2";
	const char *params[] = { id, holder };

	return pg_query(c, sql, params, COUNT(params), NULL, e);
}

int link_write_token(struct pg_conn *c, const char *holder, const char *id, const char *sealed,
                     struct err *e)
{
	static const char sql[] = "UPDATE instance_links SET device_token_encrypted = $3"
				  " WHERE instance_id = $1 AND holder = $2";
	const char *params[] = { id, holder, sealed };

	return pg_query(c, sql, params, COUNT(params), NULL, e);
}

int link_find(struct pg_conn *c, const char *user_id, const char *id, struct link_place *ret,
              struct err *e)
{
	static const char sql[] =
		"SELECT " INSTANCE_COLUMNS ", coalesce(live.holder, '') AS holder,"
		"  live.connected_at IS NOT NULL AS is_up,"
		"  coalesce(" INSTANCE_MS(
			"live.synced_at") ", 0) AS synced_ms FROM instances"
					  "  LEFT JOIN (SELECT l.instance_id, l.synced_at,"
					  "   CASE WHEN " IS_LIVE " THEN l.holder END AS holder,"
					  "   CASE WHEN " IS_LIVE
					  " THEN l.connected_at END AS connected_at"
					  "   FROM instance_links l WHERE l.instance_id = $2 AND "
					  "l.user_id = $1) live"
					  "   ON live.instance_id = instances.id"
					  " WHERE id = $2 AND user_id = $1";
	const char *params[] = { user_id, id };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, params, COUNT(params), &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_NOT_FOUND, "you have no such assistant");
	if (instance_from_row(res, 0, &ret->instance, e) < 0 ||
	    pg_int(res, 0, "synced_ms", &ret->synced_ms, e) < 0)
		return -1;
	snprintf(ret->holder, sizeof(ret->holder), "%s", pg_text(res, 0, "holder"));
	ret->is_up = pg_bool(res, 0, "is_up");
	if (ret->is_up)
		ret->synced_ms = clock_now_ms();
	return 0;
}

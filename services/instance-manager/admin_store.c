#include "admin_store.h"

#include "record.h"

#include "store/params.h"

int admin_list(struct pg_conn *c, struct arena *a, struct instance_page *page, struct err *e)
{
	static const char sql[] =
		"SELECT " INSTANCE_COLUMNS " FROM instances"
		" WHERE $1::bigint IS NULL OR (created_at, id) <"
		"  (timestamptz 'epoch' + $1 * interval '1 microsecond', $2::uuid)"
		" ORDER BY created_at DESC, id DESC LIMIT $3";
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };

	instance_page_params(page, &p);
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	return instance_page_fill(page, res, a, e);
}

static int one(struct pg_conn *c, const char *sql, const char *id, PGresult **ret, struct err *e)
{
	if (pg_query(c, sql, &id, 1, ret, e) < 0)
		return -1;
	return PQntuples(*ret) ? 0 : err_set(e, ERR_NOT_FOUND, "no assistant has the id %s", id);
}

int admin_load(struct pg_conn *c, const char *id, struct instance *ret, long long *ret_now_ms,
               struct err *e)
{
	static const char sql[] =
		"SELECT " INSTANCE_COLUMNS
		", " INSTANCE_MS("clock_timestamp()") " AS now_ms FROM instances WHERE id = $1";
	OWN(pg_result) PGresult *res = NULL;

	if (one(c, sql, id, &res, e) < 0 || pg_int(res, 0, "now_ms", ret_now_ms, e) < 0)
		return -1;
	return instance_from_row(res, 0, ret, e);
}

int admin_lock(struct pg_conn *c, const char *id, struct instance *ret, struct err *e)
{
	static const char sql[] =
		"SELECT " INSTANCE_COLUMNS " FROM instances WHERE id = $1 FOR UPDATE";
	OWN(pg_result) PGresult *res = NULL;

	return one(c, sql, id, &res, e) < 0 ? -1 : instance_from_row(res, 0, ret, e);
}

int admin_want_upgrade(struct pg_conn *c, const struct instance *i, struct err *e)
{
	/* What was decided on before is not written any more (wake). */
	static const char sql[] =
		"UPDATE instances SET operation = 'upgrade', trace_id = $2, upgrade_step = "
		"'backup',"
		"  upgrade_from = image, upgrade_to = $3,"
		"  upgrade_at = timestamptz 'epoch' + $4::bigint * interval '1 ms',"
		"  upgrade_error = NULL, upgrade_cause = NULL,"
		"  wake = wake + 1, next_check_at = now(), updated_at = now() WHERE id = $1";
	struct instance row = *i;
	char moved[2 * INSTANCE_IMAGE_SIZE + 8];
	struct params p = { 0 };

	row.operation = INSTANCE_OP_UPGRADE;
	params_text(&p, i->id);
	params_text(&p, i->trace_id);
	params_text(&p, i->upgrade_to);
	params_int(&p, i->upgrade_ms);
	snprintf(moved, sizeof(moved), "%s → %s", i->image, i->upgrade_to);
	if (pg_query(c, sql, p.values, p.count, NULL, e) < 0 || record_begin(c, &row, e) < 0 ||
	    record_step(c, i->id, instance_upgrade_name(UPGRADE_BACKUP), e) < 0)
		return -1;
	return record_audit(c, &row, "platform", instance_operation_name(row.operation), moved, e);
}

int admin_operation(struct pg_conn *c, const char *instance_id, char ret[UUID_SIZE], struct err *e)
{
	static const char sql[] =
		"SELECT id FROM operations WHERE instance_id = $1 AND finished_at IS NULL";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, &instance_id, 1, &res, e) < 0)
		return -1;
	snprintf(ret, UUID_SIZE, "%s", PQntuples(res) ? pg_text(res, 0, "id") : "");
	return 0;
}

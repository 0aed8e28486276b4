#include "store/once.h"

#define ONCE_TEXT_(n) #n
#define ONCE_TEXT(n)  ONCE_TEXT_(n)

/* A statement for each table, made by the compiler: none is put together at run time. */
struct once_sql {
	const char *claim, *look, *keep, *drop, *purge, *forget, *note, *made;
};

/* Takes a key that is free, too old, or left by a process that died with it. */
#define SQL_CLAIM(table)                                                                   \
	"INSERT INTO " table " (scope, key, subject, request_hash, owner)"                 \
	" VALUES ($1, $2, $3, $4, $5)"                                                     \
	" ON CONFLICT (scope, key) DO UPDATE SET subject = excluded.subject,"              \
	"  request_hash = excluded.request_hash, owner = excluded.owner,"                  \
	"  about = CASE WHEN " table ".status IS NULL"                                     \
	"   AND " table ".subject = excluded.subject"                                      \
	"   AND " table ".request_hash = excluded.request_hash THEN " table ".about END,"  \
	"  created_at = now(), claimed_at = now(), status = NULL, reply = NULL"            \
	" WHERE " table ".created_at < now() - interval '" ONCE_TEXT(                      \
		ONCE_KEEP_S) " s'"                                                         \
			     "  OR (" table ".status IS NULL AND " table                   \
			     ".subject = excluded.subject"                                 \
			     "   AND " table ".request_hash = excluded.request_hash"       \
			     "   AND " table ".claimed_at < now() - interval '" ONCE_TEXT( \
				     ONCE_CLAIM_S) " s')"                                  \
						   " RETURNING 1"

#define SQL_LOOK(table)                                                                   \
	"SELECT subject = $3 AND request_hash = $4 AS is_same, status, reply FROM " table \
	" WHERE scope = $1 AND key = $2"

#define SQL_KEEP(table)                                            \
	"UPDATE " table " SET status = $4, reply = $5, about = $6" \
	" WHERE scope = $1 AND key = $2 AND owner = $3 AND status IS NULL"

#define SQL_DROP(table) \
	"DELETE FROM " table " WHERE scope = $1 AND key = $2 AND owner = $3 AND status IS NULL"

#define SQL_NOTE(table)                   \
	"UPDATE " table " SET about = $4" \
	" WHERE scope = $1 AND key = $2 AND owner = $3 AND status IS NULL"

#define SQL_MADE(table) "SELECT about FROM " table " WHERE scope = $1 AND key = $2 AND owner = $3"

#define SQL_PURGE(table) \
	"DELETE FROM " table " WHERE created_at < now() - interval '" ONCE_TEXT(ONCE_KEEP_S) " s'"

#define SQL_FORGET(table) "DELETE FROM " table " WHERE scope = $1::text OR about = $1::uuid"

#define ONCE_SQL(table)                                                                       \
	{                                                                                     \
		SQL_CLAIM(table), SQL_LOOK(table), SQL_KEEP(table), SQL_DROP(table),          \
			SQL_PURGE(table), SQL_FORGET(table), SQL_NOTE(table), SQL_MADE(table) \
	}

static const struct once_sql sqls[] = {
	[ONCE_AUTH] = ONCE_SQL("idempotency_auth"),
	[ONCE_INSTANCE] = ONCE_SQL("idempotency_instance"),
	[ONCE_BACKUP] = ONCE_SQL("idempotency_backup"),
};

static int look(struct pg_conn *c, const char *sql, const char *const params[4], struct arena *a,
                struct once_answer *ret, struct err *e)
{
	OWN(pg_result) PGresult *res = NULL;
	long long status = 0;
	const char *reply;

	if (pg_query(c, sql, params, 4, &res, e) < 0)
		return -1;
	if (PQntuples(res) > 0 && !pg_bool(res, 0, "is_same"))
		return err_set(e, ERR_CONFLICT, "Idempotency-Key was used with another request");
	/* No row: the one that was under way has just failed and given its claim up. */
	if (PQntuples(res) == 0 || !pg_text(res, 0, "status"))
		return err_busy(e, ERR_CONFLICT, 1,
		                "the request with this Idempotency-Key is still under way");
	reply = arena_strdup(a, pg_text(res, 0, "reply"));
	if (!reply)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (pg_int(res, 0, "status", &status, e) < 0)
		return -1;
	*ret = (struct once_answer){ (int)status, reply };
	return 0;
}

int once_begin(struct pg_conn *c, const struct once_ask *ask, struct arena *a,
               struct once_answer *ret, struct err *e)
{
	const struct once_sql *sql = &sqls[ask->table];
	const char *params[] = { ask->scope, ask->key, ask->subject, ask->request_hash,
		                 ask->owner };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql->claim, params, COUNT(params), &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return look(c, sql->look, params, a, ret, e);
	*ret = (struct once_answer){ 0 };
	return 0;
}

int once_finish(struct pg_conn *c, const struct once_ask *ask, const struct once_answer *answer,
                const char *about, struct err *e)
{
	const struct once_sql *sql = &sqls[ask->table];
	char status[12];
	const char *params[] = { ask->scope, ask->key, ask->owner, status, answer->reply, about };

	if (answer->status == 0)
		return pg_query(c, sql->drop, params, 3, NULL, e);
	snprintf(status, sizeof(status), "%d", answer->status);
	return pg_query(c, sql->keep, params, COUNT(params), NULL, e);
}

int once_note(struct pg_conn *c, const struct once_ask *ask, const char *about, struct err *e)
{
	const char *params[] = { ask->scope, ask->key, ask->owner, about };

	return pg_query(c, sqls[ask->table].note, params, COUNT(params), NULL, e);
}

int once_made(struct pg_conn *c, const struct once_ask *ask, char ret[UUID_SIZE], struct err *e)
{
	const char *params[] = { ask->scope, ask->key, ask->owner };
	OWN(pg_result) PGresult *res = NULL;
	const char *about = NULL;

	if (pg_query(c, sqls[ask->table].made, params, COUNT(params), &res, e) < 0)
		return -1;
	if (PQntuples(res) > 0)
		about = pg_text(res, 0, "about");
	snprintf(ret, UUID_SIZE, "%s", about ? about : "");
	return 0;
}

int once_purge(struct pg_conn *c, enum once_table t, struct err *e)
{
	return pg_query(c, sqls[t].purge, NULL, 0, NULL, e);
}

int once_forget(struct pg_conn *c, enum once_table t, const char *user_id, struct err *e)
{
	return pg_query(c, sqls[t].forget, &user_id, 1, NULL, e);
}

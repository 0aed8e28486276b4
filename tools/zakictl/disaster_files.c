#include "disaster.h"

#include "base/clock.h"
#include "base/fault.h"
#include "format/mem.h"
#include "store/params.h"

#define LOOK_MS 300
#define HINT_MS 30000     /* nothing moves: what may be missing */
#define WAIT_MS 3600000LL /* nothing moves: given up */

/* Both in one transaction with the choice that they follow from. */
static const char sql_ask[] =
	"WITH r AS (INSERT INTO restores (id, backup_id, instance_id, user_id)"
	"  SELECT restore_id, backup_id, instance_id, user_id FROM disaster_assistants"
	"  WHERE instance_id = $1 RETURNING id, backup_id, instance_id, user_id)"
	" INSERT INTO backup_jobs (id, work, scope, user_id, instance_id, backup_id, priority,"
	"  trace_id) SELECT id, 'restore', instance_id, user_id, instance_id, backup_id, 0,"
	"  replace(id::text, '-', '') FROM r";

/* What has no backup begins anew; what has some that are not good waits for its person. */
static const char sql_let_go[] =
	"UPDATE instances SET hold_id = NULL, hold_since = NULL, hold_until = NULL,"
	" wake = wake + 1, next_check_at = now(),"
	" desired = CASE WHEN $2::bool THEN desired ELSE 'stopped' END,"
	" status_reason = CASE WHEN $2::bool THEN status_reason ELSE"
	"  'None of its backups could be restored. Starting it begins anew.' END"
	" WHERE id = $1";

static int choose_of(const struct disaster *d, const char *user_id, struct err *e)
{
	static const char sql[] =
		"WITH pick AS (SELECT a.instance_id, (SELECT b.id FROM backups b"
		"   WHERE b.instance_id = a.instance_id AND b.user_id = a.user_id"
		"    AND b.status = 'done' AND b.id <> ALL (a.tried)"
		"   ORDER BY b.created_at DESC, b.id DESC LIMIT 1) AS backup_id,"
		"  a.tried <> '{}' OR EXISTS (SELECT 1 FROM backups b"
		"   WHERE b.instance_id = a.instance_id) AS has_any"
		"  FROM disaster_assistants a WHERE a.user_id = $1 AND a.state = 'waiting')"
		" UPDATE disaster_assistants a SET backup_id = pick.backup_id,"
		"  state = CASE WHEN pick.backup_id IS NOT NULL THEN 'restoring'"
		"   WHEN pick.has_any THEN 'failed' ELSE 'empty' END"
		" FROM pick WHERE a.instance_id = pick.instance_id"
		" RETURNING a.instance_id, a.backup_id, a.state,"
		"  (SELECT b.created_at::timestamp(0)::text FROM backups b WHERE b.id = "
		"a.backup_id)"
		"   AS made, (SELECT b.bytes FROM backups b WHERE b.id = a.backup_id) AS bytes";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(d->c, sql, &user_id, 1, &res, e) < 0)
		return -1;
	for (int i = 0; i < PQntuples(res); i++) {
		const char *id = pg_text(res, i, "instance_id"), *state = pg_text(res, i, "state");
		bool is_empty = strcmp(state, "empty") == 0;

		if (strcmp(state, "restoring") == 0) {
			printf("assistant %s: backup %s of %s, %s bytes\n", id,
			       pg_text(res, i, "backup_id"), pg_text(res, i, "made"),
			       pg_text(res, i, "bytes"));
			if (pg_query(d->c, sql_ask, &id, 1, NULL, e) < 0)
				return -1;
			continue;
		}
		printf(is_empty ? "assistant %s: has no backup, begins anew\n"
		                : "assistant %s: has no good backup left, stays stopped\n",
		       id);
		if (pg_query(d->c, sql_let_go, (const char *[]){ id, is_empty ? "t" : "f" }, 2,
		             NULL, e) < 0)
			return -1;
	}
	(void)fflush(stdout);
	return 0;
}

/* ---- what the store has of a person ------------------------------------------------------------- */

struct stored {
	const struct disaster *d;
	const char *user_id;
	char *ids; /* {id,id,…} for PostgreSQL */
	size_t len, size;
	struct err *e;
	bool is_failed;
};

/* Leaves room for the brace that ends it. */
static int remember(struct stored *s, const char *id)
{
	if (s->len + 40 > s->size) {
		size_t size = s->size ? 2 * s->size : 4096;
		char *more = realloc(s->ids, size);

		if (!more)
			return err_set(s->e, ERR_INTERNAL, "out of memory");
		s->ids = more;
		s->size = size;
	}
	s->len += (size_t)snprintf(s->ids + s->len, s->size - s->len, "%s%s", s->len > 1 ? "," : "",
	                           id);
	return 0;
}

/* A backup that the dump does not know of was made after it: its manifest says what it is. */
static int add_row(struct stored *s, const struct engine_backup *b)
{
	static const char sql[] =
		"INSERT INTO backups (id, instance_id, user_id, kind, status, is_stored, percent,"
		"  files, bytes, bytes_stored, notes, created_at, started_at, finished_at, "
		"expires_at)"
		" VALUES ($1, $2, $3, CASE WHEN $4::bool THEN 'full' ELSE 'incremental' END, "
		"'done',"
		"  true, 100, $5, $6, $7, $8, to_timestamp($9::bigint / 1000.0),"
		"  to_timestamp($9::bigint / 1000.0), to_timestamp($9::bigint / 1000.0),"
		"  now() + interval '30 days') ON CONFLICT (id) DO NOTHING";
	struct params p = { 0 };

	params_text(&p, b->backup_id);
	params_text(&p, b->instance_id);
	params_text(&p, s->user_id);
	params_bool(&p, b->is_full);
	params_int(&p, b->totals.files);
	params_int(&p, b->totals.bytes);
	params_int(&p, b->totals.bytes_stored);
	params_int(&p, b->totals.notes);
	params_int(&p, b->created_ms);
	return pg_query(s->d->c, sql, p.values, p.count, NULL, s->e);
}

static bool on_backup(void *ctx, const struct engine_backup *b)
{
	static const char sql_bad[] =
		"UPDATE backups SET status = 'damaged' WHERE id = $1 AND user_id = $2";
	struct stored *s = ctx;

	if (b->instance_id[0]) {
		s->is_failed = add_row(s, b) < 0;
	} else {
		printf("backup %s of person %s cannot be read\n", b->backup_id, s->user_id);
		s->is_failed =
			pg_query(s->d->c, sql_bad, (const char *[]){ b->backup_id, s->user_id }, 2,
		                 NULL, s->e) < 0;
	}
	if (!s->is_failed)
		s->is_failed = remember(s, b->backup_id) < 0;
	return !s->is_failed;
}

/* The table becomes what the store has. Nothing runs out while people look what they have back. */
static int take_stock(const struct disaster *d, const char *user_id, struct err *e)
{
	static const char sql_gone[] =
		"DELETE FROM backups WHERE user_id = $1 AND id <> ALL ($2::uuid[])";
	static const char sql_keep[] = "UPDATE backups SET expires_at = greatest(expires_at,"
				       " now() + interval '7 days') WHERE user_id = $1";
	struct stored s = { .d = d, .user_id = user_id, .e = e };
	OWN(mem) char *ids = NULL;
	int r;

	if (remember(&s, "{") < 0)
		return -1;
	r = engine_backups(d->engine, user_id, on_backup, &s, e) < 0 || s.is_failed ? -1 : 0;
	ids = s.ids;
	if (r < 0)
		return -1;
	ids[s.len] = '}';
	ids[s.len + 1] = '\0';
	if (pg_query(d->c, sql_gone, (const char *[]){ user_id, ids }, 2, NULL, e) < 0)
		return -1;
	return pg_query(d->c, sql_keep, &user_id, 1, NULL, e);
}

static int choose_one(const struct disaster *d, const char *user_id, struct err *e)
{
	static const char sql_idle[] = "SET LOCAL idle_in_transaction_session_timeout = '15min'";
	OWN(pg_tx) struct pg_tx tx = { 0 };

	if (d->is_dry)
		return take_stock(d, user_id, e) < 0 ? -1 : choose_of(d, user_id, e);
	if (pg_begin(d->c, &tx, e) < 0 || pg_query(d->c, sql_idle, NULL, 0, NULL, e) < 0 ||
	    take_stock(d, user_id, e) < 0 || choose_of(d, user_id, e) < 0)
		return -1;
	/* A crash here: nothing was chosen, the store is looked through again. */
	fault_point("disaster.choosing");
	if (pg_commit(&tx, e) < 0)
		return -1;
	fault_point("disaster.chosen");
	return 0;
}

int disaster_choose(const struct disaster *d, struct err *e)
{
	static const char sql[] =
		"SELECT user_id FROM disaster_assistants WHERE state = 'waiting' UNION"
		" SELECT user_id FROM backups WHERE EXISTS (SELECT 1 FROM disaster_assistants"
		"  WHERE state = 'waiting') ORDER BY 1";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(d->c, sql, NULL, 0, &res, e) < 0)
		return -1;
	for (int i = 0; i < PQntuples(res); i++)
		if (choose_one(d, pg_text(res, i, "user_id"), e) < 0)
			return -1;
	return 0;
}

/* ---- until all have ended ----------------------------------------------------------------------- */

static int done(const struct disaster *d, const char *id, struct err *e)
{
	static const char sql[] =
		"WITH t AS (UPDATE backup_targets SET next_full_at = now(),"
		"  next_drill_at = now() + random() * interval '1 day' WHERE instance_id = $1)"
		" UPDATE disaster_assistants SET state = 'done' WHERE instance_id = $1";

	printf("assistant %s: restored\n", id);
	return pg_query(d->c, sql, &id, 1, NULL, e);
}

/* It is held anew, and the backup before the one that failed is tried. */
static int another(const struct disaster *d, const char *id, const char *user_id, struct err *e)
{
	static const char sql[] =
		"UPDATE disaster_assistants SET state = 'waiting', tried = tried || backup_id,"
		" backup_id = NULL, restore_id = gen_random_uuid() WHERE instance_id = $1";
	static const char sql_hold[] =
		"UPDATE instances i SET hold_id = a.restore_id, hold_since = now(),"
		" hold_until = now() + interval '30 days', wake = wake + 1, next_check_at = now()"
		" FROM disaster_assistants a WHERE a.instance_id = i.id AND i.id = $1";
	OWN(pg_tx) struct pg_tx tx = { 0 };

	if (pg_begin(d->c, &tx, e) < 0 || pg_query(d->c, sql, &id, 1, NULL, e) < 0 ||
	    pg_query(d->c, sql_hold, &id, 1, NULL, e) < 0 || choose_of(d, user_id, e) < 0)
		return -1;
	return pg_commit(&tx, e);
}

static int look_at(const struct disaster *d, const PGresult *res, int i, struct err *e)
{
	const char *id = pg_text(res, i, "instance_id"), *status = pg_text(res, i, "status");
	const char *error = pg_text(res, i, "error");

	if (strcmp(status, "done") == 0)
		return done(d, id, e);
	if (strcmp(status, "failed") != 0)
		return 0;
	printf("assistant %s: backup %s cannot be restored: %s\n", id, pg_text(res, i, "backup_id"),
	       error ? error : "");
	return another(d, id, pg_text(res, i, "user_id"), e);
}

/* A line of all that is under way; "": nothing is any more. */
static int look(const struct disaster *d, char *now, size_t size, struct err *e)
{
	static const char sql[] =
		"SELECT a.instance_id, a.user_id, a.backup_id, r.status, r.step, r.percent, r.error"
		" FROM disaster_assistants a JOIN restores r ON r.id = a.restore_id"
		" WHERE a.state = 'restoring' ORDER BY r.status IN ('done', 'failed') DESC,"
		"  r.status = 'running' DESC, a.instance_id LIMIT 100";
	OWN(pg_result) PGresult *res = NULL;
	size_t len = 0;

	now[0] = '\0';
	if (pg_query(d->c, sql, NULL, 0, &res, e) < 0)
		return -1;
	for (int i = 0; i < PQntuples(res); i++) {
		if (look_at(d, res, i, e) < 0)
			return -1;
		if (len < size - 1)
			len += (size_t)snprintf(now + len, size - len, "%.8s %s %s %%  ",
			                        pg_text(res, i, "instance_id"),
			                        pg_text(res, i, "step"),
			                        pg_text(res, i, "percent"));
	}
	return 0;
}

int disaster_follow(const struct disaster *d, struct err *e)
{
	char told[200] = "", now[sizeof(told)];
	long long moved_ms = clock_mono_ms();
	bool is_hinted = false;

	for (;;) {
		if (look(d, now, sizeof(now), e) < 0)
			return -1;
		fault_point("disaster.following");
		if (!now[0])
			return 0;
		if (strcmp(now, told) != 0) {
			printf("  %s\n", now);
			memcpy(told, now, sizeof(told));
			moved_ms = clock_mono_ms();
			is_hinted = false;
		} else if (clock_mono_ms() - moved_ms > WAIT_MS) {
			return err_set(e, ERR_TIMEOUT,
			               "nothing has moved for an hour; run it again to go on");
		} else if (!is_hinted && clock_mono_ms() - moved_ms > HINT_MS) {
			printf("  waiting for storage-backup and instance-manager to work: do they "
			       "run, with this ENCRYPTION_KEY and STORAGE_URL?\n");
			is_hinted = true;
		}
		(void)fflush(stdout);
		clock_sleep_ms(LOOK_MS);
	}
}

int disaster_end(const struct disaster *d, long long *ret_failed, struct err *e)
{
	static const char sql[] =
		"UPDATE disaster_restore SET finished_at = coalesce(finished_at, now())"
		" RETURNING dumped_at::timestamp(0)::text AS dumped,"
		"  (SELECT count(*) FROM disaster_assistants WHERE state = 'done') AS done,"
		"  (SELECT count(*) FROM disaster_assistants WHERE state = 'empty') AS empty,"
		"  (SELECT count(*) FROM disaster_assistants WHERE state = 'failed') AS failed";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(d->c, sql, NULL, 0, &res, e) < 0 ||
	    pg_int(res, 0, "failed", ret_failed, e) < 0)
		return -1;
	printf("%s assistants restored, %s begin anew, %s failed\n"
	       "accounts are as they were at %s UTC: passwords, keys and codes too, also those "
	       "that "
	       "were changed or revoked since\n",
	       pg_text(res, 0, "done"), pg_text(res, 0, "empty"), pg_text(res, 0, "failed"),
	       pg_text(res, 0, "dumped"));
	return 0;
}

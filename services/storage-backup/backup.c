#include "backup.h"

#include "store/params.h"

/* clang-format off */
#define MS(column) "floor(extract(epoch FROM " column ") * 1000)::bigint"
#define COLUMNS                                                                                    \
	"id, instance_id, user_id, kind, status, is_stored, percent, files, bytes, bytes_stored,"  \
	" notes, error, " MS("created_at") " AS created_ms, " MS("started_at") " AS started_ms, "  \
	MS("finished_at") " AS finished_ms, " MS("verified_at") " AS verified_ms, "                \
	MS("proven_at") " AS proven_ms, " MS("expires_at") " AS expires_ms, "                      \
	MS("trial_at") " AS tried_ms, trial_ms, trial_error,"                                      \
	" (extract(epoch FROM created_at) * 1000000)::bigint AS created_us"
/* clang-format on */

static const char *const kinds[BACKUP_KIND_COUNT] = {
	[BACKUP_FULL] = "full",
	[BACKUP_INCREMENTAL] = "incremental",
	[BACKUP_MANUAL] = "manual",
	[BACKUP_CHECKPOINT] = "checkpoint",
};

const char *backup_kind_name(enum backup_kind k)
{
	return kinds[k];
}

bool backup_kind_from(const char *name, enum backup_kind *ret)
{
	for (size_t i = 0; i < COUNT(kinds); i++) {
		if (strcmp(kinds[i], name) == 0) {
			*ret = (enum backup_kind)i;
			return true;
		}
	}
	return false;
}

static int from_row(const PGresult *res, int row, struct backup *ret, struct err *e)
{
	struct backup b = { .is_stored = pg_bool(res, row, "is_stored") };

	snprintf(b.id, sizeof(b.id), "%s", pg_text(res, row, "id"));
	snprintf(b.instance_id, sizeof(b.instance_id), "%s", pg_text(res, row, "instance_id"));
	snprintf(b.user_id, sizeof(b.user_id), "%s", pg_text(res, row, "user_id"));
	snprintf(b.status, sizeof(b.status), "%s", pg_text(res, row, "status"));
	if (!backup_kind_from(pg_text(res, row, "kind"), &b.kind))
		return err_set(e, ERR_INTERNAL, "backups.kind has an unknown value");
	if (pg_int(res, row, "created_us", &b.created_us, e) < 0)
		return -1;
	*ret = b;
	return 0;
}

static int time_of(const PGresult *res, int row, const char *column, struct arena *a,
                   const char **ret, struct err *e)
{
	char text[CLOCK_TEXT_SIZE];
	long long ms;

	*ret = NULL;
	if (!pg_text(res, row, column))
		return 0;
	if (pg_int(res, row, column, &ms, e) < 0)
		return -1;
	*ret = arena_strdup(a, clock_text(ms, text));
	return *ret ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

static int copy(const PGresult *res, int row, const char *column, struct arena *a, const char **ret,
                struct err *e)
{
	const char *text = pg_text(res, row, column);

	*ret = text ? arena_strdup(a, text) : NULL;
	return *ret || !text ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

static int view_from_row(const PGresult *res, int row, struct arena *a, struct backup_view *v,
                         struct err *e)
{
	const struct {
		const char *column;
		const char **to;
	} texts[] = { { "id", &v->id },       { "instance_id", &v->instance_id },
		      { "kind", &v->kind },   { "status", &v->status },
		      { "error", &v->error }, { "trial_error", &v->trial_error } },
	  times[] = { { "created_ms", &v->created_at },   { "started_ms", &v->started_at },
		      { "finished_ms", &v->finished_at }, { "verified_ms", &v->verified_at },
		      { "proven_ms", &v->proven_at },     { "expires_ms", &v->expires_at },
		      { "tried_ms", &v->trial_at } };
	const struct {
		const char *column;
		long long *to;
	} numbers[] = { { "percent", &v->percent },
		        { "files", &v->files },
		        { "bytes", &v->bytes },
		        { "bytes_stored", &v->bytes_stored },
		        { "notes", &v->notes } };

	for (size_t i = 0; i < COUNT(texts); i++)
		if (copy(res, row, texts[i].column, a, texts[i].to, e) < 0)
			return -1;
	for (size_t i = 0; i < COUNT(times); i++)
		if (time_of(res, row, times[i].column, a, times[i].to, e) < 0)
			return -1;
	for (size_t i = 0; i < COUNT(numbers); i++)
		if (pg_int(res, row, numbers[i].column, numbers[i].to, e) < 0)
			return -1;
	v->has_trial_ms = pg_text(res, row, "trial_ms") != NULL;
	return v->has_trial_ms ? pg_int(res, row, "trial_ms", &v->trial_ms, e) : 0;
}

static int load(struct pg_conn *c, const char *user_id, const char *id, PGresult **ret,
                struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM backups"
				  " WHERE id = $2 AND ($1::uuid IS NULL OR user_id = $1)";

	if (pg_query(c, sql, (const char *[]){ user_id, id }, 2, ret, e) < 0)
		return -1;
	return PQntuples(*ret) ? 0 : err_set(e, ERR_NOT_FOUND, "no backup '%s'", id);
}

int backup_load(struct pg_conn *c, const char *user_id, const char *id, struct backup *ret,
                struct err *e)
{
	OWN(pg_result) PGresult *res = NULL;

	return load(c, user_id, id, &res, e) < 0 ? -1 : from_row(res, 0, ret, e);
}

int backup_view_load(struct pg_conn *c, const char *user_id, const char *id, struct arena *a,
                     struct backup_view *ret, struct err *e)
{
	OWN(pg_result) PGresult *res = NULL;

	return load(c, user_id, id, &res, e) < 0 ? -1 : view_from_row(res, 0, a, ret, e);
}

/* How safe the instance is. */
static int health_of(struct pg_conn *c, const struct backup_page *page, struct arena *a,
                     struct backup_list *ret, struct err *e)
{
	/* clang-format off */
	static const char sql[] =
		"SELECT (SELECT " MS("max(created_at)") " FROM backups"
		"  WHERE instance_id = $1 AND user_id = $2 AND status = 'done') AS good_ms,"
		" (SELECT " MS("max(proven_at)") " FROM backups"
		"  WHERE instance_id = $1 AND user_id = $2 AND status = 'done') AS proven_ms,"
		" (SELECT " MS("least(next_full_at, next_incremental_at)") " FROM backup_targets"
		"  WHERE instance_id = $1 AND user_id = $2 AND is_live) AS next_ms";
	/* clang-format on */
	OWN(pg_result) PGresult *res = NULL;

	if (!page->instance_id || !page->user_id)
		return 0;
	if (pg_query(c, sql, (const char *[]){ page->instance_id, page->user_id }, 2, &res, e) < 0)
		return -1;
	if (time_of(res, 0, "good_ms", a, &ret->last_good_at, e) < 0 ||
	    time_of(res, 0, "proven_ms", a, &ret->last_proven_at, e) < 0)
		return -1;
	return time_of(res, 0, "next_ms", a, &ret->next_backup_at, e);
}

int backup_list_load(struct pg_conn *c, const struct backup_page *page, struct arena *a,
                     struct backup_list *ret, struct err *e)
{
	static const char sql[] =
		"SELECT " COLUMNS " FROM backups WHERE ($1::uuid IS NULL OR user_id = $1)"
		" AND ($2::uuid IS NULL OR instance_id = $2)"
		" AND ($3::bigint IS NULL OR (created_at, id) <"
		"  (timestamptz 'epoch' + $3::bigint * interval '1 us', $4::uuid))"
		" ORDER BY created_at DESC, id DESC LIMIT $5";
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };
	char text[CURSOR_SIZE];
	size_t count;

	params_text_or_null(&p, page->user_id);
	params_text_or_null(&p, page->instance_id);
	if (page->after)
		params_int(&p, page->after->created_us);
	else
		params_text(&p, NULL);
	params_text(&p, page->after ? page->after->id : NULL);
	params_int(&p, page->limit + 1); /* one more than is shown: is there a next page? */
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0 || health_of(c, page, a, ret, e) < 0)
		return -1;

	count = (size_t)PQntuples(res);
	ret->items_count = count > (size_t)page->limit ? (size_t)page->limit : count;
	ret->items = arena_alloc(a, (ret->items_count + 1) * sizeof(*ret->items));
	if (!ret->items)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < ret->items_count; i++)
		if (view_from_row(res, (int)i, a, &ret->items[i], e) < 0)
			return -1;
	if (count > ret->items_count) {
		struct cursor last = { 0 };
		int row = (int)ret->items_count - 1;

		if (pg_int(res, row, "created_us", &last.created_us, e) < 0)
			return -1;
		snprintf(last.id, sizeof(last.id), "%s", pg_text(res, row, "id"));
		ret->next_cursor = arena_strdup(a, cursor_text(&last, text));
		if (!ret->next_cursor)
			return err_set(e, ERR_INTERNAL, "out of memory");
	}
	return 0;
}

int backup_insert(struct pg_conn *c, const char *user_id, const char *instance_id,
                  enum backup_kind kind, char ret_id[UUID_SIZE], struct err *e)
{
	static const char sql[] = "INSERT INTO backups (id, user_id, instance_id, kind)"
				  " VALUES ($1, $2, $3, $4)";

	uuid_make(ret_id);
	return pg_query(c, sql, (const char *[]){ ret_id, user_id, instance_id, kinds[kind] }, 4,
	                NULL, e);
}

int backup_started(struct pg_conn *c, const char *id, struct err *e)
{
	static const char sql[] =
		"UPDATE backups SET status = 'running', error = NULL, percent = 0,"
		" started_at = coalesce(started_at, now()) WHERE id = $1";

	return pg_query(c, sql, &id, 1, NULL, e);
}

int backup_stored(struct pg_conn *c, const char *id, const struct engine_totals *t, struct err *e)
{
	static const char sql[] = "UPDATE backups SET is_stored = true, files = $2, bytes = $3,"
				  " bytes_stored = $4, notes = $5 WHERE id = $1";
	struct params p = { 0 };

	params_text(&p, id);
	params_int(&p, t->files);
	params_int(&p, t->bytes);
	params_int(&p, t->bytes_stored);
	params_int(&p, t->notes);
	return pg_query(c, sql, p.values, p.count, NULL, e);
}

int backup_done(struct pg_conn *c, const char *id, long long retention_days, struct err *e)
{
	static const char sql[] =
		"UPDATE backups SET status = 'done', percent = 100, error = NULL,"
		" finished_at = now(), verified_at = now(),"
		" expires_at = now() + make_interval(days => $2::int) WHERE id = $1 AND is_stored";
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };

	params_text(&p, id);
	params_int(&p, retention_days);
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	return pg_affected(res) == 1 ? 0 : err_set(e, ERR_INTERNAL, "no stored backup '%s'", id);
}

int backup_failed(struct pg_conn *c, const char *id, const char *text, bool is_again, struct err *e)
{
	static const char sql[] =
		"UPDATE backups SET status = CASE WHEN $3::bool THEN 'pending' ELSE 'failed' END,"
		" error = $2, finished_at = CASE WHEN $3::bool THEN NULL ELSE now() END,"
		" expires_at = CASE WHEN $3::bool THEN NULL ELSE now() + interval '7 days' END"
		" WHERE id = $1";

	return pg_query(c, sql, (const char *[]){ id, text, is_again ? "t" : "f" }, 3, NULL, e);
}

int backup_verified(struct pg_conn *c, const char *id, struct err *e)
{
	static const char sql[] = "UPDATE backups SET verified_at = now(), status = 'done',"
				  " error = NULL WHERE id = $1 AND status IN ('done', 'damaged')";

	return pg_query(c, sql, &id, 1, NULL, e);
}

int backup_proven(struct pg_conn *c, const char *id, struct err *e)
{
	static const char sql[] =
		"UPDATE backups SET verified_at = now(), proven_at = now(), status = 'done',"
		" error = NULL WHERE id = $1 AND status IN ('done', 'damaged')";

	return pg_query(c, sql, &id, 1, NULL, e);
}

int backup_tried(struct pg_conn *c, const char *id, const struct backup_trial *t, struct err *e)
{
	static const char sql[] = "UPDATE backups SET trial_at = now(), trial_error = $3,"
				  " trial_ms = CASE WHEN $3::text IS NULL THEN $2::bigint END"
				  " WHERE id = $1";
	struct params p = { 0 };

	params_text(&p, id);
	params_int(&p, t->ms);
	params_text(&p, t->error);
	return pg_query(c, sql, p.values, p.count, NULL, e);
}

int backup_damaged(struct pg_conn *c, const char *id, const char *text, struct err *e)
{
	static const char sql[] = "UPDATE backups SET status = 'damaged', error = $2"
				  " WHERE id = $1 AND status IN ('done', 'damaged')";

	return pg_query(c, sql, (const char *[]){ id, text }, 2, NULL, e);
}

const char *backup_time(struct arena *a, long long unix_ms)
{
	char text[CLOCK_TEXT_SIZE];

	if (unix_ms < 0 || unix_ms > 253402300799999LL)
		unix_ms = 0;
	return arena_strdup(a, clock_text(unix_ms, text));
}

int backup_bases(struct pg_conn *c, const char *user_id, const char *instance_id,
                 struct backup_bases *ret, struct err *e)
{
	static const char sql[] = "SELECT id FROM backups WHERE user_id = $1 AND instance_id = $2"
				  " AND status = 'done' ORDER BY created_at DESC LIMIT 4";
	OWN(pg_result) PGresult *res = NULL;

	_Static_assert(ENGINE_BASES_MAX == 4, "the statement's limit");
	if (pg_query(c, sql, (const char *[]){ user_id, instance_id }, 2, &res, e) < 0)
		return -1;
	ret->count = (size_t)PQntuples(res);
	for (size_t i = 0; i < ret->count; i++)
		snprintf(ret->ids[i], UUID_SIZE, "%s", pg_text(res, (int)i, "id"));
	return 0;
}

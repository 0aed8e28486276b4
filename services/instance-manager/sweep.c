#include "sweep.h"

#include "activity/activity.h"

#include "decide.h"
#include "glance.h"
#include "outbox.h"
#include "record.h"
#include "trial.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "store/once.h"

#include <sys/stat.h>

#define SWEEP_LOCK  "7310579609402703107" /* advisory: one sweeps at a time */
#define ARENA_LIMIT ((size_t)64 << 20)
#define NO_ID       "00000000-0000-0000-0000-000000000000"

/* A thing that should be an instance's. */
struct found {
	char id[UUID_SIZE], user_id[UUID_SIZE];
	const struct engine_item *item; /* NULL: a directory */
};

struct found_list {
	struct found *list;
	size_t count, size;
	bool is_full;
};

/* "{a,b,…}" of the ids at this offset in each. */
static const char *ids_text(const struct found *list, size_t count, size_t offset, struct arena *a)
{
	char *text = arena_alloc(a, count * UUID_SIZE + 3), *at = text;

	if (!text)
		return NULL;
	*at++ = '{';
	for (size_t i = 0; i < count; i++)
		at += snprintf(at, UUID_SIZE + 1, "%s%s", i ? "," : "",
		               (const char *)&list[i] + offset);
	*at = '}';
	return text;
}

/* Which of them (by place, from 1) have no row. */
static int orphans(struct pg_conn *c, const struct found *list, size_t count, struct arena *a,
                   PGresult **ret, struct err *e)
{
	static const char sql[] =
		"SELECT f.at FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS f (id, u, at)"
		" WHERE NOT EXISTS (SELECT 1 FROM instances i WHERE i.id = f.id AND i.user_id = "
		"f.u)";
	const char *params[] = { ids_text(list, count, offsetof(struct found, id), a),
		                 ids_text(list, count, offsetof(struct found, user_id), a) };

	if (!params[0] || !params[1])
		return err_set(e, ERR_INTERNAL, "out of memory");
	return pg_query(c, sql, params, COUNT(params), ret, e);
}

static int sweep_lock(struct pg_conn *c, bool *ret_got, struct err *e)
{
	static const char sql[] = "SELECT pg_try_advisory_xact_lock(" SWEEP_LOCK ") AS got";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, NULL, 0, &res, e) < 0)
		return -1;
	*ret_got = pg_bool(res, 0, "got");
	return 0;
}

static int tell_stray(struct pg_conn *c, const struct engine_item *item, struct err *e)
{
	static const char text[] = "A container with this platform's label that belongs to no "
				   "instance was removed.";
	struct instance i = { 0 };

	snprintf(i.id, sizeof(i.id), "%s", item->instance_id[0] ? item->instance_id : NO_ID);
	random_hex((INSTANCE_TRACE_SIZE - 1) / 2, i.trace_id);
	if (record_audit(c, &i, "platform", drift_name(DRIFT_STRAY), item->name, e) < 0)
		return -1;
	return item->instance_id[0] ? outbox_add_drift(c, i.id, i.trace_id, DRIFT_STRAY, text, e)
	                            : 0;
}

/* Writes down which are strays and leaves those in the list, the first *count. */
static int judge(struct app *app, struct found *list, size_t *count, struct arena *a, struct err *e)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;
	size_t kept = 0;
	bool got = false;

	if (pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 || sweep_lock(c, &got, e) < 0)
		return -1;
	if (!got) {
		*count = 0;
		return 0;
	}
	if (orphans(c, list, *count, a, &res, e) < 0)
		return -1;
	for (size_t i = 0; i < *count; i++) {
		const struct engine_item *item = list[i].item;
		char name[CONTAINER_NAME_SIZE];
		bool is_orphan = false;

		for (int row = 0; row < PQntuples(res) && !is_orphan; row++)
			is_orphan = strtoull(PQgetvalue(res, row, 0), NULL, 10) == i + 1;
		/* An instance has one container, of one name: another with its label is extra. */
		if (item && !is_orphan)
			is_orphan = strcmp(item->name, container_name(list[i].id, name)) != 0;
		if (!is_orphan)
			continue;
		if (item && tell_stray(c, item, e) < 0)
			return -1;
		list[kept++] = list[i];
	}
	*count = kept;
	return pg_commit(&tx, e);
}

int sweep_containers(struct app *app, struct err *e)
{
	struct arena a __attribute__((cleanup(own_arena)));
	struct engine_item *items = NULL;
	struct found *list;
	size_t count = 0, found = 0;

	arena_init(&a, ARENA_LIMIT);
	glance_begin(app->glance);
	if (engine_list(app->engine, &a, &items, &count, e) < 0)
		return -1;
	glance_put(app->glance, items, count);
	list = arena_alloc(&a, (count + 1) * sizeof(*list));
	if (!list)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (trial_sweep(app, items, count, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		char trial_id[UUID_SIZE];

		if (!items[i].is_ours || items[i].status == ENGINE_REMOVING ||
		    container_trial_from(items[i].name, trial_id))
			continue;
		snprintf(list[found].id, UUID_SIZE, "%s",
		         items[i].instance_id[0] ? items[i].instance_id : NO_ID);
		snprintf(list[found].user_id, UUID_SIZE, "%s",
		         items[i].user_id[0] ? items[i].user_id : NO_ID);
		list[found++].item = &items[i];
	}
	if (found == 0)
		return 0;
	if (judge(app, list, &found, &a, e) < 0)
		return -1;
	for (size_t i = 0; i < found; i++) {
		log_warn("stray container, being removed", "container", list[i].item->name,
		         "instance_id", list[i].item->instance_id);
		if (engine_remove(app->engine, list[i].item->id, e) < 0)
			return -1;
		fault_point("stray.removed");
	}
	if (found > 0)
		outbox_wake(app->outbox);
	return 0;
}

static bool on_directory(const char *user_id, const char *instance_id, void *ctx)
{
	struct found_list *l = ctx;
	struct found *grown;

	if (l->count == l->size) {
		l->size = l->size ? 2 * l->size : 64;
		grown = realloc(l->list, l->size * sizeof(*grown));
		if (!grown) {
			l->is_full = true;
			return false;
		}
		l->list = grown;
	}
	l->list[l->count] = (struct found){ 0 };
	snprintf(l->list[l->count].id, UUID_SIZE, "%s", instance_id);
	snprintf(l->list[l->count].user_id, UUID_SIZE, "%s", user_id);
	l->count++;
	return true;
}

/* This directory is ours, and so is the one above it: no one else puts links there. */
static bool is_old(const struct app *app, const struct found *f, long long age_s)
{
	struct arena a __attribute__((cleanup(own_arena)));
	const char *path;
	struct stat st;

	arena_init(&a, 4096);
	path = container_path(app->data_dir, f->user_id, f->id, ".", &a);
	return path && stat(path, &st) == 0 && clock_now_ms() / 1000 - st.st_ctime >= age_s;
}

static int remove_directories(struct app *app, struct found_list *l, long long age_s, struct err *e)
{
	struct arena a __attribute__((cleanup(own_arena)));
	size_t count = 0;

	arena_init(&a, ARENA_LIMIT);
	for (size_t i = 0; i < l->count; i++)
		if (is_old(app, &l->list[i], age_s))
			l->list[count++] = l->list[i];
	if (count == 0)
		return 0;
	if (judge(app, l->list, &count, &a, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		log_warn("directory of no instance, being removed", "instance_id", l->list[i].id,
		         "user_id", l->list[i].user_id);
		if (files_delete(app->files, l->list[i].user_id, l->list[i].id, e) < 0)
			return -1;
	}
	return 0;
}

int sweep_directories(struct app *app, long long age_s, struct err *e)
{
	struct found_list l = { 0 };
	int r;

	r = files_each(app->files, on_directory, &l, e);
	if (r == 0 && l.is_full)
		r = err_set(e, ERR_INTERNAL, "out of memory");
	if (r == 0)
		r = remove_directories(app, &l, age_s, e);
	free(l.list);
	return r;
}

int sweep_database(struct app *app, struct err *e)
{
	static const char sql[] =
		"DELETE FROM operations WHERE finished_at < now() - interval '30 days'";
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (pg_take(app->db, &c, e) < 0 || pg_query(c, sql, NULL, 0, NULL, e) < 0 ||
	    activity_purge(c, e) < 0)
		return -1;
	return once_purge(c, ONCE_INSTANCE, e);
}

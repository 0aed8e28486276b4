#include "dump_row.h"
#include "run.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "dump/dump.h"
#include "format/mem.h"

/*
 * A dump of the platform: made under an id of its own each time it is tried, read back, then said to be
 * done; then old ones are cleared away. What a process that died has left is no dump (it has no head)
 * or one that is good and has no row: both are seen by the clearing, which looks into the store.
 */
#define KEEP_LEAST 2
#define DAY_MS     86400000LL

static bool go_on(void *ctx)
{
	return run_go_on(ctx);
}

static int make(struct run *r, const char *id, struct dump_totals *ret, struct err *e)
{
	const struct dump_watch watch = { go_on, r };
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (pg_take(r->app->db, &c, e) < 0)
		return -1;
	return dump_make(r->app->engine, c, id, &watch, ret, e);
}

/* Which of those in the store go: whole ones past their time but for the newest, and what never
 * became whole within a day. */
static bool is_over(const struct dump_list *l, size_t i, const char *keep_from,
                    const char *made_from)
{
	size_t newer = 0;

	if (!l->found[i].is_whole)
		return strcmp(l->found[i].id, made_from) < 0;
	for (size_t k = i + 1; k < l->count; k++)
		newer += l->found[k].is_whole;
	return newer >= KEEP_LEAST && strcmp(l->found[i].id, keep_from) < 0;
}

static int clear(struct run *r, struct err *e)
{
	OWN(dump_list) struct dump_list l = { 0 };
	char keep_from[DUMP_ID_SIZE], made_from[DUMP_ID_SIZE];
	const long long now_ms = clock_now_ms();
	const char *oldest = NULL;

	dump_id_make(now_ms - r->app->dump_retention_days * DAY_MS, keep_from);
	dump_id_make(now_ms - DAY_MS, made_from);
	if (dump_list(r->app->engine, &l, e) < 0)
		return -1;
	for (size_t i = 0; i < l.count; i++) {
		OWN(pg_conn) struct pg_conn *c = NULL;

		if (!run_go_on(r))
			return err_set(e, ERR_CONFLICT, "the work was taken away");
		if (!is_over(&l, i, keep_from, made_from)) {
			if (!oldest)
				oldest = l.found[i].id;
			continue;
		}
		if (dump_delete(r->app->engine, l.found[i].id, e) < 0 ||
		    pg_take(r->app->db, &c, e) < 0 || dump_row_forget(c, l.found[i].id, e) < 0)
			return -1;
	}
	return oldest ? erased_forget(r->app, oldest, e) : 0;
}

static long long stored_bytes(struct run *r, const char *id)
{
	OWN(dump_list) struct dump_list l = { 0 };
	struct err ignored = ERR_INIT;

	if (dump_list(r->app->engine, &l, &ignored) == 0)
		for (size_t i = 0; i < l.count; i++)
			if (strcmp(l.found[i].id, id) == 0)
				return l.found[i].bytes_stored;
	return 0;
}

static int made_and_proven(struct run *r, const char *id, struct err *e)
{
	const struct dump_watch watch = { go_on, r };
	struct dump_totals made = { 0 }, read = { 0 };

	if (run_step(r, "dumping", e) < 0 || make(r, id, &made, e) < 0)
		return -1;
	/* A crash here: a whole dump that no row tells of; the next try makes another. */
	fault_point("dump.stored");
	if (run_step(r, "verifying", e) < 0 || dump_check(r->app->engine, id, &watch, &read, e) < 0)
		return -1;
	if (read.rows != made.rows || read.bytes != made.bytes)
		return err_set(e, ERR_UPSTREAM, "the dump reads back other than it was written");
	{
		OWN(pg_conn) struct pg_conn *c = NULL;

		if (pg_take(r->app->db, &c, e) < 0 ||
		    dump_row_done(c, id, &made, stored_bytes(r, id), e) < 0)
			return -1;
	}
	return 0;
}

int run_dump(struct run *r, struct err *e)
{
	char id[DUMP_ID_SIZE];
	struct err why = ERR_INIT;
	OWN(pg_conn) struct pg_conn *c = NULL;

	dump_id_make(clock_now_ms(), id);
	if (pg_take(r->app->db, &c, e) < 0 || dump_row_begin(c, id, e) < 0)
		return -1;
	pg_give(TAKE(c));
	if (made_and_proven(r, id, e) < 0) {
		if (pg_take(r->app->db, &c, &why) < 0 ||
		    dump_row_failed(c, id, run_text(e), &why) < 0)
			log_warn("a failed dump could not be written", "error", why.msg);
		return -1;
	}
	/* What is done is done, whatever becomes of the old ones: the next dump clears again. */
	if (run_step(r, "clearing", e) < 0)
		return -1;
	if (clear(r, &why) < 0)
		log_warn("old dumps of the platform are not cleared away", "code",
		         err_name(why.code), "error", why.msg);
	fault_point("dump.cleared");
	return run_end(r, RUN_DONE, NULL, e);
}

#include "deletion.h"

#include "api_key.h"
#include "audit.h"
#include "mail/outbox.h"
#include "session.h"
#include "store/once.h"
#include "user.h"

#include "base/fault.h"
#include "base/log.h"

#define TEXT_(n) #n
#define TEXT(n)  TEXT_(n)

/* $2: seconds of grace. */
static const char sql_mark[] =
	"UPDATE users SET updated_at = now(),"
	" status = CASE WHEN $2::int > 0 THEN 'leaving' ELSE 'deleting' END,"
	" deletes_at = CASE WHEN $2::int > 0 THEN now() + make_interval(secs => $2::int) END"
	" WHERE id = $1 AND status = 'active'";

static const char sql_begin[] =
	"INSERT INTO account_deletions (user_id, trace_id, step, next_try_at) SELECT id, $2,"
	" CASE WHEN deletes_at IS NULL THEN 'purge' ELSE 'grace' END, coalesce(deletes_at, now())"
	" FROM users WHERE id = $1";

static const char sql_planned[] =
	"SELECT u.email, to_char(u.deletes_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS deletes_at,"
	" to_char(u.deletes_at, 'DD Mon YYYY \"at\" HH24:MI \"UTC\"') AS at"
	" FROM account_deletions d JOIN users u ON u.id = d.user_id WHERE u.id = $1";

static const char sql_undo[] = "UPDATE users SET status = 'active', deletes_at = NULL,"
			       " updated_at = now() WHERE id = $1 AND status = 'leaving'";

static const char sql_undone[] =
	"DELETE FROM account_deletions WHERE user_id = $1 AND step = 'grace'";

static const char sql_grace_over[] =
	"UPDATE users SET status = 'deleting', updated_at = now() WHERE id = $1"
	" AND status = 'leaving' AND deletes_at <= now()";

static const char sql_lease[] =
	"UPDATE account_deletions SET lease_owner = $1, attempts = attempts + 1,"
	" lease_until = now() + interval '" TEXT(
		DELETION_LEASE_S) " s'"
				  " WHERE user_id = (SELECT user_id FROM account_deletions WHERE "
				  "next_try_at <= now()"
				  "  AND (lease_until IS NULL OR lease_until < now())"
				  "  ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED)"
				  " RETURNING user_id, step, trace_id, attempts";

static const char sql_advance[] =
	"UPDATE account_deletions SET step = $3, attempts = 0, lease_until = NULL,"
	" next_try_at = now() WHERE user_id = $1 AND lease_owner = $2";

static const char sql_again[] = "UPDATE account_deletions SET lease_until = NULL,"
				" next_try_at = now() + make_interval(secs => $3::int)"
				" WHERE user_id = $1 AND lease_owner = $2";

static const char sql_lock_user[] =
	"SELECT 1 FROM users WHERE id = $1 AND status = 'deleting' FOR UPDATE";

static const char sql_erase[] = "DELETE FROM users WHERE id = $1 AND status = 'deleting'";

static const enum subject_id purges[] = {
#define PURGE(subject) SUBJ_##subject,
#include "purge.def"
#undef PURGE
};

/* One deletion that this process has the lease of. */
struct job {
	char user_id[UUID_SIZE], step[16], owner[UUID_SIZE];
	struct bus_ctx ctx; /* its trace; no actor */
	long long attempts;
};

/* Whatever acts for the user ends. */
static int end_all(struct app *app, struct pg_conn *c, const struct bus_ctx *ctx, struct err *e)
{
	const struct session_ending all = {
		ctx, ctx->user_id, NULL, END_DELETED, AUDIT_NONE, NULL
	};

	if (session_end_all(app, c, &all, NULL, e) < 0)
		return -1;
	return api_key_revoke(app, c, ctx, NULL, e);
}

/* When it is to be deleted, for the answer and the mail; nothing to tell where that is at once. */
static int tell(struct call *call, struct pg_conn *c, bool is_new, const char **ret_at,
                struct err *e)
{
	const char *user_id = call->ctx.user_id;
	struct outbox_mail mail = { .id = MAIL_DELETION_ASKED, .user_id = user_id };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql_planned, &user_id, 1, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_UNAUTHENTICATED, "the account is not there any more");
	*ret_at = NULL;
	if (!pg_text(res, 0, "deletes_at"))
		return 0;
	*ret_at = arena_strdup(&call->arena, pg_text(res, 0, "deletes_at"));
	if (!*ret_at)
		return err_set(e, ERR_INTERNAL, "out of memory");
	mail.email = pg_text(res, 0, "email");
	mail.detail = pg_text(res, 0, "at");
	return is_new ? outbox_add(c, &call->ctx, &mail, e) : 0;
}

int deletion_begin(struct call *call, const char **ret_at, struct err *e)
{
	struct app *app = call->app;
	const struct bus_ctx *ctx = &call->ctx;
	char grace_s[24];
	const char *mark[] = { ctx->user_id, grace_s }, *begin[] = { ctx->user_id, ctx->trace_id };
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *marked = NULL;

	snprintf(grace_s, sizeof(grace_s), "%lld", app->deletion_grace_s);
	if (pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    session_is_proven(call, c, e) < 0 ||
	    pg_query(c, sql_mark, mark, COUNT(mark), &marked, e) < 0)
		return -1;
	/* One that is on its way out already. */
	if (pg_affected(marked) == 0)
		return tell(call, c, false, ret_at, e);
	if (pg_query(c, sql_begin, begin, COUNT(begin), NULL, e) < 0 ||
	    end_all(app, c, ctx, e) < 0 ||
	    audit_write(c, ctx, AUDIT_DELETE_ASKED, ctx->user_id, ctx->session_id, e) < 0 ||
	    tell(call, c, true, ret_at, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	/* A crash here: all is written; the next process works it off. */
	fault_point("delete_user.marked");
	ticker_wake(app->keeper);
	ticker_wake(app->deletion);
	ticker_wake(app->courier);
	return 0;
}

int deletion_undo(struct call *call, struct user_view *out, struct err *e)
{
	struct app *app = call->app;
	const struct bus_ctx *ctx = &call->ctx;
	const char *user_id = ctx->user_id;
	struct outbox_mail mail = { .id = MAIL_DELETION_UNDONE, .user_id = user_id };
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    pg_query(c, sql_undo, &user_id, 1, &res, e) < 0 ||
	    user_load(c, user_id, &call->arena, out, e) < 0)
		return -1;
	if (pg_affected(res) == 0)
		return err_set(e, ERR_CONFLICT, "the account is not to be deleted");
	mail.email = out->email;
	if (pg_query(c, sql_undone, &user_id, 1, NULL, e) < 0 || outbox_add(c, ctx, &mail, e) < 0 ||
	    audit_write(c, ctx, AUDIT_RESTORED, user_id, ctx->session_id, e) < 0 ||
	    pg_commit(&tx, e) < 0)
		return -1;
	ticker_wake(app->courier);
	return 0;
}

/* 0 and an empty user_id: nothing is due. */
static int lease(struct app *app, struct job *ret, struct err *e)
{
	const char *owner = ret->owner;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;

	uuid_make(ret->owner);
	if (pg_take(app->db, &c, e) < 0 || pg_query(c, sql_lease, &owner, 1, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return 0;
	snprintf(ret->user_id, UUID_SIZE, "%s", pg_text(res, 0, "user_id"));
	snprintf(ret->step, sizeof(ret->step), "%s", pg_text(res, 0, "step"));
	snprintf(ret->ctx.trace_id, sizeof(ret->ctx.trace_id), "%s", pg_text(res, 0, "trace_id"));
	return pg_int(res, 0, "attempts", &ret->attempts, e);
}

/* Asks the first service of the table that still has something of the user, which it goes on
 * removing: later ones are asked once nothing remains there. */
static int purge(struct app *app, const struct job *job, long long *ret_remaining, struct err *e)
{
	struct user_ref in = { .user_id = job->user_id };
	struct purge_state out = { 0 };

	for (size_t i = 0; i < COUNT(purges) && out.remaining == 0; i++) {
		OWN(arena) struct arena a;

		arena_init(&a, BUS_ARENA_LIMIT);
		assert(subjects[purges[i]].in == &wire_user_ref &&
		       subjects[purges[i]].out == &wire_purge_state);
		if (bus_call(app->bus, purges[i], &job->ctx, &in, &a, &out, e) < 0)
			return err_wrap(e, subjects[purges[i]].name);
	}
	*ret_remaining = out.remaining;
	return 0;
}

static int note(struct app *app, const struct job *job, const char *sql, const char *value,
                struct err *e)
{
	const char *params[] = { job->user_id, job->owner, value };
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (pg_take(app->db, &c, e) < 0)
		return -1;
	return pg_query(c, sql, params, COUNT(params), NULL, e);
}

/* The grace is over. One that was restored meanwhile has no row any more, and nothing happens. */
static int step_grace(struct app *app, const struct job *job, struct err *e)
{
	const char *user_id = job->user_id, *advance[] = { user_id, job->owner, "purge" };
	struct bus_ctx ctx = job->ctx;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;

	snprintf(ctx.user_id, sizeof(ctx.user_id), "%s", user_id);
	if (pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    pg_query(c, sql_grace_over, &user_id, 1, &res, e) < 0)
		return -1;
	if (pg_affected(res) == 0)
		return 0;
	if (end_all(app, c, &ctx, e) < 0 ||
	    pg_query(c, sql_advance, advance, COUNT(advance), NULL, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	ticker_wake(app->keeper);
	return 0;
}

static int step_purge(struct app *app, const struct job *job, struct err *e)
{
	long long remaining = 0;

	if (purge(app, job, &remaining, e) < 0)
		return -1;
	if (remaining > 0)
		return note(app, job, sql_again, "1", e);
	fault_point("delete_user.purged");
	if (note(app, job, sql_advance, "erase", e) < 0)
		return -1;
	fault_point("delete_user.advanced");
	return 0;
}

/*
 * The user's row is locked while all are asked a last time: an instance that was being created behind
 * the purge cannot be written now (its row refers to the user's), and one that was written before is
 * seen. The lock is the row's, for the calls' time-outs at most.
 */
static int erase(struct app *app, struct pg_conn *c, const struct job *job, bool *ret_done,
                 struct err *e)
{
	const char *user_id = job->user_id;
	const struct bus_ctx nobody = { 0 };
	OWN(pg_tx) struct pg_tx tx = { 0 };
	long long remaining = 0;

	if (pg_begin(c, &tx, e) < 0 || pg_query(c, sql_lock_user, &user_id, 1, NULL, e) < 0 ||
	    purge(app, job, &remaining, e) < 0)
		return -1;
	*ret_done = remaining == 0;
	if (!*ret_done)
		return 0;
	/* Sessions, tokens, audit rows and the deletion itself go with the user's row. What stays of
	 * it is one line that names nobody. */
	if (once_forget(c, ONCE_AUTH, user_id, e) < 0 || outbox_forget(c, user_id, e) < 0 ||
	    pg_query(c, sql_erase, &user_id, 1, NULL, e) < 0 ||
	    audit_write(c, &nobody, AUDIT_DELETED, NULL, NULL, e) < 0)
		return -1;
	fault_point("delete_user.erasing");
	if (pg_commit(&tx, e) < 0)
		return -1;
	fault_point("delete_user.erased");
	return 0;
}

static int step_erase(struct app *app, const struct job *job, struct err *e)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	bool is_done = false;

	if (pg_take(app->db, &c, e) < 0 || erase(app, c, job, &is_done, e) < 0)
		return -1;
	if (!is_done)
		return note(app, job, sql_advance, "purge", e);
	log_info("account deleted");
	return 0;
}

/* Later, and later each time: a failed try is no reason to give up. */
static void put_off(struct app *app, const struct job *job, const struct err *why)
{
	long long wait_s = job->attempts < 5 ? 1LL << job->attempts : DELETION_BACK_OFF_S;
	struct err e = ERR_INIT;
	char seconds[24];

	snprintf(seconds, sizeof(seconds), "%lld", wait_s);
	log_warn("deletion of an account waits, trying again", "user_id", job->user_id, "step",
	         job->step, "error", why->msg);
	/* Where this fails too, the lease runs out by itself. */
	if (note(app, job, sql_again, seconds, &e) < 0)
		log_warn("deletion of an account keeps its lease", "error", e.msg);
}

void deletion_work(void *ctx)
{
	struct app *app = ctx;

	for (;;) {
		struct job job = { .user_id = "" };
		struct err e = ERR_INIT;
		int r;

		if (lease(app, &job, &e) < 0 || !job.user_id[0])
			return;
		fault_point("delete_user.leased");
		log_trace_set(job.ctx.trace_id);
		r = strcmp(job.step, "grace") == 0   ? step_grace(app, &job, &e)
		    : strcmp(job.step, "erase") == 0 ? step_erase(app, &job, &e)
		                                     : step_purge(app, &job, &e);
		if (r < 0)
			put_off(app, &job, &e);
		log_trace_set(NULL);
	}
}

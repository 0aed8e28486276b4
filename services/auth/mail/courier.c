#include "mail/courier.h"

#include "mail/deliver.h"
#include "mail/letter.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"

#include <sodium.h>

#define TEXT_(n) #n
#define TEXT(n)  TEXT_(n)

static const char sql_lease[] =
	"UPDATE mail_outbox SET lease_owner = $1, attempts = attempts + 1,"
	" lease_until = now() + interval '" TEXT(
		COURIER_LEASE_S) " s' WHERE id = (SELECT id FROM mail_outbox"
				 "  WHERE state = 'waiting' AND next_try_at <= now()"
				 "  AND (lease_until IS NULL OR lease_until < now())"
				 "  ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED)"
				 " RETURNING id, kind, email, user_id, detail, trace_id, attempts,"
				 " host(address) AS address,"
				 " (extract(epoch FROM created_at) * 1000)::bigint AS asked_ms";

/* Those asked for by address, of the last hour, before this one. */
static const char sql_count[] =
	"SELECT count(*) AS count FROM mail_outbox m, mail_outbox mine WHERE mine.id = $1"
	" AND m.email = mine.email AND m.id <> mine.id AND m.kind = mine.kind"
	" AND m.created_at <= mine.created_at AND m.state <> 'dropped'"
	" AND m.created_at > now() - interval '1 hour'";

static const char sql_whose[] = "SELECT id, email_verified FROM users"
				" WHERE email = $1 AND status <> 'deleting'";

/* So that they can see what was sent to them. */
static const char sql_note_whose[] = "UPDATE mail_outbox SET user_id = $2 WHERE id = $1";

/* Whether a change of address still waits for this end. */
static const char sql_change[] =
	"SELECT EXISTS (SELECT 1 FROM users o WHERE o.email = c.email) AS is_taken"
	" FROM email_changes c WHERE c.user_id = $1 AND c.expires_at > now()"
	" AND c.email = $2";

static const char sql_end[] =
	"UPDATE mail_outbox SET state = $3, reason = $4, ended_at = now(), lease_until = NULL"
	" WHERE id = $1 AND lease_owner = $2 AND state = 'waiting'";

static const char sql_again[] = "UPDATE mail_outbox SET reason = $4, lease_until = NULL,"
				" next_try_at = now() + make_interval(secs => $3::int)"
				" WHERE id = $1 AND lease_owner = $2 AND state = 'waiting'";

static const char sql_check[] =
	"SELECT count(*) FILTER (WHERE state = 'waiting') AS late,"
	" count(*) FILTER (WHERE state = 'dead') AS dead FROM mail_outbox"
	" WHERE (state = 'waiting' AND created_at < now() - interval '" TEXT(
		MAIL_LATE_S) " s') OR (state = 'dead' AND reason = 'given up'"
			     " AND ended_at > now() - interval '1 hour')";

/* One mail that this process has the lease of. */
struct job {
	char id[UUID_SIZE], owner[UUID_SIZE], user_id[UUID_SIZE];
	char email[256], address[46];
	char detail[256];
	char token[LINK_TEXT_SIZE];
	const struct mail_row *row;
	const char *dropped; /* why it is not sent; NULL: it is */
	long long tries, asked_ms;
	bool has_address, has_detail;
};

long long courier_pause_s(long long tries, long long base_s, unsigned random)
{
	long long pause_s = base_s;

	while (--tries > 0 && pause_s < MAIL_PAUSE_MAX_S)
		pause_s *= 2;
	if (pause_s > MAIL_PAUSE_MAX_S)
		pause_s = MAIL_PAUSE_MAX_S;
	return pause_s - (long long)(random % 1000) * pause_s / 2000;
}

static void take(char *to, size_t size, const PGresult *res, const char *column)
{
	const char *text = pg_text(res, 0, column);

	snprintf(to, size, "%s", text ? text : "");
}

/* 0 and an empty id: nothing is due. */
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
	take(ret->id, sizeof(ret->id), res, "id");
	take(ret->email, sizeof(ret->email), res, "email");
	take(ret->user_id, sizeof(ret->user_id), res, "user_id");
	take(ret->detail, sizeof(ret->detail), res, "detail");
	take(ret->address, sizeof(ret->address), res, "address");
	ret->has_detail = ret->detail[0];
	ret->has_address = ret->address[0];
	ret->row = mail_row_find(pg_text(res, 0, "kind"));
	log_trace_set(pg_text(res, 0, "trace_id"));
	if (!ret->row)
		ret->dropped = "unknown kind";
	if (pg_int(res, 0, "attempts", &ret->tries, e) < 0)
		return -1;
	return pg_int(res, 0, "asked_ms", &ret->asked_ms, e);
}

static int note_whose(struct pg_conn *c, const struct job *job, struct err *e)
{
	const char *params[] = { job->id, job->user_id };

	return pg_query(c, sql_note_whose, params, COUNT(params), NULL, e);
}

/* Finds who has the address now. */
static int find_user(struct pg_conn *c, struct job *job, struct err *e)
{
	const char *id = job->id, *email = job->email;
	OWN(pg_result) PGresult *before = NULL;
	OWN(pg_result) PGresult *res = NULL;
	long long count = 0;

	if (pg_query(c, sql_count, &id, 1, &before, e) < 0 ||
	    pg_int(before, 0, "count", &count, e) < 0 ||
	    pg_query(c, sql_whose, &email, 1, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		job->dropped = "nobody has this address";
	else if (job->row->purpose == LINK_VERIFY && pg_bool(res, 0, "email_verified"))
		job->dropped = "the address is confirmed";
	else if (count >= MAIL_HOURLY_MAX)
		job->dropped = "too many in an hour";
	else
		take(job->user_id, sizeof(job->user_id), res, "id");
	return job->dropped ? 0 : note_whose(c, job, e);
}

static int check_change(struct pg_conn *c, struct job *job, struct err *e)
{
	bool is_new = job->row->purpose == LINK_EMAIL_NEW;
	const char *params[] = { job->user_id, is_new ? job->email : job->detail };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql_change, params, COUNT(params), &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		job->dropped = "the change is over";
	else if (is_new && pg_bool(res, 0, "is_taken"))
		job->dropped = "the address is somebody's already";
	return 0;
}

/* Steps 2 and 3. */
static int prepare(struct app *app, struct job *job, struct err *e)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	enum link_purpose purpose = job->row->purpose;
	struct link link = { .purpose = purpose };

	if (pg_take(app->db, &c, e) < 0 ||
	    (job->row->to == MAIL_TO_ADDRESS && find_user(c, job, e) < 0) ||
	    ((purpose == LINK_EMAIL_NEW || purpose == LINK_EMAIL_OLD) &&
	     check_change(c, job, e) < 0))
		return -1;
	if (job->dropped || purpose == LINK_NONE)
		return 0;
	memcpy(link.user_id, job->user_id, sizeof(link.user_id));
	memcpy(link.email, job->email, sizeof(link.email));
	return link_make(c, &link, job->row->valid_s, job->token, e);
}

static int send_it(struct app *app, const struct job *job, struct err *e)
{
	const struct letter letter = {
		.row = job->row,
		.id = job->id,
		.from = app->mail_from,
		.to = job->email,
		.public_url = app->public_url,
		.token = job->token,
		.email = job->email,
		.detail = job->has_detail ? job->detail : NULL,
		.address = job->has_address ? job->address : NULL,
		.asked_ms = job->asked_ms,
		.now_ms = clock_now_ms(),
	};
	OWN(arena) struct arena a;
	const char *text = NULL;

	arena_init(&a, BUS_ARENA_LIMIT);
	if (letter_write(&letter, &a, &text, e) < 0)
		return -1;
	return deliver(app, job->id, job->email, text, e);
}

static int note(struct app *app, const struct job *job, const char *sql, const char *what,
                const char *reason)
{
	const char *params[] = { job->id, job->owner, what, reason };
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct err e = ERR_INIT;

	if (pg_take(app->db, &c, &e) == 0 && pg_query(c, sql, params, COUNT(params), NULL, &e) == 0)
		return 0;
	/* The lease runs out by itself. */
	log_warn("mail keeps its lease", "mail_id", job->id, "error", e.msg);
	return -1;
}

/* Step 5, for one that did not get out. */
static void put_off(struct app *app, const struct job *job, const struct err *why)
{
	const struct mail_row *row = job->row;
	long long pause_s =
		courier_pause_s(job->tries, app->mail_retry_s, randombytes_uniform(1000));
	long long left_ms = job->asked_ms + row->valid_s * 1000LL - clock_now_ms();
	const char *dead = why->code == ERR_INVALID       ? "refused"
	                   : job->tries >= MAIL_TRIES_MAX ? "given up"
	                   : row->valid_s && left_ms <= 0 ? "too late"
	                                                  : NULL;
	char seconds[24];

	if (app_is_stopping(app))
		pause_s = 0;
	if (dead) {
		(void)note(app, job, sql_end, "dead", dead);
		log_error("mail is not delivered", "mail_id", job->id, "mail", row->name, "reason",
		          dead, "error", why->msg);
		return;
	}
	snprintf(seconds, sizeof(seconds), "%lld", pause_s);
	(void)note(app, job, sql_again, seconds, why->msg);
	log_warn("mail waits, trying again", "mail_id", job->id, "mail", row->name, "error",
	         why->msg, "pause_s", seconds);
}

static void work_on(struct app *app, struct job *job)
{
	struct err e = ERR_INIT;
	int r = 0;

	fault_point("mail.leased");
	if (!job->dropped)
		r = prepare(app, job, &e);
	if (job->dropped) {
		(void)note(app, job, sql_end, "dropped", job->dropped);
		log_info("mail is not sent", "mail_id", job->id, "reason", job->dropped);
		return;
	}
	fault_point("mail.linked");
	if (r == 0)
		r = send_it(app, job, &e);
	if (r < 0) {
		put_off(app, job, &e);
		return;
	}
	fault_point("mail.sent");
	if (note(app, job, sql_end, "sent", NULL) == 0)
		log_info("mail sent", "mail_id", job->id, "mail", job->row->name);
}

void courier_work(void *ctx)
{
	struct app *app = ctx;

	while (!app_is_stopping(app)) {
		struct job job = { .id = "" };
		struct err e = ERR_INIT;
		int r = lease(app, &job, &e);

		if (r == 0 && job.id[0])
			work_on(app, &job);
		log_trace_set(NULL);
		sodium_memzero(job.token, sizeof(job.token));
		if (r < 0 || !job.id[0])
			return;
	}
}

int courier_check(void *ctx, struct err *e)
{
	struct app *app = ctx;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;
	long long late = 0, dead = 0;

	if (pg_take(app->db, &c, e) < 0 || pg_query(c, sql_check, NULL, 0, &res, e) < 0 ||
	    pg_int(res, 0, "late", &late, e) < 0 || pg_int(res, 0, "dead", &dead, e) < 0)
		return -1;
	if (late == 0 && dead == 0)
		return 0;
	return err_set(e, ERR_UPSTREAM, "%lld mails wait for too long, %lld were given up", late,
	               dead);
}

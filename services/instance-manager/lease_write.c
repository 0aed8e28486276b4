#include "lease_store.h"

#include "outbox.h"
#include "record.h"

#include "store/once.h"
#include "store/params.h"

#define PLACE_LOCK \
	"7310579609402703106" /* advisory: who counts those that boot, and adds to them */

static const char *place_text(enum place place, bool is_waiting)
{
	if (is_waiting)
		return "wait";
	return place == PLACE_TAKE ? "take" : place == PLACE_DROP ? "drop" : "keep";
}

/* Counts over all processes, which is why it takes a lock until the transaction's end. */
static int place_take(struct pg_conn *c, const struct lease_write *w, bool *ret_got, struct err *e)
{
	static const char sql_lock[] = "SELECT pg_advisory_xact_lock(" PLACE_LOCK ")";
	static const char sql_count[] = "SELECT count(*) AS n FROM instances"
					" WHERE boot_until > now() AND id <> $1";
	const char *id = w->before->id;
	OWN(pg_result) PGresult *res = NULL;
	long long taken = 0;

	if (pg_query(c, sql_lock, NULL, 0, NULL, e) < 0 ||
	    pg_query(c, sql_count, &id, 1, &res, e) < 0 || pg_int(res, 0, "n", &taken, e) < 0)
		return -1;
	*ret_got = taken < w->places_max;
	return 0;
}

/* A place is free: the one that has waited longest is due. Rows that are locked are passed over, so
 * that two that do this cannot wait for each other. */
static int place_pass_on(struct pg_conn *c, struct err *e)
{
	static const char sql[] =
		"UPDATE instances SET next_check_at = now() WHERE id = (SELECT id FROM instances"
		"  WHERE boot_waiting_since IS NOT NULL AND lease_owner IS NULL"
		"  ORDER BY boot_waiting_since LIMIT 1 FOR UPDATE SKIP LOCKED)";

	return pg_query(c, sql, NULL, 0, NULL, e);
}

static const char *times_text(const long long *times, char *buf, size_t size)
{
	size_t len = (size_t)snprintf(buf, size, "{");

	for (size_t i = 0; i < INSTANCE_RESTARTS && times[i]; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%lld", i ? "," : "", times[i]);
	snprintf(buf + len, size - len, "}");
	return buf;
}

static bool is_told(const struct instance *before, const struct instance *next)
{
	return before->status != next->status || strcmp(before->reason, next->reason) != 0;
}

bool lease_is_news(const struct instance *before, const struct decision *d)
{
	const struct instance *next = &d->next;

	return d->action != ACT_NONE || d->drift != DRIFT_NONE || is_told(before, next) ||
	       before->upgrade != next->upgrade || strcmp(before->image, next->image) != 0 ||
	       (d->place == PLACE_DROP && (before->is_booting || before->is_waiting)) ||
	       d->place == PLACE_TAKE || before->operation != next->operation ||
	       before->applied_generation != next->applied_generation ||
	       before->applied_config != next->applied_config ||
	       before->probe_misses != next->probe_misses ||
	       memcmp(before->restart_times, next->restart_times, sizeof(next->restart_times)) ||
	       before->retry_at_ms != next->retry_at_ms || before->exit_code != next->exit_code ||
	       before->exit_oom != next->exit_oom || before->seen_end_ms != next->seen_end_ms ||
	       before->ready_run_ms != next->ready_run_ms ||
	       before->not_ready_since_ms != next->not_ready_since_ms ||
	       before->was_ready != next->was_ready || before->is_channel_up != next->is_channel_up;
}

static int row_write(struct pg_conn *c, const struct lease_write *w, const char *place,
                     PGresult **ret, struct err *e)
{
	static const char sql[] =
		"UPDATE instances SET status = $4, status_reason = $5, applied_generation = $6,"
		"  applied_config = $7, probe_misses = $8, restart_times = $9, retry_at_ms = $10,"
		"  exit_code = $11, exit_oom = $12, seen_end_ms = $13, ready_run_ms = $14,"
		"  not_ready_since_ms = $15, was_ready = $16, channel = $17, operation = $18,"
		"  trace_id = $19, status_cause = $26,"
		"  image = $27, upgrade_step = $28, upgrade_error = $29, upgrade_cause = $30,"
		"  observed_at = CASE WHEN $20::bool THEN now() ELSE observed_at END,"
		"  boot_until = CASE $21 WHEN 'take' THEN now() + $22::bigint * interval '1 ms'"
		"   WHEN 'keep' THEN boot_until ELSE NULL END,"
		"  boot_waiting_since = CASE $21 WHEN 'wait' THEN coalesce(boot_waiting_since, "
		"now())"
		"   WHEN 'keep' THEN boot_waiting_since ELSE NULL END,"
		"  lease_owner = CASE WHEN $23::bool THEN NULL ELSE lease_owner END,"
		"  lease_until = CASE WHEN $23::bool THEN NULL ELSE now() + interval '6 s' END,"
		"  next_check_at = CASE WHEN $23::bool THEN now() + $24::bigint * interval '1 ms'"
		"   ELSE next_check_at END,"
		"  updated_at = CASE WHEN $25::bool THEN now() ELSE updated_at END"
		" WHERE id = $1 AND lease_owner = $2 AND wake = $3 RETURNING " INSTANCE_COLUMNS;
	const struct instance *n = &w->d->next;
	char times[INSTANCE_RESTARTS * 24];
	bool is_last = w->d->action == ACT_NONE;
	struct params p = { 0 };

	_Static_assert(LEASE_S == 6, "the statement above");
	params_text(&p, n->id);
	params_text(&p, w->owner);
	params_int(&p, w->before->wake);
	params_text(&p, instance_status_name(n->status));
	params_text_or_null(&p, n->reason);
	params_int(&p, n->applied_generation);
	params_int(&p, n->applied_config);
	params_int(&p, n->probe_misses);
	params_text(&p, times_text(n->restart_times, times, sizeof(times)));
	params_int(&p, n->retry_at_ms);
	params_int(&p, n->exit_code);
	params_bool(&p, n->exit_oom);
	params_int(&p, n->seen_end_ms);
	params_int(&p, n->ready_run_ms);
	params_int(&p, n->not_ready_since_ms);
	params_bool(&p, n->was_ready);
	params_text(&p, n->is_channel_up ? "up" : "down");
	params_text(&p, instance_operation_name(n->operation));
	params_text(&p, n->trace_id);
	params_bool(&p, !w->is_failure);
	params_text(&p, place);
	params_int(&p, w->place_ms);
	params_bool(&p, is_last);
	params_int(&p, w->d->delay_ms);
	params_bool(&p, is_told(w->before, n));
	params_text(&p, instance_cause_name(n));
	params_text(&p, n->image);
	params_text(&p, instance_upgrade_name(n->upgrade));
	params_text_or_null(&p, n->upgrade_error);
	params_text(&p, instance_upgrade_cause(n));
	return pg_query(c, sql, p.values, p.count, ret, e);
}

/* The end of what was asked for. */
static int end_tell(struct pg_conn *c, const struct instance *before, const struct instance *row,
                    struct err *e)
{
	const char *error = row->status == INSTANCE_ERROR ? row->reason : NULL;
	bool is_upgrade = before->operation == INSTANCE_OP_UPGRADE;
	char moved[2 * INSTANCE_IMAGE_SIZE + 8];

	if (is_upgrade)
		error = row->upgrade_error[0] ? row->upgrade_error : NULL;
	if (record_end(c, row->id, error, e) < 0)
		return -1;
	if (!is_upgrade)
		return 0;
	snprintf(moved, sizeof(moved), "%s → %s", row->upgrade_from, row->upgrade_to);
	if (record_audit(c, row, "platform", error ? "upgrade_failed" : "upgraded",
	                 error ? error : moved, e) < 0)
		return -1;
	return outbox_add_upgraded(c, row, e);
}

/* What is told of the change, and kept of it. */
static int row_tell(struct pg_conn *c, const struct lease_write *w, const struct instance *now,
                    struct err *e)
{
	const struct instance *before = w->before;
	const struct decision *d = w->d;
	bool is_ended = before->operation != INSTANCE_OP_NONE && now->operation == INSTANCE_OP_NONE;
	struct instance told = *now;
	const struct instance *row = &told;

	snprintf(told.trace_id, sizeof(told.trace_id), "%s", w->trace_id);
	if (d->drift != DRIFT_NONE &&
	    (outbox_add_drift(c, row->id, row->trace_id, d->drift, d->drift_text, e) < 0 ||
	     record_audit(c, row, "platform", drift_name(d->drift), d->drift_text, e) < 0))
		return -1;
	if (d->is_restart_counted &&
	    record_audit(c, row, "platform", "restart", row->reason, e) < 0)
		return -1;
	if (is_told(before, row) && outbox_add_status(c, row, e) < 0)
		return -1;
	if (before->is_channel_up != row->is_channel_up &&
	    outbox_add_channel(c, row, row->is_channel_up ? "" : row->reason, e) < 0)
		return -1;
	if (is_ended && end_tell(c, before, row, e) < 0)
		return -1;
	if (!is_ended && row->operation != INSTANCE_OP_NONE && d->action != ACT_NONE &&
	    record_step(c, row->id, action_name(d->action), e) < 0)
		return -1;
	return 0;
}

/* Why nothing was written. */
static int row_missed(struct pg_conn *c, const struct lease_write *w, struct instance *ret,
                      enum lease_written *ret_how, struct err *e)
{
	static const char sql[] =
		"SELECT " INSTANCE_COLUMNS " FROM instances WHERE id = $1 AND lease_owner = $2";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, (const char *[]){ w->before->id, w->owner }, 2, &res, e) < 0)
		return -1;
	*ret_how = PQntuples(res) ? LEASE_CHANGED : LEASE_LOST;
	return PQntuples(res) ? instance_from_row(res, 0, ret, e) : 0;
}

int lease_write(struct pg_conn *c, const struct lease_write *w, struct instance *ret,
                enum lease_written *ret_how, struct err *e)
{
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;
	struct instance row;
	bool got = true;

	if (pg_begin(c, &tx, e) < 0 || (w->d->place == PLACE_TAKE && place_take(c, w, &got, e) < 0))
		return -1;
	if (!got) {
		/* One that serves goes on doing so until it has its turn to be made anew. */
		if (w->d->action == ACT_STOP)
			*w->d = (struct decision){ .next = *w->before };
		w->d->action = ACT_NONE;
		w->d->delay_ms = 2000; /* sooner when one that boots is done: place_pass_on() */
	}
	if (row_write(c, w, place_text(w->d->place, !got), &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return row_missed(c, w, ret, ret_how, e);
	if (instance_from_row(res, 0, &row, e) < 0 || row_tell(c, w, &row, e) < 0)
		return -1;
	if (w->before->is_booting && !row.is_booting && place_pass_on(c, e) < 0)
		return -1;
	if (pg_commit(&tx, e) < 0)
		return -1;
	*ret = row;
	*ret_how = LEASE_WRITTEN;
	return 0;
}

int lease_erase(struct pg_conn *c, const char *owner, const struct instance *i, bool *ret_gone,
                struct err *e)
{
	static const char sql[] = "DELETE FROM instances WHERE id = $1 AND user_id = $2"
				  " AND lease_owner = $3 AND desired = 'deleted' RETURNING 1";
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_begin(c, &tx, e) < 0 ||
	    pg_query(c, sql, (const char *[]){ i->id, i->user_id, owner }, 3, &res, e) < 0)
		return -1;
	*ret_gone = PQntuples(res) > 0;
	if (!*ret_gone)
		return 0;
	if (once_forget(c, ONCE_INSTANCE, i->id, e) < 0 || outbox_add_deleted(c, i, e) < 0 ||
	    record_audit(c, i, "platform", "deleted", NULL, e) < 0)
		return -1;
	return pg_commit(&tx, e);
}

#include "tell.h"

#include "svc/outbox.h"

int tell_status(struct pg_conn *c, const struct tell *t, struct err *e)
{
	/* What is asked of a backup later on is said of the backup as it is, in words of work. */
	struct backup_status_evt in = {
		.instance_id = t->job->instance_id,
		.backup_id = t->backup_id,
		.restore_id = t->restore_id,
		.work = job_work_name(t->job->work),
		.kind = backup_kind_name(t->kind),
		.status = t->status,
		.step = t->step,
		.percent = t->percent,
		.files = t->files,
		.bytes = t->bytes,
		.error = t->error,
		.trial_ms = t->trial_ms,
		.has_trial_ms = t->trial_ms >= 0,
	};
	const struct outbox_event ev = { SUBJ_EVT_BACKUP_STATUS, t->job->instance_id,
		                         t->job->trace_id, &in };

	return outbox_add(c, OUTBOX_BACKUP, &ev, e);
}

int tell_alert(struct pg_conn *c, const char *instance_id, const char *problem, const char *text,
               struct err *e)
{
	struct backup_alert_evt in = { .instance_id = instance_id,
		                       .problem = problem,
		                       .message = text };
	const struct outbox_event ev = { SUBJ_EVT_BACKUP_ALERT, instance_id, NULL, &in };

	return outbox_add(c, OUTBOX_BACKUP, &ev, e);
}

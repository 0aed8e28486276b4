#include "outbox.h"

#include "activity/activity.h"

#include "base/clock.h"

int outbox_tell(struct pg_conn *c, enum subject_id subject, const char *key, const char *trace_id,
                const void *in, struct err *e)
{
	const struct outbox_event ev = { subject, key, trace_id, in };

	return outbox_add(c, OUTBOX_INSTANCE, &ev, e);
}

static const char *or_null(const char *text)
{
	return text && text[0] ? text : NULL;
}

int outbox_add_status(struct pg_conn *c, const struct instance *i, struct err *e)
{
	char observed[CLOCK_TEXT_SIZE] = "", summary[INSTANCE_REASON_SIZE + 32];
	const struct activity what = { "status", "platform", summary, i->trace_id };
	struct instance_status_evt ev = {
		.instance_id = i->id,
		.status = instance_status_name(i->status),
		.status_reason = or_null(i->reason),
		.status_cause = instance_cause_name(i),
		.desired = instance_desired_name(i->desired),
	};

	if (i->observed_ms)
		ev.observed_at = clock_text(i->observed_ms, observed);
	if (outbox_tell(c, SUBJ_EVT_INSTANCE_STATUS, i->id, i->trace_id, &ev, e) < 0)
		return -1;
	snprintf(summary, sizeof(summary), "%s%s%s", ev.status, i->reason[0] ? ": " : "",
	         i->reason);
	return activity_add(c, i->user_id, i->id, &what, e);
}

int outbox_add_channel(struct pg_conn *c, const struct instance *i, const char *reason,
                       struct err *e)
{
	struct channel_evt ev = { .instance_id = i->id,
		                  .channel = "telegram",
		                  .reason = or_null(reason) };
	const struct activity what = { i->is_channel_up ? "channel_connected"
		                                        : "channel_disconnected",
		                       "platform", ev.reason, i->trace_id };

	if (outbox_tell(c, i->is_channel_up ? SUBJ_EVT_CHANNEL_UP : SUBJ_EVT_CHANNEL_DOWN, i->id,
	                i->trace_id, &ev, e) < 0)
		return -1;
	return activity_add(c, i->user_id, i->id, &what, e);
}

int outbox_add_drift(struct pg_conn *c, const char *instance_id, const char *trace_id,
                     enum drift drift, const char *text, struct err *e)
{
	struct instance_drift_evt ev = { .instance_id = instance_id,
		                         .kind = drift_name(drift),
		                         .message = text };

	return outbox_tell(c, SUBJ_EVT_INSTANCE_DRIFT, instance_id, trace_id, &ev, e);
}

int outbox_add_upgraded(struct pg_conn *c, const struct instance *i, struct err *e)
{
	struct instance_upgraded_evt ev = { .instance_id = i->id,
		                            .image_from = i->upgrade_from,
		                            .image_to = i->upgrade_to,
		                            .image = i->image,
		                            .error = or_null(i->upgrade_error),
		                            .cause = instance_upgrade_cause(i) };

	return outbox_tell(c, SUBJ_EVT_INSTANCE_UPGRADED, i->id, i->trace_id, &ev, e);
}

int outbox_add_deleted(struct pg_conn *c, const struct instance *i, struct err *e)
{
	struct instance_deleted_evt ev = { .instance_id = i->id, .user_id = i->user_id };

	return outbox_tell(c, SUBJ_EVT_INSTANCE_DELETED, i->id, i->trace_id, &ev, e);
}

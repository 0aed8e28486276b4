#include "record.h"

#include "activity/activity.h"

int record_begin(struct pg_conn *c, const struct instance *i, struct err *e)
{
	static const char sql[] =
		"INSERT INTO operations (instance_id, user_id, kind, step, trace_id)"
		" VALUES ($1, $2, $3, 'wanted', $4)";
	const char *kind = instance_operation_name(i->operation);

	if (record_end(c, i->id, "something else was asked for", e) < 0)
		return -1;
	return pg_query(c, sql, (const char *[]){ i->id, i->user_id, kind, i->trace_id }, 4, NULL,
	                e);
}

int record_step(struct pg_conn *c, const char *instance_id, const char *step, struct err *e)
{
	static const char sql[] = "UPDATE operations SET step = $2"
				  " WHERE instance_id = $1 AND finished_at IS NULL";

	return pg_query(c, sql, (const char *[]){ instance_id, step }, 2, NULL, e);
}

int record_end(struct pg_conn *c, const char *instance_id, const char *error, struct err *e)
{
	static const char sql[] = "UPDATE operations SET finished_at = now(), error = $2,"
				  " step = CASE WHEN $2::text IS NULL THEN 'done' ELSE step END"
				  " WHERE instance_id = $1 AND finished_at IS NULL";

	return pg_query(c, sql, (const char *[]){ instance_id, error }, 2, NULL, e);
}

int record_audit(struct pg_conn *c, const struct instance *i, const char *actor, const char *action,
                 const char *detail, struct err *e)
{
	static const char sql[] =
		"INSERT INTO audit_instance (instance_id, user_id, actor, action, detail, trace_id)"
		" VALUES ($1, $2, $3, $4, $5, $6)";
	const struct activity what = { action, actor, detail, i->trace_id };
	const char *user_id = i->user_id[0] ? i->user_id : NULL;

	if (pg_query(c, sql, (const char *[]){ i->id, user_id, actor, action, detail, i->trace_id },
	             6, NULL, e) < 0)
		return -1;
	return user_id ? activity_add(c, user_id, i->id, &what, e) : 0;
}

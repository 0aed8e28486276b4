#include "change.h"

#include "record.h"

int change_lock(struct pg_conn *db, const struct bus_ctx *who, const char *instance_id,
                struct instance *ret, struct err *e)
{
	if (store_lock(db, who->user_id, instance_id, ret, e) < 0)
		return -1;
	if (ret->desired == INSTANCE_WANT_DELETED)
		return err_set(e, ERR_CONFLICT, "the instance is being deleted");
	return 0;
}

int change_write(struct pg_conn *db, const struct bus_ctx *who, struct instance *i,
                 const struct store_bot *bot, const char *action, struct instance *ret,
                 struct err *e)
{
	/* What is under way goes on, and takes the change along. */
	if (i->operation == INSTANCE_OP_NONE && i->desired == INSTANCE_WANT_RUNNING &&
	    (i->status == INSTANCE_RUNNING || i->status == INSTANCE_UNHEALTHY)) {
		i->operation = INSTANCE_OP_UPDATE;
		snprintf(i->trace_id, sizeof(i->trace_id), "%s", who->trace_id);
		if (record_begin(db, i, e) < 0)
			return -1;
	}
	if (store_change(db, i, bot, ret, e) < 0)
		return -1;
	return record_audit(db, ret, "user", action, NULL, e);
}

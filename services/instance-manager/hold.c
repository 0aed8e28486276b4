#include "hold.h"

#include "instance_store.h"

#include "store/params.h"

int hold_take(struct pg_conn *c, const struct instance_hold_req *in, struct hold_state *ret,
              struct err *e)
{
	/* A new hold is a new wish: what was decided on before it is not written any more (wake). One
	 * that is asked for again never becomes shorter. */
	static const char sql[] =
		"UPDATE instances SET"
		"  hold_since = CASE WHEN hold_id = $3 AND hold_until > now() THEN hold_since"
		"   ELSE now() END,"
		"  wake = CASE WHEN hold_id = $3 AND hold_until > now() THEN wake ELSE wake + 1 "
		"END,"
		"  next_check_at = CASE WHEN hold_id = $3 AND hold_until > now()"
		"   THEN next_check_at ELSE now() END,"
		"  hold_id = $3, hold_until = greatest(now() + make_interval(secs => $4::int),"
		"   CASE WHEN hold_id = $3 THEN hold_until END)"
		" WHERE id = $1 AND user_id = $2 AND desired <> 'deleted' AND upgrade_step IS NULL"
		"  AND (hold_id IS NULL OR hold_id = $3 OR hold_until <= now())"
		" RETURNING status = 'stopped' AND observed_at > hold_since AS is_stopped";
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };
	struct instance i;

	params_text(&p, in->instance_id);
	params_text(&p, in->user_id);
	params_text(&p, in->hold_id);
	params_int(&p, in->seconds);
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0 ||
	    store_load(c, in->user_id, in->instance_id, &i, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_CONFLICT,
		               i.desired == INSTANCE_WANT_DELETED ? "the assistant is being deleted"
		               : i.upgrade != UPGRADE_NONE
		                       ? "the assistant is being upgraded"
		                       : "the assistant's files are being changed already");
	*ret = (struct hold_state){ pg_bool(res, 0, "is_stopped"), i.status, i.desired };
	return 0;
}

int hold_release(struct pg_conn *c, const struct instance_hold_req *in, struct err *e)
{
	static const char sql[] =
		"UPDATE instances SET hold_id = NULL, hold_since = NULL, hold_until = NULL,"
		"  wake = wake + 1, next_check_at = now()"
		" WHERE id = $1 AND user_id = $2 AND hold_id = $3";

	return pg_query(c, sql, (const char *[]){ in->instance_id, in->user_id, in->hold_id }, 3,
	                NULL, e);
}

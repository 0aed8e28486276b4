/* Messages from the dashboard. The reply comes as events: chat.delta, chat.done. */

#include "app.h"

#include "link/ask.h"
#include "link/read.h"
#include "link/session_row.h"
#include "link/usage.h"

#include "base/fault.h"

#define SESSION_MAIN "agent:main:main"

static int may_spend(struct app *app, const char *id, struct err *e)
{
	OWN(pg_conn) struct pg_conn *db = NULL;
	bool is_paused;

	if (pg_take(app->db, &db, e) < 0 || usage_is_paused(db, id, &is_paused, e) < 0)
		return -1;
	return is_paused ? err_set(e, ERR_QUOTA,
	                           "this month's spending limit is reached: raise it, or wait for "
	                           "the month's end")
	                 : 0;
}

int on_chat_send(struct call *c, struct err *e)
{
	const struct chat_req *in = CALL_IN(c, chat_req);
	struct chat_started *out = CALL_OUT(c, chat_started);
	OWN(json) cJSON *params = cJSON_CreateObject();
	OWN(json) cJSON *got = NULL;
	struct link_place at;
	char run[ASK_ONCE_SIZE];

	if (ask_find(c, in->instance_id, &at, e) < 0 || ask_need_up(&at, e) < 0 ||
	    may_spend(c->app, in->instance_id, e) < 0)
		return -1;
	out->session_key = in->session_key ? in->session_key : SESSION_MAIN;
	if (!session_key_fits(out->session_key))
		return err_field(e, "session_key", "is no session's key");
	if (!cJSON_AddStringToObject(params, "sessionKey", out->session_key) ||
	    !cJSON_AddStringToObject(params, "message", in->message) ||
	    !cJSON_AddStringToObject(params, "idempotencyKey", ask_once_id(c, run)))
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (ask_call(c, &at, "chat.send", params, &got, e) < 0)
		return -1;
	/* A crash here: it runs, and the same request again finds it. */
	fault_point("chat.sent");
	out->run_id = read_word(&c->arena, got, "runId", 128);
	return out->run_id ? 0 : err_set(e, ERR_UPSTREAM, "the assistant started nothing");
}

int on_chat_stop(struct call *c, struct err *e)
{
	const struct chat_stop_req *in = CALL_IN(c, chat_stop_req);
	struct chat_stopped *out = CALL_OUT(c, chat_stopped);
	OWN(json) cJSON *params = cJSON_CreateObject();
	OWN(json) cJSON *got = NULL;
	struct link_place at;

	if (ask_find(c, in->instance_id, &at, e) < 0 || ask_need_up(&at, e) < 0)
		return -1;
	out->session_key = in->session_key ? in->session_key : SESSION_MAIN;
	if (!cJSON_AddStringToObject(params, "sessionKey", out->session_key) ||
	    (in->run_id && !cJSON_AddStringToObject(params, "runId", in->run_id)))
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (ask_call(c, &at, "chat.abort", params, &got, e) < 0)
		return -1;
	out->stopped = cJSON_IsTrue(read_at(got, "aborted"));
	return 0;
}

#include "app.h"

#include "ended.h"
#include "interest.h"
#include "replay.h"
#include "stream.h"
#include "topic.h"

#define STATE_MAX ((size_t)128 * 1024) /* bytes, as rt_subscribed has it */

/* The state as text. Conversations are left out from the end until it fits. */
static int state_text(struct instance_state *state, struct arena *a, const char **ret,
                      struct err *e)
{
	for (;;) {
		OWN(json) cJSON *doc = NULL;
		OWN(json_text) char *text = NULL;

		if (wire_encode(&wire_instance_state, state, NULL, &doc, e) < 0)
			return -1;
		text = cJSON_PrintUnformatted(doc);
		if (text && strlen(text) <= STATE_MAX) {
			*ret = arena_strdup(a, text);
			return *ret ? 0 : err_set(e, ERR_TOO_LARGE, "state is too large");
		}
		if (!text || state->sessions_count == 0)
			return err_set(e, ERR_INTERNAL, "state is too large");
		state->sessions_count /= 2;
	}
}

/* The assistant's state, from who owns it; what is not the caller's is not there. */
static int state_read(struct call *c, const struct topic *topic, const char **ret, struct err *e)
{
	struct instance_owned_ref in = { .instance_id = topic->id, .user_id = c->ctx.user_id };
	struct bus_ctx ctx = { 0 };
	struct instance_state state;

	memcpy(ctx.trace_id, c->ctx.trace_id, sizeof(ctx.trace_id));
	if (bus_call(c->bus, SUBJ_INSTANCE_STATE, &ctx, &in, &c->arena, &state, e) < 0)
		return e->code == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "no such topic") : -1;
	return state_text(&state, &c->arena, ret, e);
}

/*
 * State and position that fit each other: interest comes before the position, so that every later
 * event is sent to the gateway, and the position before the state, so that every earlier one is in
 * it. The first reading is also the check that the topic is the caller's, without which nothing is
 * registered; it counts where nothing has happened since.
 */
static int subscribe(struct call *c, const struct topic *topic, const char *gateway_id,
                     struct stream_state *ret_now, struct err *e)
{
	struct rt_subscribed *out = CALL_OUT(c, rt_subscribed);
	struct app *app = c->app;
	struct stream_state before;
	char text[TOPIC_TEXT_SIZE];

	topic_text(topic, text);
	if (stream_state(app->events.js, &before, e) < 0 ||
	    state_read(c, topic, &out->state, e) < 0 ||
	    interest_add(app->redis, text, gateway_id, e) < 0 ||
	    stream_state(app->events.js, ret_now, e) < 0)
		return -1;
	if (ret_now->last_seq == before.last_seq && strcmp(ret_now->id, before.id) == 0)
		return 0;
	return state_read(c, topic, &out->state, e);
}

static int position_set(struct call *c, const struct position *p, const char **ret, struct err *e)
{
	char text[POSITION_TEXT_SIZE];

	position_text(p, text);
	*ret = arena_strdup(&c->arena, text);
	return *ret ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

/* What was missed of a topic that is there. */
static int missed(struct call *c, const struct replay_ask *ask, struct err *e)
{
	struct rt_subscribed *out = CALL_OUT(c, rt_subscribed);
	struct replayed r;

	if (replay(ask, &c->arena, &r, e) < 0)
		return -1;
	out->events = r.events;
	out->resync = !r.events;
	return r.is_part ? position_set(c, &r.upto, &out->upto, e) : 0;
}

/*
 * Whoever comes back for a topic that was theirs learns that it has ended, and what came before that.
 * Where that cannot be told, or not at once, the end is all there is: no state is left that could be
 * wrong without it.
 */
static int farewell(struct call *c, const struct replay_ask *back, struct err *e)
{
	struct rt_subscribed *out = CALL_OUT(c, rt_subscribed);
	struct replay_ask ask = *back;
	struct app *app = c->app;
	struct stream_state now;
	struct replayed r;
	const char *end;

	if (ended_read(&app->events, ask.topic, c->ctx.user_id, &c->arena, &end, e) < 0 ||
	    stream_state(app->events.js, &now, e) < 0)
		return -1;
	ask.now = &now;
	if (replay(&ask, &c->arena, &r, e) < 0)
		return -1;
	out->events = r.events && !r.is_part ? r.events : arena_printf(&c->arena, "[%s]", end);
	out->over = out->has_over = true;
	out->state = NULL; /* as it was a moment ago */
	if (!out->events)
		return err_set(e, ERR_INTERNAL, "out of memory");
	return position_set(c, &r.upto, &out->position, e);
}

int on_subscribe(struct call *c, struct err *e)
{
	const struct rt_subscribe_req *in = CALL_IN(c, rt_subscribe_req);
	struct rt_subscribed *out = CALL_OUT(c, rt_subscribed);
	struct app *app = c->app;
	struct position position, since = { 0 };
	struct stream_state now;
	struct topic topic;
	struct replay_ask ask = { &app->events, &topic, &since, &now, c->deadline_ms };

	if (!c->ctx.user_id[0])
		return err_set(e, ERR_UNAUTHENTICATED, "sign in first");
	if (!interest_gateway_is_valid(in->gateway_id))
		return err_field(e, "gateway_id", "must be letters and digits");
	if (topic_parse(in->topic, &topic, e) < 0 ||
	    (in->since && position_parse(in->since, &since, e) < 0))
		return -1;
	if (subscribe(c, &topic, in->gateway_id, &now, e) < 0)
		return in->since && e->code == ERR_NOT_FOUND ? farewell(c, &ask, e) : -1;
	if (in->since && missed(c, &ask, e) < 0)
		return -1;

	position = (struct position){ .seq = now.last_seq };
	memcpy(position.id, now.id, sizeof(position.id));
	return position_set(c, &position, &out->position, e);
}

int on_release(struct call *c, struct err *e)
{
	const struct rt_release_req *in = CALL_IN(c, rt_release_req);
	struct app *app = c->app;
	char text[TOPIC_TEXT_SIZE];
	struct topic topic;

	(void)CALL_OUT(c, none);
	if (!interest_gateway_is_valid(in->gateway_id))
		return err_field(e, "gateway_id", "must be letters and digits");
	if (topic_parse(in->topic, &topic, e) < 0)
		return -1;
	topic_text(&topic, text);
	return interest_remove(app->redis, text, in->gateway_id, e);
}

#include "ws_told.h"

bool ws_told_read(struct ws_call *call, struct ws_told *ret)
{
	const struct rt_subscribed *reply = &call->reply;

	if (call->err.code != ERR_NONE)
		return false;
	ret->is_part = reply->upto != NULL;
	if (!ws_position_parse(ret->is_part ? reply->upto : reply->position, &ret->upto))
		return err_set(&call->err, ERR_INTERNAL, "no position in the answer") == 0;
	if (!reply->state && !reply->over)
		return err_set(&call->err, ERR_INTERNAL, "no state in the answer") == 0;
	return reply->resync || !reply->events ||
	       json_parse(reply->events, strlen(reply->events), &ret->events, &call->err) == 0;
}

void ws_told_done(struct ws_told *told)
{
	cJSON_Delete(told->events);
	told->events = NULL;
}

bool ws_audience_has(const struct ws_audience *to, const struct ws_sub *s)
{
	return s->state == SUB_RESUMING && ws_position_covers(&s->last, &to->since) &&
	       strcmp(s->client->person.user_id, to->user_id) == 0;
}

static void replay_to(struct ws_sub *s, const struct ws_position *at, struct ws_text *text)
{
	if (text)
		ws_sub_replay(s, at, text);
	else
		ws_client_send(s->client, NULL); /* out of memory: nothing follows what it lacks */
}

static void replay_one(const cJSON *frame, const struct ws_audience *to)
{
	const char *position = json_text(frame, "position");
	OWN(json_text) char *printed = cJSON_PrintUnformatted(frame);
	OWN(ws_text) struct ws_text *text = NULL;
	struct ws_position at;

	if (!position || !ws_position_parse(position, &at))
		return;
	text = printed ? ws_text_new(printed, strlen(printed)) : NULL;
	if (to->only) {
		replay_to(to->only, &at, text);
		return;
	}
	for (struct ws_sub *s = to->topic->subs; s; s = s->next)
		if (ws_audience_has(to, s))
			replay_to(s, &at, text);
}

void ws_told_replay(const struct ws_told *told, const struct ws_audience *to)
{
	const cJSON *frame;

	cJSON_ArrayForEach(frame, told->events)
		replay_one(frame, to);
}

void ws_told_state(struct ws_sub *s, const struct ws_call *call, const char *since)
{
	struct ws_frame_out f = { .event = "subscribed",
		                  .topic = s->topic->name,
		                  .position = call->reply.position,
		                  .trace_id = s->trace_id,
		                  .data = call->reply.state };

	ws_client_send_frame(s->client, &f);
	if (!call->reply.resync)
		return;
	f.event = "resync";
	f.data = NULL;
	f.since = since;
	ws_client_send_frame(s->client, &f);
	s->last = (struct ws_position){ "", 0 };
}

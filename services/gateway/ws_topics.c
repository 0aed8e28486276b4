#include "ws_topics.h"

#include "base/clock.h"
#include "base/fault.h"
#include "ws_call.h"
#include "ws_told.h"
#include "ws_topic.h"

#define QUIET_BYTES 65536 /* a client that waits for no more than this has its next turn */
#define RETRY_MS    1000
#define SETTLE_MS   3000 /* after it was given up, a call has been dropped or is done with */
#define RESUMES_MIN 4
#define RESUMES_MAX 64 /* topics resumed at once */

/* So often is a topic that clients had asked for again after it was said not to be there. */
#define REFUSALS_MAX 5

struct ws_topics {
	struct ws *ws;
	ws_topics_ask *ask;
	unsigned resuming, resumes_max; /* now, and how many may be at once */
	bool is_deaf;
	unsigned long long losses; /* times that events may have been missed */
	size_t turn;               /* the bucket that is next to resume */
	struct ws_topic_table table;
};

int ws_topics_new(struct ws *w, ws_topics_ask *ask, struct ws_topics **ret, struct err *e)
{
	struct ws_topics *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, ERR_INTERNAL, "out of memory");
	t->ws = w;
	t->ask = ask;
	t->resumes_max = RESUMES_MAX;
	*ret = t;
	return 0;
}

void ws_topics_free(struct ws_topics *t)
{
	if (t)
		ws_topic_table_done(&t->table);
	free(t);
}

static void say(struct ws_client *c, const char *event, const char *topic, const char *trace_id)
{
	const struct ws_frame_out f = { .event = event, .topic = topic, .trace_id = trace_id };

	ws_client_send_frame(c, &f);
}

static void call_for(struct ws_topics *t, struct ws_sub *s)
{
	struct ws_client *c = s->client;
	struct ws_call call = { .kind = WS_CALL_SUBSCRIBE, .client = c, .losses = t->losses };
	struct err e = ERR_INIT;

	memcpy(call.topic, s->topic->name, sizeof(call.topic));
	memcpy(call.since, s->since, sizeof(call.since));
	call.ctx = ws_person_ctx(&c->person, s->trace_id);
	if (!t->ask(t->ws, &call)) {
		err_busy(&e, ERR_UNAVAILABLE, 1, "too much to do");
		ws_client_send_error(c, s->topic->name, s->trace_id, &e);
		ws_sub_free(s);
		return;
	}
	s->state = SUB_CALLING;
	s->topic->calls++;
	c->is_subscribing = true;
}

void ws_topics_go_on(struct ws_topics *t, struct ws_client *c)
{
	struct ws_sub *s = c->subs, *first = NULL;

	if (c->is_subscribing || c->close_code || c->fd < 0 || c->queued_bytes > QUIET_BYTES)
		return;
	/* The list has the latest in front. One whose topic is being given up waits for that: the
	 * two calls could overtake each other. */
	for (; s; s = s->next_of_client)
		if (s->state == SUB_WANTED && !s->topic->is_releasing)
			first = s;
	if (first)
		call_for(t, first);
}

void ws_topics_subscribe(struct ws_topics *t, struct ws_client *c, const struct ws_frame *f,
                         const char *trace_id)
{
	struct ws_sub *s = ws_sub_find(c, f->topic);
	struct ws_topic *topic;
	struct err e = ERR_INIT;

	if (s && (s->state == SUB_WANTED || s->state == SUB_CALLING))
		return; /* its answer is on the way */
	if (!s && c->sub_count == WS_TOPICS_MAX) {
		err_set(&e, ERR_QUOTA, "a socket may listen to %d topics", WS_TOPICS_MAX);
		ws_client_send_error(c, f->topic, trace_id, &e);
		return;
	}
	topic = s ? s->topic : ws_topic_make(&t->table, f->topic);
	if (!s && topic)
		s = ws_sub_new(c, topic);
	if (!s) {
		err_set(&e, ERR_INTERNAL, "out of memory");
		ws_client_send_error(c, f->topic, trace_id, &e);
		return;
	}
	s->state = SUB_WANTED;
	ws_sub_clear(s);
	memcpy(s->since, f->since, sizeof(s->since));
	snprintf(s->trace_id, sizeof(s->trace_id), "%s", trace_id);
	/* What it asks for again is sent again. */
	s->last = (struct ws_position){ "", 0 };
	if (s->since[0])
		(void)ws_position_parse(s->since, &s->last);
	ws_topics_go_on(t, c);
}

void ws_topics_unsubscribe(struct ws_topics *t, struct ws_client *c, const char *topic,
                           const char *trace_id)
{
	char name[WS_TOPIC_SIZE];
	struct ws_sub *s;

	if (topic[0]) {
		s = ws_sub_find(c, topic);
		if (s)
			ws_sub_free(s);
		say(c, "unsubscribed", topic, trace_id);
	} else if (!c->subs) {
		say(c, "unsubscribed", NULL, trace_id);
	}
	while (!topic[0] && c->subs) {
		memcpy(name, c->subs->topic->name, sizeof(name));
		ws_sub_free(c->subs);
		say(c, "unsubscribed", name, trace_id);
	}
	ws_topics_go_on(t, c);
}

void ws_topics_leave(struct ws_topics *t, struct ws_client *c)
{
	(void)t;
	while (c->subs)
		ws_sub_free(c->subs);
}

void ws_topics_event(struct ws_topics *t, const char *topic, const struct ws_position *at,
                     struct ws_text *text)
{
	struct ws_topic *found = *ws_topic_find(&t->table, topic);

	for (struct ws_sub *s = found ? found->subs : NULL; s; s = s->next)
		ws_sub_event(s, at, text);
	/* A call that we had given up was heard later: what is sent for nobody is given up, too. */
	if (!found && (found = ws_topic_make(&t->table, topic)))
		found->idle_ms = clock_mono_ms() + WS_TOPIC_IDLE_MS;
	if (found)
		found->is_registered = true;
}

void ws_topics_over(struct ws_topics *t, const char *topic)
{
	struct ws_topic *found = *ws_topic_find(&t->table, topic);
	struct bus_ctx ctx = { .trace_id = "" };
	struct ws_sub *next;

	bus_trace_begin(&ctx);
	for (struct ws_sub *s = found ? found->subs : NULL; s; s = next) {
		next = s->next;
		/* The answer that any other waits for is that there is no such topic. */
		if (s->state != SUB_LIVE)
			continue;
		say(s->client, "unsubscribed", topic, ctx.trace_id);
		ws_sub_free(s);
	}
}

/* ---- what was missed ----------------------------------------------------------------------------- */

static void resume_later(struct ws_sub *s)
{
	s->state = SUB_RESUMING;
	s->topic->must_resume = true;
	s->topic->idle_ms = 0;
}

/* As of the one that has the least; what others have already they are not sent again. */
static void resume(struct ws_topics *t, struct ws_topic *topic)
{
	struct ws_call call = { .kind = WS_CALL_RESUME, .losses = t->losses };
	const struct ws_sub *least = NULL;

	for (const struct ws_sub *s = topic->subs; s; s = s->next)
		if (s->state == SUB_RESUMING &&
		    (!least || ws_position_covers(&least->last, &s->last)))
			least = s;
	topic->must_resume = false;
	if (!least)
		return;
	memcpy(call.topic, topic->name, sizeof(call.topic));
	ws_position_text(&least->last, call.since);
	call.ctx = ws_person_ctx(&least->client->person, "");
	bus_trace_begin(&call.ctx);
	topic->is_resuming = t->ask(t->ws, &call);
	topic->must_resume = !topic->is_resuming;
	t->resuming += topic->is_resuming;
}

static bool may_resume(const struct ws_topic *topic, long long now_ms)
{
	return topic->must_resume && topic->subs && !topic->is_resuming && !topic->is_releasing &&
	       now_ms >= topic->idle_ms;
}

/* The others have their turn when one is answered. */
static void resume_some(struct ws_topics *t, long long now_ms)
{
	for (size_t i = 0; i < WS_TOPIC_BUCKETS && !t->is_deaf && t->resuming < t->resumes_max;
	     i++) {
		t->turn = (t->turn + 1) % WS_TOPIC_BUCKETS;
		for (struct ws_topic *topic = t->table.buckets[t->turn]; topic; topic = topic->next)
			if (may_resume(topic, now_ms))
				resume(t, topic);
	}
}

/* One that is asked for now resumes after its answer, and one that resumes does so again. */
void ws_topics_resume_all(struct ws_topics *t)
{
	t->losses++;
	for (size_t i = 0; i < WS_TOPIC_BUCKETS; i++)
		for (struct ws_topic *topic = t->table.buckets[i]; topic; topic = topic->next)
			for (struct ws_sub *s = topic->subs; s; s = s->next)
				if (s->state == SUB_LIVE)
					resume_later(s);
	resume_some(t, clock_mono_ms());
}

void ws_topics_deafen(struct ws_topics *t)
{
	t->is_deaf = true;
	ws_topics_resume_all(t);
}

void ws_topics_listen(struct ws_topics *t)
{
	t->is_deaf = false;
	/* What was asked for meanwhile may have been forgotten, too. */
	t->losses++;
	resume_some(t, clock_mono_ms());
}

/* ---- answers ----------------------------------------------------------------------------------- */

/* Whether what the call registered holds: nothing may have been missed since it was asked for. Else an
 * event may be missing between its answer and what comes now. */
static bool is_believed(const struct ws_topics *t, const struct ws_call *call)
{
	return !t->is_deaf && call->losses == t->losses;
}

/* It is gone; the last of its events said so. */
static void end_sub(struct ws_sub *s, const char *trace_id)
{
	say(s->client, "unsubscribed", s->topic->name, trace_id);
	ws_sub_free(s);
}

/* What is held follows; but first what is missing before it. */
static void take_up(const struct ws_topics *t, struct ws_sub *s, const struct ws_call *call,
                    const struct ws_told *told)
{
	ws_sub_has(s, &told->upto);
	if (is_believed(t, call) && !told->is_part)
		ws_sub_go_live(s);
	else
		resume_later(s);
}

static void on_subscribed(struct ws_topics *t, struct ws_topic *topic, struct ws_call *call)
{
	struct ws_sub *s = ws_sub_find(call->client, call->topic);
	const struct ws_audience only = { .only = s };
	OWN(ws_told) struct ws_told told = { 0 };

	topic->calls--;
	call->client->is_subscribing = false;
	/* A time-out leaves open whether it was heard. */
	topic->is_registered |= call->err.code == ERR_NONE || err_http(call->err.code) >= 500;
	if (s && s->state == SUB_CALLING) {
		if (!ws_told_read(call, &told)) {
			ws_client_send_error(s->client, call->topic, s->trace_id, &call->err);
			ws_sub_free(s);
		} else if (call->reply.over) {
			ws_told_replay(&told, &only);
			end_sub(s, s->trace_id);
		} else {
			ws_told_state(s, call, s->since);
			ws_told_replay(&told, &only);
			take_up(t, s, call, &told);
		}
	}
	ws_topics_go_on(t, call->client);
}

/* An answer that is none: asked again. Also where the topic is said not to be there: that it has ended
 * may be on its way to the stream. */
static bool is_asked_again(struct ws_topic *topic, const struct ws_call *call)
{
	if (call->err.code == ERR_NONE ||
	    (call->err.code == ERR_NOT_FOUND && ++topic->refusals == REFUSALS_MAX)) {
		topic->refusals = 0;
		return false;
	}
	topic->must_resume = true;
	topic->idle_ms = clock_mono_ms() + fault_patience(RETRY_MS);
	return true;
}

/* Questions that wait for each other until it is too late for all are asked fewer at a time. */
static void pace(struct ws_topics *t, const struct ws_call *call)
{
	if (err_is_retryable(call->err.code))
		t->resumes_max =
			t->resumes_max / 2 > RESUMES_MIN ? t->resumes_max / 2 : RESUMES_MIN;
	else if (t->resumes_max < RESUMES_MAX)
		t->resumes_max++;
}

static void resumed(const struct ws_topics *t, struct ws_sub *s, const struct ws_call *call,
                    const struct ws_told *told)
{
	if (call->err.code != ERR_NONE) {
		ws_client_send_error(s->client, call->topic, call->ctx.trace_id, &call->err);
		ws_sub_free(s);
	} else if (call->reply.over) {
		end_sub(s, call->ctx.trace_id);
	} else {
		if (call->reply.resync)
			ws_told_state(s, call, call->since);
		take_up(t, s, call, told);
	}
}

static void on_resumed(struct ws_topics *t, struct ws_topic *topic, struct ws_call *call)
{
	struct ws_audience all = { .topic = topic, .user_id = call->ctx.user_id };
	OWN(ws_told) struct ws_told told = { 0 };
	struct ws_sub *s, *next;

	topic->is_resuming = false;
	t->resuming--;
	pace(t, call);
	if (!is_believed(t, call) || !ws_position_parse(call->since, &all.since)) {
		topic->must_resume = true;
		return;
	}
	(void)ws_told_read(call, &told);
	if (is_asked_again(topic, call))
		return;
	for (s = topic->subs; s; s = s->next)
		if (ws_audience_has(&all, s))
			ws_client_keep_up(s->client);
	ws_told_replay(&told, &all);
	for (s = topic->subs; s; s = next) {
		next = s->next;
		if (ws_audience_has(&all, s))
			resumed(t, s, call, &told);
		else
			topic->must_resume |= s->state == SUB_RESUMING;
	}
}

/* Those that had to wait may ask now. */
static void release_done(struct ws_topics *t, struct ws_topic *topic)
{
	topic->is_releasing = false;
	topic->settled_ms = 0;
	for (struct ws_sub *s = topic->subs, *next; s; s = next) {
		next = s->next;
		ws_topics_go_on(t, s->client);
	}
}

/* One that failed may still be done: to what is asked for meanwhile it would put an end that nobody
 * learns of. */
static void on_released(struct ws_topics *t, struct ws_topic *topic, const struct ws_call *call)
{
	topic->is_registered = call->err.code != ERR_NONE;
	topic->idle_ms = clock_mono_ms() + WS_TOPIC_IDLE_MS;
	if (call->err.code == ERR_NONE)
		release_done(t, topic);
	else
		topic->settled_ms = clock_mono_ms() + fault_patience(SETTLE_MS);
}

void ws_topics_answer(struct ws_topics *t, struct ws_call *call)
{
	/* One with a call under way is never removed. */
	struct ws_topic *topic = *ws_topic_find(&t->table, call->topic);

	assert(topic);
	switch (call->kind) {
	case WS_CALL_SUBSCRIBE:
		on_subscribed(t, topic, call);
		break;
	case WS_CALL_RESUME:
		on_resumed(t, topic, call);
		resume_some(t, clock_mono_ms());
		break;
	case WS_CALL_RELEASE:
		on_released(t, topic, call);
		break;
	}
}

/* ---- what waits for its time ------------------------------------------------------------------- */

static void release(struct ws_topics *t, struct ws_topic *topic)
{
	struct ws_call call = { .kind = WS_CALL_RELEASE };

	memcpy(call.topic, topic->name, sizeof(call.topic));
	bus_trace_begin(&call.ctx);
	topic->is_releasing = t->ask(t->ws, &call);
}

/* true: it is gone. */
static bool topic_tick(struct ws_topics *t, struct ws_topic **at, long long now_ms)
{
	struct ws_topic *topic = *at;

	if (topic->is_releasing && topic->settled_ms && now_ms >= topic->settled_ms)
		release_done(t, topic);
	if (topic->is_releasing || topic->is_resuming || now_ms < topic->idle_ms)
		return false;
	if (topic->subs || topic->calls > 0)
		return false;
	if (topic->is_registered) {
		release(t, topic);
		return false;
	}
	*at = topic->next;
	free(topic);
	return true;
}

void ws_topics_tick(struct ws_topics *t, long long now_ms)
{
	for (size_t i = 0; i < WS_TOPIC_BUCKETS; i++)
		for (struct ws_topic **at = &t->table.buckets[i]; *at;)
			if (!topic_tick(t, at, now_ms))
				at = &(*at)->next;
	resume_some(t, now_ms);
}

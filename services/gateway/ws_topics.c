#include "ws_topics.h"

#include "base/clock.h"
#include "base/json.h"
#include "ws_call.h"
#include "ws_sub.h"

#define BUCKETS     4096
#define QUIET_BYTES 65536 /* a client that waits for no more than this has its next turn */
#define IDLE_MS     3000  /* a topic that nobody listens to is kept, for those who come back */
#define RETRY_MS    1000
#define RESUMES_MAX 64 /* topics resumed at once */

struct ws_topic {
	struct ws_topic *next;
	struct ws_sub *subs;
	char name[WS_TOPIC_SIZE];
	unsigned calls;     /* subscriptions of it that are being asked for */
	bool is_registered; /* realtime-fanout may know that we listen */
	bool is_releasing;
	bool must_resume, is_resuming;
	long long idle_ms; /* monotonic; since when nobody listens, or when to try again */
};

struct ws_topics {
	struct ws *ws;
	unsigned resuming;
	struct ws_topic *buckets[BUCKETS];
};

int ws_topics_new(struct ws *w, struct ws_topics **ret, struct err *e)
{
	struct ws_topics *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, ERR_INTERNAL, "out of memory");
	t->ws = w;
	*ret = t;
	return 0;
}

void ws_topics_free(struct ws_topics *t)
{
	for (size_t i = 0; t && i < BUCKETS; i++) {
		while (t->buckets[i]) {
			struct ws_topic *topic = t->buckets[i];

			t->buckets[i] = topic->next;
			free(topic);
		}
	}
	free(t);
}

/* Where the topic is, or would be. Its name ends in a random UUID. */
static struct ws_topic **find(struct ws_topics *t, const char *name)
{
	unsigned long hash = 5381;
	struct ws_topic **at;

	for (const char *c = name; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	at = &t->buckets[hash % BUCKETS];
	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

static struct ws_topic *find_or_make(struct ws_topics *t, const char *name)
{
	struct ws_topic **at = find(t, name);

	if (!*at && (*at = calloc(1, sizeof(**at))))
		snprintf((*at)->name, sizeof((*at)->name), "%s", name);
	return *at;
}

static struct ws_sub *sub_find(const struct ws_client *c, const char *topic)
{
	struct ws_sub *s = c->subs;

	while (s && strcmp(s->topic->name, topic) != 0)
		s = s->next_of_client;
	return s;
}

static struct ws_sub *sub_new(struct ws_client *c, struct ws_topic *topic)
{
	struct ws_sub *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->client = c;
	s->topic = topic;
	s->next_of_client = c->subs;
	c->subs = s;
	c->sub_count++;
	s->next = topic->subs;
	if (s->next)
		s->next->prev = s;
	topic->subs = s;
	return s;
}

static void sub_free(struct ws_sub *s)
{
	struct ws_sub **at = &s->client->subs;

	while (*at != s)
		at = &(*at)->next_of_client;
	*at = s->next_of_client;
	s->client->sub_count--;
	if (s->next)
		s->next->prev = s->prev;
	if (s->prev)
		s->prev->next = s->next;
	else
		s->topic->subs = s->next;
	if (!s->topic->subs)
		s->topic->idle_ms = clock_mono_ms() + IDLE_MS;
	ws_sub_clear(s);
	free(s);
}

static void say(struct ws_client *c, const char *event, const char *topic, const char *trace_id)
{
	const struct ws_frame_out f = { .event = event, .topic = topic, .trace_id = trace_id };

	ws_client_send_frame(c, &f);
}

static void call_for(struct ws_topics *t, struct ws_sub *s)
{
	struct ws_client *c = s->client;
	struct ws_call call = { .kind = WS_CALL_SUBSCRIBE, .client = c };
	struct err e = ERR_INIT;

	memcpy(call.topic, s->topic->name, sizeof(call.topic));
	memcpy(call.since, s->since, sizeof(call.since));
	call.ctx = ws_person_ctx(&c->person, s->trace_id);
	if (!ws_call_start(t->ws, &call)) {
		err_busy(&e, ERR_UNAVAILABLE, 1, "too much to do");
		ws_client_send_error(c, s->topic->name, s->trace_id, &e);
		sub_free(s);
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
	struct ws_sub *s = sub_find(c, f->topic);
	struct ws_topic *topic;
	struct err e = ERR_INIT;

	if (s && s->state != SUB_LIVE)
		return; /* its answer is on the way */
	if (!s && c->sub_count == WS_TOPICS_MAX) {
		err_set(&e, ERR_QUOTA, "a socket may listen to %d topics", WS_TOPICS_MAX);
		ws_client_send_error(c, f->topic, trace_id, &e);
		return;
	}
	topic = s ? s->topic : find_or_make(t, f->topic);
	if (!s && topic)
		s = sub_new(c, topic);
	if (!s) {
		err_set(&e, ERR_INTERNAL, "out of memory");
		ws_client_send_error(c, f->topic, trace_id, &e);
		return;
	}
	s->state = SUB_WANTED;
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
		s = sub_find(c, topic);
		if (s)
			sub_free(s);
		say(c, "unsubscribed", topic, trace_id);
	} else if (!c->subs) {
		say(c, "unsubscribed", NULL, trace_id);
	}
	while (!topic[0] && c->subs) {
		memcpy(name, c->subs->topic->name, sizeof(name));
		sub_free(c->subs);
		say(c, "unsubscribed", name, trace_id);
	}
	ws_topics_go_on(t, c);
}

void ws_topics_leave(struct ws_topics *t, struct ws_client *c)
{
	(void)t;
	while (c->subs)
		sub_free(c->subs);
}

void ws_topics_event(struct ws_topics *t, const char *topic, const struct ws_position *at,
                     struct ws_text *text)
{
	struct ws_topic *found = *find(t, topic);

	for (struct ws_sub *s = found ? found->subs : NULL; s; s = s->next)
		ws_sub_event(s, at, text);
}

void ws_topics_over(struct ws_topics *t, const char *topic)
{
	struct ws_topic *found = *find(t, topic);
	struct bus_ctx ctx = { .trace_id = "" };
	struct ws_sub *next;

	bus_trace_begin(&ctx);
	for (struct ws_sub *s = found ? found->subs : NULL; s; s = next) {
		next = s->next;
		/* The answer that any other waits for is that there is no such topic. */
		if (s->state != SUB_LIVE)
			continue;
		say(s->client, "unsubscribed", topic, ctx.trace_id);
		sub_free(s);
	}
}

/* ---- answers ----------------------------------------------------------------------------------- */

static void replay_one(const cJSON *frame, struct ws_sub *only, struct ws_topic *topic)
{
	const char *position = json_text(frame, "position");
	OWN(json_text) char *printed = cJSON_PrintUnformatted(frame);
	OWN(ws_text) struct ws_text *text = NULL;
	struct ws_position at;

	if (!printed || !position || !ws_position_parse(position, &at) ||
	    !(text = ws_text_new(printed, strlen(printed))))
		return;
	if (only) {
		ws_sub_replay(only, &at, text);
		return;
	}
	for (struct ws_sub *s = topic->subs; s; s = s->next)
		if (s->state == SUB_RESUMING)
			ws_sub_replay(s, &at, text);
}

/* Frames that were missed, in order: to one, or to all of the topic that resume. */
static void replay(const char *events, struct ws_sub *only, struct ws_topic *topic)
{
	OWN(json) cJSON *list = NULL;
	const cJSON *frame;
	struct err e = ERR_INIT;

	if (!events || json_parse(events, strlen(events), &list, &e) < 0)
		return;
	cJSON_ArrayForEach(frame, list)
		replay_one(frame, only, topic);
}

/* The state as of the answer; and where what came before it cannot be told, that. */
static void send_state(struct ws_sub *s, const struct ws_call *call, const char *since)
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

static bool position_of(const struct ws_call *call, struct ws_position *ret)
{
	return call->err.code == ERR_NONE && ws_position_parse(call->reply.position, ret);
}

static void on_subscribed(struct ws_topics *t, struct ws_topic *topic, struct ws_call *call)
{
	struct ws_sub *s = sub_find(call->client, call->topic);
	struct ws_position at;

	topic->calls--;
	call->client->is_subscribing = false;
	/* A time-out leaves open whether it was heard. */
	topic->is_registered |= call->err.code == ERR_NONE || err_http(call->err.code) >= 500;
	if (s && s->state == SUB_CALLING) {
		if (position_of(call, &at)) {
			send_state(s, call, s->since);
			replay(call->reply.events, s, topic);
			ws_sub_go_live(s, &at);
		} else {
			if (call->err.code == ERR_NONE)
				err_set(&call->err, ERR_INTERNAL, "no position in the answer");
			ws_client_send_error(s->client, call->topic, s->trace_id, &call->err);
			sub_free(s);
		}
	}
	ws_topics_go_on(t, call->client);
}

static void on_resumed(struct ws_topics *t, struct ws_topic *topic, struct ws_call *call)
{
	struct ws_position at;
	struct ws_sub *s, *next;

	topic->is_resuming = false;
	t->resuming--;
	if (!position_of(call, &at) && call->err.code != ERR_NOT_FOUND) {
		topic->must_resume = true;
		topic->idle_ms = clock_mono_ms() + RETRY_MS;
		return;
	}
	if (call->err.code == ERR_NONE && !call->reply.resync)
		replay(call->reply.events, NULL, topic);
	for (s = topic->subs; s; s = next) {
		next = s->next;
		if (s->state != SUB_RESUMING)
			continue;
		if (call->err.code != ERR_NONE) {
			ws_client_send_error(s->client, call->topic, call->ctx.trace_id,
			                     &call->err);
			sub_free(s);
			continue;
		}
		if (call->reply.resync)
			send_state(s, call, call->since);
		ws_sub_go_live(s, &at);
	}
}

static void on_released(struct ws_topics *t, struct ws_topic *topic, const struct ws_call *call)
{
	topic->is_releasing = false;
	topic->is_registered = call->err.code != ERR_NONE;
	topic->idle_ms = clock_mono_ms() + IDLE_MS;
	for (struct ws_sub *s = topic->subs, *next; s; s = next) {
		next = s->next;
		ws_topics_go_on(t, s->client);
	}
}

void ws_topics_answer(struct ws_topics *t, struct ws_call *call)
{
	/* One with a call under way is never removed. */
	struct ws_topic *topic = *find(t, call->topic);

	assert(topic);
	switch (call->kind) {
	case WS_CALL_SUBSCRIBE:
		on_subscribed(t, topic, call);
		break;
	case WS_CALL_RESUME:
		on_resumed(t, topic, call);
		break;
	case WS_CALL_RELEASE:
		on_released(t, topic, call);
		break;
	}
}

/* ---- what waits for its time ------------------------------------------------------------------- */

void ws_topics_resume_all(struct ws_topics *t)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct ws_topic *topic = t->buckets[i]; topic; topic = topic->next) {
			for (struct ws_sub *s = topic->subs; s; s = s->next) {
				if (s->state != SUB_LIVE)
					continue;
				s->state = SUB_RESUMING;
				topic->must_resume = true;
				topic->idle_ms = 0;
			}
		}
	}
}

/* As of the one that has the least; what others have already they are not sent again. */
static void resume(struct ws_topics *t, struct ws_topic *topic)
{
	struct ws_call call = { .kind = WS_CALL_RESUME };
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
	topic->is_resuming = ws_call_start(t->ws, &call);
	topic->must_resume = !topic->is_resuming;
	t->resuming += topic->is_resuming;
}

static void release(struct ws_topics *t, struct ws_topic *topic)
{
	struct ws_call call = { .kind = WS_CALL_RELEASE };

	memcpy(call.topic, topic->name, sizeof(call.topic));
	bus_trace_begin(&call.ctx);
	topic->is_releasing = ws_call_start(t->ws, &call);
}

/* true: it is gone. */
static bool topic_tick(struct ws_topics *t, struct ws_topic **at, long long now_ms)
{
	struct ws_topic *topic = *at;

	if (topic->is_releasing || topic->is_resuming || now_ms < topic->idle_ms)
		return false;
	if (topic->must_resume && topic->subs) {
		if (t->resuming < RESUMES_MAX)
			resume(t, topic);
		return false;
	}
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
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct ws_topic **at = &t->buckets[i]; *at;)
			if (!topic_tick(t, at, now_ms))
				at = &(*at)->next;
}

#include "ws_topic.h"

#include "base/clock.h"

struct ws_held {
	struct ws_held *next;
	struct ws_position at;
	struct ws_text *text;
};

void ws_sub_clear(struct ws_sub *s)
{
	while (s->first) {
		struct ws_held *h = s->first;

		s->first = h->next;
		ws_text_drop(h->text);
		free(h);
	}
	s->last_held = NULL;
	s->held = s->held_bytes = 0;
}

struct ws_sub *ws_sub_find(const struct ws_client *c, const char *topic)
{
	struct ws_sub *s = c->subs;

	while (s && strcmp(s->topic->name, topic) != 0)
		s = s->next_of_client;
	return s;
}

struct ws_sub *ws_sub_new(struct ws_client *c, struct ws_topic *topic)
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

void ws_sub_free(struct ws_sub *s)
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
		s->topic->idle_ms = clock_mono_ms() + WS_TOPIC_IDLE_MS;
	ws_sub_clear(s);
	free(s);
}

static void hold(struct ws_sub *s, const struct ws_position *at, struct ws_text *text)
{
	struct ws_held *h = malloc(sizeof(*h));

	if (!h || s->held == WS_QUEUE_MSGS_MAX || s->held_bytes + text->len > WS_QUEUE_BYTES_MAX) {
		free(h);
		ws_client_close(s->client, WS_CLOSE_TRY_LATER,
		                "too much at once: come back with your last position");
		return;
	}
	*h = (struct ws_held){ .at = *at, .text = ws_text_hold(text) };
	s->held++;
	s->held_bytes += text->len;
	if (s->last_held)
		s->last_held->next = h;
	else
		s->first = h;
	s->last_held = h;
}

void ws_sub_event(struct ws_sub *s, const struct ws_position *at, struct ws_text *text)
{
	/* The answer that a WANTED one gets is younger than this event. */
	if (s->state == SUB_WANTED || ws_position_covers(&s->last, at))
		return;
	if (s->state != SUB_LIVE) {
		hold(s, at, text);
		return;
	}
	s->last = *at;
	ws_client_send_event(s->client, ws_text_hold(text));
}

void ws_sub_replay(struct ws_sub *s, const struct ws_position *at, struct ws_text *text)
{
	if (ws_position_covers(&s->last, at))
		return;
	s->last = *at;
	ws_client_send(s->client, ws_text_hold(text));
}

void ws_sub_has(struct ws_sub *s, const struct ws_position *p)
{
	if (!ws_position_covers(&s->last, p))
		s->last = *p;
}

void ws_sub_go_live(struct ws_sub *s)
{
	s->state = SUB_LIVE;
	for (struct ws_held *h = s->first; h; h = h->next)
		ws_sub_event(s, &h->at, h->text);
	ws_sub_clear(s);
}

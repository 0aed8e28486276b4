#include "link/look.h"

#include "probe.h"

#define LOOK_ID "look"
#define LOOK_MS 500   /* from an answer to the next question, at the loop's tick after it */
#define LATE_MS 5000  /* for an answer */
#define DUMB_MS 30000 /* to one that does not know the question */

static const char question[] = "{\"type\":\"req\",\"id\":\"" LOOK_ID "\","
			       "\"method\":\"channels.status\",\"params\":{}}";

void look_begin(struct conn *c)
{
	c->look_ms = c->heard_ms;
	c->has_seen = false;
}

void look_tick(struct conn *c, long long now_ms)
{
	struct err ignored = ERR_INIT; /* what is not asked now is asked later */

	if (now_ms < c->look_ms)
		return;
	c->look_ms = now_ms + LATE_MS;
	(void)conn_send(c, question, &ignored);
}

bool look_answered(struct conn *c, const struct frame *f)
{
	enum probe_verdict now;

	if (strcmp(f->name, LOOK_ID) != 0)
		return false;
	c->look_ms = c->heard_ms + (f->is_ok ? LOOK_MS : DUMB_MS);
	if (!f->is_ok || !probe_judge_status(true, f->payload, &now) ||
	    (c->has_seen && now == c->seen))
		return true;
	/* What finds no place is found again by the next look. */
	c->has_seen = news_put(c->looks, NEWS_CHANNEL, probe_name(now), NULL);
	c->seen = now;
	return true;
}

#include "ws_call.h"

#include "ws_topics.h"

/* The loop's thread. */
static void on_done(struct ws *w, struct ws_task *task)
{
	struct ws_call *c = (struct ws_call *)((char *)task - offsetof(struct ws_call, task));

	ws_topics_answer(ws_topics_of(w), c);
	ws_call_free(c);
}

static void subscribe(struct ws_call *c, struct bus *bus)
{
	struct rt_subscribe_req in = { .gateway_id = bus_instance_id(bus),
		                       .topic = c->topic,
		                       .since = c->since[0] ? c->since : NULL };

	(void)bus_call(bus, SUBJ_REALTIME_SUBSCRIBE, &c->ctx, &in, &c->arena, &c->reply, &c->err);
}

static void release(struct ws_call *c, struct bus *bus)
{
	struct rt_release_req in = { .gateway_id = bus_instance_id(bus), .topic = c->topic };
	struct none out;

	(void)bus_call(bus, SUBJ_REALTIME_RELEASE, &c->ctx, &in, &c->arena, &out, &c->err);
}

/* A worker. */
static void run(struct app_job *job)
{
	struct ws_call *c = (struct ws_call *)job;
	struct bus *bus = ws_app(c->ws)->bus;

	if (c->kind == WS_CALL_RELEASE)
		release(c, bus);
	else
		subscribe(c, bus);
	ws_post(c->ws, &c->task);
}

bool ws_call_start(struct ws *w, const struct ws_call *what)
{
	struct ws_call *c = malloc(sizeof(*c));

	if (!c)
		return false;
	*c = *what;
	c->job.run = run;
	c->task.run = on_done;
	c->ws = w;
	arena_init(&c->arena, BUS_ARENA_LIMIT);
	if (!ws_work(w, &c->job)) {
		free(c);
		return false;
	}
	if (c->client)
		ws_client_hold(c->client);
	return true;
}

void ws_call_free(struct ws_call *c)
{
	arena_done(&c->arena);
	if (c->client)
		ws_client_drop(c->client);
	free(c);
}

#include "docker.h"

#define ANSWER_MS 10000 /* until the stream begins */

/* What is left of a line between two pieces of the stream, and how it ended. */
struct reader {
	engine_on_event *on_event;
	void *ctx;
	char *line; /* DOCKER_LINE_MAX bytes */
	size_t len;
	int result;
	bool is_ended; /* on_event said so */
	struct err *e;
};

static bool line_done(struct reader *r)
{
	struct engine_event ev;

	if (r->len == 0)
		return true;
	if (docker_json_event(r->line, r->len, &ev, r->e) < 0) {
		r->result = -1;
		return false;
	}
	r->len = 0;
	r->is_ended = !r->on_event(&ev, r->ctx);
	return !r->is_ended;
}

static bool on_data(const char *data, size_t len, void *ctx)
{
	struct reader *r = ctx;

	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n') {
			if (!line_done(r))
				return false;
			continue;
		}
		if (r->len == DOCKER_LINE_MAX) {
			r->result = err_set(r->e, ERR_UPSTREAM, "an event is longer than %d bytes",
			                    DOCKER_LINE_MAX);
			return false;
		}
		r->line[r->len++] = data[i];
	}
	return true;
}

/* Percent-encoded, since it is part of a URL: the quotes and braces of {"type":["container"],…}. */
static char *path_make(const struct docker *d, long long since_ns, struct arena *a)
{
	const char *since = "";

	if (since_ns > 0)
		since = arena_printf(a, "&since=%lld.%09lld", since_ns / 1000000000,
		                     since_ns % 1000000000);
	if (!since)
		return NULL;
	return arena_printf(a,
	                    "/events?filters=%%7B%%22type%%22%%3A%%5B%%22container%%22"
	                    "%%5D%%2C%%22label%%22%%3A%%5B%%22" CONTAINER_LABEL_PLATFORM
	                    "%%3D%s%%22%%5D%%7D%s",
	                    d->platform_id, since);
}

int docker_events(struct engine *g, long long since_ns, engine_on_event *on_event, void *ctx,
                  const volatile bool *stop, struct err *e)
{
	struct docker *d = (struct docker *)g;
	struct arena a __attribute__((cleanup(own_arena)));
	struct reader r = { .on_event = on_event, .ctx = ctx, .e = e };
	struct http_req req = { .method = "GET", .timeout_ms = ANSWER_MS };

	arena_init(&a, DOCKER_LINE_MAX + 4096);
	r.line = arena_alloc(&a, DOCKER_LINE_MAX);
	req.path = docker_path(d, path_make(d, since_ns, &a), &a);
	if (!r.line || !req.path)
		return err_set(e, ERR_INTERNAL, "out of memory");

	if (http_stream(d->http, &req, on_data, &r, stop, e) < 0 || r.result < 0)
		return err_wrap(e, "container engine: events");
	if (!r.is_ended && !(stop && __atomic_load_n(stop, __ATOMIC_RELAXED)))
		return err_set(e, ERR_UNAVAILABLE, "container engine: it ended the events");
	return 0;
}

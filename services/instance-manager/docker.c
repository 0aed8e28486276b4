#include "docker.h"

#include "base/clock.h"

#define CONNECT_MS   2000
#define IDLE_CONNS   8
#define SLOW_MS      60000 /* what makes, starts or removes a container: disk and kernel */
#define STOP_MS      30000 /* beside the grace that a stop gives */
#define GONE_MS      30000 /* for a removal that someone else began */
#define GONE_STEP    100   /* ms between looks at it */
#define REMOVE_TRIES 3

#define LIST_MAX (64 * 1024 * 1024) /* bytes about all containers: some 2 KiB each */
#define LOGS_MAX (3 * 1024 * 1024)  /* bytes of a log; the engine's lines have 16 KiB at most */
#define LOGS_FEW 100                /* lines that are sure to fit */

#define LINES_MAX 1000

/* A request about one container: METHOD /containers/REF<tail>. */
static void ask_path(struct docker_ask *k, const char *ref, const char *tail)
{
	const char *escaped = docker_escape(ref, false, &k->a);

	if (escaped)
		k->req.path = arena_printf(&k->a, "/containers/%s%s", escaped, tail);
}

static int docker_ping(struct engine *g, struct engine_info *ret, struct err *e)
{
	struct docker *d = (struct docker *)g;
	OWN(docker_ask) struct docker_ask k;
	int minor = 0;

	docker_ask_init(&k, "version", "GET", DOCKER_QUICK_MS);
	k.req.path = "/version";
	if (docker_ask_send(d, &k, e) < 0)
		return -1;
	if (k.res.status != 200)
		return docker_ask_refused(&k, e);
	if (docker_json_version(&k.res, ret, &minor, e) < 0)
		return docker_ask_wrap(&k, e);
	__atomic_store_n(&d->api_minor, minor, __ATOMIC_RELAXED);
	return 0;
}

static int docker_has_image(struct engine *g, const char *image, bool *ret, struct err *e)
{
	OWN(docker_ask) struct docker_ask k;
	const char *escaped;

	docker_ask_init(&k, "image", "GET", DOCKER_QUICK_MS);
	escaped = docker_escape(image, true, &k.a);
	if (escaped)
		k.req.path = arena_printf(&k.a, "/images/%s/json", escaped);
	if (docker_ask_send((struct docker *)g, &k, e) < 0)
		return -1;
	if (k.res.status != 200 && k.res.status != 404)
		return docker_ask_refused(&k, e);
	*ret = k.res.status == 200;
	return 0;
}

static int docker_create(struct engine *g, const struct container_spec *spec,
                         enum engine_created *ret, struct err *e)
{
	char name[CONTAINER_NAME_SIZE], id[ENGINE_ID_SIZE];
	OWN(docker_ask) struct docker_ask k;

	docker_ask_init(&k, "create", "POST", SLOW_MS);
	if (container_json(spec, &k.a, &k.req.body, e) < 0)
		return docker_ask_wrap(&k, e);
	k.req.path = arena_printf(&k.a, "/containers/create?name=%s",
	                          spec->trial_id ? container_trial_name(spec->trial_id, name)
	                                         : container_name(spec->instance_id, name));
	if (docker_ask_send((struct docker *)g, &k, e) < 0)
		return -1;

	if (k.res.status == 409) {
		*ret = ENGINE_NAME_IN_USE;
		return 0;
	}
	if (k.res.status == 404)
		return err_set(e, ERR_UNAVAILABLE, "container engine: it has no image %s",
		               spec->image);
	if (k.res.status != 201)
		return docker_ask_refused(&k, e);
	if (docker_json_id(&k.res, id, e) < 0)
		return docker_ask_wrap(&k, e);
	*ret = ENGINE_MADE;
	return 0;
}

/* The engine has no code for it. The first is what it says of its own containers' ports, the
 * second of other processes'. */
static bool is_port_taken(const struct http_res *res)
{
	return strstr(res->body, "port is already allocated") ||
	       strstr(res->body, "address already in use");
}

static int docker_start(struct engine *g, const char *ref, enum engine_started *ret, struct err *e)
{
	OWN(docker_ask) struct docker_ask k;

	docker_ask_init(&k, "start", "POST", SLOW_MS);
	ask_path(&k, ref, "/start");
	if (docker_ask_send((struct docker *)g, &k, e) < 0)
		return -1;
	if (k.res.status == 204 || k.res.status == 304)
		*ret = ENGINE_IS_STARTED;
	else if (k.res.status == 500 && is_port_taken(&k.res))
		*ret = ENGINE_PORT_TAKEN;
	else
		return docker_ask_refused(&k, e);
	return 0;
}

static int docker_stop(struct engine *g, const char *ref, int grace_s, struct err *e)
{
	OWN(docker_ask) struct docker_ask k;
	char tail[32];

	docker_ask_init(&k, "stop", "POST", grace_s * 1000 + STOP_MS);
	snprintf(tail, sizeof(tail), "/stop?t=%d", grace_s);
	ask_path(&k, ref, tail);
	if (docker_ask_send((struct docker *)g, &k, e) < 0)
		return -1;
	return k.res.status == 204 || k.res.status == 304 ? 0 : docker_ask_refused(&k, e);
}

static int docker_kill(struct engine *g, const char *ref, struct err *e)
{
	OWN(docker_ask) struct docker_ask k;

	docker_ask_init(&k, "kill", "POST", DOCKER_QUICK_MS);
	ask_path(&k, ref, "/kill?signal=KILL");
	if (docker_ask_send((struct docker *)g, &k, e) < 0)
		return -1;
	/* 409: it does not run. */
	return k.res.status == 204 || k.res.status == 409 ? 0 : docker_ask_refused(&k, e);
}

static int docker_inspect(struct engine *g, const char *ref, struct engine_state *ret,
                          struct err *e)
{
	struct docker *d = (struct docker *)g;
	OWN(docker_ask) struct docker_ask k;

	docker_ask_init(&k, "inspect", "GET", DOCKER_QUICK_MS);
	ask_path(&k, ref, "/json");
	if (docker_ask_send(d, &k, e) < 0)
		return -1;
	if (k.res.status == 404) {
		*ret = (struct engine_state){ .item = { .status = ENGINE_ABSENT } };
		return 0;
	}
	if (k.res.status != 200)
		return docker_ask_refused(&k, e);
	return docker_json_state(&k.res, d->platform_id, ret, e) < 0 ? docker_ask_wrap(&k, e) : 0;
}

static int wait_gone(struct engine *g, const char *ref, struct err *e)
{
	long long until_ms = clock_mono_ms() + GONE_MS;
	struct engine_state s = { .port = 0 };

	do {
		clock_sleep_ms(GONE_STEP);
		if (docker_inspect(g, ref, &s, e) < 0)
			return -1;
		if (s.item.status == ENGINE_ABSENT)
			return 0;
	} while (clock_mono_ms() < until_ms);
	return err_set(e, ERR_TIMEOUT, "container engine: a removal under way does not end");
}

/* It ended just when the engine was about to kill it, which the engine takes for a failure (moby:
 * "cannot remove - Container … is not running"). It is as good as any other, a moment later. */
static bool has_just_ended(const struct http_res *res)
{
	return res->status == 500 && strstr(res->body, "cannot remove") &&
	       strstr(res->body, "is not running");
}

static int docker_remove(struct engine *g, const char *ref, struct err *e)
{
	for (int tries = 1;; tries++) {
		OWN(docker_ask) struct docker_ask k;

		docker_ask_init(&k, "remove", "DELETE", SLOW_MS);
		ask_path(&k, ref, "?force=1&v=1"); /* v: with the volumes that the image asks for */
		if (docker_ask_send((struct docker *)g, &k, e) < 0)
			return -1;
		if (k.res.status == 204 || k.res.status == 404)
			return 0;
		if (k.res.status == 409 && strstr(k.res.body, "already in progress"))
			return wait_gone(g, ref, e);
		if (!has_just_ended(&k.res) || tries == REMOVE_TRIES)
			return docker_ask_refused(&k, e);
		clock_sleep_ms(GONE_STEP);
	}
}

static int docker_resize(struct engine *g, const char *ref, int memory_mib, struct err *e)
{
	const long long bytes = memory_mib * 1024LL * 1024;
	OWN(docker_ask) struct docker_ask k;

	docker_ask_init(&k, "resize", "POST", DOCKER_QUICK_MS);
	k.req.body = arena_printf(&k.a, "{\"Memory\":%lld,\"MemorySwap\":%lld}", bytes, bytes);
	if (k.req.body)
		ask_path(&k, ref, "/update");
	if (docker_ask_send((struct docker *)g, &k, e) < 0)
		return -1;
	return k.res.status == 200 ? 0 : docker_ask_refused(&k, e);
}

static int docker_list(struct engine *g, struct arena *a, struct engine_item **ret,
                       size_t *ret_count, struct err *e)
{
	struct docker *d = (struct docker *)g;
	OWN(docker_ask) struct docker_ask k;

	docker_ask_init(&k, "list", "GET", SLOW_MS);
	k.req.answer_max = LIST_MAX;
	k.a.limit += LIST_MAX;
	/* filters={"label":["zaki.platform=<id>"]} */
	k.req.path = arena_printf(&k.a,
	                          "/containers/json?all=1&filters=%%7B%%22label%%22%%3A"
	                          "%%5B%%22" CONTAINER_LABEL_PLATFORM "%%3D%s%%22%%5D%%7D",
	                          d->platform_id);
	if (docker_ask_send(d, &k, e) < 0)
		return -1;
	if (k.res.status != 200)
		return docker_ask_refused(&k, e);
	if (docker_json_list(&k.res, d->platform_id, a, ret, ret_count, e) < 0)
		return docker_ask_wrap(&k, e);
	return 0;
}

static int logs_ask(struct docker *d, const char *ref, const struct engine_logs *what,
                    struct docker_ask *k, struct err *e)
{
	char query[128];

	arena_done(&k->a);
	docker_ask_init(k, "logs", "GET", DOCKER_QUICK_MS);
	k->req.answer_max = LOGS_MAX;
	k->a.limit += LOGS_MAX;
	snprintf(query, sizeof(query), "/logs?stdout=1&stderr=1&tail=%d&timestamps=%d&since=%.32s",
	         what->lines, what->has_times, what->since ? what->since : "0");
	ask_path(k, ref, query);
	return docker_ask_send(d, k, e);
}

/* Long lines are the assistant's to write: where all that was asked for is too much, fewer do. */
static int docker_logs(struct engine *g, const char *ref, const struct engine_logs *what,
                       struct arena *a, const char **ret, struct err *e)
{
	struct docker *d = (struct docker *)g;
	OWN(docker_ask) struct docker_ask k = { 0 };
	struct engine_logs asked = *what;
	int r;

	asked.lines = what->lines < 1 ? 1 : what->lines > LINES_MAX ? LINES_MAX : what->lines;
	r = logs_ask(d, ref, &asked, &k, e);
	if (r < 0 && e->code == ERR_UPSTREAM && asked.lines > LOGS_FEW) {
		asked.lines = LOGS_FEW;
		r = logs_ask(d, ref, &asked, &k, e);
	}
	if (r < 0)
		return -1;
	if (k.res.status != 200)
		return docker_ask_refused(&k, e);
	return docker_logs_text(&k.res, ENGINE_LOGS_MAX, a, ret, e) < 0 ? docker_ask_wrap(&k, e)
	                                                                : 0;
}

static void docker_close(struct engine *g)
{
	struct docker *d = (struct docker *)g;

	http_client_close(d->http);
	free(d);
}

static const struct engine_verbs verbs = {
	.close = docker_close,
	.ping = docker_ping,
	.ensure_network = docker_ensure_network,
	.has_image = docker_has_image,
	.create = docker_create,
	.start = docker_start,
	.stop = docker_stop,
	.kill = docker_kill,
	.remove = docker_remove,
	.resize = docker_resize,
	.inspect = docker_inspect,
	.list = docker_list,
	.events = docker_events,
	.logs = docker_logs,
};

/* "unix:///path", or "tcp://addr:port", which is http in all but name. */
static int host_parse(const char *host, struct http_client_opt *opt, char *url, size_t url_size,
                      struct err *e)
{
	static const char unix_scheme[] = "unix://", tcp[] = "tcp://", http[] = "http://";

	if (strncmp(host, unix_scheme, sizeof(unix_scheme) - 1) == 0 &&
	    host[sizeof(unix_scheme) - 1] == '/') {
		opt->unix_socket = host + sizeof(unix_scheme) - 1;
		opt->base_url = "http://localhost";
		return 0;
	}
	if (strncmp(host, tcp, sizeof(tcp) - 1) == 0)
		host += sizeof(tcp) - 1;
	else if (strncmp(host, http, sizeof(http) - 1) == 0)
		host += sizeof(http) - 1;
	else
		return err_field(e, "DOCKER_HOST",
		                 "must be unix:///PATH, tcp://ADDRESS:PORT or http://ADDRESS:PORT");

	if (!host[0] || strpbrk(host, "/?#@ ") || !strchr(host, ':') ||
	    snprintf(url, url_size, "http://%s", host) >= (int)url_size)
		return err_field(e, "DOCKER_HOST", "must have an address and a port, and no path");
	opt->base_url = url;
	return 0;
}

int docker_open(const char *host, const char *platform_id, struct engine **ret, struct err *e)
{
	struct http_client_opt opt = { .connect_ms = CONNECT_MS, .idle_max = IDLE_CONNS };
	struct docker *d;
	char url[256];

	if (host_parse(host, &opt, url, sizeof(url), e) < 0)
		return -1;
	if (!uuid_is_valid(platform_id))
		return err_set(e, ERR_INTERNAL, "the platform has no id");
	d = calloc(1, sizeof(*d));
	if (!d)
		return err_set(e, ERR_INTERNAL, "out of memory");
	d->base.verbs = &verbs;
	d->api_minor = DOCKER_API_MINOR;
	snprintf(d->platform_id, sizeof(d->platform_id), "%s", platform_id);
	if (http_client_open(&opt, &d->http, e) < 0) {
		free(d);
		return -1;
	}
	*ret = &d->base;
	return 0;
}

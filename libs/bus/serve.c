#include "bus/bus_internal.h"
#include "bus/envelope.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"

/* A request on its way from the bus's thread to a worker. */
struct work {
	struct bus *bus;
	natsMsg *msg;
	const struct bus_route *route; /* NULL: nobody here answers this subject */
	struct endpoint_stats *stats;
};

static void log_failed(const struct call *c, const struct err *e, long long ns)
{
	enum log_level level = e->code == ERR_INTERNAL    ? LOG_ERR
	                       : err_http(e->code) >= 500 ? LOG_WRN
	                                                  : LOG_INF;
	char ms[24];

	snprintf(ms, sizeof(ms), "%lld", ns / 1000000);
	log_line(level, "call failed", "subject", c->subject->name, "user_id", c->ctx.user_id,
	         "code", err_name(e->code), "field", e->field, "error", e->msg, "duration_ms", ms,
	         (char *)NULL);
}

static void reply_too_large(struct bus *b, natsMsg *to, size_t len);

static void reply(struct bus *b, natsMsg *to, int status, int retry_after_s, const char *text)
{
	OWN(nats_msg) natsMsg *msg = NULL;
	char number[16];
	natsStatus s;

	if (!natsMsg_GetReply(to))
		return;
	s = natsMsg_Create(&msg, natsMsg_GetReply(to), NULL, text, (int)strlen(text));
	snprintf(number, sizeof(number), "%d", status);
	if (s == NATS_OK)
		s = natsMsgHeader_Set(msg, "Zaki-Status", number);
	if (s == NATS_OK && retry_after_s > 0) {
		snprintf(number, sizeof(number), "%d", retry_after_s);
		s = natsMsgHeader_Set(msg, "Zaki-Retry-After", number);
	}
	if (s == NATS_OK)
		s = natsConnection_PublishMsg(b->conn, msg);
	/* The caller runs into its time-out; what was done stays done. */
	if (s != NATS_OK && s != NATS_MAX_PAYLOAD)
		log_warn("reply could not be sent", "error", natsStatus_GetText(s));
	if (s == NATS_MAX_PAYLOAD)
		reply_too_large(b, to, strlen(text));
}

static void reply_error(struct bus *b, natsMsg *to, const struct err *e)
{
	OWN(json_text) char *text = envelope_error(e);

	if (text)
		reply(b, to, err_http(e->code), e->retry_after_s, text);
}

static void reply_too_large(struct bus *b, natsMsg *to, size_t len)
{
	struct err e = ERR_INIT;
	char bytes[24];

	snprintf(bytes, sizeof(bytes), "%zu", len);
	log_error("reply is larger than the bus takes", "subject", natsMsg_GetSubject(to), "bytes",
	          bytes);
	err_set(&e, ERR_INTERNAL, "reply is too large");
	reply_error(b, to, &e);
}

/* Of the plain request, in the schema's order: two that mean the same have the same hash. */
static int request_hash(struct bus *b, struct call *c, struct err *e)
{
	OWN(json) cJSON *doc = NULL;
	OWN(json_text) char *text = NULL;

	if (wire_encode(c->subject->in, c->in, NULL, &doc, e) < 0)
		return -1;
	text = cJSON_PrintUnformatted(doc);
	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	seal_hash(b->seal, text, strlen(text), c->request_hash);
	explicit_bzero(text, strlen(text));
	return 0;
}

static int request_open(struct bus *b, natsMsg *msg, struct call *c, struct err *e)
{
	OWN(json) cJSON *doc = NULL;
	void *in;

	c->in = in = arena_alloc(&c->arena, c->subject->in->size);
	c->out = arena_alloc(&c->arena, c->subject->out->size);
	if (!c->in || !c->out)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (json_parse(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), &doc, e) < 0 ||
	    wire_decode(c->subject->in, doc, b->seal, &c->arena, in, e) < 0)
		return -1;
	if (c->subject->kind == SUBJECT_ONCE && c->ctx.idempotency_key[0])
		return request_hash(b, c, e);
	return 0;
}

/* Believes the handler's return value: a reason left in *e by something it got over is dropped. */
static char *run(struct bus *b, bus_handler *handler, struct call *c, struct err *e)
{
	char *text = NULL;

	if (handler(c, e) < 0) {
		if (e->code == ERR_NONE)
			err_set(e, ERR_INTERNAL, "handler gave no reason");
		return NULL;
	}
	*e = ERR_INIT;
	text = envelope_data(c->subject->out, c->out, b->seal, e);
	return text;
}

static void answer_once(struct work *w, struct call *c, struct err *e)
{
	const struct bus_once *once = w->bus->served->once;
	struct bus_stored stored = { 0 };
	OWN(json_text) char *text = NULL;

	if (once->begin(c, &stored, e) < 0) {
		reply_error(w->bus, w->msg, e);
		return;
	}
	if (stored.status) {
		reply(w->bus, w->msg, stored.status, 0, stored.reply);
		return;
	}

	text = run(w->bus, w->route->handler, c, e);
	if (!text)
		text = envelope_error(e);
	/* Kept before it is sent: after a crash here the same key gives this very answer. */
	if (err_is_retryable(e->code) || err_http(e->code) >= 500 || !text)
		once->finish(c, 0, NULL);
	else
		once->finish(c, err_http(e->code), text);
	if (text)
		reply(w->bus, w->msg, err_http(e->code), e->retry_after_s, text);
}

static void answer(struct work *w, struct call *c, struct err *e)
{
	OWN(json_text) char *text = NULL;

	if (request_open(w->bus, w->msg, c, e) < 0) {
		reply_error(w->bus, w->msg, e);
		return;
	}
	if (c->request_hash[0] && w->bus->served->once) {
		answer_once(w, c, e);
		return;
	}
	text = run(w->bus, w->route->handler, c, e);
	if (text)
		reply(w->bus, w->msg, 200, 0, text);
	else
		reply_error(w->bus, w->msg, e);
}

static void work_done(struct work *w)
{
	struct bus *b = w->bus;

	bus_msg_done(w->msg);
	free(w);
	pthread_mutex_lock(&b->lock);
	if (--b->under_way == 0)
		pthread_cond_broadcast(&b->idle);
	pthread_mutex_unlock(&b->lock);
	metric_add(METRIC_CALLS_UNDER_WAY, -1);
}

void bus_work(void *item)
{
	struct work *w = item;
	struct call c = { .app = w->bus->served->app,
		          .bus = w->bus,
		          .subject = &subjects[w->route->subject] };
	long long start_ns = clock_mono_ns(), spent_ns;
	struct err e = ERR_INIT;

	bus_msg_keep();
	arena_init(&c.arena, BUS_ARENA_LIMIT);
	if (bus_ctx_from_headers(w->msg, &c.ctx, &c.deadline_ms, &e) == 0 && c.deadline_ms &&
	    clock_now_ms() > c.deadline_ms) {
		/* Whoever asked has been told TIMEOUT by now: nothing is done behind their back. */
		err_set(&e, ERR_TIMEOUT, "came past its deadline and was dropped");
		metric_add(METRIC_CALLS_LATE, 1);
	}
	log_trace_set(c.ctx.trace_id);
	if (e.code != ERR_NONE)
		reply_error(w->bus, w->msg, &e);
	else
		answer(w, &c, &e);
	spent_ns = clock_mono_ns() - start_ns;
	w->stats->requests++;
	w->stats->time_ns += spent_ns;
	if (e.code != ERR_NONE) {
		w->stats->errors++;
		log_failed(&c, &e, spent_ns);
	}
	log_trace_set(NULL);
	arena_done(&c.arena);
	work_done(w);
}

/* Is it this name, or this name with our own id behind it? */
static bool is_for(const struct bus *b, const char *name, const char *subject)
{
	size_t len = strlen(name);

	return strncmp(subject, name, len) == 0 &&
	       (!subject[len] ||
	        (subject[len] == '.' && strcmp(subject + len + 1, b->instance_id) == 0));
}

static const struct bus_route *route_of(struct bus *b, const char *subject, size_t *ret_at)
{
	for (size_t i = 0; i < b->served->route_count; i++) {
		if (is_for(b, subjects[b->served->routes[i].subject].name, subject)) {
			*ret_at = i;
			return &b->served->routes[i];
		}
	}
	return NULL;
}

static void on_request(natsConnection *conn, natsSubscription *sub, natsMsg *raw, void *closure)
{
	struct bus *b = closure;
	OWN(nats_msg) natsMsg *msg = raw;
	struct err e = ERR_INIT;
	size_t at = 0;
	const struct bus_route *route = route_of(b, natsMsg_GetSubject(msg), &at);
	struct work *w;

	(void)conn;
	(void)sub;
	if (!route) {
		err_set(&e, ERR_NOT_FOUND, "no such call");
		reply_error(b, msg, &e);
		return;
	}
	w = calloc(1, sizeof(*w));
	if (w) {
		*w = (struct work){ b, TAKE(msg), route, &b->stats[at] };
		pthread_mutex_lock(&b->lock);
		b->under_way++;
		pthread_mutex_unlock(&b->lock);
		metric_add(METRIC_CALLS_UNDER_WAY, 1);
		if (pool_add(b->served->pools[route->pool], w))
			return;
		b->stats[at].errors++;
		metric_add(METRIC_CALLS_REFUSED, 1);
		err_busy(&e, ERR_UNAVAILABLE, 1, "queue is full");
		reply_error(b, w->msg, &e);
		work_done(w);
	}
}

/* One subscription for each "zaki.rpc.auth." that the routes have: verbs are told apart here, so
 * that one that is not known is answered and not left to a time-out. */
static int subscribe_prefixes(struct bus *b, struct err *e)
{
	char seen[8][80] = { "" };
	size_t seen_count = 0;

	for (size_t i = 0; i < b->served->route_count; i++) {
		const char *name = subjects[b->served->routes[i].subject].name;
		char wild[80];
		bool is_new = true;

		snprintf(wild, sizeof(wild), "%.*s.*", (int)(strrchr(name, '.') - name), name);
		for (size_t k = 0; k < seen_count; k++)
			is_new &= strcmp(seen[k], wild) != 0;
		if (!is_new)
			continue;
		if (seen_count == COUNT(seen))
			return err_set(e, ERR_INTERNAL, "routes have too many prefixes");
		memcpy(seen[seen_count++], wild, sizeof(wild));
		if (bus_subscribe(b, wild, b->service, on_request, b, e) < 0)
			return -1;
	}
	return 0;
}

/* What is asked of this very process. */
static int subscribe_own(struct bus *b, struct err *e)
{
	for (size_t i = 0; i < b->served->direct_count; i++) {
		char own[BUS_SUBJECT_SIZE];

		snprintf(own, sizeof(own), "%s.%s", subjects[b->served->direct[i]].name,
		         b->instance_id);
		if (bus_subscribe(b, own, NULL, on_request, b, e) < 0)
			return -1;
	}
	return 0;
}

int bus_serve(struct bus *b, const struct bus_service *s, struct err *e)
{
	if (s->route_count > BUS_ROUTES_MAX)
		return err_set(e, ERR_INTERNAL, "more than %d routes", BUS_ROUTES_MAX);
	b->served = s;
	if (subscribe_prefixes(b, e) < 0 || subscribe_own(b, e) < 0 || bus_micro_serve(b, e) < 0)
		return -1;
	return bus_from_nats(natsConnection_FlushTimeout(b->conn, fault_patience(5000)),
	                     "subscribing", e);
}

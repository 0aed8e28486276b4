#ifndef FANOUT_H
#define FANOUT_H

/*
 * The real realtime-fanout between a nats-server and a redis-server of the test's own, which it may
 * kill. The test stands for instance-manager (whose instance is it) and for the gateway (what it has
 * had before it drops; after its connection was lost it catches up before it takes anything).
 */

#include "integration/bus/child.h"

#include "base/json.h"
#include "bus/bus.h"
#include "bus/delivery.h"
#include "store/redis.h"

#include <pthread.h>
#include <sodium.h>

#define OWNER   "0b7e4d92-1c3a-4f68-9d25-a8c6e4b21f70"
#define OTHER   "1b7e4d92-1c3a-4f68-9d25-a8c6e4b21f71"
#define SESSION "c5d8a9f1-2e6b-4a73-8f90-1b2c3d4e5f60"
#define GATEWAY "gw0123456789abcd"
#define BUS_KEY "0123456789abcdef0123456789abcdef"

#define FANOUTS   2
#define WAIT_MS   60000 /* for what surely comes */
#define EVENT_MAX 4096

static struct fixture {
	struct child nats, redis;
	pid_t fanouts[FANOUTS];
	char bin[512], log[128];
	struct seal seal;
	struct bus *owner, *gateway; /* the test as instance-manager and as gateway */
	struct pool *pool;
	struct bus_service service;
	struct redis *r;
	char instance[UUID_SIZE], topic[64]; /* of this test alone */
} f;

/* What the gateway has got. */
static struct inbox {
	pthread_mutex_t lock; /* guards all below */
	unsigned long long last_seq;
	char stream_id[16];
	int numbers[EVENT_MAX]; /* data.n of each event that is not a repetition */
	size_t count, repeated, wrong, marks;
	char last_frame[1024];
	unsigned long long reconnects; /* of the gateway's connection, when it last caught up */
	char topic[64]; /* the test's: what still comes for the one before it does not count */
	char mark_topic[64];
} in = { .lock = PTHREAD_MUTEX_INITIALIZER };

static inline unsigned long long reconnects(void)
{
	uint64_t in_msgs, in_bytes, out_msgs, out_bytes, count = 0;
	natsStatistics *stats = NULL;

	if (natsStatistics_Create(&stats) == NATS_OK &&
	    natsConnection_GetStats(bus_nats(f.gateway), stats) == NATS_OK)
		(void)natsStatistics_GetCounts(stats, &in_msgs, &in_bytes, &out_msgs, &out_bytes,
		                               &count);
	natsStatistics_Destroy(stats);
	return count;
}

/* Under the lock. As a gateway does: what it has had it drops. */
static inline void take_frame(const cJSON *frame)
{
	const cJSON *n = cJSON_GetObjectItem(cJSON_GetObjectItem(frame, "data"), "n");
	const char *position = json_text(frame, "position");
	unsigned long long seq;

	in.marks += strcmp(json_text(frame, "topic"), in.mark_topic) == 0;
	if (strcmp(json_text(frame, "topic"), in.topic) != 0)
		return;
	if (!position || !strchr(position, ':') || in.count == EVENT_MAX) {
		in.wrong++;
		return;
	}
	seq = strtoull(strchr(position, ':') + 1, NULL, 10);
	if (strncmp(in.stream_id, position, 8) == 0 && seq <= in.last_seq) {
		in.repeated++;
		return;
	}
	snprintf(in.stream_id, sizeof(in.stream_id), "%.8s", position);
	in.last_seq = seq;
	in.numbers[in.count++] = cJSON_IsNumber(n) ? (int)n->valuedouble : -1;
}

/* Under the lock. */
static inline void take_delivery(const struct delivery *d)
{
	OWN(json) cJSON *frame = NULL;
	struct err e = ERR_INIT;

	if (json_parse(d->frame, d->frame_len, &frame, &e) < 0 ||
	    strcmp(json_text(frame, "position"), d->position) != 0 ||
	    strcmp(json_text(frame, "topic"), d->topic) != 0)
		in.wrong++;
	else
		take_frame(frame);
	snprintf(in.last_frame, sizeof(in.last_frame), "%.*s", (int)d->frame_len, d->frame);
}

static inline void on_event(natsMsg *msg, void *ctx)
{
	const char *at = natsMsg_GetData(msg), *end = at + natsMsg_GetDataLength(msg);
	struct err e = ERR_INIT;

	(void)ctx;
	pthread_mutex_lock(&in.lock);
	/* After its connection was lost a gateway takes nothing before it has caught up. */
	while (at < end && reconnects() == in.reconnects) {
		struct delivery d;

		if (delivery_read(&at, end, &d, &e) < 0) {
			in.wrong++;
			break;
		}
		take_delivery(&d);
	}
	pthread_mutex_unlock(&in.lock);
}

static inline size_t got(void)
{
	size_t count;

	pthread_mutex_lock(&in.lock);
	count = in.count;
	pthread_mutex_unlock(&in.lock);
	return count;
}

static inline void wait_for(size_t count)
{
	long long until_ms = clock_mono_ms() + WAIT_MS;

	while (got() < count && clock_mono_ms() < until_ms)
		clock_sleep_ms(5);
	pthread_mutex_lock(&in.lock);
	for (size_t i = 0; in.count != count && i < in.count; i++)
		if (i == 0 || in.numbers[i] != in.numbers[i - 1] + 1)
			print_message("  the %zuth is %d\n", i + 1, in.numbers[i]);
	assert_int_equal(in.count, count);
	pthread_mutex_unlock(&in.lock);
}

/* first, first + 1, … count of them, each once. */
static inline void assert_sequence(int first, size_t count)
{
	pthread_mutex_lock(&in.lock);
	assert_int_equal(in.wrong, 0);
	assert_int_equal(in.count, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(in.numbers[i], first + (int)i);
	pthread_mutex_unlock(&in.lock);
}

static inline int on_state(struct call *c, struct err *e)
{
	static struct session_view none;
	static struct instance_view view;
	const struct instance_owned_ref *ref = CALL_IN(c, instance_owned_ref);
	struct instance_state *out = CALL_OUT(c, instance_state);

	if (strcmp(ref->user_id, OWNER) != 0 || strcmp(ref->instance_id, f.instance) != 0)
		return err_set(e, ERR_NOT_FOUND, "no such instance");
	view = (struct instance_view){ .id = f.instance,
		                       .name = "x",
		                       .container_name = "x",
		                       .port = 1,
		                       .model = "a/b",
		                       .status = "running",
		                       .desired = "running",
		                       .created_at = "2026-02-10T12:00:00.000Z",
		                       .updated_at = "2026-02-10T12:00:00.000Z",
		                       .memory_mib = 2048 };
	out->instance = &view;
	out->sessions = &none;
	return 0;
}

static const struct bus_route routes[] = { { SUBJ_INSTANCE_STATE, on_state, 0 } };

static inline void fanout_start(int i)
{
	f.fanouts[i] = child_run((const char *[]){ f.bin, NULL }, f.log);
}

/* What a sanitizer or a daemon that ended by itself had to say. */
static inline void print_troubles(void)
{
	char line[8192];
	FILE *log = fopen(f.log, "re");

	while (log && fgets(line, sizeof(line), log))
		if (!strstr(line, "\"level\":\"info\""))
			print_message("  %s", line);
	if (log)
		fclose(log);
}

static inline int fanout_end(int i, int sig)
{
	int status = 0;

	if (!f.fanouts[i])
		return 0;
	kill(f.fanouts[i], sig);
	waitpid(f.fanouts[i], &status, 0);
	f.fanouts[i] = 0;
	if (status != 0 && (sig != SIGKILL || !WIFSIGNALED(status)))
		print_troubles();
	return status;
}

/* How many lines of the daemons' log say this. */
static inline int log_lines(const char *want)
{
	char line[8192];
	FILE *log = fopen(f.log, "re");
	int count = 0;

	while (log && fgets(line, sizeof(line), log))
		count += strstr(line, want) != NULL;
	if (log)
		fclose(log);
	return count;
}

static inline int log_count(const char *message)
{
	char want[128];

	snprintf(want, sizeof(want), "\"message\":\"%s\"", message);
	return log_lines(want);
}

static inline void log_wait(const char *message, int count)
{
	long long until_ms = clock_mono_ms() + WAIT_MS;

	while (log_count(message) < count && clock_mono_ms() < until_ms)
		clock_sleep_ms(20);
	if (log_count(message) < count)
		fail_msg("'%s' not %d times within %d ms; see %s", message, count, WAIT_MS, f.log);
}

/* Until it serves: what delivers begins before that. */
static inline void fanout_start_ready(int i)
{
	int ready = log_count("ready");

	fanout_start(i);
	log_wait("ready", ready + 1);
}

/* As the gateway does every 10 s. */
static inline void gateway_alive(const char *id)
{
	OWN(redis_reply) redisReply *reply = NULL;
	struct err e = ERR_INIT;
	char key[64];

	snprintf(key, sizeof(key), "zaki:rt:gateway:%s", id);
	assert_ok(REDIS_CALL(f.r, &reply, &e, "SET", key, "1", "EX", "3600"), &e);
}

static inline int subscribe_as(const char *user_id, const char *topic, const char *since,
                               const char *gateway_id, struct rt_subscribed *out, struct arena *a,
                               struct err *e)
{
	struct rt_subscribe_req req = { gateway_id, topic, since };
	struct bus_ctx ctx = { 0 };

	*e = ERR_INIT;
	if (user_id) {
		snprintf(ctx.user_id, sizeof(ctx.user_id), "%s", user_id);
		snprintf(ctx.session_id, sizeof(ctx.session_id), "%s", SESSION);
	}
	arena_init(a, BUS_ARENA_LIMIT);
	return bus_call(f.gateway, SUBJ_REALTIME_SUBSCRIBE, &ctx, &req, a, out, e);
}

/* The position that the subscription starts from. */
static inline void subscribe(const char *topic, char position[64])
{
	OWN(arena) struct arena a = { 0 };
	struct rt_subscribed out;
	struct err e;

	assert_ok(subscribe_as(OWNER, topic, NULL, GATEWAY, &out, &a, &e), &e);
	if (position)
		snprintf(position, 64, "%s", out.position);
}

/* Data.n of the events since a position, or -1 where it is too old. */
static inline int missed(const char *since, int *ret, size_t max)
{
	OWN(arena) struct arena a = { 0 };
	OWN(json) cJSON *events = NULL;
	const cJSON *one;
	struct rt_subscribed out;
	struct err e;
	size_t count = 0;

	assert_ok(subscribe_as(OWNER, f.topic, since, GATEWAY, &out, &a, &e), &e);
	if (out.resync) {
		assert_null(out.events);
		return -1;
	}
	assert_ok(json_parse(out.events, strlen(out.events), &events, &e), &e);
	cJSON_ArrayForEach(one, events) {
		assert_string_equal(json_text(one, "topic"), f.topic);
		assert_true(count < max);
		ret[count++] = cJSON_GetObjectItem(cJSON_GetObjectItem(one, "data"), "n")->valueint;
	}
	return (int)count;
}

/* Again under the same id until the stream has it, as an outbox does. */
static inline void publish(enum subject_id id, const char *key, const char *json)
{
	char msg_id[UUID_SIZE];
	struct bus_event ev = { .subject = id,
		                .key = key,
		                .msg_id = msg_id,
		                .json = json,
		                .trace_id = "0123456789abcdef0123456789abcdef",
		                .time_ms = 1770724800000 };
	long long until_ms = clock_mono_ms() + WAIT_MS;
	struct err e = ERR_INIT;

	uuid_make(msg_id);
	while (bus_event_publish(f.owner, &ev, &e) < 0) {
		if (clock_mono_ms() > until_ms)
			fail_msg("not published: %s", e.msg);
		clock_sleep_ms(20);
	}
}

static inline void publish_n(int first, int count)
{
	for (int n = first; n < first + count; n++) {
		char json[64];

		snprintf(json, sizeof(json), "{\"n\":%d}", n);
		publish(SUBJ_EVT_INSTANCE_STATUS, f.instance, json);
	}
}

/* Until all that was published before has been passed on, or to nobody: in the stream's order, as an
 * event of another topic is that comes last. */
static inline void wait_passed(void)
{
	long long until_ms = clock_mono_ms() + WAIT_MS;
	bool has_come = false;

	subscribe(in.mark_topic, NULL);
	publish(SUBJ_EVT_SESSION_CREATED, f.instance, "{}");
	while (!has_come && clock_mono_ms() < until_ms) {
		clock_sleep_ms(5);
		pthread_mutex_lock(&in.lock);
		has_come = in.marks > 0;
		pthread_mutex_unlock(&in.lock);
	}
	assert_true(has_come);
}

/* Each test has an assistant of its own, and a daemon that is up. */
static inline int begin(void **state)
{
	int ready = log_count("ready");

	(void)state;
	fanout_end(1, SIGKILL); /* of a test that failed */
	if (!f.fanouts[0]) {
		fanout_start(0);
		log_wait("ready", ready + 1);
	}
	uuid_make(f.instance);
	snprintf(f.topic, sizeof(f.topic), "instance.%s", f.instance);
	for (int i = 0; i < WAIT_MS / 50; i++) {
		OWN(arena) struct arena a = { 0 };
		struct rt_subscribed out;
		struct err e;

		if (subscribe_as(OWNER, "instance." OTHER, NULL, GATEWAY, &out, &a, &e) < 0 &&
		    e.code == ERR_NOT_FOUND)
			break;
		clock_sleep_ms(50);
	}
	gateway_alive(GATEWAY);
	pthread_mutex_lock(&in.lock);
	in.count = in.repeated = in.wrong = in.marks = 0;
	in.reconnects = reconnects();
	snprintf(in.topic, sizeof(in.topic), "%s", f.topic);
	snprintf(in.mark_topic, sizeof(in.mark_topic), "sessions.%s", f.instance);
	pthread_mutex_unlock(&in.lock);
	return 0;
}

static inline void environment(void)
{
	char *end;

	assert_true(readlink("/proc/self/exe", f.bin, sizeof(f.bin) - 1) > 0);
	end = strstr(f.bin, "/tests/integration/");
	assert_non_null(end);
	snprintf(end, sizeof(f.bin) - (size_t)(end - f.bin), "/bin/realtime-fanout");
	if (access(f.bin, X_OK) != 0)
		fail_msg("%s is not built", f.bin);
	snprintf(f.log, sizeof(f.log), "%s/fanout.log", f.nats.dir);
	setenv("NATS_URL", f.nats.url, 1);
	setenv("EVENTS_NATS_URL", f.nats.url, 1);
	setenv("REDIS_URL", f.redis.url, 1);
	setenv("BUS_KEY", BUS_KEY, 1);
}

static inline int setup(void **state)
{
	struct bus_opt owner = { f.nats.url, "instance-manager", &f.seal, WAIT_MS };
	struct bus_opt gateway = { f.nats.url, "gateway", &f.seal, WAIT_MS };
	struct err e = ERR_INIT;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	be_patient(PATIENCE);
	child_start_nats(&f.nats);
	child_start_redis(&f.redis);
	environment();
	f.service = (struct bus_service){
		.description = "x", .routes = routes, .route_count = COUNT(routes), .pools = &f.pool
	};
	if (sodium_init() < 0 || seal_init(&f.seal, BUS_KEY, &e) < 0 ||
	    redis_open(f.redis.url, 2, &f.r, &e) < 0 || bus_open(&owner, &f.owner, &e) < 0 ||
	    bus_open(&gateway, &f.gateway, &e) < 0 || pool_new(4, 64, bus_work, &f.pool, &e) < 0 ||
	    bus_serve(f.owner, &f.service, &e) < 0 ||
	    bus_listen(f.gateway, "zaki.rt." GATEWAY, on_event, NULL, &e) < 0) {
		print_error("%s\n", e.msg);
		return -1;
	}
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < FANOUTS; i++) {
		if (f.fanouts[i])
			kill(f.fanouts[i], SIGCONT);
		fanout_end(i, SIGTERM);
	}
	if (f.owner)
		bus_drain(f.owner);
	pool_free(f.pool);
	bus_close(f.owner);
	bus_close(f.gateway);
	redis_close(f.r);
	nats_Close();
	if (getenv("KEEP_LOGS"))
		print_message("%s\n", f.log);
	else
		child_end(&f.nats);
	child_end(&f.redis);
	child_kill(&f.nats);
	return 0;
}

#endif

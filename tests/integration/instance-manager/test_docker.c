/* The engine's verbs against a real engine. */

#include "integration/instance-manager/lab.h"
#include "probe.h"

#include <pthread.h>

#define WAIT_MS 60000 /* for what surely comes */

static void engine_tells_its_version(void **state)
{
	struct engine_info info = { .version = "" };
	struct err e = ERR_INIT;
	bool has_image = false;

	(void)state;
	assert_ok(engine_ping(lab.engine, &info, &e), &e);
	print_message("  Docker Engine %s, API %s\n", info.version, info.api_version);
	assert_true(info.version[0] && info.api_version[0]);
	assert_ok(engine_has_image(lab.engine, lab.image, &has_image, &e), &e);
	assert_true(has_image);
	assert_ok(engine_has_image(lab.engine, "zaki/no-such-image:1", &has_image, &e), &e);
	assert_false(has_image);
}

static void container_lives_and_every_verb_repeats(void **state)
{
	char spec[CONTAINER_SPEC_SIZE];
	struct probe_target target = { .address = "127.0.0.1", .token = TOKEN };
	struct probe_report report;
	struct engine_state s;
	struct err e = ERR_INIT;
	struct box b;

	(void)state;
	box_make(&b, true);
	target.port = b.spec.port;
	assert_int_equal(inspect(b.name).item.status, ENGINE_ABSENT);
	assert_int_equal(create(&b), ENGINE_MADE);
	assert_int_equal(create(&b), ENGINE_NAME_IN_USE);
	s = inspect(b.name);
	assert_int_equal(s.item.status, ENGINE_CREATED);
	assert_true(s.item.is_ours && s.started_ms == 0 && s.memory_mib == 256);
	assert_int_equal(s.port, b.spec.port);
	assert_string_equal(s.item.instance_id, b.id);
	assert_string_equal(s.item.user_id, USER);
	assert_ok(container_spec_digest(&b.spec, spec, &e), &e);
	assert_string_equal(s.item.spec, spec);

	for (int i = 0; i < 2; i++)
		assert_int_equal(start(&b), ENGINE_IS_STARTED);
	s = inspect(b.name);
	assert_int_equal(s.item.status, ENGINE_RUNNING);
	assert_true(s.address[0] && llabs(s.started_ms - clock_now_ms()) < 600000);
	for (int i = 0; i < WAIT_MS / 50; i++) {
		probe_instance(lab.http, &target, &report);
		if (report.is_live)
			break;
		clock_sleep_ms(50);
	}
	assert_true(report.is_live);

	assert_ok(engine_resize(lab.engine, b.name, 512, &e), &e);
	assert_int_equal(inspect(b.name).memory_mib, 512);

	for (int i = 0; i < 2; i++)
		assert_ok(engine_stop(lab.engine, b.name, WAIT_MS / 1000, &e), &e);
	s = inspect(b.name);
	assert_int_equal(s.item.status, ENGINE_EXITED);
	assert_int_equal(s.exit_code, 0);
	assert_true(s.finished_ms >= s.started_ms);

	assert_int_equal(start(&b), ENGINE_IS_STARTED);
	for (int i = 0; i < 2; i++)
		assert_ok(engine_kill(lab.engine, s.item.id, &e), &e);
	for (int i = 0; i < WAIT_MS / 50 && inspect(b.name).item.status != ENGINE_EXITED; i++)
		clock_sleep_ms(50);
	assert_int_equal(inspect(b.name).exit_code, 137);

	for (int i = 0; i < 2; i++)
		assert_ok(engine_remove(lab.engine, b.name, &e), &e);
	assert_int_equal(inspect(b.name).item.status, ENGINE_ABSENT);
	box_remove(&b);
}

static void absent_container_is_not_found(void **state)
{
	enum engine_started started = ENGINE_PORT_TAKEN;
	const char *ref = "zaki-user-gone?force=1 #%2f";
	const char *text = NULL;
	struct err e = ERR_INIT;
	struct arena a;

	(void)state;
	arena_init(&a, 4096);
	assert_fails(engine_start(lab.engine, ref, &started, &e), &e, ERR_NOT_FOUND);
	assert_fails(engine_stop(lab.engine, ref, 1, &e), &e, ERR_NOT_FOUND);
	assert_fails(engine_kill(lab.engine, ref, &e), &e, ERR_NOT_FOUND);
	assert_fails(engine_resize(lab.engine, ref, 512, &e), &e, ERR_NOT_FOUND);
	assert_fails(engine_logs_tail(lab.engine, ref, 10, &a, &text, &e), &e, ERR_NOT_FOUND);
	assert_int_equal(started, ENGINE_PORT_TAKEN);
	arena_done(&a);
}

/* By another container, and by a process of the host. */
static void taken_port_is_told(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct box first, second;
	int fd;

	(void)state;
	box_make(&first, true);
	box_make(&second, true);
	second.spec.port = first.spec.port;
	assert_int_equal(create(&first), ENGINE_MADE);
	assert_int_equal(start(&first), ENGINE_IS_STARTED);
	assert_int_equal(create(&second), ENGINE_MADE);
	assert_int_equal(start(&second), ENGINE_PORT_TAKEN);
	assert_int_equal(inspect(second.name).item.status, ENGINE_CREATED);
	box_remove(&second);
	box_remove(&first);

	box_make(&second, true);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a.sin_port = htons((uint16_t)second.spec.port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(create(&second), ENGINE_MADE);
	assert_int_equal(start(&second), ENGINE_PORT_TAKEN);
	close(fd);
	assert_int_equal(start(&second), ENGINE_IS_STARTED);
	box_remove(&second);
}

static void refused_config_is_seen_as_exit_78(void **state)
{
	struct engine_state s;
	struct err e = ERR_INIT;
	struct box b;

	(void)state;
	box_make(&b, false);
	assert_int_equal(create(&b), ENGINE_MADE);
	assert_int_equal(start(&b), ENGINE_IS_STARTED);
	for (int i = 0; i < WAIT_MS / 50; i++) {
		s = inspect(b.name);
		if (s.exit_code != 0 && s.restart_count > 0)
			break;
		clock_sleep_ms(50);
	}
	assert_int_equal(s.exit_code, 78);
	assert_true(s.restart_count > 0); /* unless-stopped: it goes round in circles */
	assert_ok(engine_stop(lab.engine, b.name, 1, &e), &e);
	assert_int_equal(inspect(b.name).item.status, ENGINE_EXITED);
	box_remove(&b);
}

static void what_is_missing_is_named(void **state)
{
	enum engine_created made = ENGINE_NAME_IN_USE;
	struct err e = ERR_INIT;
	struct box b;

	(void)state;
	box_make(&b, true);
	b.spec.image = "zaki/no-such-image:1";
	assert_fails(engine_create(lab.engine, &b.spec, &made, &e), &e, ERR_UNAVAILABLE);
	assert_non_null(strstr(e.msg, "zaki/no-such-image:1"));
	b.spec.image = lab.image;
	assert_ok(files_delete(lab.files, USER, b.id, &e), &e);
	assert_fails(engine_create(lab.engine, &b.spec, &made, &e), &e, ERR_UPSTREAM);
	assert_non_null(strstr(e.msg, "container engine: create"));
	assert_int_equal(made, ENGINE_NAME_IN_USE);
	assert_int_equal(inspect(b.name).item.status, ENGINE_ABSENT);
}

static void engine_that_is_away_is_unavailable(void **state)
{
	struct engine_state s = { .port = -1 };
	struct engine_info info;
	struct engine *g = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(docker_open("unix:///nonexistent/docker.sock", lab.platform, &g, &e), &e);
	assert_fails(engine_ping(g, &info, &e), &e, ERR_UNAVAILABLE);
	assert_memory_equal(e.msg, "container engine: ", 18);
	assert_fails(engine_inspect(g, "x", &s, &e), &e, ERR_UNAVAILABLE);
	assert_int_equal(s.port, -1);
	engine_close(g);
}

static void platforms_do_not_see_each_other(void **state)
{
	struct engine *other = NULL;
	struct engine_item *items;
	struct engine_state s;
	char id[UUID_SIZE];
	struct err e = ERR_INIT;
	struct arena a;
	struct box b;
	size_t count;

	(void)state;
	arena_init(&a, 65536);
	uuid_make(id);
	assert_ok(docker_open(lab.host, id, &other, &e), &e);
	box_make(&b, true);
	create(&b);
	assert_ok(engine_list(lab.engine, &a, &items, &count, &e), &e);
	assert_int_equal(count, 1);
	assert_string_equal(items[0].instance_id, b.id);
	assert_string_equal(items[0].name, b.name);
	assert_int_equal(items[0].status, ENGINE_CREATED);
	assert_ok(engine_list(other, &a, &items, &count, &e), &e);
	assert_int_equal(count, 0);
	assert_ok(engine_inspect(other, b.name, &s, &e), &e);
	assert_false(s.item.is_ours);
	engine_close(other);
	box_remove(&b);
	arena_done(&a);
}

/* What is stopped as soon as it is started may end without a word. */
static void wait_for_a_line(const char *name)
{
	long long until_ms = clock_mono_ms() + WAIT_MS;
	bool has_line = false;

	while (!has_line && clock_mono_ms() < until_ms) {
		const char *text = NULL;
		struct err e = ERR_INIT;
		struct arena a;

		arena_init(&a, ENGINE_LOGS_MAX * 2);
		assert_ok(engine_logs_tail(lab.engine, name, 1, &a, &text, &e), &e);
		has_line = strchr(text, '\n') != NULL;
		arena_done(&a);
		clock_sleep_ms(20);
	}
	assert_true(has_line);
}

static void log_is_read_from_its_end(void **state)
{
	const char *one = NULL, *many = NULL;
	struct err e = ERR_INIT;
	struct arena a;
	struct box b;

	(void)state;
	arena_init(&a, 4 * ENGINE_LOGS_MAX);
	box_make(&b, true);
	create(&b);
	start(&b);
	wait_for_a_line(b.name);
	assert_ok(engine_stop(lab.engine, b.name, WAIT_MS / 1000, &e), &e);
	assert_ok(engine_logs_tail(lab.engine, b.name, 1, &a, &one, &e), &e);
	assert_ok(engine_logs_tail(lab.engine, b.name, 1000, &a, &many, &e), &e);
	assert_true(strlen(one) > 1 && strchr(one, '\n') == one + strlen(one) - 1);
	assert_true(strlen(many) > strlen(one));
	assert_string_equal(many + strlen(many) - strlen(one), one);
	box_remove(&b);
	arena_done(&a);
}

static void network_keeps_its_containers_apart(void **state)
{
	char body[160], path[128];
	struct err e = ERR_INIT;
	char name[80];

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_ok(engine_ensure_network(lab.engine, lab.network, &e), &e);

	snprintf(name, sizeof(name), "%s-open", lab.network);
	snprintf(body, sizeof(body), "{\"Name\":\"%s\",\"Driver\":\"bridge\"}", name);
	assert_int_equal(raw_ask("POST", DOCKER_API "/networks/create", body), 201);
	assert_fails(engine_ensure_network(lab.engine, name, &e), &e, ERR_INVALID);
	assert_string_equal(e.field, "INSTANCE_NETWORK");
	snprintf(path, sizeof(path), DOCKER_API "/networks/%s", name);
	assert_int_equal(raw_ask("DELETE", path, NULL), 204);
}

static void *ensure(void *name)
{
	struct err *e = calloc(1, sizeof(*e));

	engine_ensure_network(lab.engine, name, e);
	return e;
}

static void networks_made_at_once_are_one(void **state)
{
	char name[80], path[128];

	(void)state;
	snprintf(name, sizeof(name), "%s-race", lab.network);
	snprintf(path, sizeof(path), DOCKER_API "/networks/%s", name);
	for (int round = 0; round < 5; round++) {
		pthread_t threads[4];

		for (size_t i = 0; i < COUNT(threads); i++)
			assert_int_equal(pthread_create(&threads[i], NULL, ensure, name), 0);
		for (size_t i = 0; i < COUNT(threads); i++) {
			void *e;

			pthread_join(threads[i], &e);
			assert_string_equal(((struct err *)e)->msg, "");
			free(e);
		}
		assert_int_equal(raw_ask("DELETE", path, NULL), 204);
		assert_int_equal(raw_ask("GET", path, NULL), 404);
	}
}

static void *remove_box(void *name)
{
	struct err *e = calloc(1, sizeof(*e));

	engine_remove(lab.engine, name, e);
	return e;
}

static void container_removed_by_two_at_once_is_gone_for_both(void **state)
{
	pthread_t threads[2];
	struct box b;

	(void)state;
	box_make(&b, true);
	create(&b);
	start(&b);
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, remove_box, b.name), 0);
	for (size_t i = 0; i < COUNT(threads); i++) {
		void *e;

		pthread_join(threads[i], &e);
		assert_string_equal(((struct err *)e)->msg, "");
		free(e);
		assert_int_equal(inspect(b.name).item.status, ENGINE_ABSENT);
	}
	box_remove(&b);
}

/* ---- events ---- */

#define SEEN_MAX 64

struct watch {
	pthread_mutex_t lock; /* guards seen, count */
	struct engine_event seen[SEEN_MAX];
	int count;
	volatile bool stop;
	long long since_ns;
	enum engine_event_kind last; /* ends the stream; ENGINE_EVENT_CHANGED: none does */
	struct err e;
};

static bool on_event(const struct engine_event *ev, void *ctx)
{
	struct watch *w = ctx;

	pthread_mutex_lock(&w->lock);
	if (w->count < SEEN_MAX)
		w->seen[w->count++] = *ev;
	pthread_mutex_unlock(&w->lock);
	return w->last == ENGINE_EVENT_CHANGED || ev->kind != w->last;
}

static void *watch(void *arg)
{
	struct watch *w = arg;

	engine_events(lab.engine, w->since_ns, on_event, w, &w->stop, &w->e);
	return NULL;
}

/* The place of the first such event from `from` on, -1 if none comes. */
static int seen(struct watch *w, enum engine_event_kind kind, int from)
{
	for (int i = 0; i < WAIT_MS / 50; i++) {
		int at = -1;

		pthread_mutex_lock(&w->lock);
		for (int k = from; k < w->count && at < 0; k++)
			if (w->seen[k].kind == kind)
				at = k;
		pthread_mutex_unlock(&w->lock);
		if (at >= 0)
			return at;
		clock_sleep_ms(50);
	}
	return -1;
}

static void events_come_and_come_again_from_where_they_broke(void **state)
{
	struct watch live = { .lock = PTHREAD_MUTEX_INITIALIZER, .last = ENGINE_EVENT_CHANGED };
	struct watch late = { .lock = PTHREAD_MUTEX_INITIALIZER, .last = ENGINE_EVENT_DESTROYED };
	int started, died, gone;
	pthread_t thread;
	struct box b;

	(void)state;
	live.since_ns = clock_now_ms() * 1000000;
	assert_int_equal(pthread_create(&thread, NULL, watch, &live), 0);
	box_make(&b, false);
	create(&b);
	start(&b);
	started = seen(&live, ENGINE_EVENT_STARTED, 0);
	died = seen(&live, ENGINE_EVENT_DIED, 0);
	box_remove(&b);
	gone = seen(&live, ENGINE_EVENT_DESTROYED, 0);
	assert_true(started >= 0 && died > started && gone > died);
	assert_int_equal(live.seen[0].kind, ENGINE_EVENT_CREATED);
	assert_string_equal(live.seen[died].instance_id, b.id);
	assert_int_equal(live.seen[died].exit_code, 78);

	/* A stream has no end of its own: it ends since it is told to. */
	__atomic_store_n(&live.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_string_equal(live.e.msg, "");

	/* Once more, all after the start: the first is the very next one. */
	late.since_ns = live.seen[started].time_ns + 1;
	watch(&late);
	assert_string_equal(late.e.msg, "");
	assert_int_equal(late.count, gone - started);
	for (int i = 0; i < late.count; i++) {
		assert_true(late.seen[i].time_ns == live.seen[started + 1 + i].time_ns);
		assert_int_equal(late.seen[i].kind, live.seen[started + 1 + i].kind);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engine_tells_its_version),
		cmocka_unit_test(container_lives_and_every_verb_repeats),
		cmocka_unit_test(absent_container_is_not_found),
		cmocka_unit_test(taken_port_is_told),
		cmocka_unit_test(refused_config_is_seen_as_exit_78),
		cmocka_unit_test(what_is_missing_is_named),
		cmocka_unit_test(engine_that_is_away_is_unavailable),
		cmocka_unit_test(platforms_do_not_see_each_other),
		cmocka_unit_test(log_is_read_from_its_end),
		cmocka_unit_test(network_keeps_its_containers_apart),
		cmocka_unit_test(networks_made_at_once_are_one),
		cmocka_unit_test(container_removed_by_two_at_once_is_gone_for_both),
		cmocka_unit_test(events_come_and_come_again_from_where_they_broke),
	};

	be_patient(PATIENCE);
	return cmocka_run_group_tests_name("docker", tests, lab_setup, lab_teardown);
}

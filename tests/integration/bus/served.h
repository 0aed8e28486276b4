#ifndef SERVED_H
#define SERVED_H

/* A service of the test's own on a real nats-server (NATS_URL), and a caller: two connections of
 * this process. */

#include "test.h"

#include "base/clock.h"
#include "base/json.h"
#include "bus/bus.h"

#include <pthread.h>
#include <sodium.h>

#define USER       "123e4567-e89b-42d3-a456-426614174000"
#define SESSION    "123e4567-e89b-42d3-a456-426614174001"
#define TRACE      "0123456789abcdef0123456789abcdef"
#define WORKERS    8
#define WAIT_MS    60000 /* for what surely comes */
#define POOL_MAIN  0
#define POOL_SMALL 1

static struct fixture {
	struct seal seal;
	struct bus *server, *client;
	struct pool *pools[2]; /* the second has one worker and room for one more */
	struct bus_service service;
} f;

/* What the handlers share with the tests. */
static struct shared {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	bool is_open; /* gated handlers may go on */
	int at_gate, calls, at_once_max;
	struct bus_ctx ctx; /* of the last call of on_get */
	char password[64];
	char stored_key[160], stored_hash[SEAL_HASH_SIZE];
	char *stored_reply;
	int stored_status;
	bool is_claimed;
} sh = { .lock = PTHREAD_MUTEX_INITIALIZER };

static inline struct user_view some_user(void)
{
	return (struct user_view){ .id = USER,
		                   .email = "ada@example.org",
		                   .subscription_tier = "free",
		                   .created_at = "2026-02-10T12:00:00.000Z",
		                   .updated_at = "2026-02-10T12:00:00.000Z" };
}

static inline int on_get(struct call *c, struct err *e)
{
	(void)e;
	pthread_mutex_lock(&sh.lock);
	sh.calls++;
	sh.ctx = c->ctx;
	pthread_mutex_unlock(&sh.lock);
	*CALL_OUT(c, user_view) = some_user();
	return 0;
}

static inline int on_update(struct call *c, struct err *e)
{
	const struct user_update_req *in = CALL_IN(c, user_update_req);

	if (!in->name)
		return err_busy(e, ERR_LIMIT, 42, "too often");
	if (strcmp(in->name, "taken") == 0) {
		err_set(e, ERR_CONFLICT, "somebody is called '%s'", in->name);
		snprintf(e->field, sizeof(e->field), "name");
		return -1;
	}
	if (strcmp(in->name, "secret") == 0)
		return err_set(e, ERR_INTERNAL, "the database's password is 'x'");
	if (strcmp(in->name, "silent") == 0)
		return -1;
	if (strcmp(in->name, "got over") == 0)
		err_set(e, ERR_NOT_FOUND, "tried something else first");
	if (strcmp(in->name, "empty") == 0)
		return 0; /* a reply that lacks what its schema requires */
	*CALL_OUT(c, user_view) = some_user();
	CALL_OUT(c, user_view)->name = in->name;
	return 0;
}

/* Until as many are under way as there are workers. */
static inline int on_slow(struct call *c, struct err *e)
{
	long long until_ms = clock_mono_ms() + WAIT_MS;
	static int at_once;

	(void)e;
	pthread_mutex_lock(&sh.lock);
	if (++at_once > sh.at_once_max)
		sh.at_once_max = at_once;
	pthread_cond_broadcast(&sh.changed);
	while (sh.at_once_max < WORKERS && clock_cond_wait(&sh.changed, &sh.lock, until_ms))
		continue;
	at_once--;
	pthread_mutex_unlock(&sh.lock);
	CALL_OUT(c, session_state)->active = true;
	return 0;
}

static inline int on_gated(struct call *c, struct err *e)
{
	(void)e;
	pthread_mutex_lock(&sh.lock);
	sh.at_gate++;
	pthread_cond_broadcast(&sh.changed);
	while (!sh.is_open)
		pthread_cond_wait(&sh.changed, &sh.lock);
	sh.at_gate--;
	pthread_mutex_unlock(&sh.lock);
	CALL_OUT(c, user_deletion)->id = USER;
	CALL_OUT(c, user_deletion)->status = "deleting";
	return 0;
}

static inline int on_login(struct call *c, struct err *e)
{
	static struct user_view user;
	const struct auth_login_req *in = CALL_IN(c, auth_login_req);
	struct auth_tokens *out = CALL_OUT(c, auth_tokens);

	pthread_mutex_lock(&sh.lock);
	sh.calls++;
	snprintf(sh.password, sizeof(sh.password), "%s", in->password);
	user = some_user();
	pthread_mutex_unlock(&sh.lock);
	if (strcmp(in->password, "wrong") == 0)
		return err_set(e, ERR_CREDENTIALS, "wrong address or password");
	if (strcmp(in->password, "busy") == 0)
		return err_busy(e, ERR_UNAVAILABLE, 3, "later");
	*out = (struct auth_tokens){ &user, "access.token", "refresh-token", "Bearer", 900 };
	return 0;
}

/* One remembered reply, as a service's table would hold many. */
static inline int once_begin(struct call *c, struct bus_stored *ret, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&sh.lock);
	if (strcmp(sh.stored_key, c->ctx.idempotency_key) != 0) {
		snprintf(sh.stored_key, sizeof(sh.stored_key), "%s", c->ctx.idempotency_key);
		memcpy(sh.stored_hash, c->request_hash, sizeof(sh.stored_hash));
		sh.stored_status = 0;
		sh.is_claimed = true;
	} else if (strcmp(sh.stored_hash, c->request_hash) != 0) {
		r = err_set(e, ERR_CONFLICT, "this key was used with another body");
	} else if (sh.stored_status) {
		ret->status = sh.stored_status;
		ret->reply = arena_strdup(&c->arena, sh.stored_reply);
	} else {
		sh.is_claimed = true;
	}
	pthread_mutex_unlock(&sh.lock);
	return r;
}

static inline void once_finish(struct call *c, int status, const char *reply)
{
	(void)c;
	pthread_mutex_lock(&sh.lock);
	sh.is_claimed = false;
	sh.stored_status = status;
	free(sh.stored_reply);
	sh.stored_reply = reply ? strdup(reply) : NULL;
	pthread_mutex_unlock(&sh.lock);
}

static const struct bus_once once = { once_begin, once_finish };

static const struct bus_route routes[] = {
	{ SUBJ_USER_GET, on_get, POOL_MAIN },       { SUBJ_USER_UPDATE, on_update, POOL_MAIN },
	{ SUBJ_SESSION_CHECK, on_slow, POOL_MAIN }, { SUBJ_USER_DELETE, on_gated, POOL_SMALL },
	{ SUBJ_AUTH_LOGIN, on_login, POOL_MAIN },
};

static inline int reset(void **state)
{
	(void)state;
	pthread_mutex_lock(&sh.lock);
	sh.is_open = false;
	sh.calls = sh.at_once_max = 0;
	sh.stored_key[0] = '\0';
	pthread_mutex_unlock(&sh.lock);
	return 0;
}

static inline int call(enum subject_id id, const struct bus_ctx *ctx, const void *in, void *out,
                       struct arena *a, struct err *e)
{
	static const struct bus_ctx nobody;

	*e = ERR_INIT;
	arena_init(a, BUS_ARENA_LIMIT);
	return bus_call(f.client, id, ctx ? ctx : &nobody, in, a, out, e);
}

static inline int stream_make(struct err *e)
{
	static const char *subject = "zaki.evt.>";
	jsStreamConfig cfg;
	jsErrCode code = 0;
	jsCtx *js = NULL;
	jsOptions opts;
	natsStatus s;

	jsOptions_Init(&opts);
	opts.Wait = WAIT_MS;
	s = natsConnection_JetStream(&js, bus_nats(f.client), &opts);
	jsStreamConfig_Init(&cfg);
	cfg.Name = "ZAKI_EVENTS";
	cfg.Subjects = &subject;
	cfg.SubjectsLen = 1;
	if (s == NATS_OK)
		s = js_AddStream(NULL, js, &cfg, NULL, &code);
	jsCtx_Destroy(js);
	/* The daemons may have made it before us, with settings of their own. */
	if (s != NATS_OK && code != JSStreamNameExistErr)
		return err_set(e, ERR_INTERNAL, "stream: %s", natsStatus_GetText(s));
	return 0;
}

static inline int open_all(struct err *e)
{
	const char *url = getenv("NATS_URL");
	struct bus_opt server = { url, "bustest", &f.seal, WAIT_MS };
	struct bus_opt client = { url, "bustestclient", &f.seal, WAIT_MS };

	if (!url)
		return err_set(e, ERR_INTERNAL, "NATS_URL is not set: no server to test against");
	if (sodium_init() < 0 || seal_init(&f.seal, "0123456789abcdef0123456789abcdef", e) < 0 ||
	    bus_open(&server, &f.server, e) < 0 || bus_open(&client, &f.client, e) < 0 ||
	    pool_new(WORKERS, 64, bus_work, &f.pools[POOL_MAIN], e) < 0 ||
	    pool_new(1, 1, bus_work, &f.pools[POOL_SMALL], e) < 0)
		return -1;
	f.service = (struct bus_service){ .description = "tests the bus",
		                          .routes = routes,
		                          .route_count = COUNT(routes),
		                          .pools = f.pools,
		                          .once = &once };
	return bus_serve(f.server, &f.service, e) < 0 ? -1 : stream_make(e);
}

static inline int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	be_patient(PATIENCE);
	clock_cond_init(&sh.changed);
	if (open_all(&e) == 0)
		return 0;
	print_error("%s\n", e.msg);
	return -1;
}

static inline int teardown(void **state)
{
	(void)state;
	bus_drain(f.server);
	pool_free(f.pools[POOL_MAIN]);
	pool_free(f.pools[POOL_SMALL]);
	bus_close(f.server);
	bus_close(f.client);
	free(sh.stored_reply);
	nats_Close();
	return 0;
}

#endif

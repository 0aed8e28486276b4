#include "app.h"

#include "deletion.h"
#include "mail/courier.h"
#include "mail/deliver.h"
#include "revoked.h"
#include "svc/postgres.h"
#include "svc/replies.h"
#include "sweep.h"

#include <liboath/oath.h>
#include <sodium.h>

#define BACKGROUND  4 /* connections for keeper, deletion, sweep and courier */
#define REDIS_CONNS 8

static size_t connections(const struct app *app)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	long long hash = app->hash_workers ? app->hash_workers : cores > 0 ? cores : 1;

	return (size_t)(app->common.bus_workers + hash + BACKGROUND);
}

static int open_keys(struct app *app, struct err *e)
{
	const char *previous = app->identity_key_previous;

	if (seal_init(&app->seal, app->identity_key, e) < 0)
		return err_field(e, "IDENTITY_KEY", "is too short");
	if (previous[0] && seal_init(&app->seal_previous, previous, e) < 0)
		return err_field(e, "IDENTITY_KEY_PREVIOUS", "is too short");
	return oath_init() == OATH_OK ? 0 : err_set(e, ERR_INTERNAL, "liboath does not start");
}

int app_check(void *ctx, struct err *e)
{
	struct app *app = ctx;

	if (token_keys_new(app->jwt_secret, app->jwt_secret_previous, &app->keys, e) < 0 ||
	    deliver_check(app, e) < 0 || open_keys(app, e) < 0 ||
	    redis_open(app->redis_url, REDIS_CONNS, &app->redis, e) < 0)
		return -1;
	return pg_pool_open(app->database_url, "zaki-auth", connections(app), &app->db, e);
}

int app_start(void *ctx, struct bus *b, struct err *e)
{
	struct app *app = ctx;

	app->bus = b;
	if (postgres_wait(app->db, "auth", e) < 0)
		return -1;
	/* The keeper first: the others wake it. */
	if (ticker_start(revoked_keep, app, KEEPER_PERIOD_MS, &app->keeper, e) < 0 ||
	    ticker_start(deletion_work, app, DELETION_PERIOD_MS, &app->deletion, e) < 0 ||
	    ticker_start(courier_work, app, COURIER_PERIOD_MS, &app->courier, e) < 0 ||
	    ticker_start(sweep_work, app, SWEEP_PERIOD_MS, &app->sweep, e) < 0)
		return -1;
	return 0;
}

bool app_is_stopping(const struct app *app)
{
	return __atomic_load_n(&app->is_stopping, __ATOMIC_RELAXED);
}

/* A mail under way is given up, and sent again by whoever comes next. */
void app_quiesce(void *ctx)
{
	struct app *app = ctx;

	__atomic_store_n(&app->is_stopping, true, __ATOMIC_RELAXED);
}

/* The bus has drained: nothing wakes the tickers any more but each other. */
void app_stop(void *ctx)
{
	struct app *app = ctx;

	ticker_stop(app->sweep);
	ticker_stop(app->courier);
	ticker_stop(app->deletion);
	ticker_stop(app->keeper);
	pg_pool_close(app->db);
	redis_close(app->redis);
	token_keys_free(app->keys);
	sodium_memzero(&app->seal, sizeof(app->seal));
	sodium_memzero(&app->seal_previous, sizeof(app->seal_previous));
}

int app_check_postgres(void *ctx, struct err *e)
{
	struct app *app = ctx;

	return postgres_check(app->db, e);
}

int app_check_redis(void *ctx, struct err *e)
{
	struct app *app = ctx;
	OWN(redis_reply) redisReply *reply = NULL;

	return REDIS_CALL(app->redis, &reply, e, "PING");
}

static struct replies replies_of(const struct call *c)
{
	return (struct replies){ ONCE_AUTH, ((struct app *)c->app)->db };
}

static int begin_once(struct call *c, struct bus_stored *ret, struct err *e)
{
	const struct replies r = replies_of(c);

	return replies_begin(&r, c, ret, e);
}

/* Whom the answer tells of, so that it goes when they do. */
static const char *about(const struct call *call)
{
	const struct auth_tokens *tokens = call->out;

	if (call->ctx.user_id[0])
		return call->ctx.user_id;
	return call->subject->out == &wire_auth_tokens && tokens->user ? tokens->user->id : NULL;
}

static void finish_once(struct call *c, int status, const char *reply)
{
	const struct replies r = replies_of(c);
	const struct once_answer answer = { status, reply };

	replies_finish(&r, c, &answer, about(c));
}

const struct bus_once app_once = { .begin = begin_once, .finish = finish_once };

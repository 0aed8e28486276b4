#include "link/holder.h"

#include "assistant_config.h"
#include "link/forgotten.h"
#include "link/link.h"
#include "link/link_store.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <sodium.h>

#define ROUND_MS       1000
#define LEASE_SLACK_MS 500 /* for the loop to cut what is not ours any more */
#define COLUMN_DEVICE  "instance_links.device_token"
#define ARENA_LIMIT    ((size_t)64 << 10)

/* One that is linked by this process, as it was told of. */
struct held {
	char id[UUID_SIZE];
	int port;
	unsigned char seal[crypto_generichash_BYTES]; /* of what opens it */
};

/* lock guards what is above the line. */
struct holder {
	pthread_mutex_t lock;
	pthread_cond_t woken;
	bool is_woken, is_stopping;
	struct forgotten forgotten;
	/* ---- the thread's own ---- */
	struct app *app;
	pthread_t thread;
	struct held *held; /* by id */
	size_t held_count;
	struct held *next; /* what held is to be; room for next_max */
	size_t next_max;
	bool has_lease, is_failing;
	long long beat_ms,
		lost_ms; /* monotonic: the next beat; when the lease has surely run out */
};

const char *holder_name(const struct app *app)
{
	return app->holder_id;
}

/* ---- one of them -------------------------------------------------------------------------------- */

static int open_token(const struct app *app, const struct link_held *row, const char *column,
                      const char *sealed, char *out, size_t size, struct err *e)
{
	const struct vault_place where = { row->user_id, row->id, column };
	struct arena a __attribute__((cleanup(own_arena)));
	const char *plain;

	arena_init(&a, ARENA_LIMIT);
	if (vault_open(app->vault, &where, sealed, &a, &plain, e) < 0)
		return -1;
	if (strlen(plain) >= size)
		return err_set(e, ERR_INTERNAL, "a token is too long");
	memcpy(out, plain, strlen(plain) + 1);
	return 0;
}

static int address_of(struct app *app, const struct link_held *row, struct link_target *t,
                      struct err *e)
{
	struct engine_state container;

	snprintf(t->address, sizeof(t->address), "127.0.0.1");
	t->port = row->port;
	if (app->reach != CONTAINER_REACH_NETWORK)
		return 0;
	if (engine_inspect(app->engine, row->container_name, &container, e) < 0)
		return -1;
	snprintf(t->address, sizeof(t->address), "%s", container.address);
	t->port = CONTAINER_PORT;
	return t->address[0] ? 0 : err_set(e, ERR_UNAVAILABLE, "its container has no address");
}

static int target_make(struct app *app, const struct link_held *row, struct link_target *t,
                       struct err *e)
{
	struct err ignored = ERR_INIT; /* a device's token that does not open is given anew */

	*t = (struct link_target){ 0 };
	snprintf(t->id, sizeof(t->id), "%s", row->id);
	snprintf(t->user_id, sizeof(t->user_id), "%s", row->user_id);
	if (open_token(app, row, ASSISTANT_GATEWAY_TOKEN, row->gateway_token, t->gateway_token,
	               sizeof(t->gateway_token), e) < 0 ||
	    address_of(app, row, t, e) < 0)
		return -1;
	if (row->device_token)
		(void)open_token(app, row, COLUMN_DEVICE, row->device_token, t->device_token,
		                 sizeof(t->device_token), &ignored);
	return 0;
}

static void seal_of(const struct link_held *row, unsigned char out[crypto_generichash_BYTES])
{
	crypto_generichash(out, crypto_generichash_BYTES, (const unsigned char *)row->gateway_token,
	                   strlen(row->gateway_token), NULL, 0);
}

/* ---- all of them -------------------------------------------------------------------------------- */

static const struct held *held_find(const struct holder *h, const char *id)
{
	size_t lo = 0, hi = h->held_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int order = strcmp(h->held[mid].id, id);

		if (order == 0)
			return &h->held[mid];
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static bool is_among(const char *id, const struct held *list, size_t count)
{
	size_t lo = 0, hi = count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int order = strcmp(list[mid].id, id);

		if (order == 0)
			return true;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* It is linked, as the row says; false: it cannot be now, the next round tries again. */
static bool take_on(struct holder *h, const struct link_held *row, struct held *now)
{
	const struct held *before = held_find(h, row->id);
	struct link_target target;
	struct err e = ERR_INIT;
	bool is_made;

	snprintf(now->id, sizeof(now->id), "%s", row->id);
	now->port = row->port;
	seal_of(row, now->seal);
	if (before && before->port == now->port &&
	    memcmp(before->seal, now->seal, sizeof(now->seal)) == 0)
		return true;
	is_made = target_make(h->app, row, &target, &e) == 0;
	if (is_made)
		links_add(h->app->links, &target);
	else
		log_debug("an assistant cannot be linked", "instance_id", row->id, "error", e.msg);
	sodium_memzero(&target, sizeof(target));
	return is_made;
}

static int next_reserve(struct holder *h, size_t count, struct err *e)
{
	struct held *more;

	if (count <= h->next_max)
		return 0;
	more = realloc(h->next, count * sizeof(*more));
	if (!more)
		return err_set(e, ERR_INTERNAL, "out of memory");
	h->next = more;
	h->next_max = count;
	return 0;
}

static int held_follow(struct holder *h, const PGresult *res, struct err *e)
{
	size_t rows = (size_t)PQntuples(res), count = 0;
	struct held *before = h->held;

	if (next_reserve(h, rows + 1, e) < 0)
		return -1;
	for (size_t i = 0; i < rows; i++) {
		struct link_held row;

		if (link_held_from_row(res, (int)i, &row, e) < 0)
			return -1;
		count += take_on(h, &row, &h->next[count]);
	}
	for (size_t i = 0; i < h->held_count; i++)
		if (!is_among(h->held[i].id, h->next, count))
			links_remove(h->app->links, h->held[i].id);
	h->held = h->next;
	h->next = before;
	h->next_max = before ? h->held_count : 0;
	h->held_count = count;
	return 0;
}

static void held_drop_all(struct holder *h)
{
	for (size_t i = 0; i < h->held_count; i++)
		links_remove(h->app->links, h->held[i].id);
	h->held_count = 0;
}

/* ---- rounds ------------------------------------------------------------------------------------- */

/* The lease stands, by a clock that began before the database's did. */
static int lease_keep(struct holder *h, struct pg_conn *db, struct err *e)
{
	long long begun_ms = clock_mono_ms();
	const char *name = holder_name(h->app);
	bool is_kept = false;

	if (h->has_lease && begun_ms < h->beat_ms)
		return 0;
	if (h->has_lease && link_beat(db, name, &is_kept, e) < 0)
		return -1;
	if (!is_kept) {
		if (h->has_lease)
			log_warn("the lease on links ran out, beginning anew");
		held_drop_all(h);
		h->has_lease = false;
		if (link_release(db, name, e) < 0 || link_hold(db, name, e) < 0)
			return -1;
		h->has_lease = true;
	}
	h->beat_ms = begun_ms + LINK_BEAT_MS;
	h->lost_ms = begun_ms + LINK_LEASE_S * 1000LL;
	links_keep_until(h->app->links, h->lost_ms - LEASE_SLACK_MS);
	return 0;
}

static void forget(struct holder *h)
{
	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < h->held_count; i++)
		if (forgotten_has(&h->forgotten, h->held[i].id))
			h->held[i].port = 0; /* differs from whatever it is */
	h->forgotten = (struct forgotten){ .count = 0 };
	pthread_mutex_unlock(&h->lock);
}

static int round_run(struct holder *h, struct err *e)
{
	const char *name = holder_name(h->app);
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_result) PGresult *res = NULL;

	if (pg_take(h->app->db, &db, e) < 0 || lease_keep(h, db, e) < 0 ||
	    link_claim(db, name, e) < 0 || link_list(db, name, &res, e) < 0)
		return -1;
	forget(h);
	return held_follow(h, res, e);
}

/* False: it is to end. */
static bool nap(struct holder *h)
{
	long long at = clock_mono_ms() + ROUND_MS;
	bool go_on;

	pthread_mutex_lock(&h->lock);
	while (!h->is_stopping && !h->is_woken)
		if (!clock_cond_wait(&h->woken, &h->lock, at))
			break;
	h->is_woken = false;
	go_on = !h->is_stopping;
	pthread_mutex_unlock(&h->lock);
	return go_on;
}

static void *run(void *ctx)
{
	struct holder *h = ctx;

	do {
		struct err e = ERR_INIT;
		int r = round_run(h, &e);

		if (r < 0 && !h->is_failing)
			log_warn("links are not looked after, trying again", "code",
			         err_name(e.code), "error", e.msg);
		h->is_failing = r < 0;
	} while (nap(h));
	return NULL;
}

int holder_start(struct app *app, struct holder **ret, struct err *e)
{
	struct holder *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&h->lock, NULL);
	clock_cond_init(&h->woken);
	h->app = app;
	if (pthread_create(&h->thread, NULL, run, h) != 0) {
		free(h);
		return err_set(e, ERR_INTERNAL, "no thread for the links' leases");
	}
	*ret = h;
	return 0;
}

void holder_wake(struct holder *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->is_woken = true;
	pthread_cond_signal(&h->woken);
	pthread_mutex_unlock(&h->lock);
}

void holder_forget(struct holder *h, const char *instance_id)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	forgotten_add(&h->forgotten, instance_id);
	pthread_mutex_unlock(&h->lock);
}

void holder_stop(struct holder *h)
{
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct err e = ERR_INIT;

	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->is_stopping = true;
	pthread_cond_signal(&h->woken);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	held_drop_all(h);
	if (pg_take(h->app->db, &db, &e) < 0 || link_release(db, holder_name(h->app), &e) < 0)
		log_warn("links could not be given back, their lease runs out", "error", e.msg);
	free(h->held);
	free(h->next);
	pthread_cond_destroy(&h->woken);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

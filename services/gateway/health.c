#include "health.h"

#include "app.h"
#include "base/clock.h"
#include "bus/envelope.h"

#include <pthread.h>

#define PARTS_MAX 16
#define WAIT_MORE 100 /* ms that others wait beyond who asks for all */

struct part {
	char name[65];
	bool is_up;
	char message[257];
};

/* clang-format off */
static const struct {
	const char *name;
	enum subject_id subject;
} services[] = {
	{ "auth",             SUBJ_AUTH_HEALTH },
	{ "instance-manager", SUBJ_INSTANCE_HEALTH },
	{ "realtime-fanout",  SUBJ_REALTIME_HEALTH },
	{ "storage-backup",   SUBJ_BACKUP_HEALTH },
};
/* clang-format on */

#define ASKED COUNT(services) + 1 /* and Redis */

/* One time of asking all. Lives until the last that holds it lets go: a job may come too late. */
struct round {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t done;
	size_t holders, pending;
	size_t count;
	struct part parts[PARTS_MAX];
	bool is_answered[ASKED];
};

struct job {
	struct app_job base; /* first */
	struct app *app;
	struct round *round;
	size_t index; /* of services[]; past them: Redis */
};

struct health {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t done;
	bool is_asking;
	long long made_ms; /* monotonic; 0: never */
	int status;
	char *text;
};

int health_new(struct app *app, struct health **ret, struct err *e)
{
	struct health *h = calloc(1, sizeof(*h));

	(void)app;
	if (!h)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&h->lock, NULL);
	clock_cond_init(&h->done);
	*ret = h;
	return 0;
}

void health_free(struct health *h)
{
	if (!h)
		return;
	pthread_cond_destroy(&h->done);
	pthread_mutex_destroy(&h->lock);
	free(h->text);
	free(h);
}

/* With the round's lock. Two that speak of the same part: it is up when both say so. */
static void put(struct round *r, const char *name, bool is_up, const char *message)
{
	struct part *p = r->parts;

	while (p < r->parts + r->count && strcmp(p->name, name) != 0)
		p++;
	if (p == r->parts + PARTS_MAX)
		return;
	if (p == r->parts + r->count) {
		r->count++;
		p->is_up = true;
		snprintf(p->name, sizeof(p->name), "%s", name);
	}
	if (!is_up && p->is_up) {
		p->is_up = false;
		snprintf(p->message, sizeof(p->message), "%s", message ? message : "");
	}
}

static void let_go(struct round *r)
{
	size_t left;

	pthread_mutex_lock(&r->lock);
	left = --r->holders;
	pthread_mutex_unlock(&r->lock);
	if (left > 0)
		return;
	pthread_cond_destroy(&r->done);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void put_service(struct round *r, const char *name, const struct health_view *view)
{
	put(r, name, true, NULL);
	for (size_t i = 0; i < view->parts_count; i++)
		put(r, view->parts[i].name, strcmp(view->parts[i].status, "up") == 0,
		    view->parts[i].message);
}

static void ask_service(struct job *j)
{
	OWN(arena) struct arena a = { .limit = BUS_ARENA_LIMIT };
	struct bus_ctx ctx = { 0 };
	struct none in = { 0 };
	struct health_view out = { 0 };
	struct err e = ERR_INIT;
	int result = bus_call(j->app->bus, services[j->index].subject, &ctx, &in, &a, &out, &e);

	pthread_mutex_lock(&j->round->lock);
	if (result == 0)
		put_service(j->round, services[j->index].name, &out);
	else
		put(j->round, services[j->index].name, false, err_public(&e));
	pthread_mutex_unlock(&j->round->lock);
}

static void ask_redis(struct job *j)
{
	OWN(redis_reply) redisReply *reply = NULL;
	struct err e = ERR_INIT;
	int result = REDIS_CALL(j->app->redis, &reply, &e, "PING");

	pthread_mutex_lock(&j->round->lock);
	put(j->round, "redis", result == 0, result == 0 ? NULL : err_public(&e));
	pthread_mutex_unlock(&j->round->lock);
}

static void run(struct app_job *base)
{
	struct job *j = (struct job *)base;
	struct round *r = j->round;

	if (j->index < COUNT(services))
		ask_service(j);
	else
		ask_redis(j);
	pthread_mutex_lock(&r->lock);
	r->is_answered[j->index] = true;
	if (--r->pending == 0)
		pthread_cond_broadcast(&r->done);
	pthread_mutex_unlock(&r->lock);
	let_go(r);
	free(j);
}

/* With the round's lock. */
static void start(struct app *app, struct round *r, size_t index)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return;
	*j = (struct job){ { run }, app, r, index };
	if (!pool_add(app->workers, j)) {
		free(j);
		return;
	}
	r->holders++;
	r->pending++;
}

static struct round *ask_all(struct app *app)
{
	struct round *r = calloc(1, sizeof(*r));
	long long until_ms;

	if (!r)
		return NULL;
	pthread_mutex_init(&r->lock, NULL);
	clock_cond_init(&r->done);
	r->holders = 1;

	until_ms = clock_mono_ms() + HEALTH_WAIT_MS;
	pthread_mutex_lock(&r->lock);
	put(r, "bus", bus_is_connected(app->bus), "not connected");
	for (size_t i = 0; i < ASKED; i++)
		start(app, r, i);
	while (r->pending > 0 && clock_cond_wait(&r->done, &r->lock, until_ms))
		continue;
	for (size_t i = 0; i < ASKED; i++)
		if (!r->is_answered[i])
			put(r, i < COUNT(services) ? services[i].name : "redis", false,
			    "no answer in time");
	pthread_mutex_unlock(&r->lock);
	return r;
}

/* The bus, Redis, the services as above, then what they named themselves: the same at every asking. */
static size_t rank(const char *name)
{
	if (strcmp(name, "bus") == 0)
		return 0;
	if (strcmp(name, "redis") == 0)
		return 1;
	for (size_t i = 0; i < COUNT(services); i++)
		if (strcmp(name, services[i].name) == 0)
			return i + 2;
	return COUNT(services) + 2;
}

static int compare(const void *a, const void *b)
{
	const struct health_part *one = a, *other = b;
	size_t rank_one = rank(one->name), rank_other = rank(other->name);

	return rank_one != rank_other ? (rank_one < rank_other ? -1 : 1)
	                              : strcmp(one->name, other->name);
}

static int write_up(struct round *r, char **ret)
{
	struct health_part parts[PARTS_MAX];
	struct health_view view = { .status = "up", .parts = parts };
	struct err e = ERR_INIT;
	bool is_bus_up;

	pthread_mutex_lock(&r->lock);
	is_bus_up = r->parts[0].is_up;
	for (size_t i = 0; i < r->count; i++) {
		const struct part *p = &r->parts[i];

		parts[i] = (struct health_part){ .name = p->name,
			                         .status = p->is_up ? "up" : "down",
			                         .message = p->message[0] ? p->message : NULL };
		if (!p->is_up)
			view.status = "degraded";
	}
	view.parts_count = r->count;
	qsort(parts, r->count, sizeof(parts[0]), compare);
	if (is_bus_up)
		*ret = envelope_data(&wire_health_view, &view, NULL, &e);
	pthread_mutex_unlock(&r->lock);

	if (is_bus_up && *ret)
		return 200;
	if (is_bus_up)
		return 500;
	err_set(&e, ERR_UNAVAILABLE, "not connected to the bus");
	*ret = envelope_error(&e);
	return 503;
}

/* With the lock, which it gives up while it asks. */
static void refresh(struct health *h, struct app *app)
{
	char *text = NULL;
	struct round *r;
	int status = 500;

	h->is_asking = true;
	pthread_mutex_unlock(&h->lock);
	r = ask_all(app);
	if (r) {
		status = write_up(r, &text);
		let_go(r);
	}
	pthread_mutex_lock(&h->lock);
	free(h->text);
	h->text = text;
	h->status = status;
	h->made_ms = clock_mono_ms();
	h->is_asking = false;
	pthread_cond_broadcast(&h->done);
}

int health_answer(struct app *app, char **ret)
{
	struct health *h = app->health;
	long long until_ms = clock_mono_ms() + HEALTH_WAIT_MS + WAIT_MORE;
	int status;

	pthread_mutex_lock(&h->lock);
	if (!h->made_ms || clock_mono_ms() - h->made_ms > HEALTH_FRESH_MS) {
		if (!h->is_asking)
			refresh(h, app);
		else
			while (h->is_asking && clock_cond_wait(&h->done, &h->lock, until_ms))
				continue;
	}
	status = h->status ? h->status : 503;
	*ret = h->text ? strdup(h->text) : NULL;
	pthread_mutex_unlock(&h->lock);
	return status;
}

#include "consumer.h"

#include "base/clock.h"
#include "base/log.h"
#include "deliver.h"
#include "interest.h"
#include "lease.h"
#include "pull.h"

#include <pthread.h>

#define FETCH_MS    500 /* how long one look at the stream waits; so long does a stop take */
#define RENEW_MS    700 /* the lease is kept by taking it this often */
#define STANDBY_MS  400 /* how often one that is not active asks for the lease */
#define RETRY_MS    300
#define COMPLAIN_MS 30000             /* what goes on failing is said again after this */
#define BATCH_ARENA ((size_t)4 << 20) /* bytes, for one batch */
#define SWEEP_MS    5000              /* one step over the interest of gateways that may be gone */

struct consumer {
	pthread_mutex_t lock; /* guards is_stopping */
	pthread_cond_t wake;
	bool is_stopping;
	pthread_t thread;

	/* The thread's own. */
	struct stream_conn conn;
	struct redis *redis;
	struct outbox *outbox;
	char me[INSTANCE_ID_SIZE];
	bool has_lease;
	long long renew_ms, sweep_ms; /* monotonic: next due */
	long long complain_ms;        /* monotonic: until then a failure was said; 0: none was */
	unsigned long long sweep_cursor;
	natsStatistics *stats;
	uint64_t session_reconnects; /* of the connection, when the session began */
};

static bool is_stopping(struct consumer *c)
{
	bool answer;

	pthread_mutex_lock(&c->lock);
	answer = c->is_stopping;
	pthread_mutex_unlock(&c->lock);
	return answer;
}

static void wait_ms(struct consumer *c, int ms)
{
	long long until_ms = clock_mono_ms() + ms;

	pthread_mutex_lock(&c->lock);
	while (!c->is_stopping && clock_cond_wait(&c->wake, &c->lock, until_ms))
		continue;
	pthread_mutex_unlock(&c->lock);
}

static int lease_keep(struct consumer *c, struct err *e)
{
	bool had = c->has_lease;

	if (c->has_lease && clock_mono_ms() < c->renew_ms)
		return 0;
	c->has_lease = false;
	if (lease_take(c->redis, c->me, &c->has_lease, e) < 0)
		return -1;
	c->renew_ms = clock_mono_ms() + RENEW_MS;
	if (had && !c->has_lease)
		log_info("another fanout delivers now");
	return 0;
}

/* How often the connection was made anew. */
static uint64_t reconnects(struct consumer *c)
{
	uint64_t in_msgs, in_bytes, out_msgs, out_bytes, count = 0;

	if (natsConnection_GetStats(bus_nats(c->conn.bus), c->stats) == NATS_OK)
		(void)natsStatistics_GetCounts(c->stats, &in_msgs, &in_bytes, &out_msgs, &out_bytes,
		                               &count);
	return count;
}

/* What was sent into a connection that broke may be lost: it must not be acknowledged on the next
 * one, and a session begins again from what is. */
static int check_unbroken(struct consumer *c, struct err *e)
{
	if (bus_is_connected(c->conn.bus) && reconnects(c) == c->session_reconnects)
		return 0;
	return err_set(e, ERR_UNAVAILABLE, "the connection to the bus was lost");
}

/* Those of list that are not delivered yet; one that comes again has outlived its time for an
 * acknowledgement. One that did not come at all (cnats drops what it has no room for) must not be
 * acknowledged with those behind it. */
static int read_list(struct pull *p, const struct pull_list *list, struct stored *ret,
                     size_t *ret_count, struct err *e)
{
	size_t count = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (stored_read(list->msgs[i], p->stream_id, &ret[count], e) < 0)
			return -1;
		if (ret[count].delivered != p->delivered + 1)
			return err_set(e, ERR_UNAVAILABLE, "a message of the stream did not come");
		p->delivered++;
		count += ret[count].position.seq > p->last_seq;
	}
	*ret_count = count;
	return 0;
}

/* Gathers and sends, as long as the lease is held. */
static int deliver_all(struct consumer *c, const struct stored *evs, size_t count, struct err *e)
{
	for (size_t i = 0; c->has_lease && i < count; i++)
		if (lease_keep(c, e) < 0 || deliver(c->outbox, &evs[i], e) < 0)
			return -1;
	if (!c->has_lease) {
		outbox_clear(c->outbox);
		return 0;
	}
	return outbox_send(c->outbox, e);
}

/* Delivers what was fetched, and acknowledges it. */
static int deliver_list(struct consumer *c, struct pull *p, const struct pull_list *list,
                        struct err *e)
{
	OWN(arena) struct arena a = { .limit = BATCH_ARENA };
	struct stored *evs = arena_alloc(&a, (list->count + 1) * sizeof(*evs));
	size_t count = 0;

	if (!evs)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (read_list(p, list, evs, &count, e) < 0 ||
	    deliver_find(c->redis, evs, count, &a, e) < 0 || deliver_all(c, evs, count, e) < 0)
		return -1;
	if (count == 0 || !c->has_lease)
		return 0;
	p->last_seq = evs[count - 1].position.seq;
	/* A crash before this: the next session delivers them again, and gateways drop them. */
	return check_unbroken(c, e) < 0 ? -1 : pull_done(p, evs[count - 1].msg, e);
}

static int one_batch(struct consumer *c, struct pull *p, struct err *e)
{
	OWN(pull_list) struct pull_list list = { .count = 0 };

	if (check_unbroken(c, e) < 0 || pull_fetch(p, FETCH_MS, &list, e) < 0)
		return -1;
	return list.count ? deliver_list(c, p, &list, e) : 0;
}

static int sweep(struct consumer *c, struct err *e)
{
	if (clock_mono_ms() < c->sweep_ms)
		return 0;
	c->sweep_ms = clock_mono_ms() + SWEEP_MS;
	return interest_sweep(c->redis, &c->sweep_cursor, e);
}

/* As long as the lease is held and all goes well. */
static int session(struct consumer *c, struct err *e)
{
	OWN(pull) struct pull p = { 0 };
	char seq[24];

	c->session_reconnects = reconnects(c);
	outbox_clear(c->outbox);
	if (check_unbroken(c, e) < 0 || pull_open(&c->conn, c->me, &p, e) < 0)
		return -1;
	snprintf(seq, sizeof(seq), "%llu", (unsigned long long)p.last_seq);
	log_info("delivering", "after", seq);
	c->complain_ms = 0;

	while (c->has_lease && !is_stopping(c))
		if (lease_keep(c, e) < 0 || sweep(c, e) < 0 || one_batch(c, &p, e) < 0)
			return -1;
	return 0;
}

static void complain(struct consumer *c, const struct err *e)
{
	if (clock_mono_ms() < c->complain_ms)
		return;
	log_warn("events wait, trying again", "code", err_name(e->code), "error", e->msg);
	c->complain_ms = clock_mono_ms() + COMPLAIN_MS;
}

static void *run(void *closure)
{
	struct consumer *c = closure;
	struct err e = ERR_INIT;

	while (!is_stopping(c)) {
		e = ERR_INIT;
		if (lease_keep(c, &e) == 0 && !c->has_lease) {
			wait_ms(c, STANDBY_MS);
			continue;
		}
		if (e.code == ERR_NONE && session(c, &e) == 0)
			continue;
		complain(c, &e);
		wait_ms(c, RETRY_MS);
	}
	/* Where it fails the lease ends by itself. */
	if (c->has_lease)
		(void)lease_give(c->redis, c->me, &e);
	return NULL;
}

static void consumer_free(struct consumer *c)
{
	natsStatistics_Destroy(c->stats);
	outbox_free(c->outbox);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static int consumer_init(struct consumer *c, const struct consumer_opt *opt, struct err *e)
{
	c->conn = opt->conn;
	c->redis = opt->redis;
	snprintf(c->me, sizeof(c->me), "%s", opt->me);
	pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->wake);
	if (natsStatistics_Create(&c->stats) != NATS_OK)
		return err_set(e, ERR_INTERNAL, "out of memory");
	return outbox_new(c->conn.bus, &c->outbox, e);
}

int consumer_start(const struct consumer_opt *opt, struct consumer **ret, struct err *e)
{
	struct consumer *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_set(e, ERR_INTERNAL, "out of memory");
	r = consumer_init(c, opt, e);
	if (r == 0 && pthread_create(&c->thread, NULL, run, c) != 0)
		r = err_set(e, ERR_INTERNAL, "cannot start a thread");
	if (r == 0)
		*ret = c;
	else
		consumer_free(c);
	return r;
}

void consumer_stop(struct consumer *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->is_stopping = true;
	pthread_cond_broadcast(&c->wake);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	consumer_free(c);
}

#include "store/pg_conn.h"

#include "base/clock.h"
#include "base/fault.h"

#include <poll.h>
#include <pthread.h>

#define PG_IDLE_IN_TX_MS 15000

struct pg_pool {
	pthread_mutex_t
		lock; /* guards all below but url, name, size and what taken ones point at */
	pthread_cond_t freed;
	char *url, *name;
	size_t size;
	struct pg_conn *conns;
	struct pg_conn **idle; /* a stack: what was used last is warm, and is used first */
	size_t idle_count;

	/* While the database is away, one taker at a time tries it, every PG_RETRY_MS; the others
	 * fail at once. */
	bool is_away, is_trying;
	long long next_try_ms; /* monotonic */
};

int pg_pool_open(const char *url, const char *name, size_t size, struct pg_pool **ret,
                 struct err *e)
{
	struct pg_pool *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(e, ERR_INTERNAL, "out of memory");

	pthread_mutex_init(&p->lock, NULL);
	clock_cond_init(&p->freed);

	p->size = size;
	p->url = strdup(url);
	p->name = strdup(name);
	p->conns = calloc(size, sizeof(*p->conns));
	p->idle = calloc(size, sizeof(struct pg_conn *));
	if (!p->url || !p->name || !p->conns || !p->idle) {
		pg_pool_close(p);
		return err_set(e, ERR_INTERNAL, "out of memory");
	}
	for (size_t i = 0; i < size; i++) {
		p->conns[i].pool = p;
		p->idle[p->idle_count++] = &p->conns[i];
	}
	*ret = p;
	return 0;
}

void pg_pool_close(struct pg_pool *p)
{
	if (!p)
		return;
	for (size_t i = 0; p->conns && i < p->size; i++)
		pg_conn_drop(&p->conns[i]);
	if (p->url)
		explicit_bzero(p->url, strlen(p->url)); /* the password is in it */
	free(p->url);
	free(p->name);
	free(p->conns);
	free((void *)p->idle);
	pthread_cond_destroy(&p->freed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void pg_conn_drop(struct pg_conn *c)
{
	PQfinish(c->pg);
	c->pg = NULL;
	memset((void *)c->prepared, 0, sizeof(c->prepared));
	c->prepared_count = 0;
	c->is_stale = false;
}

bool pg_conn_in_tx(const struct pg_conn *c)
{
	PGTransactionStatusType status = PQtransactionStatus(c->pg);

	return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

/* The server's notices (a WARNING, a skipped IF NOT EXISTS) are not for our log. */
static void drop_notice(void *ctx, const PGresult *res)
{
	(void)ctx;
	(void)res;
}

static int conn_open(struct pg_conn *c, struct err *e)
{
	/* What stands after dbname wins over what the URL says. A dead peer is noticed by the
	 * kernel; a live one that never answers, by PG_ANSWER_MS. */
	static const char *const keys[] = { "dbname",
		                            "application_name",
		                            "connect_timeout",
		                            "client_encoding",
		                            "keepalives",
		                            "keepalives_idle",
		                            "keepalives_interval",
		                            "keepalives_count",
		                            "tcp_user_timeout",
		                            NULL };
	char connect_s[12], set[160];
	const char *values[] = { c->pool->url, c->pool->name, connect_s, "UTF8",  "1",
		                 "10",         "5",           "3",       "10000", NULL };

	snprintf(connect_s, sizeof(connect_s), "%d", fault_patience(PG_CONNECT_S));
	c->pg = PQconnectdbParams(keys, values, 1);
	if (PQstatus(c->pg) != CONNECTION_OK) {
		err_set(e, ERR_UNAVAILABLE, "postgres: %.*s",
		        (int)strcspn(PQerrorMessage(c->pg), "\n"), PQerrorMessage(c->pg));
		e->retry_after_s = PG_RETRY_AFTER_S;
		pg_conn_drop(c);
		return -1;
	}
	PQsetNoticeReceiver(c->pg, drop_notice, NULL);
	if (PQsetnonblocking(c->pg, 1) != 0) {
		pg_conn_drop(c);
		return err_busy(e, ERR_UNAVAILABLE, PG_RETRY_AFTER_S,
		                "postgres: cannot make the socket non-blocking");
	}

	snprintf(set, sizeof(set),
	         "SET statement_timeout = %d; SET idle_in_transaction_session_timeout = %d;"
	         " SET TimeZone = 'UTC'; SET DateStyle = 'ISO'",
	         fault_patience(PG_STATEMENT_MS), fault_patience(PG_IDLE_IN_TX_MS));
	if (pg_script(c, set, PG_ANSWER_MS, e) < 0) {
		pg_conn_drop(c);
		return -1;
	}
	return 0;
}

/* An idle connection has nothing to say: one that is readable was ended by the server, unless it is
 * a parameter's change, which is taken in. */
static bool is_alive(struct pg_conn *c)
{
	struct pollfd fd = { .fd = PQsocket(c->pg), .events = POLLIN };

	if (!c->pg || PQstatus(c->pg) != CONNECTION_OK)
		return false;
	return poll(&fd, 1, 0) == 0 ||
	       (PQconsumeInput(c->pg) && PQstatus(c->pg) == CONNECTION_OK && poll(&fd, 1, 0) == 0);
}

/* Whether this taker may try to open a connection now. */
static bool may_try(struct pg_pool *p)
{
	bool may;

	pthread_mutex_lock(&p->lock);
	may = !p->is_away || (!p->is_trying && clock_mono_ms() >= p->next_try_ms);
	if (may && p->is_away)
		p->is_trying = true;
	pthread_mutex_unlock(&p->lock);
	return may;
}

static void tried(struct pg_pool *p, bool is_away)
{
	pthread_mutex_lock(&p->lock);
	p->is_away = is_away;
	p->is_trying = false;
	p->next_try_ms = clock_mono_ms() + PG_RETRY_MS;
	pthread_mutex_unlock(&p->lock);
}

static void put_back(struct pg_conn *c)
{
	struct pg_pool *p = c->pool;

	pthread_mutex_lock(&p->lock);
	p->idle[p->idle_count++] = c;
	pthread_cond_signal(&p->freed);
	pthread_mutex_unlock(&p->lock);
}

static struct pg_conn *take_idle(struct pg_pool *p)
{
	long long until_ms = clock_mono_ms() + fault_patience(PG_TAKE_MS);
	struct pg_conn *c = NULL;

	pthread_mutex_lock(&p->lock);
	while (p->idle_count == 0)
		if (!clock_cond_wait(&p->freed, &p->lock, until_ms))
			break;
	if (p->idle_count > 0)
		c = p->idle[--p->idle_count];
	pthread_mutex_unlock(&p->lock);
	return c;
}

int pg_take(struct pg_pool *p, struct pg_conn **ret, struct err *e)
{
	struct pg_conn *c = take_idle(p);
	int r;

	if (!c)
		return err_busy(e, ERR_UNAVAILABLE, PG_RETRY_AFTER_S,
		                "postgres: all connections are in use");
	c->constraint[0] = '\0';
	if (is_alive(c)) {
		*ret = c;
		return 0;
	}

	pg_conn_drop(c);
	if (!may_try(p)) {
		put_back(c);
		return err_busy(e, ERR_UNAVAILABLE, PG_RETRY_AFTER_S,
		                "postgres: away since a moment ago");
	}
	r = conn_open(c, e);
	tried(p, r < 0);
	if (r < 0) {
		put_back(c);
		return -1;
	}
	*ret = c;
	return 0;
}

void pg_give(struct pg_conn *c)
{
	if (!c)
		return;
	if (pg_conn_in_tx(c))
		pg_rollback(&(struct pg_tx){ .conn = c });
	if (c->is_stale || PQstatus(c->pg) != CONNECTION_OK ||
	    PQtransactionStatus(c->pg) != PQTRANS_IDLE)
		pg_conn_drop(c);
	put_back(c);
}

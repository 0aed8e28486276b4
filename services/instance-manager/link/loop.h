#ifndef LINK_LOOP_H
#define LINK_LOOP_H

#include "link/conn.h"
#include "link/lws_quiet.h"

#include <pthread.h>

/* What the files of the loop share (links.c, asks.c); nobody else includes it. */
#define LOOP_BUCKETS 1024 /* of connections, by id */

/* Something that another thread wants of the loop. */
struct task {
	struct task *next;
	void (*run)(struct links *l, struct task *t); /* frees it */
	char id[UUID_SIZE];
	struct link_target *target;
	struct conn_ask *ask;
};

/* lock guards what is above it being marked so; the rest is the loop's thread's. */
struct links {
	pthread_mutex_t lock; /* guards first, last, is_running, figures, and requests' outcomes */
	struct task *first, *last;
	bool is_running;
	struct links_figures figures;

	struct app *app;
	struct device device;
	struct news_desk *desk;
	pthread_t thread;
	bool has_thread;
	struct lws_context *context;
	struct lws_vhost *vhost;
	lws_sorted_usec_list_t tick;
	struct conn *conns[LOOP_BUCKETS];
	_Atomic long long until_ms; /* monotonic */
	bool is_stopping;
};

struct conn **links_slot(struct links *l, const char *id);

/* NULL: out of memory. */
struct task *links_task(const char *id, void (*run)(struct links *l, struct task *t));

/* Takes t over; false: it does not, there is no loop any more. */
bool links_post(struct links *l, struct task *t);

#endif

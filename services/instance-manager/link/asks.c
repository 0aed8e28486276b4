#include "link/loop.h"

#include "base/clock.h"
#include "base/fault.h"

#include <sodium.h>

/* Requests of other threads, on their way through the loop. */

void links_forget_ask(struct conn_ask *a)
{
	pthread_cond_destroy(&a->done);
	cJSON_Delete(a->payload);
	cJSON_free(a->text);
	free(a);
}

void links_end_ask(struct links *l, struct conn_ask *a, cJSON *payload, const struct err *why)
{
	bool is_left;

	pthread_mutex_lock(&l->lock);
	a->payload = payload;
	a->why = *why;
	a->is_done = true;
	is_left = a->is_left;
	pthread_cond_signal(&a->done);
	pthread_mutex_unlock(&l->lock);
	if (is_left)
		links_forget_ask(a);
}

static void on_ask(struct links *l, struct task *t)
{
	struct conn *c = *links_slot(l, t->ask->instance_id);
	struct err e = ERR_INIT;

	if (c) {
		conn_ask(c, t->ask);
	} else {
		err_busy(&e, ERR_UNAVAILABLE, 1, "the assistant is not reached from here");
		links_end_ask(l, t->ask, NULL, &e);
	}
	free(t);
}

static struct conn_ask *ask_new(const struct link_ask *ask, struct err *e)
{
	struct conn_ask *a = calloc(1, sizeof(*a));

	if (!a) {
		err_set(e, ERR_INTERNAL, "out of memory");
		return NULL;
	}
	clock_cond_init(&a->done);
	snprintf(a->instance_id, sizeof(a->instance_id), "%s", ask->instance_id);
	random_hex(8, a->id);
	a->due_ms = clock_mono_ms() + fault_patience(ask->timeout_ms);
	if (frame_request(a->id, ask->method, ask->params, &a->text, e) < 0) {
		links_forget_ask(a);
		return NULL;
	}
	return a;
}

/* The loop ends each request when it is due; the second on top is for it to do so. */
static bool ask_wait(struct links *l, struct conn_ask *a)
{
	long long at = a->due_ms + 1000;
	bool is_done;

	pthread_mutex_lock(&l->lock);
	while (!a->is_done)
		if (!clock_cond_wait(&a->done, &l->lock, at))
			break;
	is_done = a->is_done;
	a->is_left = !is_done;
	pthread_mutex_unlock(&l->lock);
	return is_done;
}

int links_call(struct links *l, const struct link_ask *ask, cJSON **ret, struct err *e)
{
	struct conn_ask *a = ask_new(ask, e);
	struct task *t = a ? links_task(ask->instance_id, on_ask) : NULL;
	int r = 0;

	if (!a)
		return -1;
	if (t)
		t->ask = a;
	if (!t || !links_post(l, t)) {
		free(t);
		links_forget_ask(a);
		return err_busy(e, ERR_UNAVAILABLE, 1, "the assistant is not reached right now");
	}
	if (!ask_wait(l, a))
		return err_set(e, ERR_TIMEOUT, "the assistant does not answer");
	if (a->why.code != ERR_NONE) {
		*e = a->why;
		r = -1;
	} else {
		*ret = TAKE(a->payload);
	}
	links_forget_ask(a);
	return r;
}

#include "glance.h"

#include "base/clock.h"
#include "base/fault.h"

#include <pthread.h>

struct shown {
	char id[UUID_SIZE], spec[CONTAINER_SPEC_SIZE];
	bool is_believed;
	bool is_settled;    /* inspected since */
	long long named_at; /* what heard_count was when an event last named it */
};

/* lock guards all of it. */
struct glance {
	pthread_mutex_t lock;
	struct shown *list; /* by id */
	size_t count;
	long long taken_ms; /* monotonic; 0: none */
	bool is_heard;      /* events are */
	long long heard_count;

	/* Named by events since glance_begin(); too many, and the whole list is not believed. */
	long long begun_ms;
	bool is_overrun;
	char named[256][UUID_SIZE];
	size_t named_count;
};

int glance_new(struct glance **ret, struct err *e)
{
	struct glance *g = calloc(1, sizeof(*g));

	if (!g)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&g->lock, NULL);
	*ret = g;
	return 0;
}

void glance_free(struct glance *g)
{
	if (!g)
		return;
	pthread_mutex_destroy(&g->lock);
	free(g->list);
	free(g);
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct shown *)a)->id, ((const struct shown *)b)->id);
}

static struct shown *find(const struct glance *g, const char *id)
{
	struct shown key = { 0 };

	if (!g->count)
		return NULL;
	snprintf(key.id, sizeof(key.id), "%s", id);
	return bsearch(&key, g->list, g->count, sizeof(key), by_id);
}

void glance_begin(struct glance *g)
{
	pthread_mutex_lock(&g->lock);
	g->begun_ms = clock_mono_ms();
	g->named_count = 0;
	g->is_overrun = false;
	pthread_mutex_unlock(&g->lock);
}

void glance_put(struct glance *g, const struct engine_item *items, size_t count)
{
	struct shown *list = calloc(count + 1, sizeof(*list)), *old;
	size_t kept = 0;

	for (size_t i = 0; list && i < count; i++) {
		char name[CONTAINER_NAME_SIZE];

		if (!items[i].is_ours || items[i].status != ENGINE_RUNNING ||
		    !items[i].instance_id[0] ||
		    strcmp(items[i].name, container_name(items[i].instance_id, name)) != 0)
			continue;
		snprintf(list[kept].id, sizeof(list[kept].id), "%s", items[i].instance_id);
		snprintf(list[kept].spec, sizeof(list[kept].spec), "%s", items[i].spec);
		list[kept++].is_believed = true;
	}
	if (list)
		qsort(list, kept, sizeof(*list), by_id);

	pthread_mutex_lock(&g->lock);
	for (size_t i = 0; i < kept; i++) {
		const struct shown *before = find(g, list[i].id);

		list[i].is_settled = before && before->is_settled;
		list[i].named_at = before ? before->named_at : g->heard_count;
	}
	old = g->list;
	g->list = list;
	g->count = g->is_overrun ? 0 : kept;
	g->taken_ms = g->begun_ms;
	for (size_t i = 0; i < g->named_count; i++) {
		struct shown *s = find(g, g->named[i]);

		if (s)
			s->is_believed = false;
	}
	pthread_mutex_unlock(&g->lock);
	free(old);
}

void glance_touch(struct glance *g, const char *instance_id)
{
	struct shown *s;

	pthread_mutex_lock(&g->lock);
	g->heard_count++;
	if (!instance_id) {
		g->is_heard = false;
		g->count = 0;
		g->is_overrun = true; /* of a list that is being asked for */
	} else {
		s = find(g, instance_id);
		if (s) {
			s->is_believed = s->is_settled = false;
			s->named_at = g->heard_count;
		}
		if (g->named_count < COUNT(g->named))
			snprintf(g->named[g->named_count++], UUID_SIZE, "%s", instance_id);
		else
			g->is_overrun = true;
	}
	pthread_mutex_unlock(&g->lock);
}

void glance_hear(struct glance *g)
{
	pthread_mutex_lock(&g->lock);
	g->is_heard = true;
	pthread_mutex_unlock(&g->lock);
}

long long glance_mark(struct glance *g)
{
	long long mark;

	pthread_mutex_lock(&g->lock);
	mark = g->heard_count;
	pthread_mutex_unlock(&g->lock);
	return mark;
}

void glance_settle(struct glance *g, const char *instance_id, long long mark)
{
	struct shown *s;

	pthread_mutex_lock(&g->lock);
	s = find(g, instance_id);
	if (s && s->named_at <= mark)
		s->is_settled = true;
	pthread_mutex_unlock(&g->lock);
}

bool glance_is_running(struct glance *g, const char *instance_id, const char *spec)
{
	const struct shown *s;
	bool is_running = false;

	pthread_mutex_lock(&g->lock);
	if (g->is_heard && clock_mono_ms() - g->taken_ms < fault_patience(GLANCE_AGE_MS)) {
		s = find(g, instance_id);
		is_running = s && s->is_believed && s->is_settled && strcmp(s->spec, spec) == 0;
	}
	pthread_mutex_unlock(&g->lock);
	return is_running;
}

#ifndef ENGINE_H
#define ENGINE_H

#include "container.h"

#include <stddef.h>

/*
 * The container engine. One interface for every kind of it: the domain says what it wants of an
 * instance's container and never how the engine is asked. docker.c speaks to a single Docker
 * Engine; under a swarm the same verbs act on one service with one replica.
 *
 * A `ref` is a container's name (container_name()) or its id. Every verb may be repeated: what is
 * already so is success. Any thread; no verb holds a lock while it waits. Failures of all verbs:
 *
 *	ERR_UNAVAILABLE  the engine is away, or lacks what it needs (the image)
 *	ERR_TIMEOUT      no answer in time: what was asked may still happen
 *	ERR_UPSTREAM     the engine refused, or its answer is not what is expected; e->msg says which
 *	ERR_NOT_FOUND    there is no such container (where a verb does not say otherwise)
 *
 * All e->msg begin with "container engine: ".
 */
#define ENGINE_ID_SIZE   65           /* 64 hexadecimal digits, the zero */
#define ENGINE_ADDR_SIZE 46           /* an IPv6 address as text */
#define ENGINE_LIST_MAX  20000        /* containers of one platform on one engine */
#define ENGINE_LOGS_MAX  (256 * 1024) /* bytes of one logs_tail */

enum engine_status {
	ENGINE_ABSENT, /* there is no such container */
	ENGINE_CREATED,
	ENGINE_RUNNING,
	ENGINE_PAUSED,
	ENGINE_RESTARTING,
	ENGINE_REMOVING,
	ENGINE_EXITED,
	ENGINE_DEAD, /* half removed: only remove helps */
};

const char *engine_status_name(enum engine_status status); /* "running" */

/* What a list says of a container. An id or digest is "" where the label is absent or no id. */
struct engine_item {
	char id[ENGINE_ID_SIZE];
	enum engine_status status;
	bool is_ours;                   /* label zaki.platform is this platform's: touch no other */
	char name[CONTAINER_NAME_SIZE]; /* without the slash; cut if it is longer than ours */
	char instance_id[UUID_SIZE];
	char user_id[UUID_SIZE];
	char spec[CONTAINER_SPEC_SIZE];
};

/* What an inspection says. With status ENGINE_ABSENT all else is zero. */
struct engine_state {
	struct engine_item item;
	int exit_code;         /* of the last run; 0 while it runs */
	bool is_healthy;       /* its check, where it has one, passed the last time */
	bool oom_killed;       /* stays true after the engine restarted it */
	int restart_count;     /* by the engine's restart policy, since it was created */
	long long started_ms;  /* unix ms of the last start; 0: never */
	long long finished_ms; /* unix ms of the last end; 0: never */
	char image[257];       /* as it was named when the container was made; "": too long */
	char error[128];       /* the engine's own reason why it did not start; "" if none */
	char address[ENGINE_ADDR_SIZE]; /* in its network; "" while it does not run */
	int port;                       /* published on the host; 0: none */
	int memory_mib;
};

enum engine_event_kind {
	ENGINE_EVENT_STARTED,
	ENGINE_EVENT_DIED, /* exit_code is set; a restart may follow by itself */
	ENGINE_EVENT_OOM,  /* the kernel killed a process of it */
	ENGINE_EVENT_PAUSED,
	ENGINE_EVENT_UNPAUSED,
	ENGINE_EVENT_CREATED,
	ENGINE_EVENT_DESTROYED,
	ENGINE_EVENT_CHANGED, /* something else: kill, stop, rename, update, health … */
};

struct engine_event {
	enum engine_event_kind kind;
	char container_id[ENGINE_ID_SIZE];
	char instance_id[UUID_SIZE]; /* "" if its label is no id */
	int exit_code;               /* ENGINE_EVENT_DIED only, else 0 */
	long long time_ns;           /* unix ns, as the engine counts */
};

/* On the thread of engine_events(); ev lives until it returns. false ends the stream. */
typedef bool engine_on_event(const struct engine_event *ev, void *ctx);

enum engine_created {
	ENGINE_MADE,
	ENGINE_NAME_IN_USE, /* a container of this name is there; inspect says whether it fits */
};

enum engine_started {
	ENGINE_IS_STARTED,
	ENGINE_PORT_TAKEN, /* someone else on the host has the port: remove, take another */
};

struct engine_info {
	char version[32];     /* "20.10.24+dfsg1" */
	char api_version[16]; /* the newest it speaks */
};

/* Which part of a container's log. */
struct engine_logs {
	int lines;         /* the last so many, 1..1000 */
	const char *since; /* only later ones: unix seconds, as "1785200000.123456789"; NULL: all */
	bool has_times;    /* each line begins with its time, RFC 3339 with nanoseconds */
};

struct engine {
	const struct engine_verbs *verbs;
};

struct engine_verbs {
	void (*close)(struct engine *g);
	int (*ping)(struct engine *g, struct engine_info *ret, struct err *e);
	int (*ensure_network)(struct engine *g, const char *name, struct err *e);
	int (*has_image)(struct engine *g, const char *image, bool *ret, struct err *e);
	int (*create)(struct engine *g, const struct container_spec *spec, enum engine_created *ret,
	              struct err *e);
	int (*start)(struct engine *g, const char *ref, enum engine_started *ret, struct err *e);
	int (*stop)(struct engine *g, const char *ref, int grace_s, struct err *e);
	int (*kill)(struct engine *g, const char *ref, struct err *e);
	int (*remove)(struct engine *g, const char *ref, struct err *e);
	int (*resize)(struct engine *g, const char *ref, int memory_mib, struct err *e);
	int (*inspect)(struct engine *g, const char *ref, struct engine_state *ret, struct err *e);
	int (*list)(struct engine *g, struct arena *a, struct engine_item **ret, size_t *ret_count,
	            struct err *e);
	int (*events)(struct engine *g, long long since_ns, engine_on_event *on_event, void *ctx,
	              const volatile bool *stop, struct err *e);
	int (*logs)(struct engine *g, const char *ref, const struct engine_logs *what,
	            struct arena *a, const char **ret, struct err *e);
};

/*
 * A Docker Engine at host: "unix:///var/run/docker.sock", "tcp://addr:port" or "http://addr:port".
 * Opens no connection; ping does. ERR_INVALID with the field DOCKER_HOST for any other form.
 * platform_id is copied.
 */
int docker_open(const char *host, const char *platform_id, struct engine **ret, struct err *e);

/* NULL is fine. No verb may be under way. */
static inline void engine_close(struct engine *g)
{
	if (g)
		g->verbs->close(g);
}

/* Is it there, and does it speak our API version? ERR_UNAVAILABLE when it is older, with both. */
static inline int engine_ping(struct engine *g, struct engine_info *ret, struct err *e)
{
	return g->verbs->ping(g, ret, e);
}

/* A bridge network without traffic between its containers. ERR_INVALID with the field
 * INSTANCE_NETWORK when one of that name is there which lets them talk. */
static inline int engine_ensure_network(struct engine *g, const char *name, struct err *e)
{
	return g->verbs->ensure_network(g, name, e);
}

static inline int engine_has_image(struct engine *g, const char *image, bool *ret, struct err *e)
{
	return g->verbs->has_image(g, image, ret, e);
}

/* Makes the container, not started. A crash between the engine's doing and our knowing leaves it:
 * the next create answers ENGINE_NAME_IN_USE. */
static inline int engine_create(struct engine *g, const struct container_spec *spec,
                                enum engine_created *ret, struct err *e)
{
	return g->verbs->create(g, spec, ret, e);
}

static inline int engine_start(struct engine *g, const char *ref, enum engine_started *ret,
                               struct err *e)
{
	return g->verbs->start(g, ref, ret, e);
}

/* Returns when it has ended: SIGTERM, then SIGKILL after grace_s. The engine does not restart it. */
static inline int engine_stop(struct engine *g, const char *ref, int grace_s, struct err *e)
{
	return g->verbs->stop(g, ref, grace_s, e);
}

/* SIGKILL; the engine does not restart it. One that does not run is fine. */
static inline int engine_kill(struct engine *g, const char *ref, struct err *e)
{
	return g->verbs->kill(g, ref, e);
}

/* Kills it if need be and removes it; returns once it is gone. One that is absent is fine. */
static inline int engine_remove(struct engine *g, const char *ref, struct err *e)
{
	return g->verbs->remove(g, ref, e);
}

/* Another memory limit, at once, also while it runs. */
static inline int engine_resize(struct engine *g, const char *ref, int memory_mib, struct err *e)
{
	return g->verbs->resize(g, ref, memory_mib, e);
}

/* An absent container is no failure: status ENGINE_ABSENT. */
static inline int engine_inspect(struct engine *g, const char *ref, struct engine_state *ret,
                                 struct err *e)
{
	return g->verbs->inspect(g, ref, ret, e);
}

/* All containers of this platform, in whatever state; *ret lies in the arena, some 300 bytes
 * a container. */
static inline int engine_list(struct engine *g, struct arena *a, struct engine_item **ret,
                              size_t *ret_count, struct err *e)
{
	return g->verbs->list(g, a, ret, ret_count, e);
}

/*
 * What happens to this platform's containers, until on_event answers false or *stop becomes true
 * (seen within 500 ms; another thread sets it with __atomic_store_n()): 0 then. When the engine
 * ends the stream: ERR_UNAVAILABLE. To go on where it broke, call again with since_ns one more than
 * the last event's time; 0 begins now. An engine keeps some hundred events, and none over its own
 * restart: list after every (re)connect.
 */
static inline int engine_events(struct engine *g, long long since_ns, engine_on_event *on_event,
                                void *ctx, const volatile bool *stop, struct err *e)
{
	return g->verbs->events(g, since_ns, on_event, ctx, stop, e);
}

/* Lines of both its outputs, in order, zero-ended, in the arena, at most ENGINE_LOGS_MAX bytes of
 * them; may hold any bytes but zero. */
static inline int engine_logs(struct engine *g, const char *ref, const struct engine_logs *what,
                              struct arena *a, const char **ret, struct err *e)
{
	return g->verbs->logs(g, ref, what, a, ret, e);
}

static inline int engine_logs_tail(struct engine *g, const char *ref, int lines, struct arena *a,
                                   const char **ret, struct err *e)
{
	const struct engine_logs what = { .lines = lines };

	return engine_logs(g, ref, &what, a, ret, e);
}

OWN_DEFINE(engine, struct engine *, engine_close)

#endif

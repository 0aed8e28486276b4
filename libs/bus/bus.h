#ifndef BUS_H
#define BUS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/own.h"
#include "base/uuid.h"
#include "bus/msg.h"
#include "bus/pool.h"
#include "wire/subject.h"

#include <assert.h>
#include <nats/nats.h>

/*
 * Typed calls and events over NATS. Whoever receives a message checks it against proto/ before
 * anything else: a handler only ever sees a request that fits its schema, a caller only such a
 * reply. Secret fields are sealed on the way (wire/seal.h).
 *
 * While the server is away calls fail at once with ERR_UNAVAILABLE; the connection comes back by
 * itself, with its subscriptions, for as long as the process lives.
 *
 * Headers: traceparent (W3C Trace Context), Zaki-Actor, Zaki-Client, Zaki-Deadline,
 * Zaki-Idempotency-Key in a request; Zaki-Status and Zaki-Retry-After in a reply; Nats-Msg-Id and
 * Zaki-Time in an event.
 */
struct bus;

#define BUS_TRACE_SIZE  33                /* 32 hex digits and the zero */
#define BUS_ARENA_LIMIT ((size_t)6 << 20) /* bytes one call may keep: 1 MiB, sealed and in base64 */
#define BUS_KEY_MAX     128               /* characters of an Idempotency-Key */
#define BUS_AGENT_MAX   256               /* bytes of a User-Agent that are kept */

/* On whose behalf and in which story a message is sent. All zero: the system itself, anew. */
struct bus_ctx {
	char trace_id[BUS_TRACE_SIZE];
	char user_id[UUID_SIZE];    /* "" for the system itself and for people not signed in */
	char session_id[UUID_SIZE]; /* "" likewise */
	char client_address[46];    /* INET6_ADDRSTRLEN; "" where there is none */
	char client_agent[BUS_AGENT_MAX + 1];
	char idempotency_key[BUS_KEY_MAX + 1]; /* "" when none was given */
};

/* Fills trace_id with a new one when it is empty. */
void bus_trace_begin(struct bus_ctx *ctx);

/* The trace id in a message's traceparent; "" where there is none. */
void bus_trace_of(natsMsg *msg, char ret[BUS_TRACE_SIZE]);

struct call {
	void *app;             /* what was given to bus_serve() */
	struct bus *bus;       /* for calls and events of the handler's own */
	struct bus_ctx ctx;    /* already authenticated; not yet authorised */
	long long deadline_ms; /* unix ms: nobody waits for the answer any more; 0: not known */
	const struct subject *subject;
	struct arena arena;                /* freed when the handler has answered */
	const void *in;                    /* use CALL_IN() */
	void *out;                         /* use CALL_OUT() */
	char request_hash[SEAL_HASH_SIZE]; /* of *in; only where idempotency_key is set */
};

/* The request and the reply under their own types. A wrong type stops the program at the first
 * call. */
#define CALL_IN(c, type)  (assert((c)->subject->in == &wire_##type), (const struct type *)(c)->in)
#define CALL_OUT(c, type) (assert((c)->subject->out == &wire_##type), (struct type *)(c)->out)

/* Fills CALL_OUT() and returns 0, or returns -1 with *e set. Runs on a worker of its route's pool,
 * side by side with others. */
typedef int bus_handler(struct call *c, struct err *e);

struct bus_route {
	enum subject_id subject;
	bus_handler *handler;
	size_t pool; /* index into bus_service.pools */
};

/* A reply that was given before under the same Idempotency-Key. */
struct bus_stored {
	int status;        /* HTTP; 0: there is none, go on */
	const char *reply; /* envelope as it was sent, in the call's arena */
};

/*
 * How a service remembers replies to SUBJECT_ONCE (SPEC 3: the same key and body give the same
 * answer for 24 h, a different body is a conflict). begin claims (user, key) before the handler
 * runs: ERR_CONFLICT when it is another's body or still under way. finish keeps the reply; with
 * status 0 it gives the claim up, since what failed in passing may be tried again. A crash between
 * the two leaves a claim that a later request takes over once it is old.
 */
struct bus_once {
	int (*begin)(struct call *c, struct bus_stored *ret, struct err *e);
	void (*finish)(struct call *c, int status, const char *reply);
};

struct bus_opt {
	const char *url;     /* with user and password: never logged */
	const char *service; /* process and NATS user name; its inboxes are _INBOX_<service>.> */
	const struct seal *seal;
	int connect_ms; /* how long bus_open() waits for the server */
};

/* Where the server is: nats://…, or tls://…, which is never spoken to in the clear and has to show a
 * certificate of a CA that this process trusts (svc/trust.h), for the host of the URL. */
natsStatus bus_address(natsOptions *o, const char *url);

/* ERR_UNAVAILABLE when the server does not answer within connect_ms. Keeps *opt's seal. */
int bus_open(const struct bus_opt *opt, struct bus **ret, struct err *e);

/* Stops taking calls, waits for those under way, flushes. Calls and events of one's own still
 * work. Done by bus_close() where it was not done before. */
void bus_drain(struct bus *b);
void bus_close(struct bus *b); /* NULL is fine */

bool bus_is_connected(struct bus *b);
const char *bus_instance_id(const struct bus *b); /* of this process; 16 hex digits */
natsConnection *bus_nats(struct bus *b);          /* for JetStream consumers */

struct bus_service {
	const char *description;
	const struct bus_route *routes;
	size_t route_count;
	struct pool **pools; /* [0] is the one that most routes use */
	void *app;
	const struct bus_once *once;   /* NULL: no route is SUBJECT_ONCE */
	const enum subject_id *direct; /* routes that one process is asked, too: bus_call_at() */
	size_t direct_count;
};

/* Answers each route's subject, in the service's queue group, until bus_drain(). Keeps *s. Also
 * answers $SRV.PING, .INFO and .STATS (NATS ADR-32). */
int bus_serve(struct bus *b, const struct bus_service *s, struct err *e);

/* What a worker of a service's pools does with each item: give it to pool_new(). */
pool_work bus_work;

/* Sends *in and waits at most the subject's time-out. The reply's strings live in the arena. The
 * error of the other side comes back as it was set there. */
int bus_call(struct bus *b, enum subject_id id, const struct bus_ctx *ctx, const void *in,
             struct arena *a, void *out, struct err *e);

/*
 * The same of one process of a service, by its bus_instance_id(), where its service declares the
 * route direct: each process listens at "<subject>.<its id>", too. ERR_UNAVAILABLE at once when it
 * is gone.
 */
struct bus_to {
	enum subject_id subject;
	const char *node; /* NULL: whichever process takes it */
};
int bus_call_at(struct bus *b, const struct bus_to *to, const struct bus_ctx *ctx, const void *in,
                struct arena *a, void *out, struct err *e);

/* A reply as it came, for those who hand it on. */
struct bus_answer {
	int status;        /* HTTP */
	int retry_after_s; /* 0: none was given */
	const char *data;  /* the envelope, not ended by a zero */
	size_t len;
	natsMsg *msg; /* owns data */
};

int bus_forward(struct bus *b, enum subject_id id, const struct bus_ctx *ctx, const void *in,
                struct bus_answer *ret, struct err *e);
void bus_answer_done(struct bus_answer *answer);

/* The reply's data, or the error it holds. */
int bus_answer_open(struct bus *b, enum subject_id id, const struct bus_answer *answer,
                    struct arena *a, void *out, struct err *e);

/* What has happened, as it lies in the stream. */
struct bus_event {
	enum subject_id subject;
	const char *key;      /* id of the user or instance; takes the place of * */
	const char *msg_id;   /* the same event sent twice within two minutes is kept once */
	const char *trace_id; /* "" or NULL: none */
	long long time_ms;    /* unix ms when it happened */
	const char *json;     /* of the subject's message: bus_event_text() */
};

/* An event's body. The caller frees *ret (cJSON_free, OWN(json_text)). */
int bus_event_text(enum subject_id id, const void *in, char **ret, struct err *e);

/* Returns once the stream has it. ERR_UNAVAILABLE: it may or may not have it; send it again under
 * the same msg_id. */
int bus_event_publish(struct bus *b, const struct bus_event *ev, struct err *e);

/* Hears what others publish outside the stream's consumers, one message at a time, on a thread of
 * the bus: on_message must not wait. */
typedef void bus_listener(natsMsg *msg, void *ctx);
int bus_listen(struct bus *b, const char *subject, bus_listener *on_message, void *ctx,
               struct err *e);

/* A subject that replies may come to, new each time; nobody else may read it. */
#define BUS_INBOX_SIZE 80
void bus_inbox(struct bus *b, char ret[BUS_INBOX_SIZE]);

/* Ends a subscription that bus_drain() does not end; NULL is fine. natsSubscription_Destroy() alone may
 * free it under cnats' reading thread, which is just handing it a message (3.4.1: nats.c issue 637). */
void bus_unsubscribe(natsConnection *conn, natsSubscription *sub);

/* Publishes outside the stream (gateways' deliveries). */
int bus_tell(struct bus *b, natsMsg *msg, struct err *e);

static inline void own_bus_answer(struct bus_answer *answer)
{
	bus_answer_done(answer);
}

#endif

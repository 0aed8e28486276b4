#ifndef SVC_OUTBOX_H
#define SVC_OUTBOX_H

#include "bus/bus.h"
#include "store/pg.h"

/*
 * Events wait in a table, written in the transaction of the change that they tell of; a thread
 * publishes them in order and removes each once the stream has it. An absent bus or a crash delays
 * events and loses none; one that was published just before a crash is published again under the
 * same message id, which the stream keeps once. Each service has a table of its own:
 *
 *	seq bigint identity, id uuid, subject text, key uuid, trace_id text, body text,
 *	created_at timestamptz
 */
enum outbox_table { OUTBOX_INSTANCE, OUTBOX_BACKUP };

/* What has happened. */
struct outbox_event {
	enum subject_id subject;
	const char *key;      /* a UUID: takes the place of * in the subject */
	const char *trace_id; /* NULL: none */
	const void *in;       /* the subject's message */
};

/* In a transaction of the caller's. */
int outbox_add(struct pg_conn *c, enum outbox_table table, const struct outbox_event *ev,
               struct err *e);

struct outbox; /* the publisher */

int outbox_start(enum outbox_table table, struct pg_pool *db, struct bus *bus, struct outbox **ret,
                 struct err *e);
void outbox_wake(struct outbox *o); /* after a commit with events in it; any thread */
void outbox_stop(struct outbox *o); /* NULL is fine */

#endif

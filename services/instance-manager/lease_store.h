#ifndef LEASE_STORE_H
#define LEASE_STORE_H

#include "base/arena.h"
#include "decide.h"
#include "instance.h"

/*
 * The table `instances` as the reconciler reads and writes it. Whoever holds an instance's lease
 * works on it: several instance-managers may run, and each instance is reconciled by one. A lease
 * of a process that died runs out by itself; owner is bus_instance_id().
 *
 * No user's id is asked for here: nobody asks on a person's behalf.
 */
#define LEASE_S       6 /* seconds; renewed every LEASE_BEAT_MS while it is worked on */
#define LEASE_BEAT_MS 2000

/* Takes up to max (at most LEASE_CLAIM_MAX) instances that are due. The caller owns *ret (free()). */
#define LEASE_CLAIM_MAX 64
int lease_claim(struct pg_conn *c, const char *owner, size_t max, struct instance **ret,
                size_t *ret_count, struct err *e);

/* Keeps the leases of these. */
int lease_beat(struct pg_conn *c, const char *owner, const char (*ids)[UUID_SIZE], size_t count,
               struct err *e);

/* Looked at, and all was as the row says: the next look, and the lease's end. */
struct lease_seen {
	char id[UUID_SIZE];
	long long wake, delay_ms;
	bool is_observed; /* else the engine was away, and nothing was seen */
};
int lease_seen(struct pg_conn *c, const char *owner, const struct lease_seen *list, size_t count,
               struct err *e);

/* The engine has told of it: it is due now. */
struct lease_poke {
	char id[UUID_SIZE];
	int exit_code; /* -1: it did not end */
	bool is_oom;
	bool is_minor; /* of no account while this process works on the instance: it looks again */
};
int lease_poke(struct pg_conn *c, const struct lease_poke *list, size_t count, struct err *e);

/* All that nobody works on are due, spread over spread_ms. */
int lease_poke_all(struct pg_conn *c, long long spread_ms, struct err *e);

/* Voids the leases of processes that have no connection to the database any more: whoever starts
 * after a crash need not wait for them to run out. Connections bear LEASE_APP and the owner. */
#define LEASE_APP "instance-manager "
int lease_void_dead(struct pg_conn *c, struct err *e);

/* Gives back whatever this owner has. */
int lease_release_all(struct pg_conn *c, const char *owner, struct err *e);

/* What one step of an instance leaves behind. */
struct lease_write {
	const char *owner;
	const struct instance *before;      /* as the row is now */
	struct decision *d;                 /* d->action becomes ACT_NONE where no place was free */
	char trace_id[INSTANCE_TRACE_SIZE]; /* of the story that this belongs to */
	long long places_max, place_ms;
	bool is_failure; /* of the step before: nothing new was seen of the engine */
};

enum lease_written {
	LEASE_WRITTEN, /* *ret is the row, as written */
	LEASE_CHANGED, /* somebody asked for something else meanwhile: *ret is the row; look again */
	LEASE_LOST,    /* it is another's now, or gone */
};

/* In one transaction: the row, its events, audit and operation, and with ACT_NONE the lease's end
 * and the next look. */
int lease_write(struct pg_conn *c, const struct lease_write *w, struct instance *ret,
                enum lease_written *ret_how, struct err *e);

/* Does a write of this say anything that the row does not? */
bool lease_is_news(const struct instance *before, const struct decision *d);

/* Another port for a container that could not have its own. ERR_UNAVAILABLE: none is free. */
int lease_move_port(struct pg_conn *c, const char *owner, const struct instance *i, int port,
                    struct err *e);

/* The row's end: with all that hangs on it, and an event. *ret_gone false: it is another's now, or
 * not to be deleted. */
int lease_erase(struct pg_conn *c, const char *owner, const struct instance *i, bool *ret_gone,
                struct err *e);

#endif

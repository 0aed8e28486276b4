#ifndef LINK_STORE_H
#define LINK_STORE_H

#include "instance.h"
#include "store/pg.h"

/*
 * The tables link_holders and instance_links. Whoever holds an instance's link
 * writes what comes over it, and every such statement asks whether it still is the holder: a process
 * whose lease ran out while it was away changes nothing any more.
 *
 * Only the reads on a person's behalf take a user's id.
 */
#define LINK_LEASE_S   6
#define LINK_BEAT_MS   1500
#define LINK_CLAIM_MAX "64"

/* A new lease. An older one of the same name is gone with all it held. */
int link_hold(struct pg_conn *c, const char *holder, struct err *e);
/* *ret false: it ran out. */
int link_beat(struct pg_conn *c, const char *holder, bool *ret, struct err *e);
int link_release(struct pg_conn *c, const char *holder, struct err *e);

/* Takes some of those that nobody holds, and gives up those that are not to be linked any more. */
int link_claim(struct pg_conn *c, const char *holder, struct err *e);

/* All that this holder has, by id. Sealed; views into *ret_res, which the caller owns. */
struct link_held {
	const char *id, *user_id, *container_name, *gateway_token, *device_token; /* sealed; NULL */
	int port;
};
int link_list(struct pg_conn *c, const char *holder, PGresult **ret_res, struct err *e);
int link_held_from_row(const PGresult *res, int row, struct link_held *ret, struct err *e);

/* What became of a link. reason NULL: it is up. */
int link_write_state(struct pg_conn *c, const char *holder, const char *id, const char *reason,
                     struct err *e);
int link_write_synced(struct pg_conn *c, const char *holder, const char *id, struct err *e);
int link_write_token(struct pg_conn *c, const char *holder, const char *id, const char *sealed,
                     struct err *e);

/* For people: an instance of theirs and how its link is. ERR_NOT_FOUND. */
struct link_place {
	struct instance instance;
	char holder[40]; /* ""; nobody whose lease stands */
	bool is_up;
	long long synced_ms; /* unix ms; 0: never. Now, while it is up. */
};
int link_find(struct pg_conn *c, const char *user_id, const char *id, struct link_place *ret,
              struct err *e);

#endif

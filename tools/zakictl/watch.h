#ifndef WATCH_H
#define WATCH_H

#include "svc/conf.h"

#include <nats/nats.h>

/* How status and tail see the bus: as the operator's user, without the key that opens secrets. */

struct watch {
	const char *nats_url;
	natsConnection *conn;
};

/* The only inboxes that the operator's user may read. */
#define WATCH_INBOXES "_INBOX_operator"

#define WATCH_CONF_COUNT 1
extern const struct conf_key watch_conf[WATCH_CONF_COUNT];

int watch_open(struct watch *w, struct err *e); /* ERR_UNAVAILABLE when there is no server */
void watch_close(struct watch *w);              /* a zeroed one is fine */

/* s as an error about what was done; NATS_OK is none. */
int watch_check(natsStatus s, const char *what, struct err *e);

static inline void own_watch(struct watch *w)
{
	watch_close(w);
}

#endif

#ifndef LINK_H
#define LINK_H

#include "bus/bus.h"
#include "svc/conf.h"

/* The connection of the commands that ask services for something, as the bus's user zakictl. */
struct link {
	struct seal seal;
	struct bus *bus;
};

struct link_settings {
	const char *nats_url;
};

#define LINK_CONF_COUNT 1
extern const struct conf_key link_conf[LINK_CONF_COUNT];

int link_open(struct link *l, struct err *e);

static inline void own_link(struct link *l)
{
	bus_close(l->bus);
}

#endif

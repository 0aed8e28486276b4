#include "link.h"

#include "base/own.h"
#include "base/uuid.h"

#define NAME "zakictl" /* its user of the bus */

/* clang-format off */
const struct conf_key link_conf[LINK_CONF_COUNT] = {
	{ "ZAKICTL_NATS_URL", CONF_STR, offsetof(struct link_settings, nats_url), NULL, 8, 4096, true,
	  "NATS server, as the user zakictl: nats://zakictl:PASSWORD@HOST:PORT" },
};
/* clang-format on */

/* Nothing that is asked or answered here is secret, so that the suite's key is not needed. */
int link_open(struct link *l, struct err *e)
{
	struct link_settings s;
	char key[65];
	struct bus_opt opt = { .service = NAME, .seal = &l->seal, .connect_ms = 2000 };

	random_hex(32, key);
	if (conf_load(link_conf, LINK_CONF_COUNT, &s, e) < 0 || seal_init(&l->seal, key, e) < 0)
		return -1;
	opt.url = s.nats_url;
	return bus_open(&opt, &l->bus, e);
}

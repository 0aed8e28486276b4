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

int link_run(const struct link_verb *verbs, size_t count, int argc, char **argv, struct err *e)
{
	OWN(link) struct link l = { 0 };

	for (size_t i = 0; argc > 0 && i < count; i++) {
		if (strcmp(verbs[i].name, argv[0]) != 0)
			continue;
		if (argc - 1 < verbs[i].least || argc - 1 > verbs[i].most)
			return err_field(e, argv[0], "takes other arguments; see --help");
		return link_open(&l, e) < 0 ? -1 : verbs[i].run(&l, argc - 1, argv + 1, e);
	}
	return err_field(e, argc > 0 ? argv[0] : "", "is not known here; see --help");
}

/* zakictl migrate: brings the database's schema to this build's version. */

#include "command.h"

#include "base/own.h"
#include "store/migrate.h"

struct settings {
	const char *database_url;
};

/* clang-format off */
static const struct conf_key conf[] = {
	{ "DATABASE_URL", CONF_STR, offsetof(struct settings, database_url), NULL, 1, 4096, true,
	  "PostgreSQL, as the role that owns the tables" },
};
/* clang-format on */

static void tell(const struct migration *m, void *ctx)
{
	size_t *count = ctx;

	++*count;
	printf("applied %s %s\n", m->service, m->name);
	(void)fflush(stdout);
}

static int run(int argc, char **argv, struct err *e)
{
	struct settings s;
	size_t applied = 0;

	(void)argv;
	if (argc > 0)
		return err_field(e, "", "takes no arguments");
	if (conf_load(conf, COUNT(conf), &s, e) < 0 ||
	    migrate_apply(s.database_url, tell, &applied, e) < 0)
		return -1;
	printf("%zu applied, the schema is up to date\n", applied);
	return 0;
}

const struct command command_migrate = {
	.name = "migrate",
	.usage = "",
	.summary = "applies what the database's schema lacks",
	.help = "",
	.conf = conf,
	.conf_count = COUNT(conf),
	.run = run,
};

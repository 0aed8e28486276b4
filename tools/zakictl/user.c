/* zakictl user: what an operator changes in an account. */

#include "command.h"

#include "base/own.h"
#include "store/pg.h"
#include "wire/wire.h"

#include "messages.h"

struct settings {
	const char *database_url;
};

/* clang-format off */
static const struct conf_key conf[] = {
	{ "DATABASE_URL", CONF_STR, offsetof(struct settings, database_url), NULL, 1, 4096, true,
	  "PostgreSQL, as the role that owns the tables" },
};
/* clang-format on */

static const char sql_set_tier[] =
	"WITH before AS (SELECT id, subscription_tier FROM users WHERE email = lower($1) FOR "
	"UPDATE)"
	" UPDATE users u SET subscription_tier = $2, updated_at = now() FROM before b"
	" WHERE u.id = b.id RETURNING u.id, b.subscription_tier AS tier_before";

static const char sql_audit[] = "INSERT INTO audit_log (action, user_id, user_agent) VALUES "
				"('tier_changed', $1, 'zakictl')";

/* The tiers are those of the message that tells services of one. */
static int check_tier(const char *tier, struct err *e)
{
	const struct wire_field *f = wire_field_find(&wire_user_tier_view, "subscription_tier");
	char known[128] = "";

	for (size_t i = 0; f->one_of[i]; i++) {
		size_t len = strlen(known);

		if (strcmp(f->one_of[i], tier) == 0)
			return 0;
		snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "", f->one_of[i]);
	}
	return err_field(e, "TIER", "is one of: %s", known);
}

/* The change and its audit entry, both or neither. */
static int set_tier(struct pg_pool *pool, const char *email, const char *tier, struct err *e)
{
	const char *params[] = { email, tier }, *user_id;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_take(pool, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    pg_query(c, sql_set_tier, params, COUNT(params), &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_NOT_FOUND, "no account has the address %s", email);
	user_id = pg_text(res, 0, "id");
	if (pg_query(c, sql_audit, &user_id, 1, NULL, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	printf("%s: %s, was %s\n", email, tier, pg_text(res, 0, "tier_before"));
	return 0;
}

static int run(int argc, char **argv, struct err *e)
{
	struct settings s;
	struct pg_pool *pool = NULL;
	int r;

	if (argc != 3 || strcmp(argv[0], "set-tier") != 0)
		return err_field(e, "", "usage: zakictl user set-tier EMAIL TIER");
	if (check_tier(argv[2], e) < 0 || conf_load(conf, COUNT(conf), &s, e) < 0 ||
	    pg_pool_open(s.database_url, "zakictl", 1, &pool, e) < 0)
		return -1;
	r = set_tier(pool, argv[1], argv[2], e);
	pg_pool_close(pool);
	return r;
}

const struct command command_user = {
	.name = "user",
	.usage = "set-tier EMAIL TIER",
	.summary = "changes an account's tier, which says how much it may have; audited",
	.help = "",
	.conf = conf,
	.conf_count = COUNT(conf),
	.run = run,
};

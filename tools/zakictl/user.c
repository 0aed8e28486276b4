/* zakictl user: what an operator changes in an account. */

#include "command.h"

#include "base/own.h"
#include "base/tier.h"
#include "store/pg.h"

#define EVERYBODY "--all"

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

static const char sql_is_there[] = "SELECT 1 FROM users WHERE email = lower($1)";

/* All of it in one statement: auth's keeper finds what is in ended_sessions (services/auth/revoked.h),
 * and tells gateways and their sockets within two seconds. $1 NULL: everybody's. */
static const char sql_sign_out[] =
	"WITH over AS (UPDATE sessions SET ended_at = now(), ended_reason = 'revoked'"
	"  WHERE ended_at IS NULL AND ($1::text IS NULL OR"
	"   user_id = (SELECT id FROM users WHERE email = lower($1))) RETURNING id, user_id),"
	" told AS (INSERT INTO ended_sessions (session_id, user_id, reason)"
	"  SELECT id, user_id, 'revoked' FROM over ON CONFLICT (session_id) DO NOTHING),"
	" noted AS (INSERT INTO audit_log (action, user_id, session_id, user_agent)"
	"  SELECT 'session_ended', user_id, id, 'zakictl' FROM over)"
	" SELECT count(*) AS count FROM over";

static int check_tier(const char *name, struct err *e)
{
	char known[128] = "";

	for (size_t i = 0; i < TIER_COUNT; i++) {
		size_t len = strlen(known);

		if (strcmp(tiers[i].name, name) == 0)
			return 0;
		snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "", tiers[i].name);
	}
	return err_field(e, "TIER", "is one of: %s", known);
}

static int nobody(const char *email, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "no account has the address %s", email);
}

/* The change and its audit entry, both or neither. */
static int set_tier(struct pg_conn *c, char **args, struct err *e)
{
	const char *params[] = { args[0], args[1] }, *user_id;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_begin(c, &tx, e) < 0 ||
	    pg_query(c, sql_set_tier, params, COUNT(params), &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return nobody(args[0], e);
	user_id = pg_text(res, 0, "id");
	if (pg_query(c, sql_audit, &user_id, 1, NULL, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	printf("%s: %s, was %s\n", args[0], args[1], pg_text(res, 0, "tier_before"));
	return 0;
}

static int sign_out(struct pg_conn *c, char **args, struct err *e)
{
	const char *email = strcmp(args[0], EVERYBODY) == 0 ? NULL : args[0];
	OWN(pg_result) PGresult *who = NULL;
	OWN(pg_result) PGresult *res = NULL;
	long long count = 0;

	if (email && pg_query(c, sql_is_there, &email, 1, &who, e) < 0)
		return -1;
	if (email && PQntuples(who) == 0)
		return nobody(email, e);
	if (pg_query(c, sql_sign_out, &email, 1, &res, e) < 0 ||
	    pg_int(res, 0, "count", &count, e) < 0)
		return -1;
	printf("%s: %lld session%s ended\n", email ? email : "everybody", count,
	       count == 1 ? "" : "s");
	return 0;
}

static int check_set_tier(char **args, struct err *e)
{
	return check_tier(args[1], e);
}

static int check_sign_out(char **args, struct err *e)
{
	return args[0][0] != '-' || strcmp(args[0], EVERYBODY) == 0
	               ? 0
	               : err_field(e, "EMAIL", "is an address, or " EVERYBODY);
}

static const struct verb {
	const char *name;
	int args;
	int (*check)(char **args, struct err *e); /* before anything is asked of the database */
	int (*run)(struct pg_conn *c, char **args, struct err *e);
} verbs[] = {
	{ "set-tier", 2, check_set_tier, set_tier },
	{ "sign-out", 1, check_sign_out, sign_out },
};

static const struct verb *find(int argc, char **argv)
{
	for (size_t i = 0; argc > 0 && i < COUNT(verbs); i++)
		if (strcmp(verbs[i].name, argv[0]) == 0 && argc - 1 == verbs[i].args)
			return &verbs[i];
	return NULL;
}

static int run_on(struct pg_pool *pool, const struct verb *v, char **args, struct err *e)
{
	OWN(pg_conn) struct pg_conn *c = NULL;

	return pg_take(pool, &c, e) < 0 ? -1 : v->run(c, args, e);
}

static int run(int argc, char **argv, struct err *e)
{
	const struct verb *v = find(argc, argv);
	struct settings s;
	struct pg_pool *pool = NULL;
	int r;

	if (!v)
		return err_field(
			e, "",
			"usage: zakictl user set-tier EMAIL TIER | sign-out EMAIL|" EVERYBODY);
	if (v->check(argv + 1, e) < 0 || conf_load(conf, COUNT(conf), &s, e) < 0 ||
	    pg_pool_open(s.database_url, "zakictl", 1, &pool, e) < 0)
		return -1;
	r = run_on(pool, v, argv + 1, e);
	pg_pool_close(pool);
	return r;
}

const struct command command_user = {
	.name = "user",
	.usage = "set-tier EMAIL TIER | sign-out EMAIL|" EVERYBODY,
	.summary = "changes an account's tier, or ends its sessions; audited",
	.help = "set-tier says how much an account may have. sign-out ends all sessions of one "
		"account, or\n"
		"of everybody, within two seconds, sockets too; API keys stay.\n",
	.conf = conf,
	.conf_count = COUNT(conf),
	.run = run,
};

#include "settings/ask.h"

#include "assistant_config.h"
#include "instance_store.h"
#include "link/ask.h"
#include "link/read.h"
#include "reconcile.h"

#include "base/fault.h"
#include "base/json.h"

#define CONFIG_ARENA ((size_t)512 << 10)
#define ASK_FIRST_MS 2000
#define ASK_SET_MS   4000
#define TRIES        2
#define CHANGED      "changed since last load" /* by somebody else, or by us a moment ago */

const char *settings_field_of(const char *refusal)
{
	/* clang-format off */
	static const struct { const char *path, *field; } rows[] = {
		{ "agents.defaults.model",      "model" },
		{ "models.",                    "model" },
		{ "channels.telegram.dmPolicy", "access" },
		{ "channels.telegram.allow",    "allowed_users" },
		{ "session.dmScope",            "sessions" },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(rows); i++)
		if (strstr(refusal, rows[i].path))
			return rows[i].field;
	return "settings";
}

static int ask(struct call *c, const struct link_place *at, const char *method, const cJSON *params,
               cJSON **ret, struct err *e)
{
	const struct ask a = { c->app, &c->ctx, at,
		               method, params,  params ? ASK_SET_MS : ASK_FIRST_MS };

	return ask_gateway(&a, ret, e);
}

/* From here on the file may be other than the row says: it is to be written again, whatever comes. */
static int mark_due(struct pg_conn *db, const struct instance *i, struct err *e)
{
	static const char sql[] = "UPDATE instances SET config_generation = config_generation + 1"
				  " WHERE user_id = $1 AND id = $2";

	return pg_query(db, sql, (const char *[]){ i->user_id, i->id }, 2, NULL, e);
}

static int make(struct call *c, const struct instance *i, const struct settings *s, struct arena *a,
                const char **ret, struct err *e)
{
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;

	if (pg_take(app->db, &db, e) < 0 || assistant_config_with(app, db, i, s, a, ret, e) < 0)
		return -1;
	return mark_due(db, i, e);
}

/* The reconciler writes the file again, as the row says. */
static void set_back(struct app *app, const struct link_place *at)
{
	struct lease_poke poke = { .exit_code = -1 };

	snprintf(poke.id, sizeof(poke.id), "%s", at->instance.id);
	reconcile_poke(app->reconciler, &poke);
}

/* Whether OpenClaw takes this config, in its own words where it does not. *ret_again: it cannot tell,
 * for its own was changed meanwhile. */
static int offer(struct call *c, const struct link_place *at, const char *text, const char *hash,
                 bool *ret_again, struct err *e)
{
	OWN(json) cJSON *params = cJSON_CreateObject();
	OWN(json) cJSON *done = NULL;
	struct err why = ERR_INIT;

	*ret_again = false;
	if (!cJSON_AddStringToObject(params, "raw", text) ||
	    !cJSON_AddStringToObject(params, "baseHash", hash))
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (ask(c, at, "config.set", params, &done, &why) == 0) {
		/* A crash here: OpenClaw has what nobody was told of; the reconciler sets it back. */
		fault_point("settings.taken");
		return 0;
	}
	*ret_again = strstr(why.msg, CHANGED) != NULL;
	if (why.code != ERR_INVALID || *ret_again)
		return 0; /* no word on it: it reads the file, sooner or later */
	set_back(c->app, at);
	return err_field(e, settings_field_of(why.msg), "is refused by OpenClaw: %.150s", why.msg);
}

int settings_ask(struct call *c, const struct instance *i, const struct settings *s, struct err *e)
{
	OWN(arena) struct arena a = { .limit = CONFIG_ARENA };
	struct link_place at;
	const char *text = NULL;
	bool is_again = true;

	if (ask_find(c, i->id, &at, e) < 0)
		return -1;
	for (int n = 0; n < TRIES && is_again && at.is_up; n++) {
		OWN(json) cJSON *got = NULL;
		struct err ignored = ERR_INIT; /* one that does not answer now is not waited for */
		const char *hash;

		if (ask(c, &at, "config.get", NULL, &got, &ignored) < 0)
			return 0;
		hash = json_text(got, "hash");
		if (!hash)
			return 0;
		if ((!text && make(c, i, s, &a, &text, e) < 0) ||
		    offer(c, &at, text, hash, &is_again, e) < 0)
			return -1;
	}
	return 0;
}

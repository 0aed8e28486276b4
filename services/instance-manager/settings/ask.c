#include "settings/ask.h"

#include "assistant_config.h"
#include "instance_store.h"
#include "link/ask.h"
#include "link/read.h"

#include "base/fault.h"
#include "base/json.h"

#define CONFIG_ARENA ((size_t)512 << 10)
#define ASK_FIRST_MS 2000
#define ASK_SET_MS   4000
#define REFUSED      "invalid config"

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

/* The reconciler sets back what is not written down. */
static int refused(const struct err *why, struct err *e)
{
	const char *text = strstr(why->msg, REFUSED);

	if (!text)
		return 0;
	return err_field(e, settings_field_of(text), "is refused by OpenClaw: %.150s", text);
}

int settings_ask(struct call *c, const struct instance *i, const struct settings *s, struct err *e)
{
	OWN(json) cJSON *params = cJSON_CreateObject();
	OWN(json) cJSON *got = NULL;
	OWN(json) cJSON *done = NULL;
	OWN(arena) struct arena a = { .limit = CONFIG_ARENA };
	struct err why = ERR_INIT;
	struct link_place at;
	const char *text, *hash;

	if (ask_find(c, i->id, &at, e) < 0)
		return -1;
	/* One that does not answer now is not waited for: it reads the file, sooner or later. */
	if (!at.is_up || ask(c, &at, "config.get", NULL, &got, &why) < 0)
		return 0;
	hash = json_text(got, "hash");
	if (!hash)
		return 0;
	if (make(c, i, s, &a, &text, e) < 0)
		return -1;
	if (!cJSON_AddStringToObject(params, "raw", text) ||
	    !cJSON_AddStringToObject(params, "baseHash", hash))
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (ask(c, &at, "config.set", params, &done, &why) < 0)
		return refused(&why, e);
	/* A crash here: OpenClaw has what nobody was told of; the reconciler sets it back. */
	fault_point("settings.taken");
	return 0;
}

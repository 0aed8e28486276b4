#include "app.h"

#include "assistant_config.h"
#include "change.h"
#include "memory/file.h"
#include "owner/owner.h"
#include "settings/ask.h"
#include "settings/persona.h"
#include "settings/settings.h"

#include "base/fault.h"

#define TELEGRAM_ID_DIGITS 16

static int no_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "out of memory");
}

static int need_user(const struct call *c, struct err *e)
{
	return c->ctx.user_id[0] ? 0 : err_set(e, ERR_UNAUTHENTICATED, "sign in first");
}

static int to_view(const struct instance *i, const struct settings *s, struct arena *a,
                   struct settings_view *out, struct err *e)
{
	bool ok = true;

	out->name = arena_strdup(a, i->name);
	out->model = arena_strdup(a, i->model);
	out->memory_mib = i->memory_mib;
	out->access = settings_access_name(s->access);
	out->sessions = settings_sessions_name(s->is_shared);
	out->persona = s->persona[0] ? arena_strdup(a, s->persona) : NULL;
	out->has_owner_telegram_id = i->owner_telegram_id > 0;
	out->owner_telegram_id = i->owner_telegram_id;
	out->allowed_users = arena_alloc(a, (s->allowed_count + 1) * sizeof(*out->allowed_users));
	if (!out->name || !out->model || (s->persona[0] && !out->persona) || !out->allowed_users)
		return no_memory(e);
	for (size_t k = 0; k < s->allowed_count; k++)
		ok &= (out->allowed_users[k] = arena_printf(a, "%lld", s->allowed[k])) != NULL;
	out->allowed_users_count = s->allowed_count;
	return ok ? 0 : no_memory(e);
}

int on_settings_get(struct call *c, struct err *e)
{
	const struct instance_ref *in = CALL_IN(c, instance_ref);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct settings s;
	struct instance i;

	if (need_user(c, e) < 0 || pg_take(app->db, &db, e) < 0 ||
	    store_load(db, c->ctx.user_id, in->instance_id, &i, e) < 0 ||
	    settings_load(db, c->ctx.user_id, in->instance_id, i.owner_telegram_id, &s, e) < 0)
		return -1;
	return to_view(&i, &s, &c->arena, CALL_OUT(c, settings_view), e);
}

static int read_allowed(const struct settings_update_req *in, struct settings *s, struct err *e)
{
	s->allowed_count = 0;
	for (size_t i = 0; i < in->allowed_users_count; i++) {
		const char *id = in->allowed_users[i];
		size_t len = strlen(id);
		long long number;

		if (len == 0 || len > TELEGRAM_ID_DIGITS || strspn(id, "0123456789") != len ||
		    id[0] == '0')
			return err_field(e, "allowed_users", "holds what is no Telegram user id");
		number = strtoll(id, NULL, 10);
		for (size_t k = 0; k < s->allowed_count; k++)
			if (s->allowed[k] == number)
				return err_field(e, "allowed_users", "holds %s twice", id);
		s->allowed[s->allowed_count++] = number;
	}
	return 0;
}

/* What a request changes of both; what is absent stays. */
static int apply(const struct settings_update_req *in, struct instance *i, struct settings *s,
                 struct err *e)
{
	if (in->name)
		snprintf(i->name, sizeof(i->name), "%s", in->name);
	if (in->model)
		snprintf(i->model, sizeof(i->model), "%s", in->model);
	if (in->has_memory_mib)
		i->memory_mib = (int)in->memory_mib;
	if (in->access)
		(void)settings_access_from(in->access, &s->access); /* one of them: the schema's */
	if (in->sessions)
		s->is_shared = strcmp(in->sessions, settings_sessions_name(true)) == 0;
	if (in->allowed_users && read_allowed(in, s, e) < 0)
		return -1;
	if (in->persona)
		snprintf(s->persona, sizeof(s->persona), "%s", in->persona);
	if (s->access == OPENCLAW_ALLOWLIST && i->owner_telegram_id == 0 && s->allowed_count == 0)
		return err_field(e, "allowed_users",
		                 "must name someone: nobody could write to the assistant");
	return 0;
}

/* Before the settings say so: asked again, it is written again. */
static int write_persona(struct call *c, const struct settings_update_req *in, struct err *e)
{
	const struct persona *p = in->persona ? persona_find(in->persona) : NULL;
	struct app *app = c->app;
	OWN(memory_place) struct memory_place place = MEMORY_PLACE_INIT;
	struct memory_put put = { 0 };
	struct memory_info info;

	if (!in->persona)
		return 0;
	if (!p)
		return err_field(e, "persona", "is not one that GET /personas lists");
	put.data = p->text;
	put.len = strlen(p->text);
	if (memory_place_lock(app->files, c->ctx.user_id, in->instance_id, &place, e) < 0)
		return -1;
	return memory_write(&place, PERSONA_FILE, &put, &info, e);
}

static bool is_config(const struct settings_update_req *in)
{
	return in->model || in->access || in->sessions || in->allowed_users;
}

static int write_settings(struct call *c, struct instance *ret, struct settings *ret_settings,
                          struct err *e)
{
	const struct settings_update_req *in = CALL_IN(c, settings_update_req);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	struct settings s;
	struct instance i;

	if (pg_take(app->db, &db, e) < 0 || pg_begin(db, &tx, e) < 0 ||
	    change_lock(db, &c->ctx, in->instance_id, &i, e) < 0 ||
	    settings_load(db, i.user_id, i.id, i.owner_telegram_id, &s, e) < 0 ||
	    apply(in, &i, &s, e) < 0 ||
	    (in->model && assistant_model_check(app, db, &i, &c->arena, e) < 0))
		return -1;
	if (is_config(in))
		i.config_generation++;
	if ((in->access || in->allowed_users) && owner_link_drop(db, &i, e) < 0)
		return -1;
	if (settings_save(db, i.user_id, i.id, &s, e) < 0 ||
	    change_write(db, &c->ctx, &i, NULL, "settings", ret, e) < 0)
		return -1;
	*ret_settings = s;
	return pg_commit(&tx, e);
}

int on_settings_update(struct call *c, struct err *e)
{
	const struct settings_update_req *in = CALL_IN(c, settings_update_req);
	struct app *app = c->app;
	struct settings s;
	struct instance i;

	if (need_user(c, e) < 0)
		return -1;
	{
		/* Whose it is, and whether all of it is right, before a file is touched. */
		OWN(pg_conn) struct pg_conn *db = NULL;

		if (pg_take(app->db, &db, e) < 0 ||
		    store_load(db, c->ctx.user_id, in->instance_id, &i, e) < 0 ||
		    settings_load(db, i.user_id, i.id, i.owner_telegram_id, &s, e) < 0 ||
		    apply(in, &i, &s, e) < 0 ||
		    (in->persona && instance_files_are_free(&i, e) < 0) ||
		    (in->model && assistant_model_check(app, db, &i, &c->arena, e) < 0))
			return -1;
	}
	if (is_config(in) && i.desired != INSTANCE_WANT_DELETED && settings_ask(c, &i, &s, e) < 0)
		return -1;
	if (write_persona(c, in, e) < 0 || write_settings(c, &i, &s, e) < 0)
		return -1;
	/* A crash here: the change is written, and is carried out by whoever comes next. */
	fault_point("settings.wanted");
	app_wake(app);
	return to_view(&i, &s, &c->arena, CALL_OUT(c, settings_view), e);
}

int on_persona_list(struct call *c, struct err *e)
{
	struct persona_list *out = CALL_OUT(c, persona_list);

	out->items = arena_alloc(&c->arena, persona_count * sizeof(*out->items));
	if (!out->items)
		return no_memory(e);
	for (size_t i = 0; i < persona_count; i++)
		out->items[i] = (struct persona_view){ personas[i].name, personas[i].title,
			                               personas[i].summary, personas[i].text };
	out->items_count = persona_count;
	return 0;
}

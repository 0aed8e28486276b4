#include "owner/owner.h"

#include "instance_store.h"
#include "record.h"
#include "store/params.h"

#include <sodium.h>

#define COLUMN_NONCE "owner_links.nonce"
#define LINK_FORM    "https://t.me/%s?start=%s"

int owner_link_open(const struct app *app, struct pg_conn *c, const struct instance *i,
                    struct arena *a, struct err *e)
{
	static const char sql[] =
		"INSERT INTO owner_links (instance_id, user_id, nonce_encrypted, deadline)"
		" VALUES ($1, $2, $3, now() + $4::bigint * interval '1 s')";
	const struct vault_place where = { i->user_id, i->id, COLUMN_NONCE };
	char nonce[OWNER_NONCE_SIZE];
	const char *sealed = NULL;
	struct params p = { 0 };
	int r;

	random_hex((OWNER_NONCE_SIZE - 1) / 2, nonce);
	r = vault_seal(app->vault, &where, nonce, a, &sealed, e);
	vault_wipe(nonce);
	if (r < 0)
		return -1;
	params_text(&p, i->id);
	params_text(&p, i->user_id);
	params_text(&p, sealed);
	params_int(&p, app->owner_link_s);
	return pg_query(c, sql, p.values, p.count, NULL, e);
}

int owner_nonce_open(const struct app *app, const char *user_id, const char *id, const char *sealed,
                     struct arena *a, const char **ret, struct err *e)
{
	const struct vault_place where = { user_id, id, COLUMN_NONCE };

	return vault_open(app->vault, &where, sealed, a, ret, e);
}

int owner_link_text(const struct app *app, struct pg_conn *c, const struct instance *i,
                    struct arena *a, const char **ret, struct err *e)
{
	static const char sql[] = "SELECT nonce_encrypted FROM owner_links"
				  " WHERE user_id = $1 AND instance_id = $2 AND deadline > now()";
	OWN(pg_result) PGresult *res = NULL;
	const char *nonce;

	*ret = NULL;
	if (pg_query(c, sql, (const char *[]){ i->user_id, i->id }, 2, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0 || !i->bot_username[0])
		return 0;
	if (owner_nonce_open(app, i->user_id, i->id, pg_text(res, 0, "nonce_encrypted"), a, &nonce,
	                     e) < 0)
		return -1;
	*ret = arena_printf(a, LINK_FORM, i->bot_username, nonce);
	return *ret ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int owner_is_awaited(struct pg_conn *c, const char *id, bool *ret, struct err *e)
{
	static const char sql[] = "SELECT 1 FROM owner_links WHERE instance_id = $1";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, &id, 1, &res, e) < 0)
		return -1;
	*ret = PQntuples(res) > 0;
	return 0;
}

static int drop(struct pg_conn *c, const char *user_id, const char *id, bool *ret_was,
                struct err *e)
{
	static const char sql[] =
		"DELETE FROM owner_links WHERE user_id = $1 AND instance_id = $2 RETURNING 1";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, (const char *[]){ user_id, id }, 2, &res, e) < 0)
		return -1;
	*ret_was = PQntuples(res) > 0;
	return 0;
}

int owner_link_drop(struct pg_conn *c, const struct instance *i, struct err *e)
{
	bool ignored;

	return drop(c, i->user_id, i->id, &ignored, e);
}

int owner_link_end(struct pg_conn *c, const char *user_id, const char *id, const char *why,
                   bool *ret_done, struct err *e)
{
	OWN(pg_tx) struct pg_tx tx = { 0 };
	struct instance i;

	*ret_done = false;
	if (pg_begin(c, &tx, e) < 0 || store_lock(c, user_id, id, &i, e) < 0 ||
	    drop(c, user_id, id, ret_done, e) < 0)
		return -1;
	if (!*ret_done)
		return 0;
	i.config_generation++;
	if (store_change(c, &i, NULL, &i, e) < 0 ||
	    record_audit(c, &i, "platform", "owner_link_ended", why, e) < 0)
		return -1;
	return pg_commit(&tx, e);
}

/* What the person has set so far says "people pair", which is over. */
static int admit_alone(struct pg_conn *c, const struct owner_bind *b, struct err *e)
{
	static const char sql[] =
		"UPDATE instance_settings SET access = 'allowlist', is_shared = true"
		" WHERE user_id = $1 AND instance_id = $2 AND access = 'pairing'";

	return pg_query(c, sql, (const char *[]){ b->user_id, b->id }, 2, NULL, e);
}

int owner_bind(struct pg_conn *c, const struct owner_bind *b, bool *ret_done, struct err *e)
{
	OWN(pg_tx) struct pg_tx tx = { 0 };
	struct instance i;
	bool was_awaited;

	*ret_done = false;
	if (pg_begin(c, &tx, e) < 0 || store_lock(c, b->user_id, b->id, &i, e) < 0 ||
	    drop(c, b->user_id, b->id, &was_awaited, e) < 0)
		return -1;
	if (b->by_link ? !was_awaited : i.owner_telegram_id == b->owner_id)
		return 0;
	i.owner_telegram_id = b->owner_id;
	i.config_generation++;
	snprintf(i.trace_id, sizeof(i.trace_id), "%s", b->trace_id);
	if (admit_alone(c, b, e) < 0 || store_change(c, &i, NULL, &i, e) < 0 ||
	    record_audit(c, &i, b->by_link ? "platform" : "user", "owner_bound", NULL, e) < 0 ||
	    pg_commit(&tx, e) < 0)
		return -1;
	*ret_done = true;
	return 0;
}

#include "settings/settings.h"

#include "store/params.h"

static const char *const access_names[] = {
	[OPENCLAW_PAIRING] = "pairing",
	[OPENCLAW_ALLOWLIST] = "allowlist",
	[OPENCLAW_OPEN] = "open",
};

const char *settings_access_name(enum openclaw_access a)
{
	return access_names[a];
}

bool settings_access_from(const char *name, enum openclaw_access *ret)
{
	for (size_t i = 0; i < COUNT(access_names); i++)
		if (strcmp(access_names[i], name) == 0) {
			*ret = (enum openclaw_access)i;
			return true;
		}
	return false;
}

const char *settings_sessions_name(bool is_shared)
{
	return is_shared ? "shared" : "per_person";
}

void settings_default(long long owner_telegram_id, struct settings *ret)
{
	bool has_owner = owner_telegram_id > 0;

	*ret = (struct settings){ .access = has_owner ? OPENCLAW_ALLOWLIST : OPENCLAW_PAIRING,
		                  .is_shared = has_owner };
}

/* "{1,2,3}", as PostgreSQL writes an array. */
static void allowed_from(const char *text, struct settings *s)
{
	while (text && *text && s->allowed_count < OPENCLAW_ALLOWED_MAX) {
		if (*text >= '0' && *text <= '9')
			s->allowed[s->allowed_count++] = strtoll(text, (char **)&text, 10);
		else
			text++;
	}
}

static const char *allowed_text(const struct settings *s, char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, "{");

	for (size_t i = 0; i < s->allowed_count; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%lld", i ? "," : "",
		                        s->allowed[i]);
	snprintf(out + len, size - len, "}");
	return out;
}

int settings_load(struct pg_conn *c, const char *user_id, const char *instance_id,
                  long long owner_telegram_id, struct settings *ret, struct err *e)
{
	static const char sql[] = "SELECT access, is_shared, allowed, persona"
				  " FROM instance_settings WHERE user_id = $1 AND instance_id = $2";
	OWN(pg_result) PGresult *res = NULL;
	struct settings s = { 0 };

	if (pg_query(c, sql, (const char *[]){ user_id, instance_id }, 2, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0) {
		settings_default(owner_telegram_id, ret);
		return 0;
	}
	if (!settings_access_from(pg_text(res, 0, "access"), &s.access))
		return err_set(e, ERR_INTERNAL, "instance_settings.access is of no known kind");
	s.is_shared = pg_bool(res, 0, "is_shared");
	allowed_from(pg_text(res, 0, "allowed"), &s);
	snprintf(s.persona, sizeof(s.persona), "%s", pg_text(res, 0, "persona"));
	*ret = s;
	return 0;
}

int settings_save(struct pg_conn *c, const char *user_id, const char *instance_id,
                  const struct settings *s, struct err *e)
{
	static const char sql[] =
		"INSERT INTO instance_settings (instance_id, user_id, access, is_shared, allowed,"
		"  persona)"
		" SELECT id, user_id, $3, $4::boolean, $5::bigint[], $6 FROM instances"
		"  WHERE user_id = $1 AND id = $2"
		" ON CONFLICT (instance_id) DO UPDATE SET access = excluded.access,"
		"  is_shared = excluded.is_shared, allowed = excluded.allowed,"
		"  persona = excluded.persona";
	char allowed[OPENCLAW_ALLOWED_MAX * 21 + 3];
	struct params p = { 0 };

	params_text(&p, user_id);
	params_text(&p, instance_id);
	params_text(&p, settings_access_name(s->access));
	params_bool(&p, s->is_shared);
	params_text(&p, allowed_text(s, allowed, sizeof(allowed)));
	params_text(&p, s->persona);
	return pg_query(c, sql, p.values, p.count, NULL, e);
}

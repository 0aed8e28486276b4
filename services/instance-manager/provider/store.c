#include "provider/store.h"

#include "store/params.h"

int provider_store_put(struct pg_conn *c, const struct instance *i,
                       const struct openclaw_provider *sealed, struct err *e)
{
	static const char sql[] =
		"INSERT INTO provider_keys (instance_id, user_id, name, base_url, "
		"api_key_encrypted, input_price_micros, output_price_micros)"
		" SELECT $1::uuid, $2::uuid, $3::text, $4::text, $5::text, $7::bigint, $8::bigint"
		" WHERE $6::bigint > "
		"(SELECT count(*) FROM provider_keys"
		"  WHERE user_id = $2::uuid AND instance_id = $1::uuid AND name <> $3::text)"
		" ON CONFLICT (instance_id, name) DO UPDATE SET base_url = excluded.base_url,"
		"  api_key_encrypted = excluded.api_key_encrypted,"
		"  input_price_micros = excluded.input_price_micros,"
		"  output_price_micros = excluded.output_price_micros, updated_at = now()";
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };

	params_text(&p, i->id);
	params_text(&p, i->user_id);
	params_text(&p, sealed->name);
	params_text_or_null(&p, sealed->base_url);
	params_text(&p, sealed->api_key);
	params_int(&p, OPENCLAW_PROVIDERS_MAX);
	params_int(&p, sealed->input_price_micros);
	params_int(&p, sealed->output_price_micros);
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	if (pg_affected(res) == 0)
		return err_set(e, ERR_QUOTA, "an assistant may have %d providers",
		               OPENCLAW_PROVIDERS_MAX);
	return 0;
}

int provider_store_delete(struct pg_conn *c, const struct instance *i, const char *name,
                          struct err *e)
{
	static const char sql[] = "DELETE FROM provider_keys"
				  " WHERE user_id = $1 AND instance_id = $2 AND name = $3";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, (const char *[]){ i->user_id, i->id, name }, 3, &res, e) < 0)
		return -1;
	return pg_affected(res) ? 0 : err_set(e, ERR_NOT_FOUND, "it has no such provider");
}

int provider_store_times(struct pg_conn *c, const struct instance *i,
                         long long ret[OPENCLAW_PROVIDERS_MAX], struct err *e)
{
	static const char sql[] = "SELECT " INSTANCE_MS(
		"updated_at") " AS ms FROM provider_keys"
			      " WHERE user_id = $1 AND instance_id = $2 ORDER BY name LIMIT $3";
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };

	params_text(&p, i->user_id);
	params_text(&p, i->id);
	params_int(&p, OPENCLAW_PROVIDERS_MAX);
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	for (int row = 0; row < PQntuples(res); row++)
		if (pg_int(res, row, "ms", &ret[row], e) < 0)
			return -1;
	return 0;
}

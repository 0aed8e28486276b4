#include "lease_store.h"

#include "instance_store.h"

#include "store/params.h"

#define LEASE_TEXT_(n) #n
#define LEASE_TEXT(n)  LEASE_TEXT_(n)
#define LEASE_SPAN     "interval '" LEASE_TEXT(LEASE_S) " s'"
#define ARENA_LIMIT    ((size_t)1 << 20)

/* An array in PostgreSQL's text form, out of `count` elements that print() writes. */
typedef int list_print(char *out, size_t size, const void *list, size_t i);

static const char *array_text(struct arena *a, const void *list, size_t count, list_print *print)
{
	const size_t each = UUID_SIZE + 1;
	char *text = arena_alloc(a, count * each + 3), *at = text;

	if (!text)
		return NULL;
	*at++ = '{';
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			*at++ = ',';
		at += print(at, each, list, i);
	}
	*at = '}';
	return text;
}

static int print_id(char *out, size_t size, const void *list, size_t i)
{
	return snprintf(out, size, "%s", ((const char(*)[UUID_SIZE])list)[i]);
}

static int print_seen_id(char *out, size_t size, const void *list, size_t i)
{
	return snprintf(out, size, "%s", ((const struct lease_seen *)list)[i].id);
}

static int print_seen_wake(char *out, size_t size, const void *list, size_t i)
{
	return snprintf(out, size, "%lld", ((const struct lease_seen *)list)[i].wake);
}

static int print_seen_delay(char *out, size_t size, const void *list, size_t i)
{
	return snprintf(out, size, "%lld", ((const struct lease_seen *)list)[i].delay_ms);
}

static int print_seen_observed(char *out, size_t size, const void *list, size_t i)
{
	return snprintf(out, size, "%s",
	                ((const struct lease_seen *)list)[i].is_observed ? "t" : "f");
}

static int print_poke_id(char *out, size_t size, const void *list, size_t i)
{
	return snprintf(out, size, "%s", ((const struct lease_poke *)list)[i].id);
}

static int print_poke_code(char *out, size_t size, const void *list, size_t i)
{
	return snprintf(out, size, "%d", ((const struct lease_poke *)list)[i].exit_code);
}

static int print_poke_oom(char *out, size_t size, const void *list, size_t i)
{
	return snprintf(out, size, "%s", ((const struct lease_poke *)list)[i].is_oom ? "t" : "f");
}

static int run_arrays(struct pg_conn *c, const char *sql, const char *const *params, size_t count,
                      struct err *e)
{
	for (size_t i = 0; i < count; i++)
		if (!params[i])
			return err_set(e, ERR_INTERNAL, "out of memory");
	return pg_query(c, sql, params, count, NULL, e);
}

int lease_claim(struct pg_conn *c, const char *owner, size_t max, struct instance **ret,
                size_t *ret_count, struct err *e)
{
	static const char sql[] =
		"WITH due AS (SELECT id AS due_id FROM instances WHERE next_check_at <= now()"
		"  AND (lease_until IS NULL OR lease_until < now())"
		"  ORDER BY next_check_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
		" UPDATE instances SET lease_owner = $1, lease_until = now() + " LEASE_SPAN
		" FROM due WHERE id = due_id RETURNING " INSTANCE_COLUMNS;
	OWN(pg_result) PGresult *res = NULL;
	OWN(mem) struct instance *list = NULL;
	struct params p = { 0 };
	size_t count;

	params_text(&p, owner);
	params_int(&p, (long long)(max < LEASE_CLAIM_MAX ? max : LEASE_CLAIM_MAX));
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	count = (size_t)PQntuples(res);
	list = calloc(count + 1, sizeof(*list));
	if (!list)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < count; i++)
		if (instance_from_row(res, (int)i, &list[i], e) < 0)
			return -1;
	*ret = TAKE(list);
	*ret_count = count;
	return 0;
}

int lease_beat(struct pg_conn *c, const char *owner, const char (*ids)[UUID_SIZE], size_t count,
               struct err *e)
{
	static const char sql[] = "UPDATE instances SET lease_until = now() + " LEASE_SPAN
				  " WHERE lease_owner = $1 AND id = ANY ($2::uuid[])";
	struct arena a __attribute__((cleanup(own_arena)));

	arena_init(&a, ARENA_LIMIT);
	return run_arrays(c, sql, (const char *[]){ owner, array_text(&a, ids, count, print_id) },
	                  2, e);
}

int lease_seen(struct pg_conn *c, const char *owner, const struct lease_seen *list, size_t count,
               struct err *e)
{
	/* One that was asked for while it was looked at is due again at once. */
	static const char sql[] =
		"UPDATE instances i SET lease_owner = NULL, lease_until = NULL,"
		"  observed_at = CASE WHEN s.seen THEN now() ELSE i.observed_at END,"
		"  next_check_at = CASE WHEN i.wake = s.wake"
		"   THEN now() + s.delay * interval '1 ms' ELSE now() END"
		" FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bool[])"
		"  AS s (id, wake, delay, seen)"
		" WHERE i.id = s.id AND i.lease_owner = $1";
	struct arena a __attribute__((cleanup(own_arena)));
	const char *params[5];

	arena_init(&a, ARENA_LIMIT);
	params[0] = owner;
	params[1] = array_text(&a, list, count, print_seen_id);
	params[2] = array_text(&a, list, count, print_seen_wake);
	params[3] = array_text(&a, list, count, print_seen_delay);
	params[4] = array_text(&a, list, count, print_seen_observed);
	return run_arrays(c, sql, params, COUNT(params), e);
}

int lease_poke(struct pg_conn *c, const struct lease_poke *list, size_t count, struct err *e)
{
	/* An instance may be named more than once: the last end counts, and any lack of memory. */
	static const char sql[] =
		"UPDATE instances i SET wake = wake + 1, next_check_at = now(),"
		"  exit_code = CASE WHEN s.code >= 0 THEN s.code ELSE i.exit_code END,"
		"  exit_oom = i.exit_oom OR s.oom"
		" FROM (SELECT id, bool_or(oom) AS oom,"
		"   (array_agg(code ORDER BY at DESC) FILTER (WHERE code >= 0))[1] AS code"
		"  FROM unnest($1::uuid[], $2::int[], $3::bool[]) WITH ORDINALITY"
		"   AS p (id, code, oom, at) GROUP BY id) s WHERE i.id = s.id";
	struct arena a __attribute__((cleanup(own_arena)));
	const char *params[3];

	arena_init(&a, ARENA_LIMIT);
	params[0] = array_text(&a, list, count, print_poke_id);
	params[1] = array_text(&a, list, count, print_poke_code);
	params[2] = array_text(&a, list, count, print_poke_oom);
	return run_arrays(c, sql, params, COUNT(params), e);
}

int lease_poke_all(struct pg_conn *c, long long spread_ms, struct err *e)
{
	static const char sql[] =
		"UPDATE instances SET next_check_at ="
		"  least(next_check_at, now() + random() * $1::bigint * interval '1 ms')"
		" WHERE next_check_at > now()";
	struct params p = { 0 };

	params_int(&p, spread_ms);
	return pg_query(c, sql, p.values, p.count, NULL, e);
}

int lease_void_dead(struct pg_conn *c, struct err *e)
{
	/* Of the same role, which is all that this one may see of others. */
	static const char sql[] =
		"UPDATE instances SET lease_owner = NULL, lease_until = NULL"
		" WHERE lease_owner IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pg_stat_activity"
		"  WHERE usename = current_user AND application_name = '" LEASE_APP
		"' || lease_owner)";

	return pg_query(c, sql, NULL, 0, NULL, e);
}

int lease_release_all(struct pg_conn *c, const char *owner, struct err *e)
{
	static const char sql[] = "UPDATE instances SET lease_owner = NULL, lease_until = NULL"
				  " WHERE lease_owner = $1";

	return pg_query(c, sql, &owner, 1, NULL, e);
}

int lease_move_port(struct pg_conn *c, const char *owner, const struct instance *i, int port,
                    struct err *e)
{
	static const char sql[] = "UPDATE instances SET port = $3, wake = wake + 1"
				  " WHERE id = $1 AND lease_owner = $2";
	struct params p = { 0 };

	params_text(&p, i->id);
	params_text(&p, owner);
	params_int(&p, port);
	return pg_query(c, sql, p.values, p.count, NULL, e);
}

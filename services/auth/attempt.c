#include "attempt.h"

#include "session.h"

#include <arpa/inet.h>

#define TEXT_(n) #n
#define TEXT(n)  TEXT_(n)
#define RECENT   "last_at > now() - interval '" TEXT(ATTEMPT_KEEP_S) " s'"

static const char sql_state[] =
	"SELECT coalesce((SELECT failures FROM sign_in_failures WHERE account = decode($1, 'hex')"
	"  AND source = $2 AND " RECENT "), 0) AS failures,"
	" coalesce((SELECT (extract(epoch FROM clock_timestamp() - last_at) * 1000)::bigint"
	"  FROM sign_in_failures WHERE account = decode($1, 'hex') AND source = $2), 0) AS ago_ms,"
	" (SELECT coalesce(sum(failures), 0) FROM sign_in_failures"
	"  WHERE account = decode($1, 'hex') AND " RECENT ") AS total,"
	" EXISTS (SELECT 1 FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = $3"
	"  AND s.address <<= nullif($2, '')::inet"
	"  AND s.created_at > now() - interval '" TEXT(ATTEMPT_KNOWN_DAYS) " days') AS is_known";

static const char sql_failed[] =
	"INSERT INTO sign_in_failures AS f (account, source) VALUES (decode($1, 'hex'), $2)"
	" ON CONFLICT (account, source) DO UPDATE SET last_at = now(),"
	"  failures = CASE WHEN f." RECENT " THEN least(f.failures + 1, 1000000) ELSE 1 END";

static const char sql_passed[] =
	"DELETE FROM sign_in_failures WHERE account = decode($1, 'hex') AND source = $2";

static const char sql_forget[] = "DELETE FROM sign_in_failures WHERE account = decode($1, 'hex')";

long long attempt_wait_ms(const struct attempt_state *s)
{
	long long free = s->is_known || s->total < ATTEMPT_SIEGE ? ATTEMPT_FREE : 1;
	long long over = s->failures - free, wait_s = ATTEMPT_WAIT_MAX_S;

	if (over < 0)
		return 0;
	if (over < 10 && 1LL << over < ATTEMPT_WAIT_MAX_S)
		wait_s = 1LL << over;
	return wait_s * 1000 > s->ago_ms ? wait_s * 1000 - s->ago_ms : 0;
}

void attempt_source(const char *address, char ret[ATTEMPT_SOURCE_MAX])
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr any;

	ret[0] = '\0';
	if (inet_pton(AF_INET, address, &any) == 1) {
		snprintf(ret, ATTEMPT_SOURCE_MAX, "%s", address);
	} else if (inet_pton(AF_INET6, address, &any) == 1) {
		memset(any.s6_addr + 8, 0, 8);
		snprintf(ret, ATTEMPT_SOURCE_MAX, "%s/64",
		         inet_ntop(AF_INET6, &any, text, sizeof(text)));
	}
}

struct key {
	char account[REFRESH_HASH_SIZE], source[ATTEMPT_SOURCE_MAX];
};

static struct key key_of(const struct bus_ctx *ctx, const char *email)
{
	struct key k = { .source = "" };

	refresh_hash(email, k.account);
	attempt_source(ctx->client_address, k.source);
	return k;
}

int attempt_check(struct pg_conn *c, const struct bus_ctx *ctx, const char *email, struct err *e)
{
	const struct key k = key_of(ctx, email);
	const char *params[] = { k.account, k.source, email };
	OWN(pg_result) PGresult *res = NULL;
	struct attempt_state s = { 0 };
	long long wait_ms;

	if (pg_query(c, sql_state, params, COUNT(params), &res, e) < 0 ||
	    pg_int(res, 0, "failures", &s.failures, e) < 0 ||
	    pg_int(res, 0, "ago_ms", &s.ago_ms, e) < 0 || pg_int(res, 0, "total", &s.total, e) < 0)
		return -1;
	s.is_known = pg_bool(res, 0, "is_known");
	wait_ms = attempt_wait_ms(&s);
	if (wait_ms == 0)
		return 0;
	return err_busy(e, ERR_LIMIT, (int)((wait_ms + 999) / 1000),
	                "too many failed attempts at this account from here");
}

int attempt_failed(struct pg_conn *c, const struct bus_ctx *ctx, const char *email, struct err *e)
{
	const struct key k = key_of(ctx, email);
	const char *params[] = { k.account, k.source };

	return pg_query(c, sql_failed, params, COUNT(params), NULL, e);
}

int attempt_passed(struct pg_conn *c, const struct bus_ctx *ctx, const char *email, struct err *e)
{
	const struct key k = key_of(ctx, email);
	const char *params[] = { k.account, k.source };

	return pg_query(c, sql_passed, params, COUNT(params), NULL, e);
}

int attempt_forget(struct pg_conn *c, const char *email, struct err *e)
{
	char account[REFRESH_HASH_SIZE];
	const char *param = account;

	refresh_hash(email, account);
	return pg_query(c, sql_forget, &param, 1, NULL, e);
}

#include "factor.h"

#include "attempt.h"
#include "mail/outbox.h"
#include "session.h"

#include "base/clock.h"

#include <curl/curl.h>
#include <liboath/oath.h>
#include <sodium.h>

#define DIGITS     6
#define SECRET_MAX 64

static const char sql_is_on[] =
	"SELECT 1 FROM second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL";

static const char sql_begin[] =
	"INSERT INTO second_factors AS f (user_id, secret) VALUES ($1, $2)"
	" ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, created_at = now(),"
	"  last_step = 0 WHERE f.confirmed_at IS NULL";

static const char sql_secret[] = "SELECT secret, confirmed_at IS NOT NULL AS is_on"
				 " FROM second_factors WHERE user_id = $1";

static const char sql_step[] = "UPDATE second_factors SET last_step = $2,"
			       " confirmed_at = coalesce(confirmed_at, now())"
			       " WHERE user_id = $1 AND last_step < $2::bigint AND secret = $3";

static const char sql_use_recovery[] =
	"DELETE FROM recovery_codes WHERE hash = decode($1, 'hex') AND user_id = $2";

static const char sql_add_recovery[] =
	"INSERT INTO recovery_codes (hash, user_id) VALUES (decode($1, 'hex'), $2)";

static const char sql_no_recovery[] = "DELETE FROM recovery_codes WHERE user_id = $1";

static const char sql_end[] =
	"DELETE FROM second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL";

int factor_is_on(struct pg_conn *c, const char *user_id, bool *ret, struct err *e)
{
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql_is_on, &user_id, 1, &res, e) < 0)
		return -1;
	*ret = PQntuples(res) > 0;
	return 0;
}

unsigned long long factor_step_of(const unsigned char *secret, size_t len, long long now_s,
                                  const char *code)
{
	uint64_t step = 0;

	if (strlen(code) != DIGITS || strspn(code, "0123456789") != DIGITS)
		return 0;
	if (oath_totp_validate3((const char *)secret, len, (time_t)now_s, FACTOR_STEP_S, 0, 1, NULL,
	                        &step, code) < 0)
		return 0;
	return step;
}

bool factor_recovery_plain(const char *code, char ret[FACTOR_RECOVERY_SIZE])
{
	size_t n = 0;

	for (; *code; code++) {
		char c = *code;

		if (c == '-')
			continue;
		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		if (n == FACTOR_RECOVERY_SIZE - 1 || !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", c))
			return false;
		ret[n++] = c;
	}
	ret[n] = '\0';
	return n == FACTOR_RECOVERY_SIZE - 1;
}

/* Bound to its user: another's row does not open. */
static void place_of(const char *user_id, char ret[96])
{
	snprintf(ret, 96, "second_factors.secret of %s", user_id);
}

/* ret: the secret's bytes, in the arena. */
static int open_secret(struct call *call, const char *user_id, const char *sealed,
                       unsigned char **ret, struct err *e)
{
	const struct app *app = call->app;
	char place[96], *hex = NULL;
	unsigned char *secret = arena_alloc(&call->arena, FACTOR_SECRET_BYTES);
	size_t len = 0;

	place_of(user_id, place);
	if (!secret)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (seal_open(&app->seal, place, sealed, &call->arena, &hex, e) < 0) {
		*e = ERR_INIT;
		if (!app->identity_key_previous[0] ||
		    seal_open(&app->seal_previous, place, sealed, &call->arena, &hex, e) < 0)
			return err_set(e, ERR_INTERNAL, "a second factor does not open");
	}
	if (sodium_hex2bin(secret, FACTOR_SECRET_BYTES, hex, strlen(hex), NULL, &len, NULL) != 0 ||
	    len != FACTOR_SECRET_BYTES)
		return err_set(e, ERR_INTERNAL, "a second factor does not open");
	*ret = secret;
	return 0;
}

static int take_app_code(struct call *call, struct pg_conn *c, const char *user_id,
                         const char *code, const PGresult *row, bool *ret, struct err *e)
{
	const char *sealed = pg_text(row, 0, "secret");
	unsigned char *secret = NULL;
	char step[24];
	const char *params[] = { user_id, step, sealed };
	OWN(pg_result) PGresult *res = NULL;
	unsigned long long n;

	if (open_secret(call, user_id, sealed, &secret, e) < 0)
		return -1;
	n = factor_step_of(secret, FACTOR_SECRET_BYTES, clock_now_ms() / 1000, code);
	*ret = false;
	if (n == 0)
		return 0;
	snprintf(step, sizeof(step), "%llu", n);
	if (pg_query(c, sql_step, params, COUNT(params), &res, e) < 0)
		return -1;
	*ret = pg_affected(res) > 0;
	return 0;
}

static int take_recovery(struct call *call, struct pg_conn *c, const char *user_id,
                         const char *code, bool *ret, struct err *e)
{
	char plain[FACTOR_RECOVERY_SIZE], hash[REFRESH_HASH_SIZE];
	const char *params[] = { hash, user_id };
	OWN(pg_result) PGresult *res = NULL;

	*ret = false;
	if (!factor_recovery_plain(code, plain))
		return 0;
	refresh_hash(plain, hash);
	sodium_memzero(plain, sizeof(plain));
	if (pg_query(c, sql_use_recovery, params, COUNT(params), &res, e) < 0)
		return -1;
	*ret = pg_affected(res) > 0;
	return *ret ? audit_write(c, &call->ctx, AUDIT_RECOVERY_USED, user_id, NULL, e) : 0;
}

int factor_take(struct call *call, struct pg_conn *c, const char *user_id, const char *code,
                bool is_setup, struct err *e)
{
	const struct bus_ctx anywhere = { 0 };
	char account[48];
	OWN(pg_result) PGresult *res = NULL;
	bool is_good = false;

	snprintf(account, sizeof(account), "code:%s", user_id);
	if (attempt_check(c, &anywhere, account, e) < 0 ||
	    pg_query(c, sql_secret, &user_id, 1, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0 || pg_bool(res, 0, "is_on") == is_setup)
		return err_set(e, ERR_CONFLICT,
		               is_setup ? "no second factor is being set up"
		                        : "there is no second factor");
	if (take_app_code(call, c, user_id, code, res, &is_good, e) < 0 ||
	    (!is_good && !is_setup && take_recovery(call, c, user_id, code, &is_good, e) < 0))
		return -1;
	if (is_good)
		return attempt_passed(c, &anywhere, account, e);
	if (attempt_failed(c, &anywhere, account, e) < 0 ||
	    audit_write(c, &call->ctx, AUDIT_CODE_WRONG, user_id, NULL, e) < 0)
		return -1;
	return err_set(e, ERR_CODE_WRONG, "the code is wrong, or was used before");
}

/* otpauth://totp/Zaki:<address>?… as authenticator apps read it. */
static int make_uri(struct call *call, const char *email, struct auth_totp_secret *out,
                    struct err *e)
{
	char *escaped = curl_easy_escape(NULL, email, 0);

	if (escaped)
		out->uri = arena_printf(&call->arena,
		                        "otpauth://totp/Zaki:%s?secret=%s&issuer=Zaki"
		                        "&algorithm=SHA1&digits=%d&period=%d",
		                        escaped, out->secret, DIGITS, FACTOR_STEP_S);
	curl_free(escaped);
	return out->uri ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

static int base32(struct call *call, const unsigned char *bytes, size_t len, const char **ret,
                  struct err *e)
{
	char *text = NULL;
	size_t size = 0;

	if (oath_base32_encode((const char *)bytes, len, &text, &size) != OATH_OK)
		return err_set(e, ERR_INTERNAL, "out of memory");
	*ret = arena_strdup(&call->arena, text);
	sodium_memzero(text, size);
	free(text);
	return *ret ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int factor_begin(struct call *call, struct pg_conn *c, const char *email,
                 struct auth_totp_secret *out, struct err *e)
{
	const struct app *app = call->app;
	unsigned char secret[FACTOR_SECRET_BYTES];
	char hex[2 * FACTOR_SECRET_BYTES + 1], place[96], *sealed = NULL;
	const char *params[] = { call->ctx.user_id, NULL };
	OWN(pg_result) PGresult *res = NULL;
	int r;

	randombytes_buf(secret, sizeof(secret));
	sodium_bin2hex(hex, sizeof(hex), secret, sizeof(secret));
	place_of(call->ctx.user_id, place);
	r = base32(call, secret, sizeof(secret), &out->secret, e);
	if (r == 0)
		r = seal_close(&app->seal, place, hex, &call->arena, &sealed, e);
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(hex, sizeof(hex));
	params[1] = sealed;
	if (r < 0 || pg_query(c, sql_begin, params, COUNT(params), &res, e) < 0)
		return -1;
	if (pg_affected(res) == 0)
		return err_set(e, ERR_CONFLICT,
		               "there is a second factor already; take it away first");
	return make_uri(call, email, out, e);
}

/* Four letters a group, for people who write them down. */
static const char *grouped(struct arena *a, const char *s)
{
	return arena_printf(a, "%.4s-%.4s-%.4s-%.4s-%.4s-%.4s", s, s + 4, s + 8, s + 12, s + 16,
	                    s + 20);
}

int factor_recovery(struct call *call, struct pg_conn *c, struct auth_recovery_codes *out,
                    struct err *e)
{
	const char *user_id = call->ctx.user_id;

	out->items = arena_alloc(&call->arena, FACTOR_RECOVERY_COUNT * sizeof(*out->items));
	if (!out->items)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (pg_query(c, sql_no_recovery, &user_id, 1, NULL, e) < 0)
		return -1;
	for (size_t i = 0; i < FACTOR_RECOVERY_COUNT; i++) {
		unsigned char random[FACTOR_RECOVERY_BYTES];
		char hash[REFRESH_HASH_SIZE];
		const char *plain = NULL, *params[] = { hash, user_id };

		randombytes_buf(random, sizeof(random));
		if (base32(call, random, sizeof(random), &plain, e) < 0)
			return -1;
		sodium_memzero(random, sizeof(random));
		refresh_hash(plain, hash);
		out->items[i].code = grouped(&call->arena, plain);
		if (!out->items[i].code)
			return err_set(e, ERR_INTERNAL, "out of memory");
		if (pg_query(c, sql_add_recovery, params, COUNT(params), NULL, e) < 0)
			return -1;
	}
	out->items_count = FACTOR_RECOVERY_COUNT;
	return 0;
}

int factor_end(struct pg_conn *c, const char *user_id, struct err *e)
{
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql_end, &user_id, 1, &res, e) < 0)
		return -1;
	if (pg_affected(res) == 0)
		return err_set(e, ERR_CONFLICT, "there is no second factor");
	return pg_query(c, sql_no_recovery, &user_id, 1, NULL, e);
}

#include "link.h"

#include "session.h"

#include <sodium.h>

static const char *const names[] = {
	[LINK_NONE] = "",
	[LINK_VERIFY] = "verify",
	[LINK_RESET] = "reset",
	[LINK_EMAIL_NEW] = "email_new",
	[LINK_EMAIL_OLD] = "email_old",
};

static const char sql_make[] =
	"INSERT INTO email_tokens (hash, user_id, purpose, email, expires_at) VALUES"
	" (decode($1, 'hex'), $2, $3, $4, now() + make_interval(secs => $5::int))";

static const char sql_look[] = "SELECT user_id, purpose, email FROM email_tokens"
			       " WHERE hash = decode($1, 'hex') AND expires_at > now() FOR UPDATE";

static const char sql_spend[] = "DELETE FROM email_tokens WHERE user_id = $1 AND purpose = $2";

int link_make(struct pg_conn *c, const struct link *what, int valid_s, char ret[LINK_TEXT_SIZE],
              struct err *e)
{
	unsigned char random[32];
	char hash[REFRESH_HASH_SIZE], seconds[12];
	const char *params[] = { hash, what->user_id, names[what->purpose], what->email, seconds };

	randombytes_buf(random, sizeof(random));
	(void)sodium_bin2base64(ret, LINK_TEXT_SIZE, random, sizeof(random),
	                        sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(random, sizeof(random));
	refresh_hash(ret, hash);
	snprintf(seconds, sizeof(seconds), "%d", valid_s);
	return pg_query(c, sql_make, params, COUNT(params), NULL, e);
}

static enum link_purpose purpose_of(const char *name)
{
	for (int i = LINK_NONE + 1; i < LINK_COUNT; i++)
		if (strcmp(names[i], name) == 0)
			return (enum link_purpose)i;
	return LINK_NONE;
}

int link_look(struct pg_conn *c, const char *text, unsigned purposes, struct link *ret,
              struct err *e)
{
	char hash[REFRESH_HASH_SIZE];
	const char *param = hash;
	OWN(pg_result) PGresult *res = NULL;
	enum link_purpose purpose = LINK_NONE;

	refresh_hash(text, hash);
	if (pg_query(c, sql_look, &param, 1, &res, e) < 0)
		return -1;
	if (PQntuples(res) > 0)
		purpose = purpose_of(pg_text(res, 0, "purpose"));
	if (purpose == LINK_NONE || !(purposes & 1U << purpose))
		return err_set(e, ERR_LINK, "the link was used, or is too old; ask for a new one");
	ret->purpose = purpose;
	snprintf(ret->user_id, sizeof(ret->user_id), "%s", pg_text(res, 0, "user_id"));
	snprintf(ret->email, sizeof(ret->email), "%s", pg_text(res, 0, "email"));
	return 0;
}

int link_spend(struct pg_conn *c, const char *user_id, enum link_purpose purpose, struct err *e)
{
	const char *params[] = { user_id, names[purpose] };

	return pg_query(c, sql_spend, params, COUNT(params), NULL, e);
}

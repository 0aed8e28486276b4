#include "ws_auth.h"

#include "cookie.h"
#include "origin.h"
#include "query.h"

#include <errno.h>
#include <sodium.h>
#include <strings.h>

#define TICKET_MAX 128 /* bytes */

static int not_valid(const char *what, struct err *e)
{
	return err_set(e, ERR_UNAUTHENTICATED, "%s is not valid", what);
}

/* "<user id> <session id> <unix seconds at which the session ends, or 0>" */
static int read_value(const char *value, struct ws_person *p, struct err *e)
{
	const size_t id_len = UUID_SIZE - 1;
	char *end = NULL;

	if (strlen(value) < 2 * UUID_SIZE + 1)
		return not_valid("the ticket", e);
	snprintf(p->user_id, UUID_SIZE, "%.36s", value);
	snprintf(p->session_id, UUID_SIZE, "%.36s", value + UUID_SIZE);
	errno = 0;
	p->expires_s = strtoll(value + 2 * UUID_SIZE, &end, 10);
	if (value[id_len] != ' ' || value[2 * id_len + 1] != ' ' || errno || *end ||
	    p->expires_s < 0 || !uuid_is_valid(p->user_id) || !uuid_is_valid(p->session_id))
		return not_valid("the ticket", e);
	return 0;
}

/* Taking it out of Redis is what makes it good once. */
static int by_ticket(struct app *app, const char *ticket, struct ws_person *p, struct err *e)
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	char hex[2 * sizeof(hash) + 1], key[96];
	OWN(redis_reply) redisReply *reply = NULL;

	if (!ticket[0] || strlen(ticket) > TICKET_MAX)
		return not_valid("the ticket", e);
	(void)crypto_hash_sha256(hash, (const unsigned char *)ticket, strlen(ticket));
	snprintf(key, sizeof(key), "zaki:ticket:%s",
	         sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash)));
	if (REDIS_CALL(app->redis, &reply, e, "GETDEL", key) < 0)
		return -1;
	if (reply->type != REDIS_REPLY_STRING)
		return not_valid("the ticket", e);
	return read_value(reply->str, p, e);
}

static int by_token(struct app *app, const char *token, struct ws_person *p, struct err *e)
{
	struct token_claims claims;

	if (token_check(app->keys, token, &claims, e) < 0)
		return -1;
	memcpy(p->user_id, claims.user_id, sizeof(p->user_id));
	memcpy(p->session_id, claims.session_id, sizeof(p->session_id));
	p->expires_s = claims.expires_at_s;
	return 0;
}

/* A browser sends the cookie whatever page asks for the socket, and no CORS rule stops it. */
static int by_cookie(struct app *app, const struct ws_request *r, struct ws_person *p,
                     struct err *e)
{
	OWN(arena) struct arena a = { .limit = WS_REQUEST_MAX };
	const char *token = cookie_find(r->cookie, COOKIE_ACCESS, &a);

	if (!token)
		return err_set(e, ERR_UNAUTHENTICATED, "sign in first");
	if (!origin_is_allowed(app->origins, r->origin))
		return err_set(e, ERR_UNAUTHENTICATED, "another site may not use your cookies");
	return by_token(app, token, p, e);
}

int ws_auth_request(struct app *app, const struct ws_request *r, struct ws_person *p, struct err *e)
{
	char given[WS_CREDENTIAL_MAX + 1];
	int result;

	if (query_find(r->query, "ticket", given, sizeof(given)))
		result = by_ticket(app, given, p, e);
	else if (query_find(r->query, "token", given, sizeof(given)))
		result = by_token(app, given, p, e);
	else if (r->authorization && strncasecmp(r->authorization, "Bearer ", 7) == 0)
		return by_token(app, r->authorization + 7, p, e);
	else
		return by_cookie(app, r, p, e);
	sodium_memzero(given, sizeof(given));
	return result;
}

int ws_auth_again(struct app *app, const char *ticket, const char *token, struct ws_person *p,
                  struct err *e)
{
	return ticket[0] ? by_ticket(app, ticket, p, e) : by_token(app, token, p, e);
}

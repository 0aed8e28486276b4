#include "auth_check.h"

#include "base/metric.h"
#include "client_address.h"
#include "cookie.h"
#include "key_check.h"
#include "net/api_key.h"
#include "origin.h"
#include "tier_check.h"
#include "token_cache.h"

#include <strings.h>

#define ARENA_LIMIT 4096

/* The access token that was given: *ret NULL for none. */
static int find_token(struct exchange *x, const char **ret, bool *is_cookie, struct err *e)
{
	const char *given = x->head.authorization;

	*ret = NULL;
	*is_cookie = false;
	if (given) {
		if (strncasecmp(given, "Bearer ", 7) != 0)
			return err_set(e, ERR_UNAUTHENTICATED, "only Bearer tokens are known");
		*ret = given + 7 + strspn(given + 7, " ");
		return 0;
	}
	*ret = cookie_find(x->head.cookie, COOKIE_ACCESS, &x->arena);
	*is_cookie = *ret != NULL;
	return 0;
}

int auth_check_session(struct app *app, const struct bus_ctx *ctx, struct err *e)
{
	OWN(arena) struct arena a = { .limit = ARENA_LIMIT };
	struct session_ref in = { .user_id = ctx->user_id, .session_id = ctx->session_id };
	struct session_state out = { 0 };
	struct bus_ctx ours = { 0 };

	memcpy(ours.trace_id, ctx->trace_id, sizeof(ours.trace_id));
	if (bus_call(app->bus, SUBJ_SESSION_CHECK, &ours, &in, &a, &out, e) < 0)
		return -1;
	return out.active ? 0 : err_set(e, ERR_UNAUTHENTICATED, "this session has ended");
}

/* Asked once a token, and whenever Redis cannot tell. A good signature says that the claims are ours,
 * not that there is such a session of that user; while auth is away the signature has to do. */
static int check_session(struct exchange *x, const char *token, bool is_revoked_known,
                         struct err *e)
{
	if (auth_check_session(x->app, &x->ctx, e) == 0) {
		token_cache_know(x->app->tokens, token);
		return 0;
	}
	if (!is_revoked_known || (e->code != ERR_UNAVAILABLE && e->code != ERR_TIMEOUT))
		return -1;
	*e = ERR_INIT;
	return 0;
}

static int check_user(struct exchange *x, const char *token, struct err *e)
{
	struct token_claims claims;
	enum limit_session session;
	struct limit_user who;
	bool is_known = false;

	if (strncmp(token, API_KEY_PREFIX, strlen(API_KEY_PREFIX)) == 0)
		return key_check(x, token, e);
	if (token_cache_check(x->app->tokens, x->app->keys, token, &claims, &is_known, e) < 0)
		return -1;
	memcpy(x->ctx.user_id, claims.user_id, sizeof(x->ctx.user_id));
	memcpy(x->ctx.session_id, claims.session_id, sizeof(x->ctx.session_id));
	who = (struct limit_user){ claims.user_id, claims.session_id,
		                   tier_requests_per_min(x->app, claims.user_id, x->ctx.trace_id) };
	session = limit_count_user(x->app->limit, &who, &x->limit);
	if (session == SESSION_REVOKED)
		return err_set(e, ERR_UNAUTHENTICATED, "this session has ended");
	/* One that is over the limit costs auth nothing. */
	if ((session == SESSION_FINE && is_known) || !x->limit.is_allowed)
		return 0;
	return check_session(x, token, session == SESSION_FINE, e);
}

static int check_limit(const struct limit_state *l, struct err *e)
{
	if (l->is_allowed)
		return 0;
	metric_add(l->class == LIMIT_AUTH ? METRIC_LIMITED_AUTH : METRIC_LIMITED_API, 1);
	return err_busy(e, ERR_LIMIT, (int)((l->wait_us + 999999) / 1000000),
	                "too many requests, try again in a moment");
}

/* Someone without a token, or whose token a route that can do without does not mind. */
static int check_stranger(struct exchange *x, struct err *e)
{
	char network[ADDRESS_TEXT_SIZE];

	x->ctx.user_id[0] = x->ctx.session_id[0] = '\0';
	client_network(x->ctx.client_address, network);
	limit_count(x->app->limit, x->route->limit, network, &x->limit);
	return check_limit(&x->limit, e);
}

int auth_check_origin(const struct exchange *x, struct err *e)
{
	if (!exchange_changes(x) ||
	    origin_may_act(x->app->origins, x->head.origin, x->head.fetch_site))
		return 0;
	metric_add(METRIC_ORIGINS_REFUSED, 1);
	return err_set(e, ERR_FORBIDDEN, "another site may not do this with your cookies");
}

static int find_out(struct exchange *x, struct err *e)
{
	enum route_needs needs = x->route->needs;
	const bool must_be_known = needs == NEEDS_USER || needs == NEEDS_SELF;
	const char *token = NULL;
	bool is_cookie = false;

	if (needs == NEEDS_NOTHING)
		return check_stranger(x, e);

	if (find_token(x, &token, &is_cookie, e) < 0 && must_be_known)
		return -1;
	if (is_cookie && auth_check_origin(x, e) < 0)
		return -1;
	if (token && check_user(x, token, e) == 0)
		return check_limit(&x->limit, e);
	if (token && (must_be_known || e->code != ERR_UNAUTHENTICATED))
		return -1;
	if (must_be_known)
		return err_set(e, ERR_UNAUTHENTICATED, "sign in first");

	*e = ERR_INIT;
	return check_stranger(x, e);
}

int auth_check(struct exchange *x, struct err *e)
{
	int r = find_out(x, e);

	if (r < 0 && e->code == ERR_UNAUTHENTICATED)
		metric_add(METRIC_CREDENTIALS_REFUSED, 1);
	return r;
}

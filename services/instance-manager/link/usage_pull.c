#include "link/usage.h"

#include "link/holder.h"
#include "link/link.h"
#include "link/sync.h"

#include "assistant_config.h"
#include "instance_store.h"
#include "settings/settings.h"
#include "telegram.h"

#include "base/clock.h"

#define DAY_MS       86400000LL
#define SESSIONS_MAX 100
#define TRIES        4 /* while the gateway counts */
#define TRY_MS       700
#define DAYS_BACK    1
#define TELL_ARENA   ((size_t)256 << 10)

static int ask(const struct news_of *of, cJSON **ret, struct err *e)
{
	OWN(json) cJSON *params = cJSON_CreateObject();
	long long now_ms = clock_now_ms();
	char first[USAGE_DAY_SIZE], last[USAGE_DAY_SIZE];

	if (!cJSON_AddStringToObject(params, "startDate",
	                             usage_day(now_ms - DAYS_BACK * DAY_MS, first)) ||
	    !cJSON_AddStringToObject(params, "endDate", usage_day(now_ms, last)) ||
	    !cJSON_AddNumberToObject(params, "limit", SESSIONS_MAX))
		return err_set(e, ERR_INTERNAL, "out of memory");
	return sync_ask(of, "sessions.usage", params, ret, e);
}

/* In the bot's own name, to those who are known to write to it. Only what was told to all is told: a
 * crash before it tells them again. */
static int tell_people(const struct news_of *of, struct err *e)
{
	struct arena a __attribute__((cleanup(own_arena)));
	struct settings s;
	struct instance i;
	const char *token;

	arena_init(&a, TELL_ARENA);
	{
		OWN(pg_conn) struct pg_conn *db = NULL;
		bool is_due = false;

		if (pg_take(of->app->db, &db, e) < 0 || usage_to_tell(db, of->id, &is_due, e) < 0)
			return -1;
		if (!is_due)
			return 0;
		if (store_load(db, of->user_id, of->id, &i, e) < 0 ||
		    settings_load(db, of->user_id, of->id, i.owner_telegram_id, &s, e) < 0 ||
		    assistant_bot_token(of->app, db, &i, &a, &token, e) < 0)
			return -1;
	}
	for (size_t k = 0; k <= s.allowed_count; k++) {
		long long who = k ? s.allowed[k - 1] : i.owner_telegram_id;
		struct telegram_text text = { token, who, USAGE_REACHED };

		if (who > 0 && telegram_send(of->app->telegram, &text, &a, e) < 0 &&
		    e->code != ERR_FORBIDDEN)
			return -1;
	}
	{
		OWN(pg_conn) struct pg_conn *db = NULL;

		return pg_take(of->app->db, &db, e) < 0 ? -1 : usage_told(db, of->id, e);
	}
}

int usage_pull(const struct news_of *of, struct err *e)
{
	struct arena a __attribute__((cleanup(own_arena)));
	struct usage_part *parts;
	OWN(pg_conn) struct pg_conn *db = NULL;
	char trace[INSTANCE_TRACE_SIZE];
	bool is_fresh = false, is_changed;
	size_t count = 0;

	arena_init(&a, USAGE_ROWS_MAX * sizeof(*parts) + 4096);
	parts = arena_alloc(&a, USAGE_ROWS_MAX * sizeof(*parts));
	if (!parts)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (int i = 0; i < TRIES && !is_fresh; i++) {
		OWN(json) cJSON *got = NULL;

		if (i > 0)
			clock_sleep_ms(TRY_MS);
		if (ask(of, &got, e) < 0)
			return -1;
		count = usage_read(got, parts, USAGE_ROWS_MAX, &is_fresh);
	}
	/* What is counted so far is right as far as it goes. */
	if (!is_fresh)
		links_resync(of->app->links, of->id);
	sync_trace(trace);
	if (pg_take(of->app->db, &db, e) < 0 ||
	    usage_put(db, holder_name(of->app), of->id, parts, count, e) < 0 ||
	    usage_settle(db, of->user_id, of->id, trace, &is_changed, e) < 0)
		return -1;
	if (is_changed)
		app_wake(of->app);
	pg_give(TAKE(db));
	return tell_people(of, e);
}

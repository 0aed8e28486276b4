#include "svc/postgres.h"

#include "base/clock.h"
#include "store/migrate.h"

#define WAIT_MS 30000 /* as long as for the bus */
#define STEP_MS 250

int postgres_wait(struct pg_pool *pool, const char *service, struct err *e)
{
	long long until_ms = clock_mono_ms() + WAIT_MS;

	for (;;) {
		OWN(pg_conn) struct pg_conn *c = NULL;

		if (pg_take(pool, &c, e) == 0 && migrate_check(c, service, e) == 0)
			break;
		if (e->code != ERR_UNAVAILABLE || clock_mono_ms() > until_ms)
			return -1;
		clock_sleep_ms(STEP_MS);
	}
	*e = ERR_INIT;
	return 0;
}

int postgres_check(struct pg_pool *pool, struct err *e)
{
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (pg_take(pool, &c, e) < 0)
		return -1;
	return pg_query(c, "SELECT 1", NULL, 0, NULL, e);
}

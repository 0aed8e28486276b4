#ifndef TEST_AWAY_H
#define TEST_AWAY_H

#include "test.h"

#include "base/clock.h"
#include "store/redis.h"

/*
 * Redis is away: each of so many calls says so, and but for one each REDIS_RETRY_MS none of them asks it,
 * which takes at least try_ms (0: it is refused). So the calls that ask, had all of them done so, would
 * have needed longer than they did.
 */
static inline void assert_most_are_told_unasked(struct redis *r, int count, int try_ms)
{
	long long from_ms = clock_mono_ms(), tries = 0;

	for (int i = 0; i < count; i++) {
		redisReply *reply = NULL;
		struct err e = ERR_INIT;

		assert_fails(REDIS_CALL(r, &reply, &e, "PING"), &e, ERR_UNAVAILABLE);
		tries += !strstr(e.msg, "a moment ago");
	}
	assert_true((tries - 1) * (REDIS_RETRY_MS + try_ms) <= clock_mono_ms() - from_ms);
}

/* Until it answers. */
static inline void wait_redis(struct redis *r)
{
	long long until_ms = clock_mono_ms() + 60000;
	OWN(redis_reply) redisReply *reply = NULL;
	struct err e = ERR_INIT;

	while (REDIS_CALL(r, &reply, &e, "PING") < 0) {
		if (clock_mono_ms() > until_ms)
			fail_msg("Redis does not answer: %s", e.msg);
		clock_sleep_ms(20);
	}
}

#endif

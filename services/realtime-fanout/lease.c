#include "lease.h"

static const char *const key = "zaki:rt:leader";

static struct redis_script take_script = {
	.text = "local holder = redis.call('GET', KEYS[1]) "
		"if holder and holder ~= ARGV[1] then return 0 end "
		"redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) "
		"return 1",
};

static struct redis_script give_script = {
	.text = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) "
		"end "
		"return 0",
};

int lease_take(struct redis *r, const char *me, bool *ret_is_mine, struct err *e)
{
	OWN(redis_reply) redisReply *reply = NULL;
	char ms[16];
	const char *args[] = { me, ms };

	snprintf(ms, sizeof(ms), "%d", LEASE_MS);
	if (redis_script_call(r, &take_script, &key, 1, args, COUNT(args), &reply, e) < 0)
		return -1;
	*ret_is_mine = reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
	return 0;
}

int lease_give(struct redis *r, const char *me, struct err *e)
{
	OWN(redis_reply) redisReply *reply = NULL;

	return redis_script_call(r, &give_script, &key, 1, &me, 1, &reply, e);
}

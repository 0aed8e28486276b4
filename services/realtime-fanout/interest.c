#include "interest.h"

#define TOPICS     "zaki:rt:topic:"
#define GATEWAYS   "zaki:rt:gateway:"
#define KEY_SIZE   160
#define ID_MAX     64
#define SWEEP_STEP "200" /* keys looked at in one step */

static struct redis_script find_script = {
	.text = "local live = {} "
		"for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do "
		"  if redis.call('EXISTS', ARGV[1] .. id) == 1 then live[#live + 1] = id "
		"  else redis.call('SREM', KEYS[1], id) end "
		"end "
		"return live",
};

bool interest_gateway_is_valid(const char *gateway_id)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_";
	size_t len = strlen(gateway_id);

	return len > 0 && len <= ID_MAX && strspn(gateway_id, letters) == len;
}

static void key_of(const char *topic, char ret[KEY_SIZE])
{
	snprintf(ret, KEY_SIZE, TOPICS "%s", topic);
}

int interest_add(struct redis *r, const char *topic, const char *gateway_id, struct err *e)
{
	OWN(redis_reply) redisReply *reply = NULL;
	char key[KEY_SIZE];

	key_of(topic, key);
	return REDIS_CALL(r, &reply, e, "SADD", key, gateway_id);
}

int interest_remove(struct redis *r, const char *topic, const char *gateway_id, struct err *e)
{
	OWN(redis_reply) redisReply *reply = NULL;
	char key[KEY_SIZE];

	key_of(topic, key);
	return REDIS_CALL(r, &reply, e, "SREM", key, gateway_id);
}

static int find(struct redis *r, const char *key, redisReply **ret, struct err *e)
{
	static const char *const prefix = GATEWAYS;

	return redis_script_call(r, &find_script, &key, 1, &prefix, 1, ret, e);
}

int interest_find(struct redis *r, const char *topic, struct arena *a, const char ***ret_ids,
                  size_t *ret_count, struct err *e)
{
	OWN(redis_reply) redisReply *reply = NULL;
	char key[KEY_SIZE];
	const char **ids;
	size_t count = 0;

	key_of(topic, key);
	if (find(r, key, &reply, e) < 0)
		return -1;
	if (reply->type != REDIS_REPLY_ARRAY)
		return err_set(e, ERR_INTERNAL, "redis: no list of gateways");

	ids = arena_alloc(a, (reply->elements + 1) * sizeof(*ids));
	for (size_t i = 0; ids && i < reply->elements && count < INTEREST_GATEWAYS_MAX; i++) {
		const redisReply *one = reply->element[i];

		/* Not ours: whoever wrote it must not choose a subject. */
		if (one->type != REDIS_REPLY_STRING || !interest_gateway_is_valid(one->str))
			continue;
		ids[count] = arena_strdup(a, one->str);
		if (!ids[count++])
			ids = NULL;
	}
	if (!ids)
		return err_set(e, ERR_TOO_LARGE, "too many gateways");
	*ret_ids = ids;
	*ret_count = count;
	return 0;
}

int interest_sweep(struct redis *r, unsigned long long *cursor, struct err *e)
{
	OWN(redis_reply) redisReply *page = NULL;
	char from[24];

	snprintf(from, sizeof(from), "%llu", *cursor);
	if (REDIS_CALL(r, &page, e, "SCAN", from, "MATCH", TOPICS "*", "COUNT", SWEEP_STEP) < 0)
		return -1;
	if (page->type != REDIS_REPLY_ARRAY || page->elements != 2)
		return err_set(e, ERR_INTERNAL, "redis: SCAN gave no page");
	for (size_t i = 0; i < page->element[1]->elements; i++) {
		OWN(redis_reply) redisReply *live = NULL;

		if (find(r, page->element[1]->element[i]->str, &live, e) < 0)
			return -1;
	}
	*cursor = strtoull(page->element[0]->str, NULL, 10);
	return 0;
}

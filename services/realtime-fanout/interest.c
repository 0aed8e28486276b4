#include "interest.h"

#define TOPICS     "zaki:rt:topic:"
#define GATEWAYS   "zaki:rt:gateway:"
#define KEY_SIZE   160
#define ID_MAX     64
#define KEYS_MAX   ((size_t)128) /* asked for in one call */
#define SWEEP_STEP "200"         /* keys looked at in one step */
#define TEXT_(n)   #n
#define TEXT(n)    TEXT_(n)

/* A list of gateways for each of KEYS. A gateway is looked for once, however many topics it has. */
static struct redis_script find_script = {
	.text = "local all, known = {}, {} "
		"for i, key in ipairs(KEYS) do "
		"  local live = {} "
		"  for _, id in ipairs(redis.call('SMEMBERS', key)) do "
		"    if known[id] == nil then "
		"      known[id] = redis.call('EXISTS', ARGV[1] .. id) == 1 "
		"    end "
		"    if known[id] then live[#live + 1] = id "
		"    else redis.call('SREM', key, id) end "
		"  end "
		"  all[i] = live "
		"end "
		"return all",
};

/* Where there are more than ARGV[2] those that are gone make room; 0: there is none. */
static struct redis_script add_script = {
	.text = "redis.call('SADD', KEYS[1], ARGV[1]) "
		"if redis.call('SCARD', KEYS[1]) <= tonumber(ARGV[2]) then return 1 end "
		"for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do "
		"  if id ~= ARGV[1] and redis.call('EXISTS', ARGV[3] .. id) == 0 "
		"  then redis.call('SREM', KEYS[1], id) end "
		"end "
		"if redis.call('SCARD', KEYS[1]) <= tonumber(ARGV[2]) then return 1 end "
		"redis.call('SREM', KEYS[1], ARGV[1]) "
		"return 0",
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
	char text[KEY_SIZE];
	const char *key = text, *args[] = { gateway_id, TEXT(INTEREST_GATEWAYS_MAX), GATEWAYS };

	key_of(topic, text);
	if (redis_script_call(r, &add_script, &key, 1, args, COUNT(args), &reply, e) < 0)
		return -1;
	if (reply->type == REDIS_REPLY_INTEGER && reply->integer == 1)
		return 0;
	return err_busy(e, ERR_UNAVAILABLE, 10, "too many gateways listen to one topic");
}

int interest_remove(struct redis *r, const char *topic, const char *gateway_id, struct err *e)
{
	OWN(redis_reply) redisReply *reply = NULL;
	char key[KEY_SIZE];

	key_of(topic, key);
	return REDIS_CALL(r, &reply, e, "SREM", key, gateway_id);
}

static int find(struct redis *r, const char *const *keys, size_t count, redisReply **ret,
                struct err *e)
{
	static const char *const prefix = GATEWAYS;

	if (redis_script_call(r, &find_script, keys, count, &prefix, 1, ret, e) < 0)
		return -1;
	if ((*ret)->type == REDIS_REPLY_ARRAY && (*ret)->elements == count)
		return 0;
	return err_set(e, ERR_INTERNAL, "redis: no lists of gateways");
}

static int read_list(const redisReply *list, struct arena *a, struct interest *ret, struct err *e)
{
	const char **ids = arena_alloc(a, (list->elements + 1) * sizeof(*ids));
	size_t count = 0;

	for (size_t i = 0; ids && i < list->elements && count < INTEREST_GATEWAYS_MAX; i++) {
		const redisReply *one = list->element[i];

		/* Not ours: whoever wrote it must not choose a subject. */
		if (one->type != REDIS_REPLY_STRING || !interest_gateway_is_valid(one->str))
			continue;
		ids[count] = arena_strdup(a, one->str);
		if (!ids[count++])
			ids = NULL;
	}
	if (!ids)
		return err_set(e, ERR_TOO_LARGE, "too many gateways");
	*ret = (struct interest){ .ids = ids, .count = count };
	return 0;
}

/* At most KEYS_MAX of them. */
static int find_some(struct redis *r, const char *const *topics, size_t count, struct arena *a,
                     struct interest *ret, struct err *e)
{
	char texts[KEYS_MAX][KEY_SIZE];
	const char *keys[KEYS_MAX];
	OWN(redis_reply) redisReply *reply = NULL;

	for (size_t i = 0; i < count; i++) {
		key_of(topics[i], texts[i]);
		keys[i] = texts[i];
	}
	if (find(r, keys, count, &reply, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (read_list(reply->element[i], a, &ret[i], e) < 0)
			return -1;
	return 0;
}

int interest_find(struct redis *r, const char *const *topics, size_t count, struct arena *a,
                  struct interest *ret, struct err *e)
{
	for (size_t at = 0; at < count; at += KEYS_MAX) {
		size_t n = count - at < KEYS_MAX ? count - at : KEYS_MAX;

		if (find_some(r, topics + at, n, a, ret + at, e) < 0)
			return -1;
	}
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
		const char *key = page->element[1]->element[i]->str;
		OWN(redis_reply) redisReply *live = NULL;

		if (find(r, &key, 1, &live, e) < 0)
			return -1;
	}
	*cursor = strtoull(page->element[0]->str, NULL, 10);
	return 0;
}

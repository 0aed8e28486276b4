#include "link/usage.h"

#include "link/read.h"
#include "link/session_row.h"

#include "base/json.h"

#include <time.h>

#define DAY_FORM      "dddd-dd-dd"
#define DAY_COUNT_MAX 1000000000000LL

char *usage_day(long long unix_ms, char out[USAGE_DAY_SIZE])
{
	time_t at = (time_t)(unix_ms / 1000);
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(out, USAGE_DAY_SIZE, "%Y-%m-%d", &tm);
	return out;
}

static bool day_read(const cJSON *row, char out[USAGE_DAY_SIZE])
{
	const char *day = json_text(row, "date");

	if (!day || strlen(day) != strlen(DAY_FORM))
		return false;
	for (size_t i = 0; DAY_FORM[i]; i++)
		if (DAY_FORM[i] == 'd' ? day[i] < '0' || day[i] > '9' : day[i] != '-')
			return false;
	/* PostgreSQL would refuse the rest: no such month or day. */
	if (strncmp(day + 5, "01", 2) < 0 || strncmp(day + 5, "12", 2) > 0 ||
	    strncmp(day + 8, "01", 2) < 0 || strncmp(day + 8, "28", 2) > 0) {
		struct tm tm = { 0 };
		char again[USAGE_DAY_SIZE];

		if (!strptime(day, "%Y-%m-%d", &tm))
			return false;
		(void)timegm(&tm); /* puts the 31st of February right */
		strftime(again, sizeof(again), "%Y-%m-%d", &tm);
		if (strcmp(again, day) != 0)
			return false;
	}
	snprintf(out, USAGE_DAY_SIZE, "%s", day);
	return true;
}

/* What a gateway says of a day adds up over years without leaving what JSON numbers can say. */
static long long bounded(long long count)
{
	return count < DAY_COUNT_MAX ? count : DAY_COUNT_MAX;
}

static bool part_read(const cJSON *row, const char *kind, const char *name, struct usage_part *p)
{
	*p = (struct usage_part){ 0 };
	if (!day_read(row, p->day))
		return false;
	snprintf(p->kind, sizeof(p->kind), "%s", kind);
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->input = read_count(row, "input");
	p->output = read_count(row, "output");
	p->cache = read_count(row, "cacheRead") + read_count(row, "cacheWrite");
	p->total = read_count(row, "totalTokens");
	if (!p->total)
		p->total = read_count(row, "tokens");
	p->cost_micros = read_cost(row, "totalCost");
	if (!p->cost_micros)
		p->cost_micros = read_cost(row, "cost");
	p->input = bounded(p->input);
	p->output = bounded(p->output);
	p->cache = bounded(p->cache);
	p->total = bounded(p->total);
	p->cost_micros = bounded(p->cost_micros);
	return true;
}

static size_t models_read(const cJSON *list, struct usage_part *ret, size_t max)
{
	const cJSON *row;
	size_t count = 0;

	cJSON_ArrayForEach(row, list) {
		const char *provider = json_text(row, "provider"), *model = json_text(row, "model");
		char name[1024], cut[256];

		if (count == max || !provider || !model)
			continue;
		snprintf(name, sizeof(name), "%.64s/%.200s", provider, model);
		session_text_copy(name, 200, cut, sizeof(cut));
		count += part_read(row, "model", cut, &ret[count]);
	}
	return count;
}

static size_t sessions_read(const cJSON *list, struct usage_part *ret, size_t max)
{
	const cJSON *session, *row;
	size_t count = 0;

	cJSON_ArrayForEach(session, list) {
		const char *key = json_text(session, "key");

		if (!session_key_fits(key))
			continue;
		cJSON_ArrayForEach(row, read_at(read_at(session, "usage"), "dailyBreakdown")) {
			if (count == max)
				return count;
			count += part_read(row, "session", key, &ret[count]);
		}
	}
	return count;
}

size_t usage_read(const cJSON *answer, struct usage_part *ret, size_t max, bool *ret_fresh)
{
	const cJSON *sums = read_at(answer, "aggregates"), *row;
	const char *status = json_text(read_at(answer, "cacheStatus"), "status");
	size_t count = 0;

	*ret_fresh = status && strcmp(status, "fresh") == 0;
	cJSON_ArrayForEach(row, read_at(sums, "costDaily"))
		if (count < max)
			count += part_read(row, "total", "", &ret[count]);
	count += models_read(read_at(sums, "modelDaily"), ret + count, max - count);
	return count + sessions_read(read_at(answer, "sessions"), ret + count, max - count);
}

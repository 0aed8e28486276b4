#include "link/read.h"

#include "link/session_row.h"

#include "base/clock.h"
#include "base/json.h"

#include <ctype.h>
#include <time.h>

#define COUNT_MAX 9007199254740992.0 /* what JSON numbers say exactly */
#define YEAR_2100 4102444800000.0    /* unix ms */

const cJSON *read_at(const cJSON *obj, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(obj, key);
}

const char *read_line(struct arena *a, const cJSON *obj, const char *key, size_t max)
{
	const char *text = json_text(obj, key);
	size_t size = 4 * max + 1;
	char *out;

	if (!text || !text[0])
		return NULL;
	if (strlen(text) + 1 < size)
		size = strlen(text) + 1;
	out = arena_alloc(a, size);
	if (!out)
		return NULL;
	session_text_copy(text, max, out, size + 0);
	return out[0] ? out : NULL;
}

const char *read_word(struct arena *a, const cJSON *obj, const char *key, size_t max)
{
	const char *text = json_text(obj, key);
	size_t len = text ? strlen(text) : 0;

	if (len == 0 || len > max)
		return NULL;
	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)text[i]))
			return NULL;
	return arena_strdup(a, text);
}

const char *read_long(struct arena *a, const cJSON *obj, const char *key, size_t max)
{
	const char *text = json_text(obj, key);
	size_t len = text ? strlen(text) : 0;
	char *out;

	if (len == 0)
		return NULL;
	if (len > max) {
		len = max;
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	out = arena_alloc(a, len + 1);
	if (out)
		memcpy(out, text, len);
	return out && out[0] ? out : NULL;
}

const char *read_time_ms(struct arena *a, long long ms)
{
	char text[CLOCK_TEXT_SIZE];

	return ms > 0 ? arena_strdup(a, clock_text(ms, text)) : NULL;
}

const char *read_time(struct arena *a, const cJSON *obj, const char *key)
{
	const cJSON *v = read_at(obj, key);

	if (cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble < YEAR_2100)
		return read_time_ms(a, (long long)v->valuedouble);
	if (cJSON_IsString(v) && clock_text_is_valid(v->valuestring))
		return arena_strdup(a, v->valuestring);
	return NULL;
}

long long read_count(const cJSON *obj, const char *key)
{
	const cJSON *v = read_at(obj, key);

	return cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble < COUNT_MAX
	               ? (long long)v->valuedouble
	               : 0;
}

long long read_cost(const cJSON *obj, const char *key)
{
	const cJSON *v = read_at(obj, key);

	return cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble < COUNT_MAX / 1e6
	               ? (long long)(v->valuedouble * 1e6 + 0.5)
	               : 0;
}

const char *read_as_of(struct arena *a, const struct link_place *at)
{
	return read_time_ms(a, at->synced_ms);
}

void *read_list(struct arena *a, const cJSON *list, size_t max, size_t size, size_t *ret_count)
{
	size_t count = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0;

	*ret_count = count < max ? count : max;
	return arena_alloc(a, (*ret_count + 1) * size);
}

void *read_each(struct arena *a, const cJSON *list, const struct read_kind *kind, size_t *ret_count)
{
	size_t count, taken = 0;
	char *items = read_list(a, list, kind->max, kind->size, &count);
	const cJSON *from;

	*ret_count = 0;
	for (from = items && count ? list->child : NULL; from && taken < count; from = from->next) {
		taken++;
		*ret_count += kind->entry(a, from, items + *ret_count * kind->size);
	}
	return items;
}

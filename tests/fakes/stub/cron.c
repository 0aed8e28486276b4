#include "cron.h"

#include <stdio.h>
#include <string.h>

enum { JOBS_MAX = 32, NAME_MAX_LEN = 256 };

struct job {
	char id[33], key[128], name[NAME_MAX_LEN];
	int64_t every_ms, created_at;
};

/* lock guards all of it. It is of this run alone: the real one keeps it. */
static struct {
	pthread_mutex_t lock;
	struct job list[JOBS_MAX];
	size_t count;
} c = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void job_add(struct text *out, const struct job *j)
{
	text_printf(out, "{\"id\":\"%s\",\"enabled\":true,\"name\":", j->id);
	text_json(out, j->name);
	if (j->key[0]) {
		text_printf(out, ",\"declarationKey\":");
		text_json(out, j->key);
	}
	text_printf(out,
	            ",\"schedule\":{\"kind\":\"every\",\"everyMs\":%lld},\"nextRunAtMs\":%lld}",
	            (long long)j->every_ms, (long long)(j->created_at + j->every_ms));
}

/* One that is declared under the same key is that one. With the lock. */
static struct job *declared(const char *key)
{
	for (size_t i = 0; key[0] && i < c.count; i++)
		if (strcmp(c.list[i].key, key) == 0)
			return &c.list[i];
	return NULL;
}

static bool add(const struct json *params, struct text *out, const char **ret_error)
{
	const char *key = json_string_at(params, "declarationKey", "");
	struct job *j = declared(key);
	bool is_new = !j;

	if (!j && c.count == JOBS_MAX) {
		*ret_error = "too many jobs";
		return false;
	}
	if (!j) {
		j = &c.list[c.count++];
		*j = (struct job){ .created_at = unix_ms() };
		ws_random_hex(j->id, 16);
		snprintf(j->key, sizeof(j->key), "%s", key);
	}
	snprintf(j->name, sizeof(j->name), "%s", json_string_at(params, "name", ""));
	j->every_ms = json_int_at(params, "schedule/everyMs", 60000);
	if (key[0])
		text_printf(out, "{\"created\":%s,\"job\":", is_new ? "true" : "false");
	job_add(out, j);
	if (key[0])
		text_printf(out, "}");
	return true;
}

bool cron_run(const char *verb, const struct json *params, struct text *out, const char **ret_error)
{
	bool is_good = true;

	pthread_mutex_lock(&c.lock);
	if (strcmp(verb, "add") == 0) {
		is_good = add(params, out, ret_error);
	} else if (strcmp(verb, "list") == 0) {
		text_printf(out, "{\"jobs\":[");
		for (size_t i = 0; i < c.count; i++) {
			text_printf(out, i ? "," : "");
			job_add(out, &c.list[i]);
		}
		text_printf(out, "]}");
	} else {
		*ret_error = "unknown method";
		is_good = false;
	}
	pthread_mutex_unlock(&c.lock);
	return is_good;
}

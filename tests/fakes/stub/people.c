#include "people.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { PEOPLE_MAX = 64, LIFE_MS = 3600 * 1000 };

struct person {
	int64_t user_id, asked_at;
	char id[33], name[128];
	bool is_in;
};

/* lock guards all of it. */
static struct {
	pthread_mutex_t lock;
	struct person list[PEOPLE_MAX];
	size_t count;
} p = { .lock = PTHREAD_MUTEX_INITIALIZER };

void pairing_ask(int64_t user_id, const char *name)
{
	unsigned char raw[16];

	if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
		abort();
	pthread_mutex_lock(&p.lock);
	if (p.count < PEOPLE_MAX) {
		struct person *who = &p.list[p.count++];

		*who = (struct person){ .user_id = user_id, .asked_at = unix_ms() };
		snprintf(who->name, sizeof(who->name), "%s", name);
		for (size_t i = 0; i < sizeof(raw); i++)
			snprintf(who->id + 2 * i, 3, "%02x", raw[i]);
	}
	pthread_mutex_unlock(&p.lock);
}

bool pairing_has(int64_t user_id)
{
	bool has = false;

	pthread_mutex_lock(&p.lock);
	for (size_t i = 0; i < p.count; i++)
		has |= p.list[i].user_id == user_id && p.list[i].is_in;
	pthread_mutex_unlock(&p.lock);
	return has;
}

static void list_add(struct text *out)
{
	int shown = 0;

	text_printf(out, "{\"requests\":[");
	for (size_t i = 0; i < p.count; i++) {
		const struct person *who = &p.list[i];

		if (who->is_in || !who->id[0])
			continue;
		text_printf(out,
		            "%s{\"requestId\":\"%s\",\"channel\":\"telegram\",\"accountId\":"
		            "\"default\","
		            "\"senderId\":\"%lld\",\"createdAt\":%lld,\"expiresAt\":%lld,"
		            "\"metadata\":{\"firstName\":",
		            shown++ ? "," : "", who->id, (long long)who->user_id,
		            (long long)who->asked_at, (long long)who->asked_at + LIFE_MS);
		text_json(out, who->name);
		text_printf(out, "}}");
	}
	text_printf(out, "]}");
}

static struct person *find(const char *id)
{
	for (size_t i = 0; i < p.count; i++)
		if (p.list[i].id[0] && !p.list[i].is_in && strcmp(p.list[i].id, id) == 0)
			return &p.list[i];
	return NULL;
}

bool pairing_run(const char *verb, const struct json *params, struct text *out,
                 const char **ret_error)
{
	bool is_good = true;

	pthread_mutex_lock(&p.lock);
	if (strcmp(verb, "list") == 0) {
		list_add(out);
	} else {
		struct person *who = find(json_string_at(params, "requestId", ""));

		is_good = who != NULL;
		if (who) {
			who->is_in = strcmp(verb, "approve") == 0;
			text_printf(out, "{\"requestId\":\"%s\",\"senderId\":\"%lld\"}", who->id,
			            (long long)who->user_id);
			if (!who->is_in)
				who->id[0] = '\0';
		} else {
			*ret_error = "unknown pairing request";
		}
	}
	pthread_mutex_unlock(&p.lock);
	return is_good;
}

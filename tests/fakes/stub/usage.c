#include "usage.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* lock guards all of it. It is of this run alone: the real one keeps it. */
static struct {
	pthread_mutex_t lock;
	long long input, output;
	double cost;
	char model[CONF_MODEL_MAX];
} u = { .lock = PTHREAD_MUTEX_INITIALIZER };

void usage_reply(struct stub *s, const char *message, char *ret, size_t size)
{
	struct steer steer;
	struct conf conf;
	long long in = (long long)strlen(message), out;

	stub_snapshot(s, &conf, &steer);
	if (conf.model_away) {
		snprintf(ret, size, "The configured model is unavailable from the provider.");
		return;
	}
	snprintf(ret, size, "echo: %.900s", message);
	out = (long long)strlen(ret);
	pthread_mutex_lock(&u.lock);
	u.input += in;
	u.output += out;
	u.cost += ((double)in * conf.price_in + (double)out * conf.price_out) / 1e6;
	snprintf(u.model, sizeof(u.model), "%s", conf.model);
	pthread_mutex_unlock(&u.lock);
}

void usage_tell(struct text *out)
{
	time_t now = (time_t)(unix_ms() / 1000);
	char day[16], sums[256], model[CONF_MODEL_MAX], *slash;
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(day, sizeof(day), "%Y-%m-%d", &tm);
	pthread_mutex_lock(&u.lock);
	snprintf(sums, sizeof(sums),
	         "\"date\":\"%s\",\"input\":%lld,\"output\":%lld,\"cacheRead\":0,\"cacheWrite\":0,"
	         "\"totalTokens\":%lld,\"tokens\":%lld,\"totalCost\":%.9f,\"cost\":%.9f",
	         day, u.input, u.output, u.input + u.output, u.input + u.output, u.cost, u.cost);
	memcpy(model, u.model, sizeof(model));
	pthread_mutex_unlock(&u.lock);
	slash = strchr(model, '/');
	if (slash)
		*slash = '\0';
	text_printf(out, "{\"sessions\":[],\"aggregates\":{\"costDaily\":[{%s}],\"modelDaily\":[",
	            sums);
	if (slash) {
		text_printf(out, "{%s,\"provider\":", sums);
		text_json(out, model);
		text_printf(out, ",\"model\":");
		text_json(out, slash + 1);
		text_printf(out, "}");
	}
	text_printf(out, "]},\"cacheStatus\":{\"status\":\"fresh\"}}");
}

/* Written beside and renamed, as the real one does; main sees it as it sees ours. */
static bool file_write(const char *dir, const char *text)
{
	char path[512], part[520];
	size_t len = strlen(text);
	bool good;
	FILE *f;

	snprintf(path, sizeof(path), "%s/openclaw.json", dir);
	snprintf(part, sizeof(part), "%s.set", path);
	f = fopen(part, "we");
	if (!f)
		return false;
	good = fwrite(text, 1, len, f) == len;
	good = fclose(f) == 0 && good;
	return good && rename(part, path) == 0;
}

bool config_run(struct stub *s, const char *method, const struct json *params, struct text *out,
                const char **ret_error)
{
	const char *raw = json_string_at(params, "raw", "");
	static _Thread_local char why[300];
	struct conf conf;

	if (strcmp(method, "config.get") == 0) {
		text_printf(out, "{\"exists\":true,\"valid\":%s,\"issues\":[],\"hash\":\"stub\"}",
		            conf_load(s->dir, &conf) ? "true" : "false");
		return true;
	}
	if (strcmp(json_string_at(params, "baseHash", ""), "stub") != 0) {
		*ret_error = "config changed since last load; re-run config.get and retry";
		return false;
	}
	if (!conf_parse(raw, strlen(raw), &conf)) {
		snprintf(why, sizeof(why), "invalid config: %s", conf_refusal());
		*ret_error = why;
		return false;
	}
	if (!file_write(s->dir, raw)) {
		*ret_error = "the config cannot be written";
		return false;
	}
	text_printf(out, "{\"ok\":true,\"hash\":\"stub\"}");
	return true;
}

#include "docker.h"

#include "base/json.h"

#include <limits.h>

#define MIB (1024.0 * 1024)

/* clang-format off */
static const struct {
	const char *name;
	enum engine_status status;
} statuses[] = {
	{ "absent",     ENGINE_ABSENT },
	{ "created",    ENGINE_CREATED },
	{ "running",    ENGINE_RUNNING },
	{ "paused",     ENGINE_PAUSED },
	{ "restarting", ENGINE_RESTARTING },
	{ "removing",   ENGINE_REMOVING },
	{ "exited",     ENGINE_EXITED },
	{ "dead",       ENGINE_DEAD },
};

static const struct {
	const char *action;
	enum engine_event_kind kind;
} actions[] = {
	{ "start",   ENGINE_EVENT_STARTED },
	{ "die",     ENGINE_EVENT_DIED },
	{ "oom",     ENGINE_EVENT_OOM },
	{ "pause",   ENGINE_EVENT_PAUSED },
	{ "unpause", ENGINE_EVENT_UNPAUSED },
	{ "create",  ENGINE_EVENT_CREATED },
	{ "destroy", ENGINE_EVENT_DESTROYED },
};
/* clang-format on */

const char *engine_status_name(enum engine_status status)
{
	return statuses[status].name;
}

static const cJSON *member(const cJSON *obj, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(obj, key);
}

static int unexpected(struct err *e, const char *what)
{
	return err_set(e, ERR_UPSTREAM, "'%s' in the answer is missing or not as expected", what);
}

/* The document, which must be of the kind that `is` says. */
static int answer_parse(const char *data, size_t len, cJSON_bool (*is)(const cJSON *), cJSON **ret,
                        struct err *e)
{
	OWN(json) cJSON *doc = NULL;

	if (json_parse(data, len, &doc, e) < 0)
		return err_set(e, ERR_UPSTREAM, "the answer %.120s", e->msg);
	if (!is(doc))
		return err_set(e, ERR_UPSTREAM, "the answer is of another kind than expected");
	*ret = TAKE(doc);
	return 0;
}

static bool id_from(const cJSON *obj, const char *key, char out[ENGINE_ID_SIZE])
{
	const char *text = json_text(obj, key);

	if (!text || strlen(text) != ENGINE_ID_SIZE - 1 ||
	    strspn(text, "0123456789abcdef") != ENGINE_ID_SIZE - 1)
		return false;
	memcpy(out, text, ENGINE_ID_SIZE);
	return true;
}

static bool status_from(const char *name, enum engine_status *ret)
{
	for (size_t i = 1; name && i < COUNT(statuses); i++) {
		if (strcmp(statuses[i].name, name) == 0) {
			*ret = statuses[i].status;
			return true;
		}
	}
	return false;
}

/* A whole number within bounds: anything else would be undefined once it is an int. */
static bool number_from(const cJSON *v, double min, double max, double *ret)
{
	if (!cJSON_IsNumber(v) || v->valuedouble < min || v->valuedouble > max)
		return false;
	*ret = v->valuedouble;
	return true;
}

static bool int_from(const cJSON *obj, const char *key, int *ret)
{
	double v;

	if (!number_from(member(obj, key), INT_MIN, INT_MAX, &v))
		return false;
	*ret = (int)v;
	return true;
}

/* A decimal number as text. */
static bool decimal_from(const char *text, int min, int max, int *ret)
{
	char *end = NULL;
	long v;

	if (!text || text[0] == 0)
		return false;
	v = strtol(text, &end, 10);
	if (*end || v < min || v > max)
		return false;
	*ret = (int)v;
	return true;
}

/* "2026-11-23T08:00:00.123456789Z" as unix ms; the engine's "never" is the year 1. */
static bool time_from(const cJSON *obj, const char *key, long long *ret_ms)
{
	const char *text = json_text(obj, key);
	struct tm tm = { .tm_isdst = 0 };
	const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	int ms = 0, place = 100;
	long long s;

	if (!rest)
		return false;
	if (*rest == '.')
		for (rest++; *rest >= '0' && *rest <= '9'; rest++, place /= 10)
			ms += (*rest - '0') * place;
	if (strcmp(rest, "Z") != 0)
		return false;
	s = timegm(&tm);
	*ret_ms = s > 0 ? s * 1000 + ms : 0;
	return true;
}

/* A label that is an id of ours, or "". */
static void uuid_label(const cJSON *labels, const char *key, char out[UUID_SIZE])
{
	const char *text = json_text(labels, key);

	snprintf(out, UUID_SIZE, "%s", text && uuid_is_valid(text) ? text : "");
}

static void labels_read(const cJSON *labels, const char *platform_id, struct engine_item *item)
{
	const char *platform = json_text(labels, CONTAINER_LABEL_PLATFORM);
	const char *spec = json_text(labels, CONTAINER_LABEL_SPEC);

	uuid_label(labels, CONTAINER_LABEL_INSTANCE, item->instance_id);
	uuid_label(labels, CONTAINER_LABEL_USER, item->user_id);
	item->is_ours = platform && strcmp(platform, platform_id) == 0;
	if (spec && strlen(spec) == CONTAINER_SPEC_SIZE - 1)
		memcpy(item->spec, spec, CONTAINER_SPEC_SIZE);
}

static void name_read(const char *name, struct engine_item *item)
{
	snprintf(item->name, sizeof(item->name), "%s", name[0] == '/' ? name + 1 : name);
}

/* Of our own port; 0: not published. */
static int port_from(const cJSON *host)
{
	const cJSON *list = member(member(host, "PortBindings"), "18789/tcp");
	int port = 0;

	decimal_from(json_text(cJSON_GetArrayItem(list, 0), "HostPort"), 1, 65535, &port);
	return port;
}

/* An instance's container is in one network. */
static void address_read(const cJSON *doc, char out[ENGINE_ADDR_SIZE])
{
	const cJSON *networks = member(member(doc, "NetworkSettings"), "Networks"), *network;

	cJSON_ArrayForEach(network, networks) {
		const char *text = json_text(network, "IPAddress");

		if (text && text[0] && strlen(text) < ENGINE_ADDR_SIZE) {
			memcpy(out, text, strlen(text) + 1);
			return;
		}
	}
}

static int state_read(const cJSON *doc, const char *platform_id, struct engine_state *s,
                      struct err *e)
{
	const cJSON *state = member(doc, "State"), *host = member(doc, "HostConfig");
	const cJSON *oom = member(state, "OOMKilled");
	const char *name = json_text(doc, "Name"), *error = json_text(state, "Error");
	const char *image = json_text(member(doc, "Config"), "Image");
	const char *health = json_text(member(state, "Health"), "Status");
	double memory;

	if (!id_from(doc, "Id", s->item.id))
		return unexpected(e, "Id");
	if (!name)
		return unexpected(e, "Name");
	if (!status_from(json_text(state, "Status"), &s->item.status))
		return unexpected(e, "State.Status");
	if (!int_from(state, "ExitCode", &s->exit_code))
		return unexpected(e, "State.ExitCode");
	if (!cJSON_IsBool(oom))
		return unexpected(e, "State.OOMKilled");
	if (!time_from(state, "StartedAt", &s->started_ms))
		return unexpected(e, "State.StartedAt");
	if (!time_from(state, "FinishedAt", &s->finished_ms))
		return unexpected(e, "State.FinishedAt");
	if (!int_from(doc, "RestartCount", &s->restart_count))
		return unexpected(e, "RestartCount");
	if (!number_from(member(host, "Memory"), 0, INT_MAX * MIB, &memory))
		return unexpected(e, "HostConfig.Memory");

	name_read(name, &s->item);
	labels_read(member(member(doc, "Config"), "Labels"), platform_id, &s->item);
	s->oom_killed = cJSON_IsTrue(oom);
	s->is_healthy = health && strcmp(health, "healthy") == 0;
	s->memory_mib = (int)(memory / MIB);
	s->port = port_from(host);
	snprintf(s->error, sizeof(s->error), "%s", error ? error : "");
	if (image && strlen(image) < sizeof(s->image))
		memcpy(s->image, image, strlen(image) + 1);
	address_read(doc, s->address);
	return 0;
}

int docker_json_state(const struct http_res *res, const char *platform_id, struct engine_state *ret,
                      struct err *e)
{
	struct engine_state s = { .item = { .status = ENGINE_ABSENT } };
	OWN(json) cJSON *doc = NULL;

	if (answer_parse(res->body, res->body_len, cJSON_IsObject, &doc, e) < 0 ||
	    state_read(doc, platform_id, &s, e) < 0)
		return -1;
	*ret = s;
	return 0;
}

static int item_read(const cJSON *v, const char *platform_id, struct engine_item *item,
                     struct err *e)
{
	const char *name = cJSON_GetStringValue(cJSON_GetArrayItem(member(v, "Names"), 0));

	if (!id_from(v, "Id", item->id))
		return unexpected(e, "Id");
	if (!status_from(json_text(v, "State"), &item->status))
		return unexpected(e, "State");
	/* One that is being removed has lost its name already. */
	name_read(name ? name : "", item);
	labels_read(member(v, "Labels"), platform_id, item);
	return 0;
}

int docker_json_list(const struct http_res *res, const char *platform_id, struct arena *a,
                     struct engine_item **ret, size_t *ret_count, struct err *e)
{
	OWN(json) cJSON *doc = NULL;
	struct engine_item *items;
	size_t count, i = 0;
	const cJSON *v;

	if (answer_parse(res->body, res->body_len, cJSON_IsArray, &doc, e) < 0)
		return -1;
	count = (size_t)cJSON_GetArraySize(doc);
	if (count > ENGINE_LIST_MAX)
		return err_set(e, ERR_UPSTREAM, "more than %d containers", ENGINE_LIST_MAX);
	items = arena_alloc(a, (count + 1) * sizeof(*items)); /* none is no failure */
	if (!items)
		return err_set(e, ERR_INTERNAL, "out of memory");
	cJSON_ArrayForEach(v, doc) {
		if (item_read(v, platform_id, &items[i++], e) < 0)
			return -1;
	}
	*ret = items;
	*ret_count = count;
	return 0;
}

/* timeNano does not fit a double: it is read from the text. In it a quotation mark within a string
 * has a backslash before it, so this can be the key alone. */
static bool nano_from(const char *line, size_t len, long long *ret)
{
	static const char key[] = "\"timeNano\":";
	const char *at = memmem(line, len, key, sizeof(key) - 1);
	long long ns = 0;
	size_t n = 0;

	if (!at)
		return false;
	for (at += sizeof(key) - 1; at < line + len && *at >= '0' && *at <= '9' && n < 19;
	     at++, n++)
		if (__builtin_mul_overflow(ns, 10, &ns) ||
		    __builtin_add_overflow(ns, *at - '0', &ns))
			return false;
	*ret = ns;
	return n > 0;
}

int docker_json_event(const char *line, size_t len, struct engine_event *ret, struct err *e)
{
	struct engine_event ev = { .kind = ENGINE_EVENT_CHANGED };
	const cJSON *actor, *attributes;
	OWN(json) cJSON *doc = NULL;
	const char *action;

	if (answer_parse(line, len, cJSON_IsObject, &doc, e) < 0)
		return -1;
	action = json_text(doc, "Action");
	actor = member(doc, "Actor");
	attributes = member(actor, "Attributes");
	if (!action)
		return unexpected(e, "Action");
	if (!id_from(actor, "ID", ev.container_id))
		return unexpected(e, "Actor.ID");
	if (!nano_from(line, len, &ev.time_ns))
		return unexpected(e, "timeNano");

	for (size_t i = 0; i < COUNT(actions); i++)
		if (strcmp(actions[i].action, action) == 0)
			ev.kind = actions[i].kind;
	if (ev.kind == ENGINE_EVENT_DIED &&
	    !decimal_from(json_text(attributes, "exitCode"), INT_MIN, INT_MAX, &ev.exit_code))
		return unexpected(e, "exitCode");
	uuid_label(attributes, CONTAINER_LABEL_INSTANCE, ev.instance_id);
	*ret = ev;
	return 0;
}

int docker_json_id(const struct http_res *res, char ret[ENGINE_ID_SIZE], struct err *e)
{
	OWN(json) cJSON *doc = NULL;

	if (answer_parse(res->body, res->body_len, cJSON_IsObject, &doc, e) < 0)
		return -1;
	return id_from(doc, "Id", ret) ? 0 : unexpected(e, "Id");
}

/* "1.41" as 1041. */
static bool api_from(const cJSON *doc, const char *key, int *ret)
{
	int major, minor;
	char end;

	if (sscanf(json_text(doc, key) ? json_text(doc, key) : "", "%3d.%3d%c", &major, &minor,
	           &end) != 2)
		return false;
	*ret = major * 1000 + minor;
	return true;
}

int docker_json_version(const struct http_res *res, struct engine_info *ret, int *ret_minor,
                        struct err *e)
{
	const int wanted = DOCKER_API_MAJOR * 1000 + DOCKER_API_MINOR;
	const int last = DOCKER_API_MAJOR * 1000 + DOCKER_API_LAST;
	OWN(json) cJSON *doc = NULL;
	int newest, oldest;

	if (answer_parse(res->body, res->body_len, cJSON_IsObject, &doc, e) < 0)
		return -1;
	if (!json_text(doc, "Version"))
		return unexpected(e, "Version");
	if (!api_from(doc, "ApiVersion", &newest))
		return unexpected(e, "ApiVersion");
	if (!api_from(doc, "MinAPIVersion", &oldest))
		oldest = 0;
	if (newest < wanted || oldest > last)
		return err_set(
			e, ERR_UNAVAILABLE,
			"speaks API %d.%d to %d.%d, but one of %d.%d to %d.%d is needed (Docker "
			"20.10 is the first with it)",
			oldest / 1000, oldest % 1000, newest / 1000, newest % 1000,
			DOCKER_API_MAJOR, DOCKER_API_MINOR, DOCKER_API_MAJOR, DOCKER_API_LAST);

	*ret_minor = (oldest > wanted ? oldest : wanted) % 1000;
	snprintf(ret->version, sizeof(ret->version), "%s", json_text(doc, "Version"));
	snprintf(ret->api_version, sizeof(ret->api_version), "%s", json_text(doc, "ApiVersion"));
	return 0;
}

int docker_json_network(const struct http_res *res, const char *name, enum docker_network_fit *ret,
                        struct err *e)
{
	const char *found, *driver, *icc;
	OWN(json) cJSON *doc = NULL;

	if (answer_parse(res->body, res->body_len, cJSON_IsObject, &doc, e) < 0)
		return -1;
	found = json_text(doc, "Name");
	driver = json_text(doc, "Driver");
	icc = json_text(member(doc, "Options"), DOCKER_ICC);
	if (!found || !driver)
		return unexpected(e, "Name or Driver");

	if (strcmp(found, name) != 0)
		*ret = DOCKER_NETWORK_OTHER;
	else if (strcmp(driver, "bridge") == 0 && icc && strcmp(icc, "false") == 0)
		*ret = DOCKER_NETWORK_FITS;
	else
		*ret = DOCKER_NETWORK_TALKING;
	return 0;
}

int docker_json_networks(const struct http_res *res, const char *name, size_t *ret_count,
                         struct err *e)
{
	OWN(json) cJSON *doc = NULL;
	size_t count = 0;
	const cJSON *v;

	if (answer_parse(res->body, res->body_len, cJSON_IsArray, &doc, e) < 0)
		return -1;
	cJSON_ArrayForEach(v, doc) {
		const char *found = json_text(v, "Name");

		if (!found)
			return unexpected(e, "Name");
		count += strcmp(found, name) == 0;
	}
	*ret_count = count;
	return 0;
}

char *docker_json_message(const struct http_res *res, char out[DOCKER_MESSAGE_SIZE])
{
	struct err ignored = ERR_INIT; /* a refusal without a reason is one all the same */
	OWN(json) cJSON *doc = NULL;
	const char *text = NULL;

	if (json_parse(res->body, res->body_len, &doc, &ignored) == 0)
		text = json_text(doc, "message");
	snprintf(out, DOCKER_MESSAGE_SIZE, "%s", text ? text : "");
	for (char *p = out; *p; p++)
		if ((unsigned char)*p < 0x20)
			*p = ' ';
	return out;
}

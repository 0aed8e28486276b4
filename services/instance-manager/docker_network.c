#include "docker.h"

#include "base/clock.h"

#include <sodium.h>

#define TRIES    20
#define PAUSE_MS 200 /* at most, between two of them */

static int network_find(struct docker *d, const char *name, bool *ret, struct err *e)
{
	OWN(docker_ask) struct docker_ask k;
	enum docker_network_fit fit = DOCKER_NETWORK_OTHER;
	const char *escaped;

	docker_ask_init(&k, "network", "GET", DOCKER_QUICK_MS);
	escaped = docker_escape(name, false, &k.a);
	if (escaped)
		k.req.path = arena_printf(&k.a, "/networks/%s", escaped);
	if (docker_ask_send(d, &k, e) < 0)
		return -1;
	/* 400: there are several of that name, of which all but one will go. */
	if (k.res.status == 404 || k.res.status == 400) {
		*ret = false;
		return 0;
	}
	if (k.res.status != 200)
		return docker_ask_refused(&k, e);
	if (docker_json_network(&k.res, name, &fit, e) < 0)
		return docker_ask_wrap(&k, e);
	if (fit == DOCKER_NETWORK_TALKING)
		return err_field(
			e, "INSTANCE_NETWORK",
			"container engine: the network '%.40s' lets its containers reach each "
			"other; remove it, or name another",
			name);
	*ret = fit == DOCKER_NETWORK_FITS;
	return 0;
}

static char *network_json(const struct docker *d, const char *name)
{
	OWN(json) cJSON *root = cJSON_CreateObject();
	cJSON *options, *labels;

	if (!cJSON_AddStringToObject(root, "Name", name) ||
	    !cJSON_AddStringToObject(root, "Driver", "bridge") ||
	    !cJSON_AddTrueToObject(root, "CheckDuplicate"))
		return NULL;
	options = cJSON_AddObjectToObject(root, "Options");
	labels = cJSON_AddObjectToObject(root, "Labels");
	if (!cJSON_AddStringToObject(options, DOCKER_ICC, "false") ||
	    !cJSON_AddStringToObject(labels, CONTAINER_LABEL_PLATFORM, d->platform_id))
		return NULL;
	return cJSON_PrintUnformatted(root);
}

/* *ret_id is "" where someone else was first. */
static int network_make(struct docker *d, const char *name, char ret_id[ENGINE_ID_SIZE],
                        struct err *e)
{
	OWN(json_text) char *body = network_json(d, name);
	OWN(docker_ask) struct docker_ask k;

	docker_ask_init(&k, "network", "POST", DOCKER_QUICK_MS);
	k.req.path = body ? "/networks/create" : NULL;
	k.req.body = body;
	if (docker_ask_send(d, &k, e) < 0)
		return -1;
	if (k.res.status == 409) {
		ret_id[0] = 0;
		return 0;
	}
	if (k.res.status != 201)
		return docker_ask_refused(&k, e);
	return docker_json_id(&k.res, ret_id, e) < 0 ? docker_ask_wrap(&k, e) : 0;
}

static int network_count(struct docker *d, const char *name, size_t *ret, struct err *e)
{
	OWN(docker_ask) struct docker_ask k;

	docker_ask_init(&k, "network", "GET", DOCKER_QUICK_MS);
	k.req.path = "/networks";
	if (docker_ask_send(d, &k, e) < 0)
		return -1;
	if (k.res.status != 200)
		return docker_ask_refused(&k, e);
	return docker_json_networks(&k.res, name, ret, e) < 0 ? docker_ask_wrap(&k, e) : 0;
}

static int network_remove(struct docker *d, const char *id, struct err *e)
{
	OWN(docker_ask) struct docker_ask k;

	docker_ask_init(&k, "network", "DELETE", DOCKER_QUICK_MS);
	k.req.path = arena_printf(&k.a, "/networks/%s", id);
	if (docker_ask_send(d, &k, e) < 0)
		return -1;
	if (k.res.status != 204 && k.res.status != 404)
		return docker_ask_refused(&k, e);
	return 0;
}

/*
 * The engine looks for the name before it makes a network, but several who ask at once each get one,
 * and a container can be put into none of them. So whoever sees another beside his own takes his
 * own away and begins again: of two who made one, the later to look sees both.
 */
static int network_try(struct docker *d, const char *name, bool *ret_is_there, struct err *e)
{
	char made[ENGINE_ID_SIZE] = "";
	size_t count = 0;

	if (network_find(d, name, ret_is_there, e) < 0)
		return -1;
	if (*ret_is_there)
		return 0;
	if (network_make(d, name, made, e) < 0)
		return -1;
	if (!made[0])
		return 0; /* perhaps one that is being taken away: look again */
	if (network_count(d, name, &count, e) < 0)
		return -1;
	if (count > 1)
		return network_remove(d, made, e);
	*ret_is_there = true;
	return 0;
}

int docker_ensure_network(struct engine *g, const char *name, struct err *e)
{
	bool is_there = false;

	for (int i = 0; i < TRIES; i++) {
		if (network_try((struct docker *)g, name, &is_there, e) < 0)
			return -1;
		if (is_there)
			return 0;
		clock_sleep_ms(1 + randombytes_uniform(PAUSE_MS));
	}
	return err_set(e, ERR_UNAVAILABLE,
	               "container engine: there are several networks '%.40s', or none can be made",
	               name);
}

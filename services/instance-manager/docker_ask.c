#include "docker.h"

void docker_ask_init(struct docker_ask *k, const char *verb, const char *method, int timeout_ms)
{
	*k = (struct docker_ask){ .verb = verb };
	k->req.method = method;
	k->req.timeout_ms = timeout_ms;
	k->req.answer_max = DOCKER_ANSWER_MAX;
	arena_init(&k->a, 2 * DOCKER_ANSWER_MAX);
}

int docker_ask_wrap(const struct docker_ask *k, struct err *e)
{
	char what[48];

	snprintf(what, sizeof(what), "container engine: %s", k->verb);
	return err_wrap(e, what);
}

const char *docker_path(struct docker *d, const char *path, struct arena *a)
{
	int minor = __atomic_load_n(&d->api_minor, __ATOMIC_RELAXED);

	/* Asked without a version, which an engine of another one would refuse. */
	if (!path || strcmp(path, "/version") == 0)
		return path;
	return arena_printf(a, "/v%d.%d%s", DOCKER_API_MAJOR, minor, path);
}

int docker_ask_send(struct docker *d, struct docker_ask *k, struct err *e)
{
	k->req.path = docker_path(d, k->req.path, &k->a);
	if (!k->req.path)
		return err_set(e, ERR_INTERNAL, "container engine: out of memory");
	k->req.body_len = k->req.body ? strlen(k->req.body) : 0;
	if (http_call(d->http, &k->req, &k->a, &k->res, e) < 0)
		return docker_ask_wrap(k, e);
	return 0;
}

int docker_ask_refused(const struct docker_ask *k, struct err *e)
{
	char why[DOCKER_MESSAGE_SIZE];

	return err_set(e, k->res.status == 404 ? ERR_NOT_FOUND : ERR_UPSTREAM,
	               "container engine: %s: status %d, %s", k->verb, k->res.status,
	               docker_json_message(&k->res, why));
}

const char *docker_escape(const char *text, bool is_image, struct arena *a)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~";
	char *out = arena_alloc(a, strlen(text) * 3 + 1), *p = out;

	for (; out && *text; text++) {
		if (strchr(plain, *text) || (is_image && strchr("/:@", *text)))
			*p++ = *text;
		else
			p += snprintf(p, 4, "%%%02X", (unsigned)(unsigned char)*text);
	}
	return out;
}

#ifndef FRAMES_H
#define FRAMES_H

#include "link/link.h"

#include "test.h"

#include "base/log.h"

/* Links without a database, and what a real gateway sent. Run in the project's root. */
#define FRAMES     "tests/fakes/samples/link-frames.jsonl"
#define FRAMES_MAX 256

struct frames {
	struct app app;
	char *list[FRAMES_MAX];
	size_t count;
};

static inline void frames_open(struct frames *s, const char *platform_id)
{
	const struct vault_key key = { 1, "0123456789abcdef0123456789abcdef" };
	FILE *f = fopen(FRAMES, "re");
	char *line = NULL;
	size_t size = 0;
	struct err e = ERR_INIT;

	assert_non_null(f);
	log_open("test", LOG_ERR);
	while (s->count < FRAMES_MAX && getline(&line, &size, f) > 0)
		s->list[s->count++] = strdup(line);
	free(line);
	fclose(f);
	snprintf(s->app.platform_id, sizeof(s->app.platform_id), "%s", platform_id);
	assert_ok(vault_new(&key, 1, &s->app.vault, &e), &e);
	assert_ok(pg_pool_open("postgresql://x@127.0.0.1:9/x", "test", 4, &s->app.db, &e), &e);
	assert_ok(links_start(&s->app, &s->app.links, &e), &e);
}

static inline void frames_close(struct frames *s)
{
	links_stop(s->app.links);
	pg_pool_close(s->app.db);
	vault_free(s->app.vault);
	for (size_t i = 0; i < s->count; i++)
		free(s->list[i]);
}

#endif

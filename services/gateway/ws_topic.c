#include "ws_topic.h"

/* A name ends in a random UUID. */
struct ws_topic **ws_topic_find(struct ws_topic_table *t, const char *name)
{
	unsigned long hash = 5381;
	struct ws_topic **at;

	for (const char *c = name; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	at = &t->buckets[hash % WS_TOPIC_BUCKETS];
	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

struct ws_topic *ws_topic_make(struct ws_topic_table *t, const char *name)
{
	struct ws_topic **at = ws_topic_find(t, name);

	if (!*at && (*at = calloc(1, sizeof(**at))))
		snprintf((*at)->name, sizeof((*at)->name), "%s", name);
	return *at;
}

void ws_topic_table_done(struct ws_topic_table *t)
{
	for (size_t i = 0; i < WS_TOPIC_BUCKETS; i++) {
		while (t->buckets[i]) {
			struct ws_topic *topic = t->buckets[i];

			t->buckets[i] = topic->next;
			free(topic);
		}
	}
}

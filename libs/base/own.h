#ifndef BASE_OWN_H
#define BASE_OWN_H

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Ownership. A local that owns something says so in its declaration and is initialised there:
 *
 *	OWN(json) cJSON *doc = cJSON_CreateObject();
 *
 * It is released on every way out. To pass ownership on, TAKE() it: the local becomes NULL.
 * Libraries that have resources of their own define further kinds beside them.
 */
#define OWN(kind) __attribute__((cleanup(own_##kind)))

#define OWN_DEFINE(kind, type, release)        \
	static inline void own_##kind(type *p) \
	{                                      \
		if (*p)                        \
			release(*p);           \
	}

#define TAKE(p)                             \
	__extension__({                     \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static inline void own_mem(void *p)
{
	free(*(void **)p);
}

/* A descriptor; -1 is none. */
static inline void own_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

OWN_DEFINE(json, cJSON *, cJSON_Delete)
OWN_DEFINE(json_text, char *, cJSON_free)

#endif

#ifndef PERSONA_H
#define PERSONA_H

#include <stddef.h>

/* Characters that a person may give an assistant: personas.def. One becomes the workspace's SOUL.md,
 * from where OpenClaw takes it; what was there is replaced. */
#define PERSONA_FILE "SOUL.md"

struct persona {
	const char *name, *title, *summary, *text;
};

extern const struct persona personas[];
extern const size_t persona_count;

const struct persona *persona_find(const char *name); /* NULL: there is none of that name */

#endif

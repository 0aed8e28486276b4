#include "settings/persona.h"

#include "base/own.h"

#include <string.h>

const struct persona personas[] = {
#define PERSONA(name, title, summary, text) { name, title, summary, text },
#include "settings/personas.def"
#undef PERSONA
};

const size_t persona_count = COUNT(personas);

const struct persona *persona_find(const char *name)
{
	for (size_t i = 0; i < persona_count; i++)
		if (strcmp(personas[i].name, name) == 0)
			return &personas[i];
	return NULL;
}

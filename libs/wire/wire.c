#include "wire/wire.h"

#include "wire/format.h"

const struct wire_field *wire_field_find(const struct wire_msg *m, const char *name)
{
	for (size_t i = 0; i < m->field_count; i++)
		if (strcmp(m->fields[i].name, name) == 0)
			return &m->fields[i];
	return NULL;
}

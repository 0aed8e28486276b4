#ifndef SAMPLE_TABLES_H
#define SAMPLE_TABLES_H

#include "sample.h"

/* clang-format off */
static const char *const sample_color[] = { "red", "green", NULL };

static const struct wire_field part_fields[] = {
	{ .name = "name", .type = WIRE_STRING, .flags = WIRE_REQUIRED, .offset = offsetof(struct part, name),
	  .has_offset = WIRE_ALWAYS, .min = 1, .max = 8 },
	{ .name = "key", .type = WIRE_STRING, .flags = WIRE_SECRET, .offset = offsetof(struct part, key),
	  .has_offset = WIRE_ALWAYS, .min = 4, .max = 64, .format = WIRE_FORMAT_TOKEN },
};
const struct wire_msg wire_part = { "part", sizeof(struct part), part_fields, COUNT(part_fields), true };

#define AT(f)  .name = #f, .offset = offsetof(struct sample, f)
#define HAS(f) .has_offset = offsetof(struct sample, has_##f)
static const struct wire_field sample_fields[] = {
	{ AT(id),    .type = WIRE_STRING, .flags = WIRE_REQUIRED, .has_offset = WIRE_ALWAYS, .min = 36, .max = 36, .format = WIRE_FORMAT_UUID },
	{ AT(color), .type = WIRE_STRING, .has_offset = WIRE_ALWAYS, .max = 64, .one_of = sample_color },
	{ AT(note),  .type = WIRE_STRING, .flags = WIRE_REQUIRED | WIRE_NULLABLE, .has_offset = WIRE_ALWAYS, .min = 1, .max = 5 },
	{ AT(pin),   .type = WIRE_STRING, .flags = WIRE_SECRET, .has_offset = WIRE_ALWAYS, .min = 4, .max = 8 },
	{ AT(size),  .type = WIRE_INT, .flags = WIRE_REQUIRED, .has_offset = WIRE_ALWAYS, .min = -5, .max = 9007199254740992 },
	{ AT(age),   .type = WIRE_INT, HAS(age), .min = 0, .max = 150 },
	{ AT(rank),  .type = WIRE_INT, .flags = WIRE_NULLABLE, HAS(rank), .min = 1, .max = 9 },
	{ AT(on),    .type = WIRE_BOOL, .flags = WIRE_REQUIRED, .has_offset = WIRE_ALWAYS },
	{ AT(maybe), .type = WIRE_BOOL, HAS(maybe) },
	{ AT(part),  .type = WIRE_OBJECT, .has_offset = WIRE_ALWAYS, .item = &wire_part },
	{ AT(tags),  .type = WIRE_STRINGS, .has_offset = WIRE_ALWAYS, .count_offset = offsetof(struct sample, tags_count), .items_max = 3, .min = 1, .max = 4 },
	{ AT(parts), .type = WIRE_OBJECTS, .has_offset = WIRE_ALWAYS, .count_offset = offsetof(struct sample, parts_count), .items_max = 2, .item = &wire_part },
	{ AT(extra), .type = WIRE_JSON, .has_offset = WIRE_ALWAYS, .max = 20 },
};
#undef AT
#undef HAS
const struct wire_msg wire_sample = { "sample", sizeof(struct sample), sample_fields, COUNT(sample_fields), true };
/* clang-format on */

#endif

#ifndef STORE_PARAMS_H
#define STORE_PARAMS_H

#include "base/err.h"
#include "store/pg.h"

/* A statement's parameters, numbers among them, in the order of $1, $2 … Texts are views. */
struct params {
	const char *values[PG_PARAMS_MAX];
	char numbers[PG_PARAMS_MAX][24];
	size_t count;
};

static inline void params_text(struct params *p, const char *text)
{
	p->values[p->count++] = text;
}

/* "" is SQL NULL. */
static inline void params_text_or_null(struct params *p, const char *text)
{
	params_text(p, text && text[0] ? text : NULL);
}

static inline void params_int(struct params *p, long long value)
{
	snprintf(p->numbers[p->count], sizeof(p->numbers[0]), "%lld", value);
	p->values[p->count] = p->numbers[p->count];
	p->count++;
}

static inline void params_bool(struct params *p, bool value)
{
	params_text(p, value ? "true" : "false");
}

#endif

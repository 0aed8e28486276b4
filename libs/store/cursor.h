#ifndef STORE_CURSOR_H
#define STORE_CURSOR_H

#include "base/err.h"
#include "base/uuid.h"

/* A place in a list that is ordered by time and id, as a text that is opaque to clients. Pure. */
#define CURSOR_SIZE 96

struct cursor {
	long long created_us; /* unix microseconds */
	char id[UUID_SIZE];
};

char *cursor_text(const struct cursor *c, char out[CURSOR_SIZE]);

/* ERR_INVALID with the field cursor for whatever cursor_text() did not write. */
int cursor_parse(const char *text, struct cursor *ret, struct err *e);

#endif

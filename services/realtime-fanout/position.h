#ifndef POSITION_H
#define POSITION_H

#include "base/err.h"

#include <stdint.h>

/*
 * Where an event stands: "<stream id>:<sequence>". The id is 8 hex digits made from the time when
 * the stream was created, so that a position in a stream that is gone is not taken for one in the
 * stream that came after it. Pure.
 */
#define POSITION_ID_SIZE   9
#define POSITION_TEXT_SIZE 32

struct position {
	char id[POSITION_ID_SIZE];
	uint64_t seq;
};

void position_id(long long created_ns, char ret[POSITION_ID_SIZE]);
void position_text(const struct position *p, char ret[POSITION_TEXT_SIZE]);

/* ERR_INVALID at "since" when it is none. */
int position_parse(const char *text, struct position *ret, struct err *e);

#endif

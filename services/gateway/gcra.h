#ifndef GATEWAY_GCRA_H
#define GATEWAY_GCRA_H

#include "base/err.h"

/*
 * The generic cell rate algorithm, in this process: a table of bounded size. When a bucket of it is
 * full the key that is nearest to being forgotten anyway makes room, so that a flood of keys costs no
 * memory and at most resets the count of others. Any thread.
 */
struct gcra;

struct gcra_result {
	bool is_allowed;
	long long remaining, reset_us, wait_us;
};

int gcra_new(size_t keys_max, struct gcra **ret, struct err *e);
void gcra_free(struct gcra *g); /* NULL is fine */

/* per_min of key may come in any burst, then evenly. now_us: monotonic. */
void gcra_count(struct gcra *g, const char *key, long long per_min, long long now_us,
                struct gcra_result *ret);

#endif

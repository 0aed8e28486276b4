#ifndef BASE_TIER_H
#define BASE_TIER_H

#include "base/err.h"

/* How much an account may have, by its tier: tiers.def. */
struct tier {
	const char *name;
	long long assistants, requests_per_min, sockets, api_keys, exports_per_day, backups_per_day;
};

enum tier_id {
#define TIER(id, name, ...) TIER_##id,
#include "base/tiers.def"
#undef TIER
	TIER_COUNT
};

extern const struct tier tiers[TIER_COUNT];

/* ERR_INTERNAL: there is no tier of this name. */
int tier_find(const char *name, const struct tier **ret, struct err *e);

#endif

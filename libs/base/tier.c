#include "base/tier.h"

#include <stddef.h>
#include <string.h>

const struct tier tiers[TIER_COUNT] = {
#define TIER(id, ...) [TIER_##id] = { __VA_ARGS__ },
#include "base/tiers.def"
#undef TIER
};

int tier_find(const char *name, const struct tier **ret, struct err *e)
{
	for (size_t i = 0; name && i < TIER_COUNT; i++) {
		if (strcmp(tiers[i].name, name) == 0) {
			*ret = &tiers[i];
			return 0;
		}
	}
	return err_set(e, ERR_INTERNAL, "no tier '%s'", name ? name : "");
}

#include "link/pace.h"

bool pace_begin(struct pace *p, long long now_ms)
{
	if ((p->begun_ms && now_ms < p->begun_ms + PACE_BETWEEN_MS) || now_ms < p->slow_until_ms)
		return false;
	p->begun_ms = now_ms;
	return true;
}

int pace_left_ms(const struct pace *p, long long now_ms, int want_ms)
{
	long long left_ms = p->begun_ms + PACE_WHOLE_MS - now_ms;

	if (left_ms <= 0)
		return 0;
	return left_ms < want_ms ? (int)left_ms : want_ms;
}

void pace_too_slow(struct pace *p, long long now_ms)
{
	p->slow_until_ms = now_ms + PACE_SLOW_MS;
}

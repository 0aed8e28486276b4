#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stdbool.h>
#include <stdlib.h>

/* Times that things took, and their percentiles. One thread. */
#define LATENCY_MAX ((size_t)1 << 22) /* samples; what comes after is not kept */

struct latency {
	unsigned *us;
	size_t count;
};

static inline bool latency_init(struct latency *l)
{
	l->us = malloc(LATENCY_MAX * sizeof(*l->us));
	l->count = 0;
	return l->us;
}

static inline void latency_add(struct latency *l, long long ns)
{
	if (l->count < LATENCY_MAX)
		l->us[l->count++] = (unsigned)(ns > 0 ? ns / 1000 : 0);
}

static inline int latency_compare(const void *x, const void *y)
{
	unsigned p = *(const unsigned *)x, q = *(const unsigned *)y;

	return p < q ? -1 : p > q;
}

/* Before latency_ms(). */
static inline void latency_sort(struct latency *l)
{
	qsort(l->us, l->count, sizeof(*l->us), latency_compare);
}

/* share: 0.99. */
static inline double latency_ms(const struct latency *l, double share)
{
	size_t at = (size_t)((double)l->count * share);

	return l->count ? l->us[at < l->count ? at : l->count - 1] / 1000.0 : 0;
}

#endif

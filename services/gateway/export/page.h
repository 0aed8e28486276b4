#ifndef GATEWAY_EXPORT_PAGE_H
#define GATEWAY_EXPORT_PAGE_H

#include "bus/bus.h"

#include <cjson/cJSON.h>

/* One answer of a service, and of a list the page after it. One thread. */
struct page {
	struct arena arena;
	cJSON *data;     /* the answer, secret fields opened; NULL: none yet */
	long long count; /* of answers so far */
};

#define PAGE_INIT ((struct page){ .count = 0 })

/*
 * Asks on ctx's behalf. The request has those of fields that it knows, each number that it may have at
 * its largest, and the cursor of the page before. In place of that one *p holds the answer then; on
 * failure *p stays as it is. Fails with what the service says.
 */
int page_ask(struct bus *b, const struct bus_ctx *ctx, enum subject_id id, const cJSON *fields,
             struct page *p, struct err *e);
bool page_has_next(const struct page *p);

/* What would let somebody in has no place among what a person takes along: secret fields go, wherever
 * in an answer of this kind they are. As deep as messages are within each other. */
void page_leave_out_secrets(const struct wire_msg *m, cJSON *json);

/* What a memory_file holds; lives as long as the answer. */
int page_bytes(struct page *p, const char **ret, size_t *ret_len, struct err *e);

void page_done(struct page *p);

static inline void own_page(struct page *p)
{
	page_done(p);
}

#endif

#ifndef INSTANCE_PAGE_H
#define INSTANCE_PAGE_H

#include "base/arena.h"
#include "instance.h"
#include "store/cursor.h"
#include "store/params.h"

/* A page of a list of instances, the newest first. Whose they are, the statement says that reads them. */
struct instance_page {
	struct cursor after;
	bool is_first; /* from the start */
	long long limit;

	struct instance *list; /* filled, in the arena */
	size_t count;
	const char *next_cursor; /* NULL: it is the last page */
};

/* cursor: NULL for the first page. ERR_INVALID, field "cursor". */
int instance_page_init(struct instance_page *p, const char *cursor, long long limit, struct err *e);

/* The statement's last parameters: the cursor's microseconds and id, NULL for the first page, and how
 * many rows: one more than is shown, which tells whether there is a next page. */
void instance_page_params(const struct instance_page *p, struct params *to);

/* From a statement that answers INSTANCE_COLUMNS. */
int instance_page_fill(struct instance_page *p, const PGresult *res, struct arena *a,
                       struct err *e);

#endif

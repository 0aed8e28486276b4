#ifndef MIRROR_INTERNAL_H
#define MIRROR_INTERNAL_H

#include "engine/internal.h"
#include "engine/mirror.h"

#include <stdio.h>

/* What the parts of a mirror's pass share. Large: on the heap. */
struct mirror {
	struct engine *en;
	const struct mirror_req *req; /* NULL: it is removed */
	struct pulse pulse;
	struct key_text prefix; /* ends in '/' */
	FILE *deletes;          /* keys, zero-ended */
	FILE *puts;             /* paths, zero-ended, in the manifest's order; NULL: all */
	struct mirror_totals *totals;
};

enum mirror_fit { MIRROR_FITS, MIRROR_LEFT_OUT, MIRROR_UNFIT };

/* The key of a file's object. */
enum mirror_fit mirror_key(const struct mirror *m, const char *path, struct key_text *ret);

/* In a file without a name. add: false, where it fails: mirror_list_end() says why. */
int mirror_list_new(const struct engine *en, FILE **ret, struct err *e);
bool mirror_list_add(FILE *list, const char *text);
int mirror_list_end(FILE *list, struct err *e); /* of writing; to be read from its start */
/* The next one into to[size]; *ret_is_end: there is none any more. */
int mirror_list_next(FILE *list, char *to, size_t size, bool *ret_is_end, struct err *e);

/* Fills the lists: what is to be deleted, then what is to be put. */
int mirror_plan_by_diff(struct mirror *m, struct err *e);
int mirror_plan_by_listing(struct mirror *m, struct err *e);

/* Everything that lies below the place, into m->deletes. */
int mirror_list_all(struct mirror *m, struct err *e);

#endif

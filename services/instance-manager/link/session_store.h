#ifndef LINK_SESSION_STORE_H
#define LINK_SESSION_STORE_H

#include "instance.h"
#include "link/session_row.h"
#include "store/cursor.h"

#include "base/arena.h"

/*
 * The table session_metadata. Written by the holder of the instance's link alone, each change with
 * its event in one transaction; read by people, with their id in the statement.
 */
#define SESSIONS_MAX 1000 /* kept of one instance */

struct session_write {
	const char *holder, *id; /* of the instance */
	const char *trace_id;
};

/* What a gateway told of one. *ret_changed: there is an event to be published. */
int session_put(struct pg_conn *c, const struct session_write *w, const struct session_row *row,
                bool *ret_changed, struct err *e);
int session_drop(struct pg_conn *c, const struct session_write *w, const char *key,
                 bool *ret_changed, struct err *e);

/* Keys that are kept and not among these, in the arena: they are gone from the gateway. */
struct session_keys {
	const char **list;
	size_t count;
};
int session_missing(struct pg_conn *c, const char *id, const struct session_keys *known,
                    struct arena *a, struct session_keys *ret, struct err *e);

/* A page of a person's, the latest first; query: a text in title or key, NULL: any. */
struct session_page {
	const char *query;
	const char *cursor; /* NULL: from the start */
	long long limit;
	struct session_view *items; /* filled */
	size_t count;
	const char *next_cursor; /* NULL: the end */
};
int session_list(struct pg_conn *c, const char *user_id, const char *id, struct arena *a,
                 struct session_page *page, struct err *e);
/* ERR_NOT_FOUND. */
int session_load(struct pg_conn *c, const char *user_id, const char *id, const char *key,
                 struct arena *a, struct session_view *ret, struct err *e);

/* Row of a statement that answers SESSION_COLUMNS. */
#define SESSION_COLUMNS                                                              \
	"s.session_key, s.title, s.message_count, s.channel, s.model, " INSTANCE_MS( \
		"s.last_active_at") " AS last_ms, " INSTANCE_MS("s.created_at") " AS created_ms"
int session_from_row(const PGresult *res, int row, struct arena *a, struct session_view *ret,
                     struct err *e);

#endif

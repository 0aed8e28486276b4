#ifndef SETTINGS_H
#define SETTINGS_H

#include "base/arena.h"
#include "openclaw_config.h"
#include "store/pg.h"

/*
 * What a person sets of an assistant beyond its row, in the table instance_settings. One without a
 * row there has what settings_default() says: an owner who was named is the only one who may write,
 * without one people pair.
 */
struct settings {
	enum openclaw_access access;
	bool is_shared; /* one session for all who write; else each has their own */
	long long allowed[OPENCLAW_ALLOWED_MAX]; /* Telegram ids, beside the owner's */
	size_t allowed_count;
	char persona[33]; /* "": none was chosen */
};

void settings_default(long long owner_telegram_id, struct settings *ret);

/* Of an instance of the user's, whose owner is this one (0: none). */
int settings_load(struct pg_conn *c, const char *user_id, const char *instance_id,
                  long long owner_telegram_id, struct settings *ret, struct err *e);

/* In a transaction that holds the instance's row. */
int settings_save(struct pg_conn *c, const char *user_id, const char *instance_id,
                  const struct settings *s, struct err *e);

const char *settings_access_name(enum openclaw_access a); /* "pairing" "allowlist" "open" */
bool settings_access_from(const char *name, enum openclaw_access *ret);

/* "per_person", or "shared". */
const char *settings_sessions_name(bool is_shared);

#endif

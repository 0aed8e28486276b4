#ifndef LINK_SESSION_ROW_H
#define LINK_SESSION_ROW_H

#include "base/err.h"

#include <cjson/cJSON.h>

/*
 * A conversation as a gateway tells of it (sessions.list, sessions.changed, session.message), cut to
 * what is kept. Pure; nothing in the input is trusted.
 */
#define SESSION_KEY_MAX   255 /* bytes */
#define SESSION_TITLE_MAX 255 /* characters */
#define SESSION_COUNT_MAX 2147483647LL

struct session_row {
	char key[SESSION_KEY_MAX + 1];
	char title[4 * SESSION_TITLE_MAX + 1]; /* "": none */
	char channel[65], model[201];          /* "": none */
	long long message_count;               /* -1: not told */
	long long last_active_ms, created_ms;  /* unix ms; 0: not told */
};

/* Letters, digits and : . _ - @ + = / and the like: printable ASCII without spaces, at most
 * SESSION_KEY_MAX. */
bool session_key_fits(const char *key);

/* session: an object of the gateway's. False: it names no conversation that can be kept. */
bool session_row_read(const cJSON *session, struct session_row *ret);

/* The conversation that an event tells of, with what the event itself adds to it. is_gone: it was
 * deleted. */
bool session_row_of_event(const char *event, const cJSON *payload, struct session_row *ret,
                          bool *ret_gone);

/* Copies whole characters of UTF-8 only: at most max of them, in one line. */
void session_text_copy(const char *text, size_t max, char *out, size_t size);

#endif

#ifndef PROBE_H
#define PROBE_H

#include "net/http.h"

#include <cjson/cJSON.h>

#include <stdbool.h>

/*
 * How an instance's OpenClaw is, asked of itself: GET /healthz (it lives), GET /readyz (it has
 * begun its channels), and channels.status over its admin route, which says how Telegram is: for
 * /readyz stays 200 while someone else polls the bot and while Telegram is away (measured). At most
 * three requests of PROBE_TIMEOUT_MS. Any thread.
 */
#define PROBE_TIMEOUT_MS 2000

enum probe_verdict {
	PROBE_DOWN,     /* nothing answers, or not in time */
	PROBE_STRANGER, /* something answers that is not OpenClaw */
	PROBE_STARTING, /* it lives, its channels are on their way */
	PROBE_READY,
	PROBE_BOT_REFUSED,  /* Telegram does not accept the bot token: no use in waiting */
	PROBE_BOT_CONFLICT, /* Telegram 409: someone else polls this bot */
	PROBE_NO_TELEGRAM,  /* Telegram cannot be reached from the container */
	PROBE_CHANNELS_OFF, /* it lives with its channels switched off (its breaker, after crashes) */
};

struct probe_target {
	const char *address; /* "127.0.0.1", or the container's own */
	int port;
	const char *token; /* the gateway's; NULL: then nothing is known of Telegram */
};

struct probe_report {
	enum probe_verdict verdict;
	bool is_live;   /* /healthz answered as OpenClaw does: all but the first two verdicts */
	char text[160]; /* for people; "" for READY */
};

const char *probe_name(enum probe_verdict v); /* "bot_refused" */

/* Always a verdict. c is opened with base_url "". */
void probe_instance(struct http_client *c, const struct probe_target *t, struct probe_report *ret);

/* Asks it to begin its channels, which its breaker holds back after crashes. false: it did not take
 * that, and is asked again. */
bool probe_start_channels(struct http_client *c, const struct probe_target *t);

/* The part of it that judges: is_ready is what /readyz says, answer that of channels.status. Pure.
 * What is no such answer says nothing: READY or STARTING, as is_ready. */
enum probe_verdict probe_judge(bool is_ready, const char *answer, size_t len);

/* The same of what channels.status answers over any way; false: it says nothing. */
bool probe_judge_status(bool is_ready, const cJSON *status, enum probe_verdict *ret);

#endif

#ifndef LINK_FRAME_H
#define LINK_FRAME_H

#include "link/device.h"

#include <cjson/cJSON.h>

/*
 * What goes over an OpenClaw gateway's WebSocket: JSON texts, protocol 4 as measured with 2026.9.6.
 * From us {type: req, id, method, params}; from it {type: res, id, ok, payload | error} and
 * {type: event, event, payload, seq}. Pure. A gateway is a person's own program: nothing that it
 * says is believed to have any form before it was looked at here.
 */
#define FRAME_PROTOCOL    4
#define FRAME_MAX         ((size_t)4 << 20) /* bytes that we take; it may send more, and is cut */
#define FRAME_NAME_SIZE   64                /* of an event, of a request's id */
#define FRAME_CODE_SIZE   48
#define FRAME_ID_SIZE     129 /* of a pairing request, a nonce, and the zero */
#define FRAME_TOKEN_SIZE  512
#define FRAME_TICK_MS     30000 /* how often it says that it lives, where it does not say */
#define FRAME_TICK_MIN_MS 1000
#define FRAME_TICK_MAX_MS 60000

struct frame {
	bool is_event;
	char name[FRAME_NAME_SIZE];   /* the event's; a response's id */
	bool is_ok;                   /* of a response */
	long long seq;                /* of an event; 0: it has none */
	cJSON *payload;               /* the frame's own; NULL: none */
	char code[FRAME_CODE_SIZE];   /* of a response that is not ok */
	char detail[FRAME_CODE_SIZE]; /* a closer code; "": none */
	char message[160];
	char request_id[FRAME_ID_SIZE]; /* of NOT_PAIRED: what is to be approved; "" */
};

/*
 * Reads one text. An escaped half of a surrogate pair (a reply streams in pieces that may end
 * within a character) becomes U+FFFD first, in place. ERR_UPSTREAM, saying what is wrong with it.
 */
int frame_read(char *text, size_t len, struct frame *ret, struct err *e);
void frame_done(struct frame *f); /* a zeroed one is fine */

/* A response's error as ours: what a person asked wrongly is INVALID, NOT_FOUND or CONFLICT, the
 * rest UPSTREAM. Returns -1. */
int frame_error(const struct frame *f, struct err *e);

/* connect.challenge: ERR_UPSTREAM when its nonce or time is none. */
struct frame_challenge {
	char nonce[FRAME_ID_SIZE];
	long long at_ms; /* the gateway's clock */
};
int frame_challenge(const struct frame *f, struct frame_challenge *ret, struct err *e);

/* The answer to connect. ERR_UPSTREAM: another protocol, or scopes are missing. */
struct frame_hello {
	char device_token[FRAME_TOKEN_SIZE]; /* secret; "": none */
	char version[64];
	long long payload_max; /* bytes of a frame that it takes */
	long long tick_ms;
};
int frame_hello(const struct frame *f, struct frame_hello *ret, struct err *e);

/* Texts to be sent. The caller frees *ret (cJSON_free, OWN(json_text)), wiping the first, which has
 * the token in it. params is JSON. ERR_INTERNAL: out of memory. */
int frame_connect(const struct device *d, const struct frame_challenge *c, const char *token,
                  char **ret, struct err *e);
int frame_request(const char *id, const char *method, const cJSON *params, char **ret,
                  struct err *e);

static inline void own_frame(struct frame *f)
{
	frame_done(f);
}

#endif

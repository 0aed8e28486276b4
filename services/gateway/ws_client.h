#ifndef GATEWAY_WS_CLIENT_H
#define GATEWAY_WS_CLIENT_H

#include "bus/bus.h"
#include "ws_text.h"

#include "lws.h"

/*
 * One socket: who it is, and what waits to be written to it. Everything here happens on the event
 * loop's thread, and nothing waits: what a client does not take is queued, and one whose queue is
 * full is told so and cut (1013), so that it costs the others nothing. Events count for that; what
 * it asked for itself does not, and is bounded by one subscription after the other being answered
 * (ws_topics.h). It lives until its last holder lets go; wsi is NULL once the socket is gone.
 */
#define WS_QUEUE_MSGS_MAX  256
#define WS_QUEUE_BYTES_MAX ((size_t)256 * 1024)
#define WS_TOPICS_MAX      64   /* of one socket */
#define WS_BURST           128  /* frames that a client may send at once */
#define WS_FRAMES_PER_S    20   /* and then a second */
#define WS_CLOSE_MS        2000 /* for the close frame to be taken and answered */
#define WS_CHECK_MS        60000
#define WS_PING_MS         25000
#define WS_DEAD_MS         40000 /* nothing was heard for so long: nobody is there */

/* Close codes beside those of RFC 6455. */
#define WS_CLOSE_TRY_LATER  1013
#define WS_CLOSE_SIGNED_OUT 4401

struct ws_sub;

/* What is known of a client, also before its socket is one. */
struct ws_person {
	char trace_id[BUS_TRACE_SIZE]; /* of the request that opened it */
	char user_id[UUID_SIZE], session_id[UUID_SIZE];
	char client_address[46]; /* INET6_ADDRSTRLEN */
	char slot[48];           /* its place among the user's sockets (ws_slot.h) */
	long long expires_s;     /* unix; of the token or session it came with; 0: none */
};

/* For a call on the person's behalf. trace_id: NULL for the one that the socket came with. */
struct bus_ctx ws_person_ctx(const struct ws_person *p, const char *trace_id);

struct ws_queued;

struct ws_client {
	struct lws *wsi;
	unsigned holders;
	struct ws_client *prev, *next; /* of all */
	struct ws_person person;

	struct ws_queued *first, *last;
	size_t queued, queued_bytes;               /* all */
	size_t queued_events, queued_events_bytes; /* of these, the events */
	char *rx;                                  /* a message whose end has not come yet */
	size_t rx_len;

	struct ws_sub *subs;
	size_t sub_count;
	bool is_subscribing; /* one of them is being asked for */

	int close_code;           /* not 0: it is being closed */
	const char *close_reason; /* a constant; at most 123 bytes */
	long long kill_ms;        /* monotonic; when it is cut if it has not gone by then */
	long long check_ms;       /* monotonic; when its session is looked at again */
	long long frames_ms;      /* monotonic; as of when budget is */
	long long budget;         /* thousandths of frames that it may send */
	bool is_checking;

	long long heard_ms, ping_ms; /* monotonic; last sign of life; when to ask for the next */
	bool wants_ping;
};

struct ws_client *ws_client_new(const struct ws_person *p, long long now_ms);
struct ws_client *ws_client_hold(struct ws_client *c);
void ws_client_drop(struct ws_client *c);

/* Queues it. Takes t; NULL, out of memory, cuts. */
void ws_client_send(struct ws_client *c, struct ws_text *t);
void ws_client_send_event(struct ws_client *c, struct ws_text *t);
void ws_client_send_frame(struct ws_client *c, const struct ws_frame_out *f);
/* An error frame. */
void ws_client_send_error(struct ws_client *c, const char *topic, const char *trace_id,
                          const struct err *e);

/* Starts the closing: what is queued is not written any more. The first reason stays. */
void ws_client_close(struct ws_client *c, int code, const char *reason);

/* The socket takes more. -1: let libwebsockets close it. */
int ws_client_on_writable(struct ws_client *c);

/*
 * A piece of a message. *ret is a whole one, *ret_len long, good until the next call; NULL: there is
 * more to come, or it is being closed for what it sent.
 */
void ws_client_on_data(struct ws_client *c, const char *data, size_t len, long long now_ms,
                       const char **ret, size_t *ret_len);

/* Asks for a sign of life; cuts those that give none, or do not answer the closing. */
void ws_client_tick(struct ws_client *c, long long now_ms);

#endif

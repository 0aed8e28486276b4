#ifndef GATEWAY_WS_CLIENT_H
#define GATEWAY_WS_CLIENT_H

#include "bus/bus.h"
#include "ws_reader.h"
#include "ws_text.h"

/*
 * One socket: who it is, and what waits to be written to it. Everything here happens on the event
 * loop's thread, and nothing waits: what a client does not take is queued, and one whose queue is
 * full is told so and cut (1013), so that it costs the others nothing. Events count for that; what
 * it asked for itself does not, and is bounded by one subscription after the other being answered
 * (ws_topics.h). It lives until its last holder lets go; fd is -1 once the socket is gone.
 *
 * It closes in this order: ws_client_close() puts the close frame behind what has been half written;
 * once that is out and the client has closed, too (or cannot be understood any more), nothing more
 * is written, and what still comes is read and dropped, so that the close frame is not lost to a
 * reset; the client ends the connection, or WS_CLOSE_MS does.
 */
#define WS_QUEUE_MSGS_MAX  256
#define WS_QUEUE_BYTES_MAX ((size_t)256 * 1024)
#define WS_TOPICS_MAX      64   /* of one socket */
#define WS_BURST           128  /* messages that a client may send at once */
#define WS_MESSAGES_PER_S  20   /* and then a second */
#define WS_PIECES_BURST    8192 /* the same of frames: fragments, pings */
#define WS_PIECES_PER_S    256
#define WS_PONGS_MAX       64   /* that wait to be written */
#define WS_CLOSE_MS        2000 /* for the close frame to be taken and answered */
#define WS_CHECK_MS        60000
#define WS_DEAD_RATIO      3 / 2 /* of WS_PING_S: with 25 s a half-open one is found in 40 */
#define WS_SEND_BUFFER     65536 /* bytes of the kernel's; a stalled client fills it */

/* Close codes beside those of RFC 6455: docs/REALTIME.md. */
#define WS_CLOSE_NORMAL     1000
#define WS_CLOSE_GOING_AWAY 1001
#define WS_CLOSE_NONE       1005 /* a close frame without a code */
#define WS_CLOSE_POLICY     1008
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
	unsigned long long ends; /* ws_ends(), before it was asked whether the session goes on */
};

/* For a call on the person's behalf. trace_id: NULL for the one that the socket came with. */
struct bus_ctx ws_person_ctx(const struct ws_person *p, const char *trace_id);

struct ws_client;

/* What all sockets share. */
struct ws_io {
	int epoll_fd;
	long long ping_ms;  /* of silence, until a sign of life is asked for */
	long long dead_ms;  /* of silence: nobody is there; more than ping_ms */
	long long judge_ms; /* monotonic; nobody is found dead before: we stood still ourselves */
	struct ws_client *dirty; /* held; those that ws_client_flush() is due for */
	struct ws_reader *spare;
	/* A whole message. */
	void (*on_text)(struct ws_io *io, struct ws_client *c, const char *text, size_t len);
};

/* A bucket that fills with time: thousandths of what may be sent, as of when. */
struct ws_budget {
	long long left, as_of_ms;
};

struct ws_queued;

struct ws_client {
	struct ws_io *io;
	int fd;
	unsigned holders;
	struct ws_client *prev, *next; /* of all */
	struct ws_client *next_dirty;
	struct ws_person person;

	struct ws_queued *first, *last;
	size_t queued, queued_bytes;               /* all */
	size_t queued_events, queued_events_bytes; /* of these, the events */
	size_t queued_pongs;
	size_t written;           /* bytes of the first */
	struct ws_reader *reader; /* NULL: no message is under way */

	struct ws_sub *subs;
	size_t sub_count;
	bool is_subscribing; /* one of them is being asked for */

	int close_code;    /* not 0: it is being closed */
	long long kill_ms; /* monotonic; when it is cut if it has not gone by then */
	bool is_deaf;      /* nothing of what it sends counts any more */
	bool is_shut;      /* nothing is written any more */
	bool is_dirty;     /* in io->dirty */
	bool wants_out;    /* epoll tells when the socket takes more */

	struct ws_budget messages, pieces;
	long long check_ms; /* monotonic; when its session is looked at again */
	bool is_checking;

	/* Monotonic: the last sign of life; when the first that did not come since was asked for (at
	 * or behind heard_ms, else none was); when to ask for the next. */
	long long heard_ms, asked_ms, ping_ms;
};

/* Takes fd, unless out of memory (NULL). */
struct ws_client *ws_client_new(struct ws_io *io, int fd, const struct ws_person *p,
                                long long now_ms);
struct ws_client *ws_client_hold(struct ws_client *c);
void ws_client_drop(struct ws_client *c);

/* Queues it. Takes t; NULL, out of memory, cuts. */
void ws_client_send(struct ws_client *c, struct ws_text *t);
void ws_client_send_event(struct ws_client *c, struct ws_text *t);
/* Before it is sent what it missed: cut where it has not taken what came before. */
void ws_client_keep_up(struct ws_client *c);
void ws_client_send_frame(struct ws_client *c, const struct ws_frame_out *f);
/* An error frame. */
void ws_client_send_error(struct ws_client *c, const char *topic, const char *trace_id,
                          const struct err *e);

/* Starts the closing: what is queued is not written any more. The first reason stays. At most 123
 * bytes. */
void ws_client_close(struct ws_client *c, int code, const char *reason);

/* Writes what the socket takes. -1: the connection is broken. */
int ws_client_flush(struct ws_client *c);

/* What came. Messages in it go to io->on_text. */
void ws_client_receive(struct ws_client *c, const char *data, size_t len, long long now_ms);

/* Asks for a sign of life. true: it gives none, or does not answer the closing; it is to be cut. */
bool ws_client_tick(struct ws_client *c, long long now_ms);

/* Closes its connection, at once. */
void ws_client_cut(struct ws_client *c);

#endif

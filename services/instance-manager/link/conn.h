#ifndef LINK_CONN_H
#define LINK_CONN_H

#include "link/frame.h"
#include "link/link.h"
#include "link/news.h"
#include "probe.h"

/* One link, on the loop's thread alone (links.c, which knows libwebsockets). */
enum conn_state {
	CONN_WAITING,     /* until due_ms, then it is opened */
	CONN_APPROVING,   /* the same; the news desk has been asked to have our key approved */
	CONN_OPENING,     /* the socket, then its challenge */
	CONN_GREETING,    /* connect was sent */
	CONN_SUBSCRIBING, /* sessions.subscribe was sent */
	CONN_UP,
};

/* A request that somebody waits for. lock of struct links guards what is below it. */
struct conn_ask {
	struct conn_ask *next;
	char id[24], instance_id[UUID_SIZE];
	char *text;
	long long due_ms; /* monotonic */

	pthread_cond_t done;
	bool is_done, is_left; /* nobody waits any more: whoever ends it frees it */
	cJSON *payload;
	struct err why;
};

struct conn_text {
	struct conn_text *next;
	size_t len;
	unsigned char data[]; /* LWS_PRE bytes, then the text */
};

struct conn {
	struct conn *next;
	struct links *links;
	struct link_target target;
	struct news_box *box;
	struct news_box *looks; /* how its channel is, which waits behind nothing else */
	struct lws *wsi;        /* NULL: none */
	enum conn_state state;
	bool is_leaving; /* freed once its socket is gone */
	bool is_device;  /* connect was sent with the device's token */
	bool is_urgent;  /* it is to be opened anew as soon as its socket is gone */
	unsigned tries;
	long long due_ms, up_ms, heard_ms, resync_ms, synced_ms; /* monotonic */
	bool is_again;     /* resync_ms was brought forward, more than once since it was calm */
	long long look_ms; /* monotonic; when its channel is next asked after (look.h) */
	enum probe_verdict seen;
	bool has_seen;

	char *rx;
	size_t rx_len, rx_size;
	struct conn_text *first, *last;
	size_t tx_bytes;
	struct conn_ask *asks;
	size_t ask_count;

	struct frame_challenge challenge;
	long long seq, payload_max, tick_ms;
	double credits; /* frames that it may still send at once */
	long long credits_ms;
	char cut_why[192]; /* why we close it; "": we do not */
	char why[192];     /* the last failure, which was told */
};

/* NULL: out of memory; desk is where its news go. */
struct conn *conn_new(struct links *l, const struct link_target *t, struct news_desk *desk);
void conn_free(struct conn *c); /* its socket is gone */

/* A piece of a text came. -1: the socket is to be closed, *e says why. */
int conn_received(struct conn *c, const void *data, size_t len, bool is_last, struct err *e);
void conn_opened(struct conn *c);
void conn_gone(struct conn *c, const char *why); /* its socket is, or never was */

/* All is to be asked for anew soon. False: it was to be by then already. */
bool conn_resync(struct conn *c, long long now_ms);

/* 0: in time; -1: it is to be closed. */
int conn_tick(struct conn *c, long long now_ms, struct err *e);

/* ERR_TOO_LARGE: more than it takes, or than waits to be sent already. */
int conn_send(struct conn *c, const char *text, struct err *e);

/* Takes the request over in any case: it is answered, at the latest when it is due. */
void conn_ask(struct conn *c, struct conn_ask *a);

/* links.c */
void links_end_ask(struct links *l, struct conn_ask *a, cJSON *payload, const struct err *why);
void links_want_write(struct conn *c);
void links_forget_ask(struct conn_ask *a);
const struct device *links_device(const struct links *l);
void links_count_up(struct links *l, int change);

#endif

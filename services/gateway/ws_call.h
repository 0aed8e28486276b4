#ifndef GATEWAY_WS_CALL_H
#define GATEWAY_WS_CALL_H

#include "ws.h"

/* One question to realtime-fanout. Made on the loop's thread, asked by a worker, answered on the
 * loop's thread again: ws_topics_answer(), which owns it. */

enum ws_call_kind {
	WS_CALL_SUBSCRIBE, /* for one client */
	WS_CALL_RESUME,    /* for all that listen to the topic, in one of their names */
	WS_CALL_RELEASE,   /* nobody is left */
};

struct ws_call {
	struct app_job job;
	struct ws_task task;
	struct ws *ws;

	enum ws_call_kind kind;
	char topic[WS_TOPIC_SIZE];
	char since[WS_POSITION_SIZE]; /* "": none */
	struct bus_ctx ctx;
	struct ws_client *client;  /* held; only of WS_CALL_SUBSCRIBE */
	unsigned long long losses; /* ws_topics.c's, when it was asked */

	struct arena arena; /* of the reply */
	struct rt_subscribed reply;
	struct err err; /* ERR_NONE: it went well */
};

/* false, and nothing is done, when it cannot be asked now. */
bool ws_call_start(struct ws *w, const struct ws_call *what);
void ws_call_free(struct ws_call *c);

#endif

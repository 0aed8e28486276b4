/*
 * The gateway's WebSocket, as much of protocol 4 as a backend needs to hold a link: the challenge, a
 * device that is approved once, sessions that Telegram messages and chat.send make, their events,
 * and what the admin route answers. Signatures are not checked: the stub has no Ed25519.
 */
#ifndef STUB_WS_H
#define STUB_WS_H

#include "json.h"
#include "stub.h"

enum {
	WS_SESSIONS_MAX = 32,
	WS_MESSAGES_MAX = 64, /* of one session; more are counted and not kept */
	WS_TEXT_MAX = 1024,   /* bytes of a message that are kept */
	WS_RUNS_MAX = 64,
	WS_RUN_MAX = 129,
	WS_EVENTS_MAX = 128,   /* that a slow reader may be behind */
	WS_FRAME_MAX = 131072, /* bytes of one from the client */
};

/* Answers the upgrade and serves until the client goes or the stub ends. */
void ws_serve(struct stub *s, int fd, const char *head);

/* A message of a session, told to all who listen. role: "user" or "assistant". */
void ws_message(struct stub *s, const char *key, const char *role, const char *text);

/* Was it approved? Else the id under which it asks. */
bool ws_is_paired(struct stub *s, const char *device, char request_id[33]);
void ws_random_hex(char *out, size_t bytes);
/* device.pair.approve: false where nobody asks with this id. */
bool ws_approve(struct stub *s, const char *request_id);

/* rpc.c: the payload of an admin method; false with the reason in *ret_error. */
bool rpc_run(struct stub *s, const char *method, const struct json *params, struct text *payload,
             const char **ret_error);

#endif

#ifndef OWNER_UPDATES_H
#define OWNER_UPDATES_H

#include "net/http.h"

#include <stdbool.h>

/*
 * What waits for a bot at Telegram, looked at while its owner is awaited. Nothing is confirmed: all
 * of it is still there for OpenClaw, which answers it.
 */
#define UPDATES_COMMAND  "/start " /* what Telegram sends for t.me/BOT?start=NONCE, and the nonce */
#define UPDATES_WAIT_S   4         /* that Telegram holds a question open, where nothing waits */
#define UPDATES_LIST_MAX 100       /* Telegram's own */

enum updates_verdict {
	UPDATES_NONE,  /* nobody has written since */
	UPDATES_OWNER, /* somebody has opened the link */
	UPDATES_OTHER, /* somebody has written without it, or too much waits to be seen whole */
};

struct updates_seen {
	enum updates_verdict verdict;
	long long owner_id; /* UPDATES_OWNER: their Telegram id */
	bool has_any;       /* something waits: the next question is answered at once */
};

/* Reads an answer to getUpdates. since_s: unix time; what is older does not count. The first who sent
 * the nonce is the owner, whoever else wrote. ERR_UPSTREAM: it is no such answer. Pure. */
int updates_read(const char *text, size_t len, const char *nonce, long long since_s,
                 struct updates_seen *ret, struct err *e);

/* Asks. ERR_BOT_TOKEN_INVALID; ERR_CONFLICT: somebody else reads this bot's messages; ERR_LIMIT;
 * ERR_UPSTREAM, ERR_UNAVAILABLE, ERR_TIMEOUT. The arena holds the answer. */
struct updates_ask {
	const char *token, *nonce;
	long long since_s;
	int wait_s;                /* at most UPDATES_WAIT_S */
	const volatile bool *stop; /* ends the question; see struct http_req */
};
int updates_ask(struct http_client *c, const struct updates_ask *ask, struct arena *a,
                struct updates_seen *ret, struct err *e);

/* A webhook keeps messages from whoever asks for them; OpenClaw would remove it as well. */
int updates_no_webhook(struct http_client *c, const char *token, struct arena *a, struct err *e);

#endif

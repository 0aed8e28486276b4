#ifndef TELEGRAM_H
#define TELEGRAM_H

#include "base/arena.h"
#include "base/err.h"
#include "net/http.h"

/*
 * The Bot API, as far as a token is checked with it. The token is part of the URL: neither ever
 * stands in an error. Any thread.
 */
#define TELEGRAM_TOKEN_MAX    160 /* characters */
#define TELEGRAM_USERNAME_MAX 64  /* bytes; Telegram's own limit is 32 */
#define TELEGRAM_NAME_MAX     255 /* bytes; Telegram's own limit is 64 characters */

struct telegram_bot {
	long long id;
	char username[TELEGRAM_USERNAME_MAX + 1]; /* without the @ */
	char name[TELEGRAM_NAME_MAX + 1];
};

/* "<digits>:<letters, digits, _ and ->". ERR_BOT_TOKEN_INVALID with the field bot_token; else
 * *ret_bot_id is the number before the colon, which is the bot's id. Asks no one. */
int telegram_token_check(const char *token, long long *ret_bot_id, struct err *e);

/*
 * Whose token is it? c is opened on TELEGRAM_API_URL; the answer is read in the arena, which is to
 * be done with soon. ERR_BOT_TOKEN_INVALID (field bot_token): Telegram does not know it, or it is
 * no bot's. ERR_LIMIT: with retry_after_s. ERR_UNAVAILABLE, ERR_TIMEOUT: Telegram cannot be
 * reached. ERR_UPSTREAM: it failed, or says what cannot be.
 */
int telegram_get_me(struct http_client *c, const char *token, struct arena *a,
                    struct telegram_bot *ret, struct err *e);

/* A message of the bot's own. ERR_FORBIDDEN: this person does not want any, or never wrote to it; the
 * rest as above. */
struct telegram_text {
	const char *token;
	long long to; /* a person's id */
	const char *text;
};
int telegram_send(struct http_client *c, const struct telegram_text *t, struct arena *a,
                  struct err *e);

#endif

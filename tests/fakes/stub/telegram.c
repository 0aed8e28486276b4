/* The Telegram channel: polls the Bot API, echoes what allowed people write. */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "http.h"
#include "json.h"
#include "people.h"
#include "stub.h"
#include "usage.h"
#include "ws.h"

enum {
	POLL_S = 30,
	CALL_TIMEOUT_MS = 10 * 1000,
	RETRY_MS = 1000, /* the real one waits up to 35 s after a conflict */
	ASKED_MAX = 64,  /* people who were sent a pairing code */
};

struct poller {
	struct stub *stub;
	struct conf conf;
	struct steer steer;
	struct http_url url;
	int64_t bot_id;
	int64_t offset; /* the next update's id, 0 where nothing was seen yet */
	int64_t asked[ASKED_MAX];
	size_t asked_count;
};

/* Sleeps; false when the thread should look at what changed instead. */
static bool pause_ms(const struct poller *p, int64_t ms)
{
	struct pollfd fds[2] = { { .fd = p->stub->wake_fd, .events = POLLIN },
		                 { .fd = p->stub->stop_fd, .events = POLLIN } };

	return poll(fds, 2, (int)ms) == 0;
}

static void set_life(struct poller *p, enum lifecycle life, const char *error)
{
	struct channel *c = &p->stub->channel;

	pthread_mutex_lock(&p->stub->lock);
	if (life == LIFE_STARTING)
		c->started_at = unix_ms();
	if (c->running && (life == LIFE_BLOCKED || life == LIFE_STOPPED))
		c->stopped_at = unix_ms();
	if (life == LIFE_READY)
		c->connected_at = unix_ms();
	c->life = life;
	c->running = life == LIFE_STARTING || life == LIFE_READY || life == LIFE_RECOVERING;
	c->connected = life == LIFE_READY;
	snprintf(c->error, sizeof(c->error), "%s", error ? error : "");
	pthread_mutex_unlock(&p->stub->lock);
	if (error)
		stub_log("[telegram] [default] %s", error);
}

/*
 * One call of the Bot API: its status and parsed answer, -1 when there was none. Only a call that
 * `yields` is given up for a new config or the end; a reply under way is sent.
 */
static int call(struct poller *p, const char *method, const char *json, int timeout_ms, bool yields,
                struct json **ret)
{
	struct text path = { 0 }, body = { 0 };
	struct http_call c = { .url = &p->url,
		               .json = json,
		               .timeout_ms = timeout_ms,
		               .cancel = { yields ? p->stub->wake_fd : -1,
		                           yields ? p->stub->stop_fd : -1 } };
	int status = -1;

	*ret = NULL;
	text_printf(&path, "/bot%s/%s", p->conf.bot_token, method);
	if (!path.failed) {
		c.path = path.data;
		status = http_post(&c, &body);
	}
	if (status > 0 && body.data)
		*ret = json_parse(body.data, body.len);
	if (!*ret)
		status = -1;
	text_done(&path);
	text_done(&body);
	return status;
}

/* The offset of this bot and who was asked to pair, so that a restart repeats nothing. */
static void state_path(const struct poller *p, char *ret, size_t size)
{
	snprintf(ret, size, "%s/stub-telegram.json", p->stub->dir);
}

static void state_save(const struct poller *p)
{
	struct text t = { 0 };
	char path[512], part[520];
	FILE *f;

	state_path(p, path, sizeof(path));
	snprintf(part, sizeof(part), "%s.part", path);
	text_printf(&t, "{\"bot\":%lld,\"offset\":%lld,\"asked\":[", (long long)p->bot_id,
	            (long long)p->offset);
	for (size_t i = 0; i < p->asked_count; i++)
		text_printf(&t, "%s%lld", i ? "," : "", (long long)p->asked[i]);
	text_printf(&t, "]}\n");
	f = t.failed ? NULL : fopen(part, "we");
	if (!f || fwrite(t.data, 1, t.len, f) != t.len || fclose(f) != 0 || rename(part, path) < 0)
		stub_log("[telegram] cannot write %s", path);
	text_done(&t);
}

static void state_load(struct poller *p)
{
	char path[512], buf[4096];
	struct json *j = NULL;
	FILE *f;

	p->offset = 0;
	p->asked_count = 0;
	state_path(p, path, sizeof(path));
	f = fopen(path, "re");
	if (f) {
		j = json_parse(buf, fread(buf, 1, sizeof(buf), f));
		fclose(f);
	}
	if (json_int_at(j, "bot", 0) == p->bot_id) {
		const struct json *asked = json_at(j, "asked");

		p->offset = json_int_at(j, "offset", 0);
		for (asked = asked ? asked->child : NULL; asked && p->asked_count < ASKED_MAX;
		     asked = asked->next)
			p->asked[p->asked_count++] = (int64_t)asked->number;
	}
	json_free(j);
}

static void send_text(struct poller *p, int64_t chat_id, const char *text)
{
	struct text json = { 0 };
	struct json *answer = NULL;
	int status = -1;

	text_printf(&json, "{\"chat_id\":\"%lld\",\"text\":", (long long)chat_id);
	text_json(&json, text);
	text_add(&json, "}", 1);
	if (!json.failed)
		status = call(p, "sendMessage", json.data, CALL_TIMEOUT_MS, false, &answer);
	if (status == 200) {
		pthread_mutex_lock(&p->stub->lock);
		p->stub->channel.outbound_at = unix_ms();
		pthread_mutex_unlock(&p->stub->lock);
	} else {
		stub_log("[telegram] sendMessage failed: %d", status);
	}
	json_free(answer);
	text_done(&json);
}

/* As OpenClaw does for strangers: a code once, then silence. */
static void offer_pairing(struct poller *p, int64_t user_id, int64_t chat_id, const char *name)
{
	static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
	unsigned char random[8];
	char code[9] = "";
	struct text t = { 0 };

	for (size_t i = 0; i < p->asked_count; i++) {
		if (p->asked[i] == user_id)
			return;
	}
	if (p->asked_count == ASKED_MAX || getrandom(random, sizeof(random), 0) != sizeof(random))
		return;
	p->asked[p->asked_count++] = user_id;
	pairing_ask(user_id, name);
	for (size_t i = 0; i < sizeof(random); i++)
		code[i] = letters[random[i] % (sizeof(letters) - 1)];
	text_printf(&t,
	            "OpenClaw: access not configured.\n\nYour Telegram user id: %lld\n"
	            "Pairing code:\n\n%s\n\nAsk the bot owner to approve with:\n\n"
	            "openclaw pairing approve telegram %s\n",
	            (long long)user_id, code, code);
	if (!t.failed)
		send_text(p, chat_id, t.data);
	text_done(&t);
}

static void on_update(struct poller *p, const struct json *update)
{
	const struct json *message = json_at(update, "message");
	const char *text = json_string_at(message, "text", NULL);
	int64_t chat_id = json_int_at(message, "chat/id", 0);
	int64_t user_id = json_int_at(message, "from/id", 0);
	char key[64], reply[WS_TEXT_MAX];

	p->offset = json_int_at(update, "update_id", p->offset) + 1;
	if (!text || strcmp(json_string_at(message, "chat/type", ""), "private") != 0)
		return;
	if (!conf_allows(&p->conf, user_id) && !pairing_has(user_id)) {
		if (p->conf.dm_policy == DM_PAIRING)
			offer_pairing(p, user_id, chat_id,
			              json_string_at(message, "from/first_name", ""));
		return;
	}
	pthread_mutex_lock(&p->stub->lock);
	p->stub->channel.inbound_at = unix_ms();
	pthread_mutex_unlock(&p->stub->lock);
	if (p->steer.reply_delay_ms > 0)
		pause_ms(p, p->steer.reply_delay_ms);
	snprintf(key, sizeof(key), "agent:main:telegram:direct:%lld", (long long)user_id);
	ws_message(p->stub, key, "user", text);
	usage_reply(p->stub, text, reply, sizeof(reply));
	send_text(p, chat_id, reply);
	ws_message(p->stub, key, "assistant", reply);
}

static void on_updates(struct poller *p, const struct json *answer)
{
	const struct json *list = json_at(answer, "result");

	if (!list || list->type != JSON_ARRAY || !list->child)
		return;
	/* What is not answered before the end comes again after it: the offset stays behind it. */
	for (const struct json *u = list->child; u && !stub_stopping(p->stub); u = u->next)
		on_update(p, u);
	state_save(p);
}

/* Waits for a new config: nothing the channel does by itself would help. */
static void block(struct poller *p, const char *method)
{
	char why[320];

	snprintf(why, sizeof(why),
	         "Telegram bot token unauthorized for account \"default\" (%s returned 401 from "
	         "Telegram; source: config token). Update channels.telegram.botToken, "
	         "channels.telegram.tokenFile, or TELEGRAM_BOT_TOKEN with the current BotFather "
	         "token.",
	         method);
	set_life(p, LIFE_BLOCKED, why);
	while (pause_ms(p, -1))
		;
}

static void recover(struct poller *p, const char *error, int64_t wait_ms)
{
	set_life(p, LIFE_RECOVERING, error);
	pause_ms(p, wait_ms);
}

static void on_conflict(struct poller *p, const struct json *answer, int64_t wait_ms)
{
	char why[640];

	snprintf(why, sizeof(why),
	         "Telegram getUpdates conflict: %s. Another OpenClaw gateway, script, or Telegram "
	         "poller may be using this bot token; stop the duplicate poller or switch this "
	         "account to webhook mode.",
	         json_string_at(answer, "description",
	                        "Conflict: terminated by other getUpdates request; make sure that "
	                        "only one bot instance is running"));
	recover(p, why, wait_ms);
}

/* What a failed call means; always ends in a wait, so that nothing spins. */
static void on_failure(struct poller *p, const char *method, int status, const struct json *answer)
{
	char why[320];

	if (status == 401 || status == 404) {
		block(p, method);
	} else if (status == 409) {
		on_conflict(p, answer, RETRY_MS);
	} else {
		snprintf(why, sizeof(why), "Telegram %s failed: %.200s", method,
		         json_string_at(answer, "description", "no answer"));
		recover(p, why, json_int_at(answer, "parameters/retry_after", 1) * RETRY_MS);
	}
}

/* getMe: who the bot is. */
static bool introduce(struct poller *p)
{
	struct json *answer = NULL;
	int status = call(p, "getMe", "{}", CALL_TIMEOUT_MS, true, &answer);

	pthread_mutex_lock(&p->stub->lock);
	p->stub->channel.probe_status = status > 0 ? status : 0;
	if (status == 200) {
		struct channel *c = &p->stub->channel;

		c->bot_id = p->bot_id = json_int_at(answer, "result/id", 0);
		snprintf(c->username, sizeof(c->username), "%s",
		         json_string_at(answer, "result/username", ""));
		snprintf(c->name, sizeof(c->name), "%s",
		         json_string_at(answer, "result/first_name", ""));
	}
	pthread_mutex_unlock(&p->stub->lock);
	if (status != 200)
		on_failure(p, "getMe", status, answer);
	json_free(answer);
	return status == 200;
}

static bool news(const struct poller *p)
{
	return !pause_ms(p, 0);
}

/* Polls until something changed or the channel has to start over. */
static void poll_updates(struct poller *p)
{
	int timeout_s = 0; /* the first answers at once: only then is the channel connected */
	int status = 200;

	while (status == 200 && !news(p)) {
		struct json *answer = NULL;
		char json[128];

		snprintf(json, sizeof(json),
		         "{\"offset\":%lld,\"timeout\":%d,\"limit\":100,"
		         "\"allowed_updates\":[\"message\"]}",
		         (long long)p->offset, timeout_s);
		status = call(p, "getUpdates", json, timeout_s * 1000 + CALL_TIMEOUT_MS, true,
		              &answer);
		if (status == 200) {
			if (!timeout_s)
				set_life(p, LIFE_READY, NULL);
			timeout_s = POLL_S;
			on_updates(p, answer);
		} else if (!news(p)) {
			on_failure(p, "getUpdates", status, answer);
		}
		json_free(answer);
	}
}

static void run_channel(struct poller *p)
{
	struct json *answer = NULL;

	set_life(p, LIFE_STARTING, NULL);
	if (!http_url_parse(p->conf.api_root, &p->url)) {
		recover(p, "Telegram apiRoot is not http://host: the stub speaks no TLS", -1);
		return;
	}
	if (p->steer.telegram == TELEGRAM_OFF) {
		set_life(p, LIFE_STOPPED, "channel start held back by the crash-loop breaker");
		pause_ms(p, -1);
		return;
	}
	if (p->steer.telegram == TELEGRAM_BLOCKED) {
		block(p, "getMe");
		return;
	}
	if (!introduce(p))
		return;
	if (p->steer.telegram == TELEGRAM_CONFLICT) {
		on_conflict(p, NULL, -1);
		return;
	}
	state_load(p);
	call(p, "deleteWebhook", "{\"drop_pending_updates\":false}", CALL_TIMEOUT_MS, true,
	     &answer);
	json_free(answer);
	poll_updates(p);
}

void *telegram_main(void *stub)
{
	struct poller *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->stub = stub;
	while (!stub_stopping(stub)) {
		uint64_t count;

		/* Emptied before the snapshot, so that a change after it wakes the thread again;
		 * fails where it is empty already, which is as good. */
		(void)!read(p->stub->wake_fd, &count, sizeof(count));
		stub_snapshot(stub, &p->conf, &p->steer);
		if (p->conf.telegram) {
			run_channel(p);
		} else {
			set_life(p, LIFE_STOPPED, NULL);
			pause_ms(p, -1);
		}
	}
	free(p);
	return NULL;
}

/* zakictl tail: shows what passes on the bus, one JSON line a message. */

#include "command.h"
#include "watch.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/own.h"
#include "bus/bus.h"

#include <pthread.h>
#include <sodium.h>

#define SUBJECTS_MAX 16
#define NUMBER_MAX   1000000000LL

struct tail {
	pthread_mutex_t lock; /* guards seen and standard output */
	pthread_cond_t done;
	long long seen;

	const char *subjects[SUBJECTS_MAX];
	size_t subject_count;
	long long count_max, for_s; /* 0: no end */
};

static int number(const char *option, const char *text, long long *ret, struct err *e)
{
	char *end = NULL;
	long long value = text ? strtoll(text, &end, 10) : 0;

	if (!text || end == text || *end || value < 1 || value > NUMBER_MAX)
		return err_field(e, option, "needs a number from 1 to %lld", NUMBER_MAX);
	*ret = value;
	return 0;
}

static int options(struct tail *t, int argc, char **argv, struct err *e)
{
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--count") == 0 || strcmp(argv[i], "--for") == 0) {
			long long *to = argv[i][2] == 'c' ? &t->count_max : &t->for_s;

			if (number(argv[i], i + 1 < argc ? argv[i + 1] : NULL, to, e) < 0)
				return -1;
			i++;
		} else if (argv[i][0] == '-') {
			return err_field(e, argv[i], "is not an option of tail");
		} else if (t->subject_count == SUBJECTS_MAX) {
			return err_field(e, argv[i], "is one subject more than %d", SUBJECTS_MAX);
		} else {
			t->subjects[t->subject_count++] = argv[i];
		}
	}
	return t->subject_count ? 0 : err_field(e, "", "needs a subject, such as 'zaki.>'");
}

static void add_headers(cJSON *line, natsMsg *msg)
{
	cJSON *headers = cJSON_AddObjectToObject(line, "headers");
	const char **keys = NULL;
	int count = 0;

	if (natsMsgHeader_Keys(msg, &keys, &count) != NATS_OK)
		return;
	for (int i = 0; i < count; i++) {
		const char *value = NULL;

		if (natsMsgHeader_Get(msg, keys[i], &value) == NATS_OK && value)
			cJSON_AddStringToObject(headers, keys[i], value);
	}
	free((void *)keys);
}

/* JSON as it is; what is no JSON as base64, so that the line stays one. */
static void add_body(cJSON *line, natsMsg *msg)
{
	size_t len = (size_t)natsMsg_GetDataLength(msg);
	size_t size = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
	OWN(arena) struct arena a = { .limit = size };
	struct err e = ERR_INIT;
	cJSON *body = NULL;
	char *text;

	if (json_parse(natsMsg_GetData(msg), len, &body, &e) == 0) {
		cJSON_AddItemToObject(line, "body", body);
		return;
	}
	text = arena_alloc(&a, size);
	if (text)
		cJSON_AddStringToObject(
			line, "body_base64",
			sodium_bin2base64(text, size, (const unsigned char *)natsMsg_GetData(msg),
		                          len, sodium_base64_VARIANT_ORIGINAL));
}

static void on_message(natsConnection *conn, natsSubscription *sub, natsMsg *msg, void *closure)
{
	OWN(json) cJSON *line = cJSON_CreateObject();
	OWN(json_text) char *text = NULL;
	struct tail *t = closure;
	char ts[CLOCK_TEXT_SIZE];

	(void)conn;
	(void)sub;
	cJSON_AddStringToObject(line, "time", clock_text(clock_now_ms(), ts));
	cJSON_AddStringToObject(line, "subject", natsMsg_GetSubject(msg));
	if (natsMsg_GetReply(msg))
		cJSON_AddStringToObject(line, "reply", natsMsg_GetReply(msg));
	add_headers(line, msg);
	add_body(line, msg);
	natsMsg_Destroy(msg);
	text = cJSON_PrintUnformatted(line);

	pthread_mutex_lock(&t->lock);
	if (text && (t->count_max == 0 || t->seen < t->count_max)) {
		t->seen++;
		puts(text);
		(void)fflush(stdout);
		if (t->seen == t->count_max)
			pthread_cond_signal(&t->done);
	}
	pthread_mutex_unlock(&t->lock);
}

/* Until --count messages were seen or --for seconds are over; without either for ever. */
static void wait_for_end(struct tail *t)
{
	long long until_ms = clock_mono_ms() + (t->for_s ? t->for_s : NUMBER_MAX) * 1000LL;

	pthread_mutex_lock(&t->lock);
	while (t->count_max == 0 || t->seen < t->count_max)
		if (!clock_cond_wait(&t->done, &t->lock, until_ms))
			break;
	pthread_mutex_unlock(&t->lock);
}

static int watch_all(struct tail *t, struct watch *w, struct err *e)
{
	natsSubscription *subs[SUBJECTS_MAX] = { NULL };
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->subject_count; i++)
		r = watch_check(
			natsConnection_Subscribe(&subs[i], w->conn, t->subjects[i], on_message, t),
			t->subjects[i], e);
	if (r == 0)
		r = watch_check(natsConnection_FlushTimeout(w->conn, fault_patience(2000)),
		                "subscribing", e);
	if (r == 0)
		wait_for_end(t);
	for (size_t i = 0; i < t->subject_count; i++)
		bus_unsubscribe(w->conn, subs[i]);
	return r;
}

static int run(int argc, char **argv, struct err *e)
{
	static struct tail t = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct watch w = { 0 };
	int r;

	clock_cond_init(&t.done);
	if (options(&t, argc, argv, e) < 0 || watch_open(&w, e) < 0)
		return -1;
	r = watch_all(&t, &w, e);
	watch_close(&w);
	/* Ends the threads that deliver: none may hold t past this. */
	(void)nats_CloseAndWait(5000);
	return r;
}

const struct command command_tail = {
	.name = "tail",
	.usage = "[--count N] [--for SECONDS] SUBJECT…",
	.summary = "shows messages on the bus as they pass, one JSON line each",
	.help = "Ends after N messages or SECONDS, whichever is first. Secret fields are sealed:\n"
		"they cannot be read here.\n",
	.conf = watch_conf,
	.conf_count = WATCH_CONF_COUNT,
	.run = run,
};

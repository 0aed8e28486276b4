#include "store/redis_conn.h"

#include "base/clock.h"
#include "base/fault.h"

#include <pthread.h>

#define REDIS_ARGS_MAX 160
#define REDIS_WAIT_MS  (REDIS_CONNECT_MS + REDIS_CALL_MS) /* for a connection that is free */
#define REDIS_PORT     6379

struct redis {
	pthread_mutex_t lock; /* guards all below but where to connect */
	pthread_cond_t freed;

	char *text;         /* the URL's copy, cut into the parts below */
	struct redis_to to; /* owns its tls */
	bool is_tls;

	struct redis_conn **idle; /* a stack */
	size_t idle_count;
	size_t left; /* connections that may still be made */

	/* While the server is away, one caller at a time tries it, every REDIS_RETRY_MS. */
	bool is_away, is_trying;
	long long next_try_ms; /* monotonic */
};

static int hex_value(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Undoes %XX in place. */
static bool percent_decode(char *s)
{
	char *out = s;

	for (; *s; s++) {
		int high, low;

		if (*s != '%') {
			*out++ = *s;
			continue;
		}
		high = hex_value(s[1]);
		low = high < 0 ? -1 : hex_value(s[2]);
		if (low < 0 || (high == 0 && low == 0))
			return false;
		*out++ = (char)(high << 4 | low);
		s += 2;
	}
	*out = '\0';
	return true;
}

/* "[user]:password@" in front of the rest; moves *s past it. */
static bool cut_login(struct redis *r, char **s)
{
	char *at = strrchr(*s, '@'), *colon;

	if (!at)
		return true;
	*at = '\0';
	colon = strchr(*s, ':');
	if (!colon)
		return false;
	*colon = '\0';
	if (!percent_decode(*s) || !percent_decode(colon + 1))
		return false;
	r->to.user = **s ? *s : NULL;
	r->to.password = colon[1] ? colon + 1 : NULL;
	*s = at + 1;
	return true;
}

static bool cut_host(struct redis *r, char *s)
{
	char *port = NULL, *end;
	long value;

	r->to.host = s;
	if (s[0] == '[') {
		r->to.host = s + 1;
		s = strchr(s, ']');
		if (!s)
			return false;
		*s++ = '\0';
		if (*s && *s != ':')
			return false;
		port = *s ? s + 1 : NULL;
	} else if ((s = strchr(s, ':'))) {
		*s = '\0';
		port = s + 1;
	}
	r->to.port = REDIS_PORT;
	if (port) {
		value = strtol(port, &end, 10);
		if (end == port || *end || value < 1 || value > 65535)
			return false;
		r->to.port = (int)value;
	}
	return r->to.host[0];
}

/* redis[s]://[[user]:password@]host[:port][/db], or unix://[[user]:password@]/path[?db=n] */
static bool cut_url(struct redis *r)
{
	bool is_unix = strncmp(r->text, "unix://", 7) == 0;
	char *s = r->text, *db;

	r->is_tls = strncmp(s, "rediss://", 9) == 0;
	if (!is_unix && !r->is_tls && strncmp(s, "redis://", 8) != 0)
		return false;
	s = strstr(s, "://") + 3;
	if (!cut_login(r, &s))
		return false;
	db = is_unix ? strstr(s, "?db=") : strchr(s, '/');
	if (db) {
		*db = '\0';
		db += is_unix ? 4 : 1;
		r->to.db = *db ? db : NULL;
		if (db[strspn(db, "0123456789")])
			return false;
	}
	if (!is_unix)
		return cut_host(r, s);
	r->to.path = s;
	return s[0] == '/';
}

int redis_open(const char *url, size_t size, struct redis **ret, struct err *e)
{
	struct redis *r = calloc(1, sizeof(*r));

	if (!r)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&r->lock, NULL);
	clock_cond_init(&r->freed);

	r->left = size;
	r->text = strdup(url);
	r->idle = calloc(size, sizeof(struct redis_conn *));
	if (!r->text || !r->idle) {
		redis_close(r);
		return err_set(e, ERR_INTERNAL, "out of memory");
	}
	if (!cut_url(r)) {
		redis_close(r);
		return err_field(
			e, "REDIS_URL",
			"must be redis[s]://[[user]:password@]host[:port][/db] or unix://…");
	}
	if (r->is_tls && !(r->to.tls = redis_conn_tls())) {
		redis_close(r);
		return err_set(e, ERR_INTERNAL, "out of memory");
	}
	*ret = r;
	return 0;
}

void redis_close(struct redis *r)
{
	if (!r)
		return;
	for (size_t i = 0; r->idle && i < r->idle_count; i++)
		redis_conn_close(r->idle[i]);
	SSL_CTX_free(r->to.tls);
	if (r->to.password)
		explicit_bzero((char *)r->to.password, strlen(r->to.password));
	free(r->text);
	free((void *)r->idle);
	pthread_cond_destroy(&r->freed);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void give(struct redis *r, struct redis_conn *c)
{
	pthread_mutex_lock(&r->lock);
	if (c)
		r->idle[r->idle_count++] = c;
	else
		r->left++;
	pthread_cond_signal(&r->freed);
	pthread_mutex_unlock(&r->lock);
}

/* *ret: an idle connection, or NULL and the right to open one, which give() hands back. While the
 * server is away, at most one caller gets past here, and *is_try tells it so. */
static int take(struct redis *r, struct redis_conn **ret, bool *is_try, struct err *e)
{
	long long until_ms = clock_mono_ms() + fault_patience(REDIS_WAIT_MS);
	int result = 0;

	pthread_mutex_lock(&r->lock);
	*is_try = r->is_away && !r->is_trying && clock_mono_ms() >= r->next_try_ms;
	if (r->is_away && !*is_try) {
		result = redis_conn_unavailable(e, "away since a moment ago");
	} else {
		while (r->idle_count == 0 && r->left == 0)
			if (!clock_cond_wait(&r->freed, &r->lock, until_ms))
				break;
		*ret = NULL;
		if (r->idle_count > 0)
			*ret = r->idle[--r->idle_count];
		else if (r->left > 0)
			r->left--;
		else
			result = redis_conn_unavailable(e, "all connections are in use");
		r->is_trying |= *is_try && result == 0;
	}
	pthread_mutex_unlock(&r->lock);
	return result;
}

static void set_away(struct redis *r, bool is_away, bool is_try)
{
	pthread_mutex_lock(&r->lock);
	r->is_away = is_away;
	r->is_trying = r->is_trying && !is_try;
	r->next_try_ms = clock_mono_ms() + REDIS_RETRY_MS;
	pthread_mutex_unlock(&r->lock);
}

int redis_call(struct redis *r, const char *const *args, const size_t *lens, size_t count,
               redisReply **ret, struct err *e)
{
	OWN(redis_reply) redisReply *reply = NULL;
	struct redis_conn *c = NULL;
	bool is_try = false, is_away = false;

	if (take(r, &c, &is_try, e) < 0)
		return -1;
	if (c && !redis_conn_is_alive(c)) {
		redis_conn_close(c);
		c = NULL;
	}
	if (!c && redis_conn_open(&r->to, &c, e) < 0) {
		give(r, NULL);
		set_away(r, true, is_try);
		return -1;
	}

	reply = redis_conn_call(c, args, lens, count, e);
	if (!reply) {
		is_away = redis_conn_is_silent(c);
		redis_conn_close(c);
		c = NULL;
	}
	if (is_try || is_away)
		set_away(r, is_away, is_try);
	give(r, c);
	if (!reply)
		return -1;
	if (reply->type == REDIS_REPLY_ERROR)
		return redis_conn_error(reply, e);
	*ret = TAKE(reply);
	return 0;
}

int redis_cmd(struct redis *r, redisReply **ret, struct err *e, ...)
{
	const char *args[REDIS_ARGS_MAX], *arg;
	size_t count = 0;
	va_list ap;

	va_start(ap, e);
	while ((arg = va_arg(ap, const char *)) && count < REDIS_ARGS_MAX)
		args[count++] = arg;
	va_end(ap);
	if (arg)
		return err_set(e, ERR_INTERNAL, "more than %d arguments", REDIS_ARGS_MAX);
	return redis_call(r, args, NULL, count, ret, e);
}

static pthread_mutex_t script_lock = PTHREAD_MUTEX_INITIALIZER; /* guards every script's sha */

static int script_load(struct redis *r, struct redis_script *s, char sha[41], struct err *e)
{
	OWN(redis_reply) redisReply *reply = NULL;

	if (REDIS_CALL(r, &reply, e, "SCRIPT", "LOAD", s->text) < 0)
		return -1;
	if (reply->type != REDIS_REPLY_STRING || reply->len != 40)
		return err_set(e, ERR_INTERNAL, "redis: SCRIPT LOAD gave no hash");
	memcpy(sha, reply->str, 41);
	pthread_mutex_lock(&script_lock);
	memcpy(s->sha, sha, sizeof(s->sha));
	pthread_mutex_unlock(&script_lock);
	return 0;
}

int redis_script_run(struct redis *r, struct redis_script *s, const struct redis_script_in *in,
                     redisReply **ret, struct err *e)
{
	const char *all[REDIS_ARGS_MAX];
	struct err first = ERR_INIT;
	char sha[41], number[24];
	size_t count = 0;

	if (in->key_count + in->arg_count + 3 > REDIS_ARGS_MAX)
		return err_set(e, ERR_INTERNAL, "more than %d arguments", REDIS_ARGS_MAX);

	pthread_mutex_lock(&script_lock);
	memcpy(sha, s->sha, sizeof(sha));
	pthread_mutex_unlock(&script_lock);
	if (!sha[0] && script_load(r, s, sha, e) < 0)
		return -1;

	snprintf(number, sizeof(number), "%zu", in->key_count);
	all[count++] = "EVALSHA";
	all[count++] = sha;
	all[count++] = number;
	for (size_t i = 0; i < in->key_count; i++)
		all[count++] = in->keys[i];
	for (size_t i = 0; i < in->arg_count; i++)
		all[count++] = in->args[i];

	if (redis_call(r, all, NULL, count, ret, &first) == 0)
		return 0;
	if (!strstr(first.msg, "NOSCRIPT")) {
		*e = first;
		return -1;
	}
	if (script_load(r, s, sha, e) < 0)
		return -1;
	return redis_call(r, all, NULL, count, ret, e);
}

int redis_run_id(struct redis *r, char ret[REDIS_RUN_ID_SIZE], struct err *e)
{
	OWN(redis_reply) redisReply *reply = NULL;
	const char *at;

	if (REDIS_CALL(r, &reply, e, "INFO", "server") < 0)
		return -1;
	at = reply->str ? strstr(reply->str, "run_id:") : NULL;
	if (!at)
		return err_set(e, ERR_INTERNAL, "Redis does not say its run_id");
	at += strlen("run_id:");
	snprintf(ret, REDIS_RUN_ID_SIZE, "%.*s", (int)strspn(at, "0123456789abcdef"), at);
	return 0;
}

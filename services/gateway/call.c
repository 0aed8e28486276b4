#include "call.h"

#include "auth_check.h"
#include "base/metric.h"
#include "body.h"
#include "bus/envelope.h"
#include "cookie.h"
#include "export/export.h"
#include "reply.h"

#define TAG_CHARS "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_+/=."

#include <stdatomic.h>

static int read_key(struct exchange *x, struct err *e)
{
	const char *key = x->head.idempotency_key;
	size_t len = key ? strlen(key) : 0;

	if (!key || strcmp(x->info->request_method, "POST") != 0)
		return 0;
	for (size_t i = 0; i < len; i++)
		if (key[i] < 0x21 || key[i] > 0x7e)
			len = 0;
	if (len == 0 || len > BUS_KEY_MAX)
		return err_field(e, "Idempotency-Key", "must be 1 to %d visible ASCII characters",
		                 BUS_KEY_MAX);
	memcpy(x->ctx.idempotency_key, key, len + 1);
	return 0;
}

/* The tokens of the answer, or their end, as cookies. */
static int make_cookies(struct exchange *x, const struct wire_msg *m, const void *out,
                        struct err *e)
{
	const struct auth_tokens *tokens = out;

	if (x->route->cookies == COOKIES_CLEAR)
		return cookie_lines(NULL, 0, NULL, &x->arena, &x->cookies, e);
	assert(m == &wire_auth_tokens && tokens);
	return cookie_lines(tokens->access_token, tokens->expires_in, tokens->refresh_token,
	                    &x->arena, &x->cookies, e);
}

/* The tag that the answer names, as text that a header can hold. */
static void take_tag(struct exchange *x, const struct wire_msg *m, const void *out)
{
	const struct wire_field *f = wire_field_find(m, x->route->tag);
	const char *tag;

	assert(f && f->type == WIRE_STRING);
	tag = *(const char *const *)(const void *)((const char *)out + f->offset);
	if (tag && tag[strspn(tag, TAG_CHARS)] == '\0')
		x->tag = tag;
}

/* An answer with a sealed field in it is opened and written anew; any other is handed on as it
 * came. */
static int answer(struct exchange *x, const struct bus_answer *a, struct err *e)
{
	const struct wire_msg *m = subjects[x->route->subject].out;
	bool is_good = a->status == 200;
	bool is_sealed = is_good && m->has_secret &&
	                 (x->route->cookies != COOKIES_NONE || seal_is_in(a->data, a->len));
	OWN(json_text) char *text = NULL;
	void *out = NULL;

	if (is_sealed || (is_good && x->route->tag && x->route->tag[0])) {
		out = arena_alloc(&x->arena, m->size);
		if (!out)
			return err_set(e, ERR_INTERNAL, "out of memory");
		if (bus_answer_open(x->app->bus, x->route->subject, a, &x->arena, out, e) < 0)
			return -1;
	}
	if (is_sealed && !(text = envelope_data(m, out, NULL, e)))
		return -1;
	if (is_good && x->route->tag && x->route->tag[0])
		take_tag(x, m, out);
	if (is_good && x->route->cookies != COOKIES_NONE && make_cookies(x, m, out, e) < 0)
		return -1;
	reply_send(x, is_good ? x->route->success : a->status, text ? text : a->data,
	           text ? strlen(text) : a->len, a->retry_after_s);
	if (text)
		explicit_bzero(text, strlen(text));
	return 0;
}

static int ask(struct exchange *x, const void *in, struct err *e)
{
	OWN(bus_answer) struct bus_answer a = { 0 };

	if (bus_forward(x->app->bus, x->route->subject, &x->ctx, in, &a, e) < 0)
		return -1;
	if (!x->route->stream || a.status != 200)
		return answer(x, &a, e);
	x->route->stream(x);
	return 0;
}

/* Holds a thread for long, and memory: so many, and no more. HEAD asks for the header alone, and does
 * not count as one that was sent. */
static int ask_streamed(struct exchange *x, const void *in, struct err *e)
{
	int r;

	if (x->is_head) {
		x->route->stream(x);
		return 0;
	}
	if (export_take(x->app, e) < 0)
		return -1;
	r = ask(x, in, e);
	export_give(x->app);
	return r;
}

static int forward(struct exchange *x, struct err *e)
{
	const struct wire_msg *m = subjects[x->route->subject].in;
	OWN(json) cJSON *fields = NULL;
	void *in;

	/* Nothing of the body is read for someone who may not send it. */
	if (auth_check(x, e) < 0 || read_key(x, e) < 0 || body_read(x, &fields, e) < 0)
		return -1;
	in = arena_alloc(&x->arena, m->size);
	if (!in)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (wire_decode(m, fields, NULL, &x->arena, in, e) < 0)
		return -1;
	return x->route->stream ? ask_streamed(x, in, e) : ask(x, in, e);
}

/*
 * Sign-ins wait for a password's hash, and hold a thread while they wait. A flood of them gets 503 at
 * once past a quarter of the threads, so that the rest of the API does not stand in line behind it; and
 * that before it is counted, so that whoever comes back as told has lost nothing.
 */
int call_forward(struct exchange *x, struct err *e)
{
	struct app *app = x->app;
	int r;

	if (x->route->limit != LIMIT_AUTH)
		return forward(x, e);
	if (atomic_fetch_add(&app->sign_ins, 1) < app->http_threads / CALL_SIGN_IN_SHARE) {
		r = forward(x, e);
	} else {
		metric_add(METRIC_SIGN_INS_REFUSED, 1);
		r = err_busy(e, ERR_UNAVAILABLE, 1, "too many sign-ins at once");
	}
	atomic_fetch_sub(&app->sign_ins, 1);
	return r;
}

#include "export/export.h"

#include "auth_check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "export/walk.h"
#include "export/zip.h"
#include "reply.h"

#include <stdatomic.h>

/* One that is being sent. */
struct sending {
	struct exchange *x;
	long long bytes, checked_ms, end_ms;
};

int export_take(struct app *app, struct err *e)
{
	if (atomic_fetch_add(&app->exports, 1) < EXPORTS_AT_ONCE) {
		metric_set(METRIC_EXPORTS_UNDER_WAY, atomic_load(&app->exports));
		return 0;
	}
	atomic_fetch_sub(&app->exports, 1);
	return err_busy(e, ERR_UNAVAILABLE, 30, "too many exports at once");
}

void export_give(struct app *app)
{
	atomic_fetch_sub(&app->exports, 1);
	metric_set(METRIC_EXPORTS_UNDER_WAY, atomic_load(&app->exports));
}

/* A reader that is too slow holds a thread no longer than one that never ends. */
static int send(void *ctx, const void *data, size_t len)
{
	struct sending *s = ctx;

	if (clock_mono_ms() > s->end_ms)
		return -1;
	s->bytes += (long long)len;
	return reply_stream(s->x, data, len);
}

/* While auth is away what it said before has to do. */
static int may_go_on(void *ctx, struct err *e)
{
	struct sending *s = ctx;
	long long now_ms = clock_mono_ms();

	if (now_ms - s->checked_ms < EXPORT_CHECK_S * 1000LL)
		return 0;
	s->checked_ms = now_ms;
	if (auth_check_session(s->x->app, &s->x->ctx, e) == 0)
		return 0;
	if (e->code == ERR_UNAUTHENTICATED)
		return -1;
	*e = ERR_INIT;
	return 0;
}

static int send_all(struct sending *s, struct walk *w, struct err *e)
{
	OWN(zip) struct zip *z = NULL;

	if (zip_open(send, s, &z, e) < 0)
		return -1;
	w->zip = z;
	return walk_account(w, e);
}

void export_send(struct exchange *x)
{
	long long now_ms = clock_mono_ms();
	struct sending s = { .x = x, .checked_ms = now_ms, .end_ms = now_ms + 2 * WALK_S * 1000LL };
	struct walk w = {
		.bus = x->app->bus, .ctx = &x->ctx, .may_go_on = may_go_on, .closure = &s
	};
	char files[24], left_out[24], bytes[24];
	struct err e = ERR_INIT;
	int r;

	reply_stream_begin(x, "application/zip", "zaki-export.zip");
	if (x->is_head)
		return;
	r = send_all(&s, &w, &e);
	if (r == 0)
		reply_stream_end(x);
	else
		x->must_close = true;
	snprintf(files, sizeof(files), "%lld", w.files);
	snprintf(left_out, sizeof(left_out), "%lld", w.left_out);
	snprintf(bytes, sizeof(bytes), "%lld", s.bytes);
	if (r == 0)
		log_info("account exported", "user_id", x->ctx.user_id, "files", files, "left_out",
		         left_out, "bytes", bytes);
	else
		log_warn("export broken off", "user_id", x->ctx.user_id, "files", files, "bytes",
		         bytes, "error", e.msg);
	walk_done(&w);
}

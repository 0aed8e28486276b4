/* A request's headers as they may come: each line of the input is one's value. */

#include "base/utf8.h"
#include "bus/bus_internal.h"

#include <sodium.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = { "traceparent", "Zaki-Actor", "Zaki-Client", "Zaki-Deadline",
	                             "Zaki-Idempotency-Key" };

static void check_line(const char *s, size_t max)
{
	size_t left = strlen(s);

	if (left > max)
		abort();
	while (left > 0) {
		size_t n = utf8_len(s, left);

		if (n == 0 || (unsigned char)*s < ' ' || *s == 0x7f)
			abort();
		s += n;
		left -= n;
	}
}

static void check(const struct bus_ctx *ctx, long long deadline_ms)
{
	if (strspn(ctx->trace_id, "0123456789abcdef") != BUS_TRACE_SIZE - 1)
		abort();
	if (ctx->user_id[0] && (!uuid_is_valid(ctx->user_id) || !uuid_is_valid(ctx->session_id)))
		abort();
	if (deadline_ms < 0)
		abort();
	check_line(ctx->client_agent, BUS_AGENT_MAX);
	check_line(ctx->idempotency_key, BUS_KEY_MAX);
}

/* What was taken can be sent on, and is taken again as the same. */
static void send_on(const struct bus_ctx *ctx)
{
	OWN(nats_msg) natsMsg *msg = NULL;
	struct bus_ctx again = { 0 };
	long long deadline_ms = 0;
	struct err e = ERR_INIT;

	if (natsMsg_Create(&msg, "x", NULL, "", 0) != NATS_OK)
		return;
	bus_ctx_to_headers(ctx, 1000, msg);
	if (bus_ctx_from_headers(msg, &again, &deadline_ms, &e) < 0 ||
	    strcmp(ctx->user_id, again.user_id) != 0 || strcmp(ctx->trace_id, again.trace_id) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_open;
	OWN(mem) char *text = calloc(1, size + 1);
	OWN(nats_msg) natsMsg *msg = NULL;
	struct bus_ctx ctx = { 0 };
	long long deadline_ms = 0;
	struct err e = ERR_INIT;
	char *line = text;

	if (!is_open && (sodium_init() < 0 || nats_Open(-1) != NATS_OK))
		abort();
	is_open = true;
	if (!text || natsMsg_Create(&msg, "x", NULL, "", 0) != NATS_OK)
		return 0;
	memcpy(text, data, size);
	for (size_t i = 0; i < COUNT(names) && line; i++) {
		char *value = strsep(&line, "\n");

		(void)natsMsgHeader_Set(msg, names[i], value);
	}
	if (bus_ctx_from_headers(msg, &ctx, &deadline_ms, &e) == 0) {
		check(&ctx, deadline_ms);
		send_on(&ctx);
	} else if (e.code != ERR_INVALID) {
		abort();
	}
	return 0;
}

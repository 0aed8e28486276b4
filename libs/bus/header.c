#include "bus/bus_internal.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <errno.h>

void bus_trace_begin(struct bus_ctx *ctx)
{
	if (!ctx->trace_id[0])
		random_hex(16, ctx->trace_id);
}

const char *bus_header(natsMsg *msg, const char *name)
{
	const char *value = NULL;

	return natsMsgHeader_Get(msg, name, &value) == NATS_OK && value ? value : "";
}

/* What a client calls itself, as one line of text: it goes into headers, logs and tables. */
static void line_copy(char *to, size_t size, const char *text)
{
	utf8_copy(to, size, text);
	for (; *to; to++)
		if ((unsigned char)*to < 0x20 || *to == 0x7f)
			*to = ' ';
}

static void set(natsMsg *msg, const char *name, const char *value)
{
	/* Fails only when out of memory; the message then lacks the header, which the other side
	 * refuses or does without. */
	if (value[0])
		(void)natsMsgHeader_Set(msg, name, value);
}

void bus_ctx_to_headers(const struct bus_ctx *ctx, int timeout_ms, natsMsg *msg)
{
	char text[2 * UUID_SIZE + BUS_AGENT_MAX + 64], agent[BUS_AGENT_MAX + 1], span[17];

	if (ctx->trace_id[0]) {
		random_hex(8, span);
		snprintf(text, sizeof(text), "00-%s-%s-01", ctx->trace_id, span);
		set(msg, "traceparent", text);
	}
	if (ctx->user_id[0]) {
		snprintf(text, sizeof(text), "%s %s", ctx->user_id, ctx->session_id);
		set(msg, "Zaki-Actor", text);
	}
	if (ctx->client_address[0]) {
		line_copy(agent, sizeof(agent), ctx->client_agent);
		snprintf(text, sizeof(text), "%s %s", ctx->client_address, agent);
		set(msg, "Zaki-Client", text);
	}
	set(msg, "Zaki-Idempotency-Key", ctx->idempotency_key);
	if (timeout_ms > 0) {
		snprintf(text, sizeof(text), "%lld", clock_now_ms() + timeout_ms);
		set(msg, "Zaki-Deadline", text);
	}
}

/* "00-<32 hex>-<16 hex>-<2 hex>", the first not all zeros; what is no such thing is as if it were
 * absent (W3C). */
void bus_trace_of(natsMsg *msg, char ret[BUS_TRACE_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	const char *text = bus_header(msg, "traceparent");

	ret[0] = '\0';
	if (strlen(text) == 55 && strncmp(text, "00-", 3) == 0 && strspn(text + 3, hex) == 32 &&
	    strspn(text + 3, "0") < 32 && text[35] == '-' && strspn(text + 36, hex) == 16 &&
	    text[52] == '-' && strspn(text + 53, hex) == 2)
		snprintf(ret, BUS_TRACE_SIZE, "%.32s", text + 3);
}

static int actor_from(const char *text, struct bus_ctx *ctx, struct err *e)
{
	if (!text[0])
		return 0;
	if (strlen(text) != 2 * (UUID_SIZE - 1) + 1 || text[UUID_SIZE - 1] != ' ')
		return err_field(e, "Zaki-Actor", "must be a user id and a session id");
	snprintf(ctx->user_id, sizeof(ctx->user_id), "%.36s", text);
	snprintf(ctx->session_id, sizeof(ctx->session_id), "%.36s", text + UUID_SIZE);
	if (!uuid_is_valid(ctx->user_id) || !uuid_is_valid(ctx->session_id))
		return err_field(e, "Zaki-Actor", "must be a user id and a session id");
	return 0;
}

static int deadline_from(const char *text, long long *ret, struct err *e)
{
	char *end = NULL;

	if (!text[0])
		return 0;
	errno = 0;
	*ret = strtoll(text, &end, 10);
	if (errno || *end || *ret <= 0)
		return err_field(e, "Zaki-Deadline", "must be unix milliseconds");
	return 0;
}

int bus_ctx_from_headers(natsMsg *msg, struct bus_ctx *ret, long long *ret_deadline_ms,
                         struct err *e)
{
	const char *client = bus_header(msg, "Zaki-Client");
	const char *key = bus_header(msg, "Zaki-Idempotency-Key");
	size_t len = strcspn(client, " "), key_len = strlen(key);

	bus_trace_of(msg, ret->trace_id);
	bus_trace_begin(ret);
	if (actor_from(bus_header(msg, "Zaki-Actor"), ret, e) < 0 ||
	    deadline_from(bus_header(msg, "Zaki-Deadline"), ret_deadline_ms, e) < 0)
		return -1;
	if (len >= sizeof(ret->client_address))
		return err_field(e, "Zaki-Client", "must begin with an address");
	for (size_t i = 0; i < key_len; i++)
		if (key_len > BUS_KEY_MAX || key[i] < ' ' || key[i] > '~')
			return err_field(e, "Zaki-Idempotency-Key",
			                 "must be at most %d ASCII characters", BUS_KEY_MAX);

	snprintf(ret->client_address, sizeof(ret->client_address), "%.*s", (int)len, client);
	line_copy(ret->client_agent, sizeof(ret->client_agent),
	          client[len] ? client + len + 1 : "");
	snprintf(ret->idempotency_key, sizeof(ret->idempotency_key), "%s", key);
	return 0;
}

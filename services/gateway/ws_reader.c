#include "ws_reader.h"

#include "base/own.h"
#include "ws_frame.h"

#include <wslay/wslay.h>

struct ws_reader {
	wslay_event_context_ptr ctx;
	unsigned long long given, ended; /* bytes to wslay; of these, in frames that are whole */
	size_t frame_len;                /* of the one under way, with its header */
	bool is_fragmented;              /* a message is under way */

	/* During one feed. */
	const struct ws_reader_calls *calls;
	void *closure;
	const char *data;
	size_t left;
	int verdict; /* a close code; 0: none yet */
};

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags,
                       void *closure)
{
	struct ws_reader *r = closure;
	size_t n = len < r->left ? len : r->left;

	(void)flags;
	if (n == 0) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(buf, r->data, n);
	r->data += n;
	r->left -= n;
	r->given += n;
	return (ssize_t)n;
}

/* What wslay wants to write by itself is known to us otherwise: pongs and the close. */
static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags,
                       void *closure)
{
	(void)ctx;
	(void)data;
	(void)flags;
	(void)closure;
	return (ssize_t)len;
}

static void judge(struct ws_reader *r, int code)
{
	if (!r->verdict)
		r->verdict = code;
	wslay_event_shutdown_read(r->ctx);
}

static void on_frame_start(wslay_event_context_ptr ctx,
                           const struct wslay_event_on_frame_recv_start_arg *arg, void *closure)
{
	struct ws_reader *r = closure;
	uint64_t len = arg->payload_length;

	(void)ctx;
	/* Mask and length; no longer one than needed passes. */
	r->frame_len = (size_t)len + 6 + (len < 126 ? 0 : len < 65536 ? 2 : 8);
	if (!wslay_is_ctrl_frame(arg->opcode))
		r->is_fragmented = !arg->fin;
	if (!r->calls->on_frame(r->closure))
		judge(r, WSLAY_CODE_POLICY_VIOLATION);
	else if (arg->opcode == WSLAY_BINARY_FRAME)
		judge(r, WSLAY_CODE_UNSUPPORTED_DATA);
	/* wslay takes half a code for none (RFC 6455, 5.5.1). */
	else if (arg->opcode == WSLAY_CONNECTION_CLOSE && len == 1)
		judge(r, WSLAY_CODE_PROTOCOL_ERROR);
}

static void on_frame_end(wslay_event_context_ptr ctx, void *closure)
{
	struct ws_reader *r = closure;

	(void)ctx;
	r->ended += r->frame_len;
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg,
                       void *closure)
{
	struct ws_reader *r = closure;

	if (r->verdict)
		return;
	if (arg->opcode == WSLAY_TEXT_FRAME)
		r->calls->on_text(r->closure, arg->msg ? (const char *)arg->msg : "",
		                  arg->msg_length);
	if (arg->opcode != WSLAY_PING)
		return;
	r->calls->on_ping(r->closure, arg->msg ? (const void *)arg->msg : "", arg->msg_length);
	if (wslay_event_send(ctx) != 0)
		judge(r, WSLAY_CODE_INTERNAL_SERVER_ERROR);
}

static struct ws_reader *reader_new(void)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_recv,
		.send_callback = on_send,
		.on_frame_recv_start_callback = on_frame_start,
		.on_frame_recv_end_callback = on_frame_end,
		.on_msg_recv_callback = on_message,
	};
	struct ws_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	if (wslay_event_context_server_init(&r->ctx, &callbacks, r) != 0) {
		free(r);
		return NULL;
	}
	wslay_event_config_set_max_recv_msg_length(r->ctx, WS_FRAME_MAX);
	return r;
}

void ws_reader_free(struct ws_reader *r)
{
	if (!r)
		return;
	wslay_event_context_free(r->ctx);
	free(r);
}

/* Nothing is under way, so it may go on with any socket. */
static void put_away(struct ws_reader **slot, struct ws_reader **spare)
{
	struct ws_reader *r = *slot;

	*slot = NULL;
	if (*spare)
		ws_reader_free(r);
	else
		*spare = r;
}

static int code_of(struct ws_reader *r, int result)
{
	if (r->verdict)
		return r->verdict;
	if (result == WSLAY_ERR_NOMEM)
		return WSLAY_CODE_INTERNAL_SERVER_ERROR;
	if (result != 0)
		return WSLAY_CODE_PROTOCOL_ERROR;
	if (wslay_event_want_read(r->ctx))
		return 0;
	/* It has made the close that is to be answered with. */
	if (wslay_event_send(r->ctx) != 0)
		return WSLAY_CODE_INTERNAL_SERVER_ERROR;
	return wslay_event_get_status_code_sent(r->ctx);
}

int ws_reader_feed(struct ws_reader **slot, struct ws_reader **spare,
                   const struct ws_reader_calls *calls, void *closure, const char *data, size_t len)
{
	struct ws_reader *r = *slot ? *slot : *spare ? TAKE(*spare) : reader_new();
	int code;

	*slot = r;
	if (!r)
		return WSLAY_CODE_INTERNAL_SERVER_ERROR;
	r->calls = calls;
	r->closure = closure;
	r->data = data;
	r->left = len;
	code = code_of(r, wslay_event_recv(r->ctx));
	if (code == 0 && r->given == r->ended && !r->is_fragmented)
		put_away(slot, spare);
	return code;
}

const char *ws_reader_reason(int code)
{
	switch (code) {
	case WSLAY_CODE_PROTOCOL_ERROR:
		return "this is not RFC 6455";
	case WSLAY_CODE_UNSUPPORTED_DATA:
		return "only text is understood";
	case WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA:
		return "text must be UTF-8";
	case WSLAY_CODE_POLICY_VIOLATION:
		return "too many messages";
	case WSLAY_CODE_MESSAGE_TOO_BIG:
		return "message is too long";
	case WSLAY_CODE_INTERNAL_SERVER_ERROR:
		return "out of memory";
	default:
		return "";
	}
}

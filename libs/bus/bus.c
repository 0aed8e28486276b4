#include "bus/bus_internal.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"

#define PING_MS          10000 /* two unanswered pings: the connection is given up */
#define RECONNECT_MS     200
#define RECONNECT_JIT_MS 300
#define WAIT_MS          50
#define WHY_MS           1000
#define WHY_SIZE         128
#define LAST_MS          2000 /* for the reading thread to be past a subscription */
#define INBOX_PREFIX     "_INBOX_"

int bus_from_nats(natsStatus s, const char *what, struct err *e)
{
	switch (s) {
	case NATS_OK:
		return 0;
	case NATS_TIMEOUT:
		return err_set(e, ERR_TIMEOUT, "%s: no reply in time", what);
	case NATS_MAX_PAYLOAD:
		return err_set(e, ERR_TOO_LARGE, "message is too large");
	case NATS_NO_RESPONDERS:
	case NATS_NO_SERVER:
	case NATS_NOT_YET_CONNECTED:
	case NATS_CONNECTION_CLOSED:
	case NATS_CONNECTION_DISCONNECTED:
	case NATS_IO_ERROR: /* the socket broke under this very call */
	case NATS_STALE_CONNECTION:
	case NATS_INSUFFICIENT_BUFFER:
		return err_set(e, ERR_UNAVAILABLE, "%s: %s", what, natsStatus_GetText(s));
	default:
		return err_set(e, ERR_INTERNAL, "%s: nats: %s", what, natsStatus_GetText(s));
	}
}

static void on_disconnected(natsConnection *conn, void *closure)
{
	(void)closure;
	/* Our own closing comes here too. */
	if (!natsConnection_IsClosed(conn))
		log_warn("bus lost, reconnecting");
}

static void on_reconnected(natsConnection *conn, void *closure)
{
	(void)conn;
	(void)closure;
	log_info("bus is back");
}

static void on_error(natsConnection *conn, natsSubscription *sub, natsStatus s, void *closure)
{
	const char *text = NULL;

	(void)sub;
	(void)closure;
	(void)natsConnection_GetLastError(conn, &text);
	log_error("bus error", "error", natsStatus_GetText(s), "detail", text);
}

/* Asked for when the server was away at the start; the state is polled, so nothing is to be done. */
static void on_connected(natsConnection *conn, void *closure)
{
	(void)conn;
	(void)closure;
}

/* cnats compares the certificate's name with the URL's host by itself. */
natsStatus bus_address(natsOptions *o, const char *url)
{
	natsStatus s = natsOptions_SetURL(o, url);

	if (s == NATS_OK && strncmp(url, "tls://", 6) == 0)
		s = natsOptions_SetSecure(o, true);
	return s;
}

static natsStatus options_fill(natsOptions *o, const struct bus_opt *opt)
{
	char inbox[80];
	natsStatus s;

	snprintf(inbox, sizeof(inbox), INBOX_PREFIX "%s", opt->service);
	s = bus_address(o, opt->url);
	if (s == NATS_OK)
		s = natsOptions_SetName(o, opt->service);
	if (s == NATS_OK)
		s = natsOptions_SetCustomInboxPrefix(o, inbox);
	/* Without it cnats gathers writes: a call and its reply took 1.0 ms instead of 0.3. */
	if (s == NATS_OK)
		s = natsOptions_SetSendAsap(o, true);
	if (s == NATS_OK)
		s = natsOptions_SetMaxReconnect(o, -1);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectWait(o, RECONNECT_MS);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectJitter(o, RECONNECT_JIT_MS, RECONNECT_JIT_MS);
	if (s == NATS_OK)
		s = natsOptions_SetFailRequestsOnDisconnect(o, true);
	/* cnats would keep what is sent while the server is away and send it long after its sender
	 * was told that it failed: with no room for it, sending fails at once. But for the first (3.4.1: a
	 * buffer that is empty is not full): a call that saw the connection alive just before it was lost
	 * is sent when it is back, or ends after its time-out. */
	if (s == NATS_OK)
		s = natsOptions_SetReconnectBufSize(o, 1);
	if (s == NATS_OK)
		s = natsOptions_SetPingInterval(o, PING_MS);
	if (s == NATS_OK)
		s = natsOptions_SetRetryOnFailedConnect(o, true, on_connected, NULL);
	if (s == NATS_OK)
		s = natsOptions_SetDisconnectedCB(o, on_disconnected, NULL);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectedCB(o, on_reconnected, NULL);
	if (s == NATS_OK)
		s = natsOptions_SetErrorHandler(o, on_error, NULL);
	return s;
}

/* ": " and what one more try comes to: cnats keeps that to itself while it tries by itself. "" where this
 * one gets through, or says nothing. */
static void why_not(const struct bus_opt *opt, char ret[WHY_SIZE])
{
	natsConnection *conn = NULL;
	natsOptions *o = NULL;
	natsStatus s = natsOptions_Create(&o), last;
	const char *text = NULL;

	ret[0] = '\0';
	if (s == NATS_OK)
		s = options_fill(o, opt);
	if (s == NATS_OK)
		s = natsOptions_SetRetryOnFailedConnect(o, false, NULL, NULL);
	if (s == NATS_OK)
		s = natsOptions_SetTimeout(o, fault_patience(WHY_MS));
	if (s == NATS_OK)
		s = natsConnection_Connect(&conn, o);
	if (s != NATS_OK) {
		text = nats_GetLastError(&last);
		snprintf(ret, WHY_SIZE, ": %s", text && text[0] ? text : natsStatus_GetText(s));
	}
	natsConnection_Destroy(conn);
	natsOptions_Destroy(o);
}

static int connect_wait(struct bus *b, const struct bus_opt *opt, struct err *e)
{
	long long until_ms = clock_mono_ms() + opt->connect_ms;
	natsOptions *o = NULL;
	natsStatus s = natsOptions_Create(&o);
	char why[WHY_SIZE];

	if (s == NATS_OK)
		s = options_fill(o, opt);
	if (s == NATS_OK)
		s = natsConnection_Connect(&b->conn, o);
	natsOptions_Destroy(o);
	if (s != NATS_OK && s != NATS_NOT_YET_CONNECTED)
		return bus_from_nats(s, "cannot connect to NATS_URL", e);

	while (!bus_is_connected(b)) {
		if (clock_mono_ms() > until_ms) {
			why_not(opt, why);
			return err_set(e, ERR_UNAVAILABLE, "no answer at NATS_URL within %d ms%s",
			               opt->connect_ms, why);
		}
		clock_sleep_ms(WAIT_MS);
	}
	return bus_from_nats(natsConnection_JetStream(&b->js, b->conn, NULL), "JetStream", e);
}

int bus_open(const struct bus_opt *opt, struct bus **ret, struct err *e)
{
	struct bus *b = calloc(1, sizeof(*b));

	if (!b)
		return err_set(e, ERR_INTERNAL, "out of memory");

	b->seal = opt->seal;
	b->started_ms = clock_now_ms();
	snprintf(b->service, sizeof(b->service), "%s", opt->service);
	random_hex(8, b->instance_id);
	pthread_mutex_init(&b->lock, NULL);
	clock_cond_init(&b->idle);
	if (connect_wait(b, opt, e) < 0) {
		bus_close(b);
		return -1;
	}
	*ret = b;
	return 0;
}

/* Hands over what the server has already sent us. While the server is away there is nobody to
 * answer, and the server's word that all was sent does not come. */
static void drain_subs(struct bus *b)
{
	long long until_ms = clock_mono_ms() + fault_patience(BUS_DRAIN_MS);

	for (size_t i = 0; i < b->sub_count && bus_is_connected(b); i++)
		(void)natsSubscription_DrainTimeout(b->subs[i], fault_patience(BUS_DRAIN_MS));
	for (size_t i = 0; i < b->sub_count; i++) {
		while (bus_is_connected(b) && clock_mono_ms() < until_ms &&
		       natsSubscription_WaitForDrainCompletion(b->subs[i], WAIT_MS) == NATS_TIMEOUT)
			continue;
		natsSubscription_Destroy(b->subs[i]);
	}
	b->sub_count = 0;
}

void bus_drain(struct bus *b)
{
	long long until_ms;

	drain_subs(b);
	until_ms = clock_mono_ms() + fault_patience(BUS_DRAIN_MS);
	pthread_mutex_lock(&b->lock);
	while (b->under_way + b->subs_live > 0 && clock_cond_wait(&b->idle, &b->lock, until_ms))
		continue;
	pthread_mutex_unlock(&b->lock);
	if (bus_is_connected(b))
		(void)natsConnection_FlushTimeout(b->conn, 1000);
}

void bus_close(struct bus *b)
{
	if (!b)
		return;
	if (b->conn && b->sub_count > 0)
		bus_drain(b);
	jsCtx_Destroy(b->js);
	natsConnection_Destroy(b->conn);
	pthread_cond_destroy(&b->idle);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

bool bus_is_connected(struct bus *b)
{
	return b->conn && natsConnection_Status(b->conn) == NATS_CONN_STATUS_CONNECTED;
}

const char *bus_instance_id(const struct bus *b)
{
	return b->instance_id;
}

natsConnection *bus_nats(struct bus *b)
{
	return b->conn;
}

/* The subscription's thread has run its last handler. */
static void on_sub_end(void *closure)
{
	struct bus *b = closure;

	pthread_mutex_lock(&b->lock);
	if (--b->subs_live == 0)
		pthread_cond_broadcast(&b->idle);
	pthread_mutex_unlock(&b->lock);
}

int bus_subscribe(struct bus *b, const char *subject, const char *queue, natsMsgHandler handler,
                  void *closure, struct err *e)
{
	natsSubscription **slot = &b->subs[b->sub_count];
	natsStatus s;

	if (b->sub_count == BUS_SUBS_MAX)
		return err_set(e, ERR_INTERNAL, "more than %d subscriptions", BUS_SUBS_MAX);
	s = queue ? natsConnection_QueueSubscribe(slot, b->conn, subject, queue, handler, closure)
	          : natsConnection_Subscribe(slot, b->conn, subject, handler, closure);
	if (s != NATS_OK)
		return bus_from_nats(s, subject, e);
	b->sub_count++;

	pthread_mutex_lock(&b->lock);
	b->subs_live++;
	pthread_mutex_unlock(&b->lock);
	s = natsSubscription_SetOnCompleteCB(*slot, on_sub_end, b);
	if (s != NATS_OK)
		on_sub_end(b);
	return bus_from_nats(s, subject, e);
}

static void on_heard(natsConnection *conn, natsSubscription *sub, natsMsg *msg, void *closure)
{
	const struct listener *l = closure;
	OWN(nats_msg) natsMsg *owned = msg;

	(void)conn;
	(void)sub;
	l->on_message(owned, l->ctx);
}

int bus_listen(struct bus *b, const char *subject, bus_listener *on_message, void *ctx,
               struct err *e)
{
	struct listener *l = &b->listeners[b->sub_count < BUS_SUBS_MAX ? b->sub_count : 0];

	if (b->sub_count < BUS_SUBS_MAX)
		*l = (struct listener){ on_message, ctx };
	if (bus_subscribe(b, subject, NULL, on_heard, l, e) < 0)
		return -1;
	return bus_from_nats(natsConnection_FlushTimeout(b->conn, fault_patience(2000)), subject,
	                     e);
}

void bus_unsubscribe(natsConnection *conn, natsSubscription *sub)
{
	natsStatus s;

	if (!sub)
		return;
	(void)natsSubscription_Unsubscribe(sub);
	/* It finds the subscription no more. Once it has read the answer to this, it is done with what it
	 * found before; where none comes, it reads nothing. */
	s = natsConnection_Status(conn) == NATS_CONN_STATUS_CONNECTED
	            ? natsConnection_FlushTimeout(conn, fault_patience(LAST_MS))
	            : NATS_CONNECTION_DISCONNECTED;
	if (s != NATS_OK)
		clock_sleep_ms(WAIT_MS);
	natsSubscription_Destroy(sub);
}

void bus_inbox(struct bus *b, char ret[BUS_INBOX_SIZE])
{
	char random[25];

	random_hex(12, random);
	snprintf(ret, BUS_INBOX_SIZE, INBOX_PREFIX "%s.%s", b->service, random);
}

int bus_tell(struct bus *b, natsMsg *msg, struct err *e)
{
	if (!bus_is_connected(b))
		return err_set(e, ERR_UNAVAILABLE, "not connected to the bus");
	return bus_from_nats(natsConnection_PublishMsg(b->conn, msg), natsMsg_GetSubject(msg), e);
}

#include "pull.h"

#include "base/own.h"
#include "base/uuid.h"

#define NAME_PREFIX "fanout-"
#define ACK_WAIT_NS (30LL * 1000000000)
#define PENDING_MAX (4 * PULL_BATCH)
#define NAME_SIZE   64
#define ASK_MS      5000 /* so long a request for more stays open */

static void own_consumers(jsConsumerInfoList **list)
{
	jsConsumerInfoList_Destroy(*list);
}

static bool is_ours(const jsConsumerInfo *info)
{
	return strncmp(info->Name, NAME_PREFIX, strlen(NAME_PREFIX)) == 0;
}

/* How far any session has come; false: there was none. */
static bool floor_of(const jsConsumerInfoList *list, uint64_t *ret)
{
	bool is_found = false;

	*ret = 0;
	for (int i = 0; list && i < list->Count; i++) {
		if (!is_ours(list->List[i]))
			continue;
		is_found = true;
		if (list->List[i]->AckFloor.Stream > *ret)
			*ret = list->List[i]->AckFloor.Stream;
	}
	return is_found;
}

static int consumer_add(jsCtx *js, const char *name, uint64_t floor_seq, struct err *e)
{
	jsConsumerConfig cfg;
	jsErrCode code = 0;

	jsConsumerConfig_Init(&cfg);
	cfg.Durable = name;
	cfg.AckPolicy = js_AckAll;
	cfg.AckWait = ACK_WAIT_NS;
	cfg.MaxAckPending = PENDING_MAX;
	cfg.DeliverPolicy = js_DeliverByStartSequence;
	cfg.OptStartSeq = floor_seq + 1;
	return stream_check(js_AddConsumer(NULL, js, STREAM_NAME, &cfg, NULL, &code), code,
	                    "making a consumer", e);
}

/* Those of sessions that are over. One that cannot be taken away now is met again. */
static void others_remove(jsCtx *js, const jsConsumerInfoList *list)
{
	for (int i = 0; list && i < list->Count; i++)
		if (is_ours(list->List[i]))
			(void)js_DeleteConsumer(js, STREAM_NAME, list->List[i]->Name, NULL, NULL);
}

int pull_open(const struct stream_conn *conn, const char *me, struct pull *ret, struct err *e)
{
	jsCtx *js = conn->js;
	__attribute__((cleanup(own_consumers))) jsConsumerInfoList *list = NULL;
	OWN(pull) struct pull p = { 0 };
	char name[NAME_SIZE], random[9];
	struct stream_state state;
	jsErrCode code = 0;
	natsStatus s;

	if (stream_make(js, e) < 0 || stream_state(js, &state, e) < 0)
		return -1;
	s = js_Consumers(&list, js, STREAM_NAME, NULL, &code);
	if (s != NATS_NOT_FOUND && stream_check(s, code, "looking for consumers", e) < 0)
		return -1;

	/* With no session before this one all is read: what gateways have had they drop. A floor
	 * past the end is that of a stream which lost its newest events with the machine's power. */
	memcpy(p.stream_id, state.id, sizeof(p.stream_id));
	if (!floor_of(list, &p.last_seq))
		p.last_seq = 0;
	if (p.last_seq > state.last_seq)
		p.last_seq = state.last_seq;

	random_hex(4, random);
	snprintf(name, sizeof(name), NAME_PREFIX "%s-%s", me, random);
	if (consumer_add(js, name, p.last_seq, e) < 0 ||
	    fetch_open(conn->bus, name, &p.fetch, e) < 0)
		return -1;
	others_remove(js, list);
	*ret = p;
	p.fetch.sub = NULL;
	return 0;
}

void pull_close(struct pull *p)
{
	fetch_close(&p->fetch);
}

int pull_fetch(struct pull *p, int wait_ms, struct pull_list *ret, struct err *e)
{
	ret->count = 0;
	/* Before those that are there are looked at, so that the next ones come meanwhile. */
	if (p->fetch.asked < PULL_BATCH / 2 && fetch_ask(&p->fetch, PULL_BATCH, ASK_MS, e) < 0)
		return -1;
	do {
		natsMsg **msg = &ret->msgs[ret->count];

		if (fetch_next(&p->fetch, ret->count ? 0 : wait_ms, msg, e) < 0)
			return -1;
		if (!*msg)
			break;
	} while (++ret->count < PULL_BATCH);
	return 0;
}

void pull_list_done(struct pull_list *list)
{
	while (list->count > 0)
		natsMsg_Destroy(list->msgs[--list->count]);
}

int pull_done(struct pull *p, natsMsg *msg, struct err *e)
{
	return stream_check(
		natsConnection_PublishString(p->fetch.conn, natsMsg_GetReply(msg), "+ACK"), 0,
		"acknowledging", e);
}

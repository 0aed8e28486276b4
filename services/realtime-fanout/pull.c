#include "pull.h"

#include "base/own.h"
#include "base/uuid.h"

#define NAME_PREFIX "fanout-"
#define ACK_WAIT_NS (30LL * 1000000000)
#define PENDING_MAX (4 * PULL_BATCH)
#define NAME_SIZE   64

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

static int bind_to(jsCtx *js, const char *name, natsSubscription **ret, struct err *e)
{
	jsSubOptions opts;
	jsErrCode code = 0;

	jsSubOptions_Init(&opts);
	opts.Stream = STREAM_NAME;
	opts.Consumer = name;
	return stream_check(js_PullSubscribe(ret, js, STREAM_SUBJECTS, name, NULL, &opts, &code),
	                    code, "reading the stream", e);
}

/* Those of sessions that are over. One that cannot be taken away now is met again. */
static void others_remove(jsCtx *js, const jsConsumerInfoList *list)
{
	for (int i = 0; list && i < list->Count; i++)
		if (is_ours(list->List[i]))
			(void)js_DeleteConsumer(js, STREAM_NAME, list->List[i]->Name, NULL, NULL);
}

int pull_open(jsCtx *js, const char *me, struct pull *ret, struct err *e)
{
	__attribute__((cleanup(own_consumers))) jsConsumerInfoList *list = NULL;
	OWN(pull) struct pull p = { .js = js };
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
	if (consumer_add(js, name, p.last_seq, e) < 0 || bind_to(js, name, &p.sub, e) < 0)
		return -1;
	others_remove(js, list);
	*ret = p;
	p.sub = NULL;
	return 0;
}

void pull_close(struct pull *p)
{
	natsSubscription_Destroy(p->sub);
	p->sub = NULL;
}

int pull_fetch(struct pull *p, int wait_ms, natsMsgList *ret, struct err *e)
{
	jsErrCode code = 0;
	natsStatus s = natsSubscription_Fetch(ret, p->sub, PULL_BATCH, wait_ms, &code);

	return s == NATS_TIMEOUT ? 0 : stream_check(s, code, "reading the stream", e);
}

int pull_done(natsMsg *msg, struct err *e)
{
	return stream_check(natsMsg_Ack(msg, NULL), 0, "acknowledging", e);
}

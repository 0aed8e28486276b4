#include "outbox.h"

#define SUBJECT   "zaki.rt."
#define TEXT_FULL ((size_t)256 << 10) /* bytes; a message that is longer has one event alone */

/* Of one gateway. Its memory serves the next ones. */
struct lot {
	char gateway_id[DELIVERY_WORD_SIZE];
	char *text;
	size_t len, size;
};

struct outbox {
	struct bus *bus;
	struct lot *lots;
	size_t count, size; /* of them; those past count are empty */
};

int outbox_new(struct bus *b, struct outbox **ret, struct err *e)
{
	struct outbox *o = calloc(1, sizeof(*o));

	if (!o)
		return err_set(e, ERR_INTERNAL, "out of memory");
	o->bus = b;
	*ret = o;
	return 0;
}

void outbox_free(struct outbox *o)
{
	for (size_t i = 0; o && i < o->size; i++)
		free(o->lots[i].text);
	if (o)
		free(o->lots);
	free(o);
}

static struct lot *lot_of(struct outbox *o, const char *gateway_id)
{
	struct lot *lot;

	for (size_t i = 0; i < o->count; i++)
		if (strcmp(o->lots[i].gateway_id, gateway_id) == 0)
			return &o->lots[i];
	if (o->count == o->size) {
		size_t size = o->size ? 2 * o->size : 4;

		lot = realloc(o->lots, size * sizeof(*lot));
		if (!lot)
			return NULL;
		memset(lot + o->size, 0, (size - o->size) * sizeof(*lot));
		o->lots = lot;
		o->size = size;
	}
	lot = &o->lots[o->count++];
	snprintf(lot->gateway_id, sizeof(lot->gateway_id), "%s", gateway_id);
	lot->len = 0;
	return lot;
}

static int lot_send(struct outbox *o, struct lot *lot, struct err *e)
{
	OWN(nats_msg) natsMsg *msg = NULL;
	char subject[sizeof(SUBJECT) + DELIVERY_WORD_SIZE];

	if (lot->len == 0)
		return 0;
	snprintf(subject, sizeof(subject), SUBJECT "%s", lot->gateway_id);
	if (natsMsg_Create(&msg, subject, NULL, lot->text, (int)lot->len) != NATS_OK)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	lot->len = 0;
	return bus_tell(o->bus, msg, e);
}

static bool lot_grow(struct lot *lot, size_t size)
{
	char *text;

	if (size <= lot->size)
		return true;
	size = size < TEXT_FULL ? TEXT_FULL : size;
	text = realloc(lot->text, size);
	if (!text)
		return false;
	lot->text = text;
	lot->size = size;
	return true;
}

int outbox_add(struct outbox *o, const char *gateway_id, const struct delivery *d, struct err *e)
{
	struct lot *lot = lot_of(o, gateway_id);
	size_t size = delivery_size(d);

	if ((int64_t)size > natsConnection_GetMaxPayload(bus_nats(o->bus)))
		return err_set(e, ERR_TOO_LARGE, "is too large for the bus");
	if (lot && lot->len + size > TEXT_FULL && lot_send(o, lot, e) < 0)
		return -1;
	if (!lot || !lot_grow(lot, lot->len + size))
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	lot->len += delivery_write(d, lot->text + lot->len);
	return 0;
}

int outbox_send(struct outbox *o, struct err *e)
{
	for (size_t i = 0; i < o->count; i++)
		if (lot_send(o, &o->lots[i], e) < 0)
			return -1;
	o->count = 0;
	return 0;
}

void outbox_clear(struct outbox *o)
{
	o->count = 0;
}

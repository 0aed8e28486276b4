#include "bus/msg.h"

#include <pthread.h>

struct kept {
	natsMsg *msgs[BUS_MSG_KEPT];
	size_t count;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void give_up(struct kept *k)
{
	while (k->count > 0)
		natsMsg_Destroy(k->msgs[--k->count]);
}

static void on_thread_end(void *at)
{
	give_up(at);
	free(at);
}

static void make_key(void)
{
	has_key = pthread_key_create(&key, on_thread_end) == 0;
}

/* This thread's; NULL: it keeps none. */
static struct kept *kept_here(void)
{
	pthread_once(&once, make_key);
	return has_key ? pthread_getspecific(key) : NULL;
}

void bus_msg_keep(void)
{
	struct kept *k;

	if (kept_here() || !has_key)
		return;
	k = calloc(1, sizeof(*k)); /* without memory for it none is kept */
	if (k && pthread_setspecific(key, k) != 0)
		free(k);
}

void bus_msg_done(natsMsg *msg)
{
	struct kept *k = kept_here();

	if (!msg)
		return;
	if (!k || natsMsg_GetDataLength(msg) > BUS_MSG_KEPT_BYTES) {
		natsMsg_Destroy(msg);
		return;
	}
	k->msgs[k->count++] = msg;
	if (k->count == BUS_MSG_KEPT)
		give_up(k);
}

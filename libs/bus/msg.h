#ifndef BUS_MSG_H
#define BUS_MSG_H

#include "base/own.h"

#include <nats/nats.h>

/*
 * Messages that are no longer needed. cnats frees them on a thread of its own, which each
 * natsMsg_Destroy() wakes: with four messages a request that was a third of auth's futex calls (perf,
 * cnats 3.4). So a thread that has many keeps its small ones, BUS_MSG_KEPT at most, and gives them up
 * together; and when it ends.
 */
#define BUS_MSG_KEPT       16
#define BUS_MSG_KEPT_BYTES 4096 /* of data; what is larger goes at once */

/* From now on this thread keeps some. It has to end before nats_Close(): it may be none of cnats' own,
 * which outlive the library by a moment. Again: nothing. */
void bus_msg_keep(void);

/* Of any thread; NULL is fine. */
void bus_msg_done(natsMsg *msg);

OWN_DEFINE(nats_msg, natsMsg *, bus_msg_done)

#endif

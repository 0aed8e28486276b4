/*
 * The far end of the limit that `make bench` compares with: answers every message on bench.echo
 * with that message. NATS_URL says where; SIGTERM ends it.
 */

#include <nats/nats.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static void on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	(void)sub;
	(void)closure;
	(void)natsConnection_Publish(nc, natsMsg_GetReply(msg), natsMsg_GetData(msg),
	                             natsMsg_GetDataLength(msg));
	natsMsg_Destroy(msg);
}

int main(void)
{
	const char *url = getenv("NATS_URL");
	natsOptions *opt = NULL;
	natsConnection *nc = NULL;
	natsSubscription *sub = NULL;
	sigset_t stop;
	natsStatus s;
	int sig;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigprocmask(SIG_BLOCK, &stop, NULL);

	s = natsOptions_Create(&opt);
	if (s == NATS_OK)
		s = natsOptions_SetURL(opt, url ? url : NATS_DEFAULT_URL);
	if (s == NATS_OK)
		s = natsOptions_SetSendAsap(opt, true);
	if (s == NATS_OK)
		s = natsConnection_Connect(&nc, opt);
	if (s == NATS_OK)
		s = natsConnection_Subscribe(&sub, nc, "bench.echo", on_message, NULL);
	if (s == NATS_OK)
		s = natsConnection_Flush(nc);
	if (s == NATS_OK) {
		puts("ready");
		fflush(stdout);
		sigwait(&stop, &sig);
	} else {
		fprintf(stderr, "bench-echo: %s\n", natsStatus_GetText(s));
	}

	natsSubscription_Destroy(sub);
	natsConnection_Destroy(nc);
	natsOptions_Destroy(opt);
	nats_Close();
	return s == NATS_OK ? 0 : 1;
}

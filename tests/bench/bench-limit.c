/*
 * The limit that `make bench` compares with: civetweb, one request on the bus, the answer as it
 * came. No token, no limits, no JSON, no database: what the parts below us cost by themselves.
 * NATS_URL says where the bus is, PORT where to serve; BYTES is the body's size. SIGTERM ends it.
 */

#include <civetweb.h>
#include <nats/nats.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 2000
#define BYTES_MAX  4096

struct limit {
	natsConnection *nc;
	char body[BYTES_MAX];
	int len;
};

static int on_request(struct mg_connection *conn, void *ctx)
{
	struct limit *l = ctx;
	natsMsg *reply = NULL;
	natsStatus s;

	s = natsConnection_Request(&reply, l->nc, "bench.echo", l->body, l->len, TIMEOUT_MS);
	if (s != NATS_OK) {
		mg_send_http_error(conn, 503, "%s", natsStatus_GetText(s));
		return 503;
	}
	mg_response_header_start(conn, 200);
	mg_response_header_add(conn, "Content-Type", "application/json", -1);
	mg_response_header_add_lines(conn, "Cache-Control: no-store\r\n");
	{
		char length[16];

		snprintf(length, sizeof(length), "%d", natsMsg_GetDataLength(reply));
		mg_response_header_add(conn, "Content-Length", length, -1);
	}
	mg_response_header_send(conn);
	mg_write(conn, natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply));
	natsMsg_Destroy(reply);
	return 200;
}

static natsStatus connect_bus(struct limit *l)
{
	const char *url = getenv("NATS_URL");
	natsOptions *opt = NULL;
	natsStatus s = natsOptions_Create(&opt);

	if (s == NATS_OK)
		s = natsOptions_SetURL(opt, url ? url : NATS_DEFAULT_URL);
	if (s == NATS_OK)
		s = natsOptions_SetSendAsap(opt, true);
	if (s == NATS_OK)
		s = natsConnection_Connect(&l->nc, opt);
	natsOptions_Destroy(opt);
	return s;
}

static struct mg_context *serve(struct limit *l)
{
	const char *port = getenv("PORT");
	char listen_on[32];
	const char *opt[] = { "listening_ports",
		              listen_on,
		              "num_threads",
		              "64",
		              "enable_keep_alive",
		              "yes",
		              "keep_alive_timeout_ms",
		              "5000",
		              "tcp_nodelay",
		              "1",
		              NULL };
	struct mg_context *http;

	snprintf(listen_on, sizeof(listen_on), "127.0.0.1:%s", port ? port : "0");
	mg_init_library(0);
	http = mg_start(NULL, NULL, opt);
	if (http)
		mg_set_request_handler(http, "/", on_request, l);
	return http;
}

/* A JSON text of the wanted size, as an answer of the suite's would be. */
static void fill(struct limit *l)
{
	const char *bytes = getenv("BYTES");
	long want = bytes ? strtol(bytes, NULL, 10) : 320;

	if (want < 2 || want >= BYTES_MAX)
		want = 320;
	memset(l->body, 'x', (size_t)want);
	l->body[0] = l->body[want - 1] = '"';
	l->len = (int)want;
}

int main(void)
{
	static struct limit l;
	struct mg_context *http = NULL;
	sigset_t stop;
	natsStatus s;
	int sig;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigprocmask(SIG_BLOCK, &stop, NULL);

	fill(&l);
	s = connect_bus(&l);
	if (s == NATS_OK)
		http = serve(&l);
	if (http) {
		puts("ready");
		fflush(stdout);
		sigwait(&stop, &sig);
		mg_stop(http);
	} else {
		fprintf(stderr, "bench-limit: %s\n",
		        s == NATS_OK ? "the port is busy" : natsStatus_GetText(s));
	}
	natsConnection_Destroy(l.nc);
	nats_Close();
	return http ? 0 : 1;
}

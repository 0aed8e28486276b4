/*
 * A gateway that breaks, over a real socket: what the real one sent (tests/fakes/samples) is played to
 * a link, each time with another frame broken in another way. Each time the link ends, says why, and
 * is made again; the last time all is whole, and it is up. Run in the project's root. There is no
 * database: what comes of the frames is lost, and says so.
 */

#include "frames.h"
#include "link/lws_quiet.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#define WAIT_MS  60000
#define HEAD_MAX 4096
#define WS_MAGIC "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

enum { WS_TEXT = 0x81, WS_BINARY = 0x82, WS_PART = 0x01, WS_RESERVED = 0xf3 };

struct lab {
	struct frames sent;
	int listener;
	struct link_target target;
};

static int listen_here(int *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static int setup(void **state)
{
	static const char id[] = "5f0c1d2e-3a4b-4c5d-8e6f-708192a3b4c5";
	struct lab *lab = calloc(1, sizeof(*lab));

	assert_non_null(lab);
	frames_open(&lab->sent, id);
	lab->listener = listen_here(&lab->target.port);
	snprintf(lab->target.id, sizeof(lab->target.id), "%s", id);
	snprintf(lab->target.user_id, sizeof(lab->target.user_id), "%s", id);
	snprintf(lab->target.address, sizeof(lab->target.address), "127.0.0.1");
	snprintf(lab->target.gateway_token, sizeof(lab->target.gateway_token), "token");
	links_keep_until(lab->sent.app.links, clock_mono_ms() + 600000);
	*state = lab;
	return 0;
}

static int teardown(void **state)
{
	struct lab *lab = *state;

	frames_close(&lab->sent);
	close(lab->listener);
	free(lab);
	return 0;
}

static bool is_readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

/* The link's next try, which is not waited for. */
static int take(struct lab *lab)
{
	long long until_ms = clock_mono_ms() + WAIT_MS;

	while (!is_readable(lab->listener, 50)) {
		assert_true(clock_mono_ms() < until_ms);
		links_retry(lab->sent.app.links, lab->target.id);
	}
	return accept4(lab->listener, NULL, NULL, SOCK_CLOEXEC);
}

static void upgrade(int fd)
{
	char head[HEAD_MAX] = "", answer[256], sum[64];
	unsigned char hash[20];
	const char *key;
	size_t len = 0;

	while (!strstr(head, "\r\n\r\n")) {
		ssize_t n;

		assert_true(len + 1 < sizeof(head) && is_readable(fd, WAIT_MS));
		n = recv(fd, head + len, sizeof(head) - 1 - len, 0);
		assert_true(n > 0);
		len += (size_t)n;
		head[len] = '\0';
	}
	key = strcasestr(head, "sec-websocket-key: ");
	assert_non_null(key);
	key += sizeof("sec-websocket-key: ") - 1;
	snprintf(answer, sizeof(answer), "%.*s" WS_MAGIC, (int)strcspn(key, "\r\n"), key);
	lws_SHA1((unsigned char *)answer, strlen(answer), hash);
	assert_true(lws_b64_encode_string((char *)hash, sizeof(hash), sum, sizeof(sum)) > 0);
	snprintf(answer, sizeof(answer),
	         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
	         "Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
	         sum);
	assert_true(send(fd, answer, strlen(answer), MSG_NOSIGNAL) > 0);
}

/* The head says `said` bytes; so many of the text go out. False: the link has closed. */
static bool put(int fd, int first, const char *text, size_t len, size_t said)
{
	unsigned char head[10] = { (unsigned char)first, 127 };

	for (int i = 0; i < 8; i++)
		head[9 - i] = (unsigned char)((unsigned long long)said >> (8 * i));
	if (said < 126)
		head[1] = (unsigned char)said;
	else if (said < 65536) {
		head[1] = 126;
		head[2] = (unsigned char)(said >> 8);
		head[3] = (unsigned char)said;
	}
	return send(fd, head,
	            said < 126     ? 2
	            : said < 65536 ? 4
	                           : 10,
	            MSG_NOSIGNAL) > 0 &&
	       (!len || send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len);
}

enum breakage {
	BREAK_NO_JSON,
	BREAK_CUT,      /* the text ends too early */
	BREAK_BINARY,   /* no text */
	BREAK_RESERVED, /* no WebSocket */
	BREAK_TOO_LONG, /* more than a frame may have is announced and sent */
	BREAK_HALF,     /* the gateway goes away within a frame */
	BREAK_COUNT
};

static void put_broken(int fd, enum breakage how, const char *text)
{
	static char much[65536];
	size_t len = strlen(text);
	bool is_open = true;

	switch (how) {
	case BREAK_NO_JSON:
		put(fd, WS_TEXT, "nonsense", 8, 8);
		break;
	case BREAK_CUT:
		put(fd, WS_TEXT, text, len / 2, len / 2);
		break;
	case BREAK_BINARY:
		put(fd, WS_BINARY, text, len, len);
		break;
	case BREAK_RESERVED:
		put(fd, WS_RESERVED, text, len, len);
		break;
	case BREAK_TOO_LONG:
		memset(much, ' ', sizeof(much));
		for (int i = 0; i < 1024 && is_open; i++)
			is_open = put(fd, i ? 0 : WS_PART, much, sizeof(much), sizeof(much));
		break;
	case BREAK_HALF:
	case BREAK_COUNT:
		put(fd, WS_TEXT, text, len / 2, len);
		shutdown(fd, SHUT_WR);
		break;
	}
}

/* Until the link has closed; what it says meanwhile is its own. */
static void wait_closed(int fd)
{
	long long until_ms = clock_mono_ms() + WAIT_MS;
	char some[4096];

	for (;;) {
		assert_true(clock_mono_ms() < until_ms);
		if (is_readable(fd, 100) && recv(fd, some, sizeof(some), 0) <= 0)
			return;
	}
}

static size_t links_up(struct lab *lab)
{
	struct links_figures now;

	links_figures(lab->sent.app.links, &now);
	return now.up;
}

static void each_frame_broken_ends_the_link_and_it_is_made_again(void **state)
{
	struct lab *lab = *state;

	links_add(lab->sent.app.links, &lab->target);
	for (size_t at = 0; at <= lab->sent.count; at++) {
		int fd = take(lab);
		bool is_open = true;

		upgrade(fd);
		for (size_t i = 0; i < at && is_open; i++)
			is_open = put(fd, WS_TEXT, lab->sent.list[i], strlen(lab->sent.list[i]),
			              strlen(lab->sent.list[i]));
		if (!is_open)
			print_message("  the link closed before frame %zu\n", at);
		assert_true(is_open);
		if (at < lab->sent.count) {
			put_broken(fd, (enum breakage)(at % BREAK_COUNT), lab->sent.list[at]);
			wait_closed(fd);
			close(fd);
			continue;
		}
		for (long long until_ms = clock_mono_ms() + WAIT_MS; !links_up(lab);) {
			assert_true(clock_mono_ms() < until_ms);
			clock_sleep_ms(10);
		}
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_frame_broken_ends_the_link_and_it_is_made_again),
	};

	be_patient(PATIENCE);
	return cmocka_run_group_tests(tests, setup, teardown);
}

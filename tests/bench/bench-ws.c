/*
 * Many WebSocket clients in one thread: for the benchmarks, the soak and the recovery test. Each
 * opens a socket, subscribes to its topic, takes events, and checks that the numbers in them
 * (data.n) follow each other; one whose socket ends comes back with its last position.
 *
 *	bench-ws PORT SOCKETS < commands        the environment: TOPICS, a file with a line for
 *	                                        each topic, "TOKEN TOPIC"; a socket takes one after
 *	                                        the other. Without TOPICS it only listens ("/").
 *
 * Commands, a line each, answered by a line: stats (JSON, counters so far, latencies since the last
 * time), peek (counters alone), stall N (so many take nothing any more), churn N (so many a second leave, others come),
 * quit. Latency is from data.t, ns of CLOCK_MONOTONIC, to when the event is read.
 */

#include "base/own.h"
#include "bench/latency.h"
#include "bench/ws_bytes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define FRAME_MAX    (1 << 20)
#define OPENING_MAX  256   /* handshakes at once */
#define PER_ADDRESS  20000 /* sockets of one source address: the ports there are */
#define BACK_MIN_MS  50
#define BACK_MAX_MS  600
#define RECEIVE_SIZE (64 << 10)

enum state { CLOSED, CONNECTING, ASKING, SUBSCRIBING, LIVE };

struct socket {
	int fd;
	enum state state;
	bool is_stalled, is_missing; /* missing: its next event need not follow the last */
	long long back_ms;           /* when it comes back */
	long long n;                 /* of the last event; -1: none yet */
	char position[40];
	unsigned char *rest; /* of a frame that has not come whole */
	size_t rest_len;
};

struct topic {
	char *token, *name;
};

static struct {
	int port, epoll_fd;
	struct socket *all;
	size_t count, opening, live, next;
	struct topic *topics;
	size_t topic_count;
	bool is_plain; /* no subscriptions */
	double churn;  /* a second */
	long long churn_ms;

	/* Counters. */
	unsigned long long opened, ended, refused, events, gaps, twice, resyncs, bytes, churned,
		errors;
	unsigned long long closes[5000]; /* by code */
	struct latency latency;
	char first_wrong[600];
} b;

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long now_ms(void)
{
	return now_ns() / 1000000;
}

static struct topic *topic_of(const struct socket *s)
{
	return &b.topics[(size_t)(s - b.all) % b.topic_count];
}

/* The first that was not as it should be is kept, without what JSON would have to escape. */
static void wrong(const char *what, const struct socket *s, long long was, long long is)
{
	if (b.first_wrong[0])
		return;
	snprintf(b.first_wrong, sizeof(b.first_wrong), "socket %zu, %lld then %lld: %s",
	         (size_t)(s - b.all), was, is, what);
	for (char *c = b.first_wrong; *c; c++)
		if (*c == '"' || *c == '\\')
			*c = '\'';
}

/* ---- opening and ending ------------------------------------------------------------------------ */

static void end(struct socket *s)
{
	if (s->state == CLOSED)
		return;
	b.opening -= s->state < LIVE;
	b.live -= s->state == LIVE;
	b.ended++;
	close(s->fd);
	free(s->rest);
	s->rest = NULL;
	s->rest_len = 0;
	s->state = CLOSED;
	s->back_ms = now_ms() + BACK_MIN_MS + now_ns() / 1000 % (BACK_MAX_MS - BACK_MIN_MS);
}

static void open_one(struct socket *s)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		                  .sin_port = htons((uint16_t)b.port),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.ptr = s };
	const int on = 1;

	from.sin_addr.s_addr =
		htonl(INADDR_LOOPBACK + (uint32_t)((size_t)(s - b.all) / PER_ADDRESS));
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0) {
		perror("socket");
		exit(1);
	}
	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	(void)bind(s->fd, (struct sockaddr *)&from, sizeof(from));
	s->state = CONNECTING;
	b.opening++;
	if (connect(s->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		end(s);
	else
		(void)epoll_ctl(b.epoll_fd, EPOLL_CTL_ADD, s->fd, &event);
}

static void say(struct socket *s, const char *text, size_t len)
{
	if (send(s->fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
		end(s);
}

/* Masked, with zeros. */
static void say_frame(struct socket *s, unsigned opcode, const char *text, size_t len)
{
	unsigned char frame[600] = { (unsigned char)(0x80 | opcode) };
	size_t more = len < 126 ? 0 : 2;

	frame[1] = (unsigned char)(0x80 | (more ? 126 : len));
	frame[2] = (unsigned char)(more ? len >> 8 : 0);
	frame[3] = (unsigned char)(more ? len : 0);
	memcpy(frame + 6 + more, text, len);
	say(s, (char *)frame, 6 + more + len);
}

static void ask(struct socket *s)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = s };
	char request[2600];
	int n = snprintf(request, sizeof(request),
	                 "GET %s%s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
	                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	                 "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
	                 b.is_plain ? "/" : "/ws?token=", b.is_plain ? "" : topic_of(s)->token);

	(void)epoll_ctl(b.epoll_fd, EPOLL_CTL_MOD, s->fd, &event);
	s->state = ASKING;
	say(s, request, (size_t)n);
}

static void go_live(struct socket *s)
{
	s->state = LIVE;
	b.opening--;
	b.live++;
}

static void subscribe(struct socket *s)
{
	char text[200];
	int n;

	b.opened++;
	s->state = SUBSCRIBING;
	if (b.is_plain) {
		go_live(s);
		return;
	}
	n = snprintf(text, sizeof(text), "{\"event\":\"subscribe:%s\"%s%s%s}", topic_of(s)->name,
	             s->position[0] ? ",\"since\":\"" : "", s->position,
	             s->position[0] ? "\"" : "");
	say_frame(s, 1, text, (size_t)n);
}

/* ---- frames ------------------------------------------------------------------------------------ */

/* What follows name in text, or NULL. */
static const char *after(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? at + strlen(name) : NULL;
}

static void on_event(struct socket *s, const char *text)
{
	const char *n_at = after(text, "\"n\":"), *t_at = after(text, "\"t\":");
	long long n = n_at ? strtoll(n_at, NULL, 10) : -1;

	b.events++;
	if (t_at)
		latency_add(&b.latency, now_ns() - strtoll(t_at, NULL, 10));
	if (n < 0)
		return;
	if (s->n >= 0 && n <= s->n) {
		b.twice++;
		wrong("twice", s, s->n, n);
	} else if (s->n >= 0 && n != s->n + 1 && !s->is_missing) {
		b.gaps++;
		wrong("a gap", s, s->n, n);
	}
	s->is_missing = false;
	s->n = n;
}

static void on_text(struct socket *s, const char *text)
{
	const char *event = after(text, "\"event\":\""), *position = after(text, "\"position\":\"");
	bool is_subscribed = event && strncmp(event, "subscribed\"", 11) == 0;
	bool is_resync = event && strncmp(event, "resync\"", 7) == 0;

	if (event && strncmp(event, "error\"", 6) == 0) {
		b.errors++;
		wrong(text, s, 0, 0);
		end(s);
		return;
	}
	if (is_resync) {
		b.resyncs++;
		s->is_missing = true;
	}
	if (is_subscribed && s->state == SUBSCRIBING)
		go_live(s);
	else if (!is_subscribed && !is_resync)
		on_event(s, text);
	/* That of subscribed counts where there is none yet: what was missed comes after it. */
	if (position && (!is_subscribed || !s->position[0]))
		snprintf(s->position, sizeof(s->position), "%.*s", (int)strcspn(position, "\""),
		         position);
}

static void on_frame(struct socket *s, unsigned opcode, unsigned char *payload, size_t len)
{
	unsigned char behind = payload[len];

	payload[len] = '\0';
	if (opcode == 1)
		on_text(s, (char *)payload);
	else if (opcode == 9)
		say_frame(s, 10, (char *)payload, len);
	else if (opcode == 8)
		b.closes[len >= 2 ? (payload[0] << 8 | payload[1]) % COUNT(b.closes) : 1005]++;
	payload[len] = behind;
	if (opcode == 8)
		end(s);
}

/* How much of data it has used. */
static size_t frames(struct socket *s, unsigned char *data, size_t len)
{
	size_t at = 0, head = 0, n;

	while (s->state > ASKING && (n = frame_len(data + at, len - at, &head)) > 0 &&
	       n <= len - at) {
		on_frame(s, data[at] & 0x0f, data + at + head, n - head);
		at += n;
	}
	return s->state == CLOSED ? len : at;
}

static size_t answer(struct socket *s, const unsigned char *data, size_t len)
{
	const char *stop = memmem(data, len, "\r\n\r\n", 4);

	if (!stop)
		return 0;
	if (memcmp(data, "HTTP/1.1 101", 12) != 0) {
		b.refused++;
		end(s);
		return len;
	}
	subscribe(s);
	return s->state == CLOSED ? len : (size_t)(stop + 4 - (const char *)data);
}

static void on_data(struct socket *s)
{
	/* Room for one byte behind, where texts are ended. */
	static unsigned char buf[FRAME_MAX + RECEIVE_SIZE + 1];
	size_t len = s->rest_len, used = 0;
	ssize_t n;

	memcpy(buf, s->rest ? s->rest : buf, len);
	n = recv(s->fd, buf + len, RECEIVE_SIZE, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		b.closes[1006]++;
		end(s);
		return;
	}
	b.bytes += (size_t)n;
	len += (size_t)n;
	if (s->state == ASKING)
		used = answer(s, buf, len);
	if (s->state > ASKING)
		used += frames(s, buf + used, len - used);
	if (s->state == CLOSED)
		return;
	free(s->rest);
	s->rest_len = len - used;
	s->rest = s->rest_len ? malloc(s->rest_len) : NULL;
	if (s->rest)
		memcpy(s->rest, buf + used, s->rest_len);
}

/* ---- what happens by itself -------------------------------------------------------------------- */

static void open_some(void)
{
	long long ms = now_ms();

	for (size_t i = 0; i < b.count && b.opening < OPENING_MAX; i++) {
		struct socket *s = &b.all[b.next++ % b.count];

		if (s->state == CLOSED && ms >= s->back_ms)
			open_one(s);
	}
}

static void churn(void)
{
	long long ms = now_ms();
	double due = b.churn * (double)(ms - b.churn_ms) / 1000;

	if (due < 1)
		return;
	b.churn_ms = ms;
	for (int i = 0; i < (int)due; i++) {
		struct socket *s = &b.all[(size_t)(now_ns() / 64) % b.count];

		if (s->state == LIVE && !s->is_stalled) {
			b.churned++;
			end(s);
		}
	}
}

static void stats(bool is_end)
{
	if (is_end)
		latency_sort(&b.latency);
	printf("{\"sockets\":%zu,\"live\":%zu,\"opened\":%llu,\"ended\":%llu,\"refused\":%llu,"
	       "\"events\":%llu,\"gaps\":%llu,\"twice\":%llu,\"resyncs\":%llu,\"errors\":%llu,"
	       "\"churned\":%llu,\"bytes\":%llu,\"samples\":%zu,\"p50\":%.3f,\"p99\":%.3f,\"max\":%"
	       ".3f,"
	       "\"first_wrong\":\"%s\",\"closes\":{",
	       b.count, b.live, b.opened, b.ended, b.refused, b.events, b.gaps, b.twice, b.resyncs,
	       b.errors, b.churned, b.bytes, b.latency.count, latency_ms(&b.latency, 0.5),
	       latency_ms(&b.latency, 0.99), latency_ms(&b.latency, 1), b.first_wrong);
	for (size_t i = 0, n = 0; i < COUNT(b.closes); i++)
		if (b.closes[i])
			printf("%s\"%zu\":%llu", n++ ? "," : "", i, b.closes[i]);
	puts("}}");
	if (is_end)
		b.latency.count = 0;
}

static void stall(size_t count)
{
	for (size_t i = 0; i < b.count && count > 0; i++) {
		struct epoll_event event = { .events = 0, .data.ptr = &b.all[i] };

		if (b.all[i].state != LIVE || b.all[i].is_stalled)
			continue;
		b.all[i].is_stalled = true;
		(void)epoll_ctl(b.epoll_fd, EPOLL_CTL_MOD, b.all[i].fd, &event);
		count--;
	}
	puts("{}");
}

/* false: it is to end. */
static bool command(void)
{
	char line[100];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	line[n] = '\0';
	if (strncmp(line, "stats", 5) == 0) {
		stats(true);
	} else if (strncmp(line, "peek", 4) == 0) {
		stats(false);
	} else if (strncmp(line, "stall ", 6) == 0) {
		stall(strtoul(line + 6, NULL, 10));
	} else if (strncmp(line, "churn ", 6) == 0) {
		b.churn = strtod(line + 6, NULL);
		b.churn_ms = now_ms();
		puts("{}");
	} else {
		return false;
	}
	fflush(stdout);
	return true;
}

static void read_topics(const char *path)
{
	char line[3000], *space;
	FILE *f = path ? fopen(path, "re") : NULL;

	b.is_plain = !path;
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		space = strchr(line, ' ');
		if (!space)
			break;
		*space = '\0';
		b.topics = realloc(b.topics, (b.topic_count + 1) * sizeof(*b.topics));
		b.topics[b.topic_count++] = (struct topic){ strdup(line), strdup(space + 1) };
	}
	if (f)
		fclose(f);
	if (!b.is_plain && b.topic_count == 0) {
		fprintf(stderr, "bench-ws: no topics in %s\n", path);
		exit(1);
	}
}

static void prepare(char **argv)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	struct rlimit files;

	b.port = (int)strtol(argv[1], NULL, 10);
	b.count = strtoul(argv[2], NULL, 10);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	b.all = calloc(b.count ? b.count : 1, sizeof(*b.all));
	b.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!b.all || !latency_init(&b.latency) || b.epoll_fd < 0)
		exit(1);
	for (size_t i = 0; i < b.count; i++)
		b.all[i].n = -1;
	read_topics(getenv("TOPICS"));
	(void)epoll_ctl(b.epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event);
}

int main(int argc, char **argv)
{
	struct epoll_event events[512];
	bool goes_on = argc == 3;

	if (!goes_on)
		return fprintf(stderr, "usage: bench-ws PORT SOCKETS\n"), 2;
	prepare(argv);
	while (goes_on) {
		int n = epoll_wait(b.epoll_fd, events, COUNT(events), 20);

		for (int i = 0; i < n; i++) {
			struct socket *s = events[i].data.ptr;

			if (!s)
				goes_on = command();
			else if (s->state == CONNECTING && events[i].events & (EPOLLERR | EPOLLHUP))
				end(s);
			else if (s->state == CONNECTING)
				ask(s);
			else if (s->state != CLOSED)
				on_data(s);
		}
		open_some();
		churn();
	}
	return 0;
}

/* Starts the stub, watches its files, and ends it: signals, timed exits, running out of memory. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "stub.h"

enum {
	TICK_MS = 400,               /* how often the files are looked at: reload within 1 s */
	STACK_SIZE = 512 * 1024,     /* bytes; resolving a name takes much of it */
	JOIN_MS = 300,               /* a resolver may not answer for longer than this */
	OOM_STEP = 16 * 1024 * 1024, /* bytes */
};
#define OOM_LIMIT_MAX \
	(4LL << 30) /* bytes: without a lower limit it is the host that would suffer */

/* Which version of a file was read; all zero where there is none. */
struct file_mark {
	struct timespec mtime;
	off_t size;
	ino_t ino;
};

struct watch {
	struct stub stub;
	struct file_mark conf_mark, steer_mark;
	int64_t steer_ms;   /* when the steering was read: its timed ends count from here */
	int64_t stop_at_ms; /* 0 until SIGTERM */
	int signal_fd;
	int listen_fd; /* -1 until live_ms have passed */
	bool is_eating;
	pthread_t telegram;
};

int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

int64_t unix_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

void stub_log(const char *fmt, ...)
{
	char line[1024], stamp[32];
	time_t now = time(NULL);
	struct tm tm;
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S+00:00", gmtime_r(&now, &tm));
	fprintf(stderr, "%s %s\n", stamp, line);
}

bool stub_stopping(struct stub *s)
{
	bool stopping;

	pthread_mutex_lock(&s->lock);
	stopping = s->stopping;
	pthread_mutex_unlock(&s->lock);
	return stopping;
}

void stub_snapshot(struct stub *s, struct conf *ret_conf, struct steer *ret_steer)
{
	pthread_mutex_lock(&s->lock);
	*ret_conf = s->conf;
	*ret_steer = s->steer;
	pthread_mutex_unlock(&s->lock);
}

static void ring(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		abort(); /* an eventfd takes 2^64 - 2 of these */
}

void stub_news(struct stub *s)
{
	ring(s->wake_fd);
}

static bool changed(const char *dir, const char *name, struct file_mark *mark)
{
	struct file_mark now = { 0 };
	struct stat st;
	char path[512];
	bool differs;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (stat(path, &st) == 0)
		now = (struct file_mark){ st.st_mtim, st.st_size, st.st_ino };
	differs = now.ino != mark->ino || now.size != mark->size ||
	          now.mtime.tv_sec != mark->mtime.tv_sec ||
	          now.mtime.tv_nsec != mark->mtime.tv_nsec;
	*mark = now;
	return differs;
}

/* Reads stub.json; one that counts once is removed, and its removal is no change. */
static bool read_steer(struct watch *w, struct steer *ret)
{
	char path[512];

	if (!steer_load(w->stub.dir, ret))
		return false;
	w->steer_ms = now_ms();
	if (ret->once) {
		snprintf(path, sizeof(path), "%s/stub.json", w->stub.dir);
		if (unlink(path) < 0)
			stub_log("cannot remove stub.json: %m");
		w->steer_mark = (struct file_mark){ 0 };
	}
	return true;
}

static void reload(struct watch *w)
{
	struct stub *s = &w->stub;
	struct conf conf;
	struct steer steer;
	bool telegram = false;

	if (changed(s->dir, "openclaw.json", &w->conf_mark)) {
		if (conf_load(s->dir, &conf)) {
			pthread_mutex_lock(&s->lock);
			telegram = conf.telegram != s->conf.telegram ||
			           strcmp(conf.bot_token, s->conf.bot_token) != 0 ||
			           strcmp(conf.api_root, s->conf.api_root) != 0 ||
			           conf.dm_policy != s->conf.dm_policy ||
			           conf.allow_count != s->conf.allow_count ||
			           memcmp(conf.allow, s->conf.allow, sizeof(conf.allow)) != 0;
			s->conf = conf;
			pthread_mutex_unlock(&s->lock);
			stub_log("[reload] config hot reload applied");
		} else {
			stub_log("[reload] config skipped, the old one is kept");
		}
	}
	if (changed(s->dir, "stub.json", &w->steer_mark) && read_steer(w, &steer)) {
		pthread_mutex_lock(&s->lock);
		telegram |= steer.telegram != s->steer.telegram ||
		            steer.reply_delay_ms != s->steer.reply_delay_ms;
		s->steer = steer;
		pthread_mutex_unlock(&s->lock);
	}
	if (telegram)
		stub_news(s);
}

/* The container's memory limit in bytes, or a huge number. */
static long long memory_limit(void)
{
	static const char *const paths[] = { "/sys/fs/cgroup/memory.max",
		                             "/sys/fs/cgroup/memory/memory.limit_in_bytes" };

	for (size_t i = 0; i < 2; i++) {
		FILE *f = fopen(paths[i], "re");
		long long limit = 0;

		if (!f)
			continue;
		if (fscanf(f, "%lld", &limit) != 1)
			limit = 0;
		fclose(f);
		if (limit > 0)
			return limit;
	}
	return INT64_MAX;
}

/* Takes memory until the kernel ends the process, as OpenClaw does in too small a container: it
 * answers all the while, for on a busy machine that may last. */
static void *run_out_of_memory(void *unused)
{
	long long limit = memory_limit();

	(void)unused;
	if (limit > OOM_LIMIT_MAX) {
		stub_log("no memory limit below 4 GiB: exits with 137 instead of filling the host");
		_exit(137);
	}
	stub_log("taking memory up to the limit of %lld bytes", limit);
	for (;;) {
		char *p = mmap(NULL, OOM_STEP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		               -1, 0);

		if (p == MAP_FAILED)
			_exit(137);
		memset(p, 1, OOM_STEP);
	}
}

static void start_eating(struct watch *w)
{
	pthread_t thread;

	if (w->is_eating)
		return;
	if (pthread_create(&thread, NULL, run_out_of_memory, NULL) != 0)
		abort();
	pthread_detach(thread);
	w->is_eating = true;
}

static void shut_down(struct watch *w)
{
	struct timespec until;

	pthread_mutex_lock(&w->stub.lock);
	w->stub.stopping = true;
	pthread_mutex_unlock(&w->stub.lock);
	ring(w->stub.stop_fd);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += JOIN_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	if (pthread_timedjoin_np(w->telegram, NULL, &until) != 0)
		stub_log("[shutdown] the Telegram thread is still busy");
	stub_log("[shutdown] completed");
}

static void on_signal(struct watch *w)
{
	struct signalfd_siginfo info;
	int64_t stop_ms;

	if (read(w->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	pthread_mutex_lock(&w->stub.lock);
	stop_ms = w->stub.steer.stop_ms;
	pthread_mutex_unlock(&w->stub.lock);
	stub_log("[gateway] received %s; %s", info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT",
	         stop_ms < 0 ? "ignoring it, as stub.json says" : "shutting down");
	if (stop_ms >= 0 && !w->stop_at_ms)
		w->stop_at_ms = now_ms() + stop_ms;
}

/* What is due by now; the ms until the next look, or -1 when it is time to end. */
static int run_timers(struct watch *w)
{
	struct stub *s = &w->stub;
	int64_t now = now_ms(), next = TICK_MS;
	struct steer steer;
	struct conf conf;

	stub_snapshot(s, &conf, &steer);
	if (w->stop_at_ms && now >= w->stop_at_ms)
		return -1;
	if (steer.exit_after_ms >= 0 && now >= w->steer_ms + steer.exit_after_ms) {
		stub_log("exits with %d, as stub.json says", steer.exit_code);
		_exit(steer.exit_code);
	}
	if (steer.oom_after_ms >= 0 && now >= w->steer_ms + steer.oom_after_ms)
		start_eating(w);
	if (w->listen_fd < 0 && now >= s->started_ms + steer.live_ms) {
		w->listen_fd = gateway_listen(&conf);
		if (w->listen_fd < 0)
			_exit(1);
		stub_log("[gateway] http server listening on port %d", conf.port);
	}
	const int64_t due[] = { w->stop_at_ms ? w->stop_at_ms : INT64_MAX,
		                steer.exit_after_ms >= 0 ? w->steer_ms + steer.exit_after_ms
		                                         : INT64_MAX,
		                steer.oom_after_ms >= 0 && !w->is_eating
		                        ? w->steer_ms + steer.oom_after_ms
		                        : INT64_MAX,
		                w->listen_fd < 0 ? s->started_ms + steer.live_ms : INT64_MAX };

	for (size_t i = 0; i < sizeof(due) / sizeof(due[0]); i++) {
		if (due[i] - now < next)
			next = due[i] > now ? due[i] - now : 0;
	}
	return (int)next;
}

static void serve(struct watch *w)
{
	int64_t looked_ms = now_ms();
	int timeout_ms;

	while ((timeout_ms = run_timers(w)) >= 0) {
		struct pollfd p[2] = { { .fd = w->signal_fd, .events = POLLIN },
			               { .fd = w->listen_fd, .events = POLLIN } };

		if (poll(p, 2, timeout_ms) < 0 && errno != EINTR)
			abort();
		if (p[0].revents)
			on_signal(w);
		if (p[1].revents) {
			int fd = accept4(w->listen_fd, NULL, NULL, SOCK_CLOEXEC);

			if (fd >= 0)
				gateway_serve(&w->stub, fd);
		}
		if (now_ms() - looked_ms >= TICK_MS) {
			reload(w);
			looked_ms = now_ms();
		}
	}
}

static void start_telegram(struct watch *w)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (pthread_create(&w->telegram, &attr, telegram_main, &w->stub) != 0)
		abort();
	pthread_attr_destroy(&attr);
}

/* As a later version would: the state is brought into another form, and there is no way back. False
 * where this one then ends. how: "ok", "hang" (never ready), "exit". */
static bool be_next(struct stub *s, const char *how)
{
	static const char text[] = "{\"version\": 2}\n";
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/state.json", s->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1)
		stub_log("cannot write state.json: %m");
	close(fd);
	if (strcmp(how, "hang") == 0)
		s->steer.healthz = PROBE_HANG;
	return strcmp(how, "exit") != 0;
}

/* Arguments are those of the real one and not needed. */
int main(int argc, char **argv)
{
	static struct watch w = { .listen_fd = -1 };
	struct stub *s = &w.stub;
	const char *dir = getenv("OPENCLAW_STATE_DIR");  /* NOLINT: no thread yet */
	const char *next = getenv("OPENCLAW_STUB_NEXT"); /* NOLINT: likewise */
	const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;
	sigset_t set;

	if (argc > 0 && strcmp(name ? name + 1 : argv[0], "node") == 0)
		return node_check(argc, argv);
	pthread_mutex_init(&s->lock, NULL);
	s->dir = dir ? dir : "/home/node/.openclaw";
	s->started_ms = now_ms();
	changed(s->dir, "openclaw.json", &w.conf_mark);
	changed(s->dir, "stub.json", &w.steer_mark);
	if (!read_steer(&w, &s->steer))
		return 2;
	if (!conf_load(s->dir, &s->conf))
		return EXIT_CONFIG;
	if (!lease_take(s->dir))
		return 1;
	if (next && !be_next(s, next))
		return 1;

	/* Blocked before the first thread, so that none but the signalfd gets them. As PID 1 of a
	 * container without init the stub would otherwise not see SIGTERM at all. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	w.signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->ws_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (w.signal_fd < 0 || s->wake_fd < 0 || s->stop_fd < 0)
		abort();
	start_telegram(&w);
	serve(&w);
	shut_down(&w);
	lease_give_back(s->dir);
	return 0;
}

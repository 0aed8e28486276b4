/* The image's `node -e SCRIPT`, as far as the platform asks for it: a container's own check, which says
 * by its exit status whether http://127.0.0.1:PORT/PATH answers {"ready":true}. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stub.h"

enum { ANSWER_MAX = 4096 /* bytes */ };

static bool ask(int port, const char *path)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		                  .sin_port = htons((uint16_t)port),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[ANSWER_MAX + 1];
	size_t len = 0;
	ssize_t n = -1;

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	         path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    write(fd, text, strlen(text)) < 0) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (len < ANSWER_MAX && (n = read(fd, text + len, ANSWER_MAX - len)) > 0)
		len += (size_t)n;
	close(fd);
	text[len] = '\0';
	return strncmp(text, "HTTP/1.1 200", 12) == 0 && strstr(text, "\"ready\":true");
}

int node_check(int argc, char **argv)
{
	char path[64];
	int port;

	if (argc != 3 || strcmp(argv[1], "-e") != 0 ||
	    sscanf(argv[2], "fetch('http://127.0.0.1:%d%63[a-z/]", &port, path) != 2)
		return 9;
	return ask(port, path) ? 0 : 1;
}

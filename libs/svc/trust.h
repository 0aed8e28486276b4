#ifndef SVC_TRUST_H
#define SVC_TRUST_H

#include "svc/conf.h"

/*
 * Whose certificates the servers of the suite may show: NATS (tls://…), Redis (rediss://…) and PostgreSQL
 * (sslmode=verify-full). TLS_CA_FILE names the only ones; without it, those that OpenSSL finds on the
 * system. What libcurl speaks to (mail, providers, Telegram, the backup store) is the system's business.
 */

/* The first thing that a process does: OpenSSL must not clean up when it ends, since cnats 3.4 frees a list
 * of OpenSSL's when it is closed, and that would free it again. */
void trust_begin(void);

struct trust_conf {
	const char *ca_file;
};

#define TRUST_CONF_COUNT 1
extern const struct conf_key trust_conf[TRUST_CONF_COUNT]; /* into a struct trust_conf */

/*
 * Makes it so for the process. Before the first thread and the first connection. ERR_INVALID naming
 * TLS_CA_FILE when it is no file of certificates.
 */
int trust_load(const struct trust_conf *conf, struct err *e);

#endif

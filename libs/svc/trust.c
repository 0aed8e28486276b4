#include "svc/trust.h"

#include "base/own.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#define NOWHERE "/nonexistent" /* a folder of certificates that has none */

/* clang-format off */
const struct conf_key trust_conf[TRUST_CONF_COUNT] = {
	{ "TLS_CA_FILE", CONF_STR, offsetof(struct trust_conf, ca_file), "", 0, 4096, false,
	  "PEM file of the only CAs that NATS, Redis and PostgreSQL are believed by; empty: the system's" },
};
/* clang-format on */

void trust_begin(void)
{
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}

static bool has_certificates(const char *path)
{
	SSL_CTX *scratch = SSL_CTX_new(TLS_client_method());
	bool result = scratch && SSL_CTX_load_verify_file(scratch, path) == 1;

	SSL_CTX_free(scratch);
	return result;
}

/*
 * By the environment, which OpenSSL and libpq read when they make a connection: cnats always trusts what
 * OpenSSL finds there, beside what it is told. libcurl has a path of its own.
 */
static int tell(const char *path, struct err *e)
{
	const struct {
		const char *name, *value;
	} told[] = {
		{ "SSL_CERT_FILE", path },
		{ "SSL_CERT_DIR", NOWHERE },
		{ "PGSSLROOTCERT", path },
	};

	for (size_t i = 0; i < COUNT(told); i++)
		/* No other thread is there yet. NOLINTNEXTLINE(concurrency-mt-unsafe) */
		if (setenv(told[i].name, told[i].value, 1) != 0)
			return err_set(e, ERR_INTERNAL, "out of memory");
	return 0;
}

int trust_load(const struct trust_conf *conf, struct err *e)
{
	const char *path = conf->ca_file;

	if (!path[0])
		return 0;
	if (access(path, R_OK) != 0)
		return err_field(e, "TLS_CA_FILE", "cannot be read: %s", strerrordesc_np(errno));
	if (!has_certificates(path))
		return err_field(e, "TLS_CA_FILE", "is no file of certificates (PEM)");
	return tell(path, e);
}

#ifndef LWS_QUIET_H
#define LWS_QUIET_H

/* libwebsockets' header takes in OpenSSL's, where a parameter has a name that base/banned.h forbids.
 * It needs no more of them than the names of types. */
#include <openssl/types.h>

#define OPENSSL_SSL_H
#define OPENSSL_ERR_H
#include <libwebsockets.h>

#endif

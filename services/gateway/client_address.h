#ifndef GATEWAY_CLIENT_ADDRESS_H
#define GATEWAY_CLIENT_ADDRESS_H

#include "base/err.h"

#include <stddef.h>

/* Who is at the other end, through our own proxies. Any thread: the list is read-only once made. */

#define ADDRESS_TEXT_SIZE 46 /* INET6_ADDRSTRLEN */

struct proxy_list;

/* "127.0.0.1, 10.0.0.0/8, fd00::/8"; "" trusts nobody. ERR_INVALID naming TRUSTED_PROXIES. */
int proxy_list_new(const char *text, struct proxy_list **ret, struct err *e);
void proxy_list_free(struct proxy_list *l); /* NULL is fine */

/*
 * The address of the client: the peer's, unless the peer is a proxy of the list; then the right-most
 * of forwarded_for ("1.2.3.4, 5.6.7.8"; may be NULL) that is none. What a client wrote there itself
 * stands further left and is not looked at.
 */
void client_address(const struct proxy_list *l, const char *peer, const char *forwarded_for,
                    char ret[ADDRESS_TEXT_SIZE]);

/* By what requests of an address are counted: itself, an IPv6 one its /64. */
void client_network(const char *address, char ret[ADDRESS_TEXT_SIZE]);

#endif

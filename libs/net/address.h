#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/*
 * Is an IPv4 or IPv6 address one of the public internet? Not so are private, loopback, link-local,
 * shared (RFC 6598), multicast, reserved and documentation addresses, and IPv6 forms that carry such
 * an IPv4 address (mapped, NAT64, 6to4) or that tunnel (Teredo). Any other family is not public.
 */
bool address_is_public(const struct sockaddr *addr);

#endif

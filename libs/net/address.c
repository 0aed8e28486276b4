#include "net/address.h"

#include "base/own.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

/* clang-format off */
/* IANA's special-purpose registry: what is not globally reachable. */
static const struct {
	uint32_t net;
	int bits;
} v4_not_public[] = {
	{ 0x00000000, 8 },  /* this network */
	{ 0x0a000000, 8 },  /* private */
	{ 0x64400000, 10 }, /* shared */
	{ 0x7f000000, 8 },  /* loopback */
	{ 0xa9fe0000, 16 }, /* link-local, clouds' metadata */
	{ 0xac100000, 12 }, /* private */
	{ 0xc0000000, 24 }, /* protocol assignments */
	{ 0xc0000200, 24 }, /* documentation */
	{ 0xc0586300, 24 }, /* 6to4 relays */
	{ 0xc0a80000, 16 }, /* private */
	{ 0xc6120000, 15 }, /* benchmarks */
	{ 0xc6336400, 24 }, /* documentation */
	{ 0xcb007100, 24 }, /* documentation */
	{ 0xe0000000, 3 },  /* multicast, reserved, broadcast */
};

static const struct {
	uint8_t net[16];
	int bits;
} v6_not_public[] = {
	{ { 0 },                                  96 }, /* unspecified, loopback, IPv4-compatible */
	{ { 0x01, 0x00 },                         64 }, /* discard */
	{ { 0x20, 0x01, 0x00, 0x00 },             23 }, /* Teredo, ORCHID and other assignments */
	{ { 0x20, 0x01, 0x0d, 0xb8 },             32 }, /* documentation */
	{ { 0x3f, 0xff },                         20 }, /* documentation */
	{ { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48 }, /* NAT64 of one's own */
	{ { 0xfc },                               7 },  /* private */
	{ { 0xfe, 0x80 },                         10 }, /* link-local */
	{ { 0xfe, 0xc0 },                         10 }, /* site-local */
	{ { 0xff },                               8 },  /* multicast */
};

/* An IPv4 address within: at which byte. */
static const struct {
	uint8_t net[16];
	int bits, at;
} v6_with_v4[] = {
	{ { [10] = 0xff, [11] = 0xff },     96, 12 }, /* mapped */
	{ { 0x00, 0x64, 0xff, 0x9b },       96, 12 }, /* NAT64 */
	{ { 0x20, 0x02 },                   16, 2 },  /* 6to4 */
};
/* clang-format on */

static bool v4_is_public(uint32_t a)
{
	for (size_t i = 0; i < COUNT(v4_not_public); i++)
		if ((a ^ v4_not_public[i].net) >> (32 - v4_not_public[i].bits) == 0)
			return false;
	return true;
}

static bool is_in(const uint8_t a[16], const uint8_t net[16], int bits)
{
	int whole = bits / 8, rest = bits % 8;

	return memcmp(a, net, (size_t)whole) == 0 &&
	       (rest == 0 || (a[whole] ^ net[whole]) >> (8 - rest) == 0);
}

static bool v6_is_public(const uint8_t a[16])
{
	uint32_t inner;

	for (size_t i = 0; i < COUNT(v6_with_v4); i++)
		if (is_in(a, v6_with_v4[i].net, v6_with_v4[i].bits)) {
			memcpy(&inner, a + v6_with_v4[i].at, sizeof(inner));
			return v4_is_public(ntohl(inner));
		}
	for (size_t i = 0; i < COUNT(v6_not_public); i++)
		if (is_in(a, v6_not_public[i].net, v6_not_public[i].bits))
			return false;
	return true;
}

bool address_is_public(const struct sockaddr *addr)
{
	if (addr->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, addr, sizeof(in));
		return v4_is_public(ntohl(in.sin_addr.s_addr));
	}
	if (addr->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, addr, sizeof(in6));
		return v6_is_public(in6.sin6_addr.s6_addr);
	}
	return false;
}

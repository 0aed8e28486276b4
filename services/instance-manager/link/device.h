#ifndef LINK_DEVICE_H
#define LINK_DEVICE_H

#include "vault.h"

/*
 * The platform as a device of OpenClaw's: one Ed25519 key, which each gateway approves once. It is
 * derived from ENCRYPTION_KEY and the platform's id, so every instance-manager has the same one and
 * nothing of it is stored; after a change of ENCRYPTION_KEY it is approved anew. Pure; any thread.
 */
#define DEVICE_ID_SIZE   65 /* hex SHA-256 of the public key, and the zero */
#define DEVICE_TEXT_SIZE 89 /* base64url of a signature; a public key takes less */

struct device {
	unsigned char secret[64];
	char id[DEVICE_ID_SIZE];
	char public_key[DEVICE_TEXT_SIZE];
};

void device_make(const struct vault *v, const char *platform_id, struct device *ret);
void device_sign(const struct device *d, const char *text, char ret[DEVICE_TEXT_SIZE]);

#endif

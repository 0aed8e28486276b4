#ifndef VAULT_H
#define VAULT_H

#include "base/arena.h"
#include "base/err.h"

/*
 * Secrets at rest: bot tokens, provider keys, gateway tokens. AES-256-GCM under a key derived from
 * ENCRYPTION_KEY and the user's id; what is sealed is bound to its user, instance and column, so
 * that a value copied into another row or column does not open. Any thread: read-only once made.
 *
 * A sealed value is text, "v<key version>:<base64 of nonce, ciphertext, tag>". The version says
 * which key opens it: several may be known at a time while rows are moved to the newest.
 */
#define VAULT_SECRET_MIN  32   /* bytes of ENCRYPTION_KEY */
#define VAULT_PLAIN_MAX   4096 /* bytes */
#define VAULT_SEALED_MAX  5600 /* characters of a sealed value, at most */
#define VAULT_MAC_SIZE    68   /* "v999:", 62 hexadecimal digits, the zero */
#define VAULT_VERSION_MAX 999

struct vault;

struct vault_key {
	int version; /* 1..VAULT_VERSION_MAX */
	const char *secret;
};

/* Where a value lives. column: "instances.bot_token". */
struct vault_place {
	const char *user_id;
	const char *instance_id;
	const char *column;
};

/*
 * keys[0] seals; all of them open. Secrets are copied, and wiped by vault_free(). ERR_INVALID with
 * the field ENCRYPTION_KEY when one is too short or two have one version; ERR_UNAVAILABLE when the
 * processor has no AES-GCM instructions. Calls sodium_init().
 */
int vault_new(const struct vault_key *keys, size_t count, struct vault **ret, struct err *e);
void vault_free(struct vault *v); /* NULL is fine */

/* The sealed text, in the arena. Twice the same value gives two texts. */
int vault_seal(const struct vault *v, const struct vault_place *where, const char *plain,
               struct arena *a, const char **ret, struct err *e);

/* The value, in the arena, which wipes it. ERR_INTERNAL for a text that was not sealed for this
 * place, was changed, or whose key is not known; e->msg names the column and which of these. */
int vault_open(const struct vault *v, const struct vault_place *where, const char *sealed,
               struct arena *a, const char **ret, struct err *e);

/* Is the text sealed with another key than keys[0]? Such rows are to be sealed anew. */
bool vault_is_old(const struct vault *v, const char *sealed);

/*
 * The keyed digest of a bot's id that the column of bot claims is unique over: whoever reads the
 * table learns no bot. With keys[0]: a change of keys writes all claims anew, in one transaction.
 */
void vault_bot_mac(const struct vault *v, long long bot_id, char out[VAULT_MAC_SIZE]);

/* The seed of the platform's key towards its assistants' gateways (link/device.h): 32 bytes, which
 * the caller wipes. With keys[0]. */
void vault_device_seed(const struct vault *v, const char *platform_id, unsigned char out[32]);

/* Zeroes a text in place, to its end. NULL is fine. */
void vault_wipe(char *text);

OWN_DEFINE(vault, struct vault *, vault_free)

#endif

#include "password.h"

#include "base/own.h"

#include <zxcvbn.h>

/* Text of a word per line, with a line's end in front of the first. */
static const char common[] = "\n"
#include "common_passwords.def"
	;

/* Of a random password that nobody has, with the limits above: what is compared with where there is
 * no account. */
static const char nobodys[] = "$argon2id$v=19$m=65536,t=2,p=1$ZfbDzvW8E5Kr/"
			      "v3+e61tbQ$EpfKlbisrXXodPMoKsqm5hCMZdBCQi5qYpDUawRUtww";

static size_t code_points(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static char fold(char c)
{
	if (c >= 'A' && c <= 'Z')
		c = (char)(c + ('a' - 'A'));
	return c;
}

/* "aaaaaaaa", "12345678", "hgfedcba": each byte is the one before it, or one more, or one less. */
static bool is_run(const char *s)
{
	int step = s[0] && s[1] ? s[1] - s[0] : 0;

	if (step < -1 || step > 1)
		return false;
	for (size_t i = 1; s[i]; i++)
		if (s[i] - s[i - 1] != step)
			return false;
	return true;
}

static bool is_common(const char *password)
{
	char line[PASSWORD_MAX * 4 + 3];
	size_t len = strlen(password);
	bool found;

	line[0] = '\n';
	for (size_t i = 0; i < len; i++)
		line[i + 1] = fold(password[i]);
	line[len + 1] = '\n';
	line[len + 2] = '\0';
	/* A password with a line's end in it could span two lines; it is none of the list's. */
	found = !strchr(password, '\n') && memmem(common, sizeof(common) - 1, line, len + 2);
	explicit_bzero(line, sizeof(line));
	return found;
}

/* The whole address, or what stands before the @. */
static bool is_email(const char *password, const char *email)
{
	size_t len = strlen(password), local = strcspn(email, "@");

	return strcasecmp(password, email) == 0 ||
	       (len == local && strncasecmp(password, email, len) == 0);
}

int password_check(const char *password, const char *email, struct err *e)
{
	size_t count = code_points(password);

	if (count < PASSWORD_MIN || count > PASSWORD_MAX)
		return err_field(e, "password", "must have %d to %d characters", PASSWORD_MIN,
		                 PASSWORD_MAX);
	if (is_common(password) || is_run(password) ||
	    ZxcvbnMatch(password, NULL, NULL) < PASSWORD_BITS_MIN)
		return err_field(e, "password", "is one of the first that anyone would try");
	if (is_email(password, email))
		return err_field(e, "password", "must not be the e-mail address");
	return 0;
}

int password_hash(const char *password, char ret[PASSWORD_HASH_SIZE], struct err *e)
{
	if (crypto_pwhash_str_alg(ret, password, strlen(password), PASSWORD_OPSLIMIT,
	                          PASSWORD_MEMLIMIT, crypto_pwhash_ALG_ARGON2ID13) != 0)
		return err_busy(e, ERR_UNAVAILABLE, 1, "not enough memory to hash a password");
	return 0;
}

bool password_fits(const char *password, const char *hash)
{
	bool fits =
		crypto_pwhash_str_verify(hash ? hash : nobodys, password, strlen(password)) == 0;

	return fits && hash;
}

/*
 * What a sign-in cannot be faster than: one Argon2id check by libsodium with the limits of SPEC 5 and
 * nothing around it. Waits for a line; checks once; writes the milliseconds it took; and so on until
 * its input ends.
 */

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define OPSLIMIT 2
#define MEMLIMIT ((size_t)64 << 20)

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(void)
{
	static const char password[] = "correct horse battery staple";
	char hash[crypto_pwhash_STRBYTES], line[16];

	if (sodium_init() < 0 || crypto_pwhash_str_alg(hash, password, strlen(password), OPSLIMIT,
	                                               MEMLIMIT, crypto_pwhash_ALG_ARGON2ID13) != 0)
		return 1;
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		double start_ms = now_ms();

		if (crypto_pwhash_str_verify(hash, password, strlen(password)) != 0)
			return 1;
		printf("%.3f\n", now_ms() - start_ms);
		fflush(stdout);
	}
	return 0;
}

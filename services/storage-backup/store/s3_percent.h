#ifndef S3_PERCENT_H
#define S3_PERCENT_H

#include <stdbool.h>
#include <stddef.h>

/* Percent-encoding as SigV4 wants it: all but unreserved characters, in capital hexadecimal digits.
 * What does not fit into to[size] is left off. */
void s3_encode(const char *text, char *to, size_t size);      /* of a query's value */
void s3_encode_path(const char *text, char *to, size_t size); /* '/' stays */

/* In place, the value of a listing with encoding-type=url, in which a space may also be '+'. False: it
 * is none, or holds a zero byte. */
bool s3_decode(char *text);

#endif

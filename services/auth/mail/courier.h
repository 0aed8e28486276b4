#ifndef AUTH_MAIL_COURIER_H
#define AUTH_MAIL_COURIER_H

#include "app.h"

/*
 * Sends what lies in the outbox, in any auth process, by leases. For each mail and each try:
 *
 * 1. lease: nobody else works on it for COURIER_LEASE_S. A crash: it is anyone's after that.
 * 2. whom and whether: an address that nobody has, a link that is over, too many in an hour: dropped,
 *    without a word to anybody.
 * 3. a link of its own, kept as a hash (link.h): no token waits anywhere. A crash: that link is never
 *    sent and ends by itself.
 * 4. the mail goes out, by SMTP or as a file. A crash after it: it goes out twice, under the same
 *    Message-ID; both links are good until one is used.
 * 5. noted: sent; or later, with a growing and jittered pause; or dead after MAIL_TRIES_MAX, when the
 *    server refuses it for good, or when its link would be over.
 *
 * What is dead stays a while to be looked at (MAIL_KEEP_DAYS), without a link.
 * Fault points: mail.leased, mail.linked, mail.sent.
 */
#define COURIER_PERIOD_MS 1000
#define COURIER_LEASE_S   90
#define MAIL_CONNECT_MS   10000
#define MAIL_TIMEOUT_MS   30000
#define MAIL_TRIES_MAX    12
#define MAIL_PAUSE_MAX_S  3600
#define MAIL_HOURLY_MAX   5 /* of rows that are MAIL_TO_ADDRESS, to one address */
#define MAIL_KEEP_DAYS    7
#define MAIL_LATE_S       900 /* one that waits for longer shows in the service's health */

/* The turn of the courier's thread: all that is due. */
void courier_work(void *app);

/* Seconds until the next try, after so many: base_s, doubled each time, between half and the whole of
 * it as random says. Pure. */
long long courier_pause_s(long long tries, long long base_s, unsigned random);

/* Fails where mail does not get out. */
int courier_check(void *app, struct err *e);

#endif

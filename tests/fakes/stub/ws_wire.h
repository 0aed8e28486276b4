/* WebSocket frames of RFC 6455, on a blocking socket, from the server's side. */
#ifndef STUB_WS_WIRE_H
#define STUB_WS_WIRE_H

#include <stdbool.h>
#include <stddef.h>

bool ws_accept(int fd, const char *head);                       /* the 101 */
bool ws_send(int fd, int opcode, const char *data, size_t len); /* unfragmented */

/* One whole frame's payload into buf, ended by a zero. Its opcode; -1: the connection is of no use. */
int ws_receive(int fd, char *buf, size_t size, size_t *ret_len);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections: record marking (RFC 5531, 11), buffers, backpressure.
 *
 * Theory of operation. One reply buffer serves all connections. What has been read of a
 * connection is handled until a record is incomplete or a reply does not go out: then the rest of
 * the replies moves to a buffer of that connection, and nothing more of it is read or handled
 * until that has drained. So a peer that does not read costs one reply's memory and nobody's
 * time. A record or a fragment that is too long, or is no RPC call, closes its connection.
 */
#ifndef NFS_CONN_H
#define NFS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server.h"

enum { CONNS_MAX = 64, RECORD_MAX = (1 << 20) + 65536 };

struct conn {
	int fd;
	uint8_t *in;
	/* in[0..rec) is assembled of fragments, in[raw..len) is as it came. */
	size_t in_cap, rec, raw, len;
	uint8_t *out;
	size_t out_len, out_sent;
	uint64_t used_ms;
	bool wants_out; /* epoll was told so */
};

struct conns {
	struct server *s;
	int epoll;
	struct conn *v[CONNS_MAX];
	unsigned int n;
	uint8_t *reply; /* shared */
	size_t reply_size;
	bool reply_dirty; /* its pages may be given back when idle */
};

int conns_init(struct conns *cs, struct server *s, int epoll);
void conns_accept(struct conns *cs, int listen_fd);
/* Takes the nonblocking socket @fd; NULL: too many, or no memory. */
struct conn *conns_add(struct conns *cs, int fd);
/* Handles what epoll said of the connection; may free it. */
void conn_event(struct conns *cs, struct conn *c, uint32_t events);
/* Gives memory of idle connections back. Returns in how many ms to call again, -1: never. */
int conns_sweep(struct conns *cs);
void conns_close(struct conns *cs);

#endif

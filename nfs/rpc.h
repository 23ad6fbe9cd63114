/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ONC RPC version 2 (RFC 5531): a record in, a record out. */
#ifndef NFS_RPC_H
#define NFS_RPC_H

#include <stdbool.h>
#include <stddef.h>

#include "server.h"
#include "xdr.h"

/* What one reply may need; a caller leaves that much room. */
enum { RPC_REPLY_ROOM = (1 << 20) + 8192 };

/*
 * Does what the record asks and appends the reply's record, without its record mark. False: this
 * is no RPC call at all, close the connection.
 */
bool rpc_handle(struct server *s, const uint8_t *rec, size_t len, struct xdr_out *out);

#endif

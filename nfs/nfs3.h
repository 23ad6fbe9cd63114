/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The NFSv3 program: dispatch through one table. */
#ifndef NFS_NFS3_H
#define NFS_NFS3_H

#include "nfs3-proto.h"
#include "server.h"
#include "xdr.h"

/*
 * Decodes the arguments of @proc from @in, does it, and writes the results. Returns an accept
 * status of RPC: RPC_SUCCESS, RPC_PROC_UNAVAIL or RPC_GARBAGE_ARGS (then nothing was done).
 */
enum rpc_const nfs3_dispatch(struct server *s, uint32_t proc, struct xdr_in *in,
			     struct xdr_out *out);

/* Must the answer be kept, because the call must not be done twice? */
bool nfs3_once(uint32_t proc);

#endif

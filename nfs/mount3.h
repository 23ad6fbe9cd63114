/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MOUNTv3 program; RFC 1813, appendix I. Stateless: DUMP lists nothing. */
#ifndef NFS_MOUNT3_H
#define NFS_MOUNT3_H

#include "nfs3-proto.h"
#include "server.h"
#include "xdr.h"

/* As nfs3_dispatch. */
enum rpc_const mount3_dispatch(struct server *s, uint32_t proc, struct xdr_in *in,
			       struct xdr_out *out);

#endif

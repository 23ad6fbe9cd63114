/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one map from errno to nfsstat3 (RFC 1813, 2.6). @err may be given negative. 0 is NFS3_OK. */
#ifndef NFS_ERRNO_MAP_H
#define NFS_ERRNO_MAP_H

#include "nfs3-proto.h"

enum nfsstat3 nfs3_status(int err);

#endif

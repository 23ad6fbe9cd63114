/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looking for a file that is not where it was: first in its old folder, then in the whole
 * export, breadth first. Bounded twice: a search ends after FIND_ENTRIES names or FIND_MS, and
 * whole searches take at most a tenth of the server's time, because a file that the host removed
 * looks the same as one that it moved. What is not found is stale.
 */
#ifndef NFS_FIND_H
#define NFS_FIND_H

#include "server.h"

enum { FIND_ENTRIES = 500000, FIND_MS = 1000 };

/* The cache's O_PATH fd, or -ESTALE; the node is freed if the whole export was searched. */
int find_lost(struct server *s, struct export *e, struct node *n);

#endif

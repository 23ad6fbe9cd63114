/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a node to an O_PATH fd of that very file, whatever it takes: the cache, a walk from the
 * nearest open ancestor, a search. One component at a time, links never followed, so that no
 * walk can leave the export.
 */
#ifndef NFS_RESOLVE_H
#define NFS_RESOLVE_H

#include "handle.h"
#include "server.h"

enum { DEPTH_MAX = 1024 };

/*
 * The fd is the cache's. -ESTALE: it is not there any more; after a whole search the node has
 * been freed. @search: false to give up rather than search.
 */
int resolve_node(struct server *s, struct export *e, struct node *n, bool search);

/* Opens @name in @dirfd as O_PATH, fills @st and @id. The fd is the caller's. Negative errno. */
int resolve_child(struct server *s, int dirfd, const char *name, struct stat *st,
		  struct file_id *id);

/* From the wire to an export and a node; a valid handle of an unknown file makes a new node. */
int resolve_handle(struct server *s, const struct handle *h, struct export **e, struct node **n);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one permission gate. The dispatcher asks it before each procedure that writes; whatever
 * shows a name asks gate_hidden.
 *
 * What a guest may do is decided here; what the host's user may do, by the host's kernel.
 */
#ifndef NFS_GATE_H
#define NFS_GATE_H

#include "call.h"

/* May this call, whose row says does_write, go on? Looks at the real paths, not at the map. */
enum nfsstat3 gate_write(struct call *c);

/*
 * Is @name in @dir hidden by the export's rules? @st: the file's, links not followed. When the
 * folder's path is not known and rules exist, everything is hidden.
 */
bool gate_hidden(struct server *s, const struct export *e, const struct node *dir, const char *name,
		 size_t len, const struct stat *st);

/* The same for a file that a handle names. */
bool gate_hidden_node(struct server *s, const struct export *e, const struct node *n,
		      const struct stat *st);

/* What ACCESS may promise: false if a write to the object would be refused. */
bool gate_writable(struct server *s, const struct obj *o);

/* What the rules say of a path relative to the export. */
enum path_rule {
	PATH_FREE,
	PATH_CARRIER, /* a folder whose name is the beginning of a protected path, as .git */
	PATH_PROTECTED,
};

enum path_rule gate_path_rule(const struct export *e, const char *path);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attributes: struct stat to fattr3 and wcc_data, ids mapped; sattr3 to the file. */
#ifndef NFS_ATTR_H
#define NFS_ATTR_H

#include "call.h"

/* With map=root the host's owner is the guest's 0, and the host's 0 is nobody (65534). */
uint32_t attr_uid_to_guest(const struct server *s, const struct export *e, uid_t uid);
uint32_t attr_gid_to_guest(const struct server *s, const struct export *e, gid_t gid);

void attr_put(struct call *c, const struct obj *o, const struct stat *st);
void attr_put_post(struct call *c, const struct obj *o, const struct stat *st); /* NULL: absent */
void attr_put_wcc(struct call *c, const struct obj *o); /* asks for the state after */
void attr_put_post_now(struct call *c, const struct obj *o);
/* The body that a failed call of this shape has. */
void attr_put_fail(struct call *c, enum fail_shape shape);

/*
 * The mode that a client asked for, without what would let others on the host run a guest's
 * program as the host's user: set-id bits of all but folders.
 */
mode_t attr_mode(uint32_t mode, bool is_dir);

/*
 * Applies @a to the file; @st is its state before. All that may fail without effect is tried
 * first. 0 or a negative errno.
 */
int attr_apply(struct call *c, struct obj *o, const struct sattr *a, const struct stat *st);

#endif

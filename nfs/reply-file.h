/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of results that several handlers share. */
#ifndef NFS_REPLY_FILE_H
#define NFS_REPLY_FILE_H

#include "call.h"
#include "handle.h"

void put_handle(struct call *c, const struct export *e, const struct file_id *id, uint64_t ino);
/* post_op_fh3, post_op_attr of the new file, wcc_data of obj[0]: CREATE and its kin. */
void put_new_file(struct call *c, const struct file_id *id, const struct stat *st);

static inline bool is_dot(const struct name *n)
{
	return n->len == 1 && n->s[0] == '.';
}

static inline bool is_dotdot(const struct name *n)
{
	return n->len == 2 && n->s[0] == '.' && n->s[1] == '.';
}

#endif

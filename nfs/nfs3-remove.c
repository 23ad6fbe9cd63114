// SPDX-License-Identifier: GPL-2.0-or-later
/* REMOVE RMDIR RENAME: the map of nodes is told what the guest does to names. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "attr.h"
#include "errno-map.h"
#include "reply-file.h"
#include "resolve.h"

/* The node of what stands at the name, if a client knows it. @st is valid when it is returned. */
static struct node *node_at(struct call *c, const struct obj *dir, const struct name *name,
			    struct stat *st)
{
	struct file_id id;

	if (fstatat(dir->fd, name->s, st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    file_identify(c->s->key, dir->fd, name->s, st->st_dev, &id) < 0)
		return NULL;
	return node_find(&c->s->nodes, dir->e->tag, &id);
}

static void name_gone(struct call *c, struct node *n, const struct stat *st)
{
	if (n && (S_ISDIR(st->st_mode) || st->st_nlink == 1))
		fds_removed(c->s, n);
}

static enum nfsstat3 unlink_name(struct call *c, int flags)
{
	const struct obj *dir = &c->obj[0];
	struct stat st;
	struct node *n;

	n = node_at(c, dir, &c->name[0], &st);
	if (unlinkat(dir->fd, c->name[0].s, flags) < 0)
		return nfs3_status(errno);
	name_gone(c, n, &st);
	return NFS3_OK;
}

enum nfsstat3 nfs3_remove(struct call *c)
{
	if (is_dot(&c->name[0]) || is_dotdot(&c->name[0]))
		return NFS3ERR_ISDIR;
	return unlink_name(c, 0);
}

enum nfsstat3 nfs3_rmdir(struct call *c)
{
	if (is_dot(&c->name[0]))
		return NFS3ERR_INVAL;
	if (is_dotdot(&c->name[0]))
		return NFS3ERR_NOTEMPTY;
	return unlink_name(c, AT_REMOVEDIR);
}

enum nfsstat3 nfs3_rename(struct call *c)
{
	const struct obj *from = &c->obj[0], *to = &c->obj[1];
	const struct name *old = &c->name[0], *new = &c->name[1];
	struct stat moved_st, over_st;
	struct node *moved, *over;

	if (from->e != to->e)
		return NFS3ERR_XDEV;
	if (is_dot(old) || is_dotdot(old) || is_dot(new) || is_dotdot(new))
		return NFS3ERR_INVAL;
	moved = node_at(c, from, old, &moved_st);
	over = node_at(c, to, new, &over_st);
	if (renameat(from->fd, old->s, to->fd, new->s) < 0)
		return nfs3_status(errno);
	if (moved)
		node_see(&c->s->nodes, to->e->tag, &moved->id, moved->ino, to->n, new->s, new->len);
	if (over != moved)
		name_gone(c, over, &over_st);
	return NFS3_OK;
}

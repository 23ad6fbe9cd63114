// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CREATE MKDIR SYMLINK MKNOD LINK
 *
 * All that is made belongs to the host's user; an owner in the request is not looked at.
 * The verifier of an exclusive CREATE is kept in the file's times until the client sets them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "attr.h"
#include "errno-map.h"
#include "reply-file.h"
#include "resolve.h"

enum { MODE_FILE = 0644, MODE_DIR = 0755, MODE_EXCLUSIVE = 0600 };

void put_new_file(struct call *c, const struct file_id *id, const struct stat *st)
{
	xdr_put_u32(c->out, 1);
	put_handle(c, c->obj[0].e, id, st->st_ino);
	attr_put_post(c, &c->obj[0], st);
	attr_put_wcc(c, &c->obj[0]);
}

/* What else the client wants the new file to be. @o is filled; its fd is the cache's. */
static enum nfsstat3 finish(struct call *c, struct obj *o, const struct file_id *id,
			    struct sattr *a)
{
	int r;

	a->set_uid = a->set_gid = false;
	r = attr_apply(c, o, a, &o->st);
	if (r < 0)
		return nfs3_status(r);
	if (fstat(o->fd, &o->st) < 0)
		return nfs3_status(errno);
	put_new_file(c, id, &o->st);
	return NFS3_OK;
}

/* Takes @path_fd. */
static int adopt(struct call *c, struct obj *o, int path_fd, const struct file_id *id)
{
	const struct obj *dir = &c->obj[0];

	o->e = dir->e;
	o->n = node_see(&c->s->nodes, dir->e->tag, id, o->st.st_ino, dir->n, c->name[0].s,
			c->name[0].len);
	if (!o->n) {
		close(path_fd);
		return -ENOMEM;
	}
	o->fd = fds_adopt(c->s, o->n, path_fd);
	if (o->fd >= 0)
		fds_pin(c->s, o->n);
	return o->fd;
}

/* The entry that was just made, whatever it is. */
static enum nfsstat3 finish_name(struct call *c, struct sattr *a)
{
	struct obj o = {0};
	struct file_id id;
	int fd;

	fd = resolve_child(c->s, c->obj[0].fd, c->name[0].s, &o.st, &id);
	if (fd >= 0)
		fd = adopt(c, &o, fd, &id);
	return fd < 0 ? nfs3_status(fd) : finish(c, &o, &id, a);
}

static struct sattr verifier_times(const uint32_t verf[2])
{
	return (struct sattr){.set_atime = TIME_CLIENT,
			      .set_mtime = TIME_CLIENT,
			      .atime.tv_sec = verf[0] & INT32_MAX,
			      .mtime.tv_sec = verf[1] & INT32_MAX};
}

static enum nfsstat3 create_existing(struct call *c)
{
	struct sattr none = {0}, *a = &c->a.create.attr;
	struct sattr times = verifier_times(c->a.create.verf);
	struct obj o = {0};
	struct file_id id;
	int fd;

	if (c->a.create.how == CREATE_GUARDED)
		return NFS3ERR_EXIST;
	fd = resolve_child(c->s, c->obj[0].fd, c->name[0].s, &o.st, &id);
	if (fd >= 0)
		fd = adopt(c, &o, fd, &id);
	if (fd < 0)
		return nfs3_status(fd);
	if (c->a.create.how == CREATE_EXCLUSIVE) {
		if (!S_ISREG(o.st.st_mode) || o.st.st_size != 0 ||
		    o.st.st_atim.tv_sec != times.atime.tv_sec ||
		    o.st.st_mtim.tv_sec != times.mtime.tv_sec)
			return NFS3ERR_EXIST;
		return finish(c, &o, &id, &none);
	}
	if (!S_ISREG(o.st.st_mode))
		return S_ISDIR(o.st.st_mode) ? NFS3ERR_ISDIR : NFS3ERR_EXIST;
	none.set_size = a->set_size;
	none.size = a->size;
	return finish(c, &o, &id, &none);
}

static enum nfsstat3 create_new(struct call *c, int fd)
{
	struct sattr times = verifier_times(c->a.create.verf), *a = &c->a.create.attr;
	struct obj o = {0};
	struct file_id id;
	char name[16];
	int path_fd, r;

	snprintf(name, sizeof(name), "%d", fd);
	path_fd = openat(c->s->proc_fd, name, O_PATH | O_CLOEXEC);
	if (path_fd < 0 || fstat(path_fd, &o.st) < 0) {
		r = -errno;
		close(fd);
		if (path_fd >= 0)
			close(path_fd);
		return nfs3_status(r);
	}
	r = file_identify(c->s->key, path_fd, "", o.st.st_dev, &id);
	if (r < 0) {
		close(path_fd);
		close(fd);
		return nfs3_status(r);
	}
	r = adopt(c, &o, path_fd, &id);
	if (r < 0) {
		close(fd);
		return nfs3_status(r);
	}
	fds_adopt_rdwr(c->s, o.n, fd);
	a->set_mode = false; /* it was made so */
	return finish(c, &o, &id, c->a.create.how == CREATE_EXCLUSIVE ? &times : a);
}

enum nfsstat3 nfs3_create(struct call *c)
{
	const struct sattr *a = &c->a.create.attr;
	mode_t mode = a->set_mode ? attr_mode(a->mode, false) : MODE_FILE;
	int fd;

	if (is_dot(&c->name[0]) || is_dotdot(&c->name[0]))
		return NFS3ERR_EXIST;
	if (c->a.create.how == CREATE_EXCLUSIVE)
		mode = MODE_EXCLUSIVE;
	fd = openat(c->obj[0].fd, c->name[0].s,
		    O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, mode);
	if (fd < 0)
		return errno == EEXIST ? create_existing(c) : nfs3_status(errno);
	return create_new(c, fd);
}

enum nfsstat3 nfs3_mkdir(struct call *c)
{
	struct sattr *a = &c->a.mkdir.attr;
	mode_t mode = a->set_mode ? attr_mode(a->mode, true) : MODE_DIR;

	if (is_dot(&c->name[0]) || is_dotdot(&c->name[0]))
		return NFS3ERR_EXIST;
	if (mkdirat(c->obj[0].fd, c->name[0].s, mode) < 0)
		return nfs3_status(errno);
	/* mkdir does not set these; and a group that the folder above hands on is kept. */
	a->set_mode = (mode & (S_ISUID | S_ISGID)) != 0;
	return finish_name(c, a);
}

enum nfsstat3 nfs3_symlink(struct call *c)
{
	struct sattr *a = &c->a.symlink.attr;

	if (is_dot(&c->name[0]) || is_dotdot(&c->name[0]))
		return NFS3ERR_EXIST;
	if (symlinkat(c->a.symlink.target, c->obj[0].fd, c->name[0].s) < 0)
		return nfs3_status(errno == ENOENT && !c->a.symlink.target[0] ? EINVAL : errno);
	a->set_mode = a->set_size = false;
	return finish_name(c, a);
}

enum nfsstat3 nfs3_mknod(struct call *c)
{
	struct sattr *a = &c->a.mknod.attr;
	mode_t mode = a->set_mode ? attr_mode(a->mode, false) : MODE_FILE;

	switch (c->a.mknod.type) {
	case NF3CHR:
	case NF3BLK:
		return NFS3ERR_PERM;
	case NF3SOCK:
		mode |= S_IFSOCK;
		break;
	case NF3FIFO:
		mode |= S_IFIFO;
		break;
	default:
		return NFS3ERR_BADTYPE;
	}
	if (is_dot(&c->name[0]) || is_dotdot(&c->name[0]))
		return NFS3ERR_EXIST;
	if (mknodat(c->obj[0].fd, c->name[0].s, mode, 0) < 0)
		return nfs3_status(errno);
	a->set_mode = a->set_size = false;
	return finish_name(c, a);
}

enum nfsstat3 nfs3_link(struct call *c)
{
	struct obj *file = &c->obj[0], *dir = &c->obj[1];
	enum nfsstat3 status = obj_stat(c, file);
	char name[16];

	if (status)
		return status;
	if (file->e != dir->e)
		return NFS3ERR_XDEV;
	if (is_dot(&c->name[1]) || is_dotdot(&c->name[1]))
		return NFS3ERR_EXIST;
	snprintf(name, sizeof(name), "%d", file->fd);
	if (linkat(c->s->proc_fd, name, dir->fd, c->name[1].s, AT_SYMLINK_FOLLOW) < 0)
		return nfs3_status(errno);
	return NFS3_OK;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * LOOKUP READDIR READDIRPLUS
 *
 * A cookie is the kernel's d_off: the file system keeps it valid while the folder changes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "attr.h"
#include "errno-map.h"
#include "gate.h"
#include "reply-file.h"
#include "resolve.h"

enum {
	DENTS_BUF = 32768,
	POST_ATTR = 4 + 84,
	ENTRY_FIXED = 4 + 8 + 4 + 8, /* follows, fileid, length of the name, cookie */
	ENTRY_PLUS = POST_ATTR + 4 + 4 + HANDLE_SIZE,
	RESULT_FIXED = 4 + POST_ATTR + 8 + 8, /* status, attributes, verifier, end and eof */
};

void put_handle(struct call *c, const struct export *e, const struct file_id *id, uint64_t ino)
{
	struct handle h = {.tag = e->tag, .id = *id, .ino = ino};
	uint8_t raw[HANDLE_SIZE];

	handle_pack(c->s->key, &h, raw);
	xdr_put_opaque(c->out, raw, sizeof(raw));
}

static enum nfsstat3 lookup_done(struct call *c, const struct node *n, const struct stat *st)
{
	put_handle(c, c->obj[0].e, &n->id, st->st_ino);
	attr_put_post(c, &c->obj[0], st);
	attr_put_post(c, &c->obj[0], &c->obj[0].st);
	return NFS3_OK;
}

/* "." and "..", which never leads out of the export. */
static enum nfsstat3 lookup_up(struct call *c)
{
	struct obj *dir = &c->obj[0];
	struct node *n = dir->n;
	struct stat st;
	int fd;

	if (!S_ISDIR(dir->st.st_mode))
		return NFS3ERR_NOTDIR;
	if (is_dotdot(&c->name[0]) && !(n->flags & NODE_ROOT))
		n = node_parent(&c->s->nodes, n);
	if (!n)
		return NFS3ERR_STALE;
	fd = resolve_node(c->s, dir->e, n, true);
	if (fd < 0)
		return nfs3_status(fd);
	if (fstat(fd, &st) < 0)
		return nfs3_status(errno);
	return lookup_done(c, n, &st);
}

enum nfsstat3 nfs3_lookup(struct call *c)
{
	struct obj *dir = &c->obj[0];
	const struct name *name = &c->name[0];
	enum nfsstat3 status = obj_stat(c, dir);
	struct file_id id;
	struct stat st;
	struct node *n;
	int fd;

	if (status)
		return status;
	if (is_dot(name) || is_dotdot(name))
		return lookup_up(c);
	fd = resolve_child(c->s, dir->fd, name->s, &st, &id);
	if (fd < 0)
		return nfs3_status(fd);
	if (gate_hidden(c->s, dir->e, dir->n, name->s, name->len, &st)) {
		close(fd);
		return NFS3ERR_NOENT;
	}
	n = node_see(&c->s->nodes, dir->e->tag, &id, st.st_ino, dir->n, name->s, name->len);
	if (!n) {
		close(fd);
		return NFS3ERR_JUKEBOX;
	}
	fd = fds_adopt(c->s, n, fd);
	if (fd < 0)
		return nfs3_status(fd);
	return lookup_done(c, n, &st);
}

struct listing {
	struct call *c;
	int dirfd;
	bool plus;
	uint32_t names, bytes; /* put so far; limits are in the call */
};

/*
 * Attributes and handle of an entry. Name and identity are asked for one after the other: if the
 * host puts another file there in between, the client gets a handle that is stale at first use.
 */
static void put_plus(struct listing *l, const struct name *name, const struct stat *st)
{
	struct call *c = l->c;
	struct obj *dir = &c->obj[0];
	struct file_id id;
	bool have =
		st && !is_dot(name) && !is_dotdot(name) &&
		file_identify(c->s->key, l->dirfd, name->s, st->st_dev, &id) == 0 &&
		node_see(&c->s->nodes, dir->e->tag, &id, st->st_ino, dir->n, name->s, name->len);

	attr_put_post(c, dir, have ? st : NULL);
	xdr_put_u32(c->out, have);
	if (have)
		put_handle(c, dir->e, &id, st->st_ino);
}

static bool fits(struct listing *l, size_t name_len)
{
	uint32_t names = ENTRY_FIXED - 4 + (uint32_t) xdr_padded(name_len);
	uint32_t bytes = names + 4 + (l->plus ? ENTRY_PLUS : 0);

	if (l->bytes + bytes > l->c->a.readdir.maxcount ||
	    (l->names && l->names + names > l->c->a.readdir.dircount))
		return false;
	l->names += names;
	l->bytes += bytes;
	return true;
}

/* 1: put or passed over; 0: the reply is full. */
static int put_entry(struct listing *l, const struct dirent64 *d)
{
	struct call *c = l->c;
	struct obj *dir = &c->obj[0];
	struct name name = {.len = strlen(d->d_name)};
	uint64_t ino = d->d_ino;
	struct stat st;
	bool have_st = false, dots;

	if (name.len > NFS3_NAME_MAX)
		return 1;
	memcpy(name.s, d->d_name, name.len + 1);
	dots = is_dot(&name) || is_dotdot(&name);
	if (is_dotdot(&name) && (dir->n->flags & NODE_ROOT))
		ino = dir->st.st_ino;
	if (!dots) {
		if (l->plus || dir->e->hide_private.n)
			have_st = fstatat(l->dirfd, name.s, &st, AT_SYMLINK_NOFOLLOW) == 0;
		if (!have_st && dir->e->hide_private.n)
			return 1;
		if (gate_hidden(c->s, dir->e, dir->n, name.s, name.len, have_st ? &st : NULL))
			return 1;
	}
	if (!fits(l, name.len))
		return 0;
	xdr_put_u32(c->out, 1);
	xdr_put_u64(c->out, have_st ? export_fileid(dir->e, st.st_dev, st.st_ino)
				    : export_fileid(dir->e, dir->st.st_dev, ino));
	xdr_put_opaque(c->out, name.s, (uint32_t) name.len);
	xdr_put_u64(c->out, (uint64_t) d->d_off);
	if (l->plus)
		put_plus(l, &name, have_st ? &st : NULL);
	return 1;
}

/* 1: to the end of the folder; 0: the reply is full. */
static int put_entries(struct listing *l)
{
	_Alignas(struct dirent64) char buf[DENTS_BUF];
	const struct dirent64 *d;
	ssize_t n;

	while ((n = getdents64(l->dirfd, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n; at += d->d_reclen) {
			d = (const void *) (buf + at);
			if (!put_entry(l, d))
				return 0;
		}
	}
	return n < 0 ? -errno : 1;
}

static enum nfsstat3 list(struct call *c, bool plus)
{
	struct obj *dir = &c->obj[0];
	enum nfsstat3 status = obj_stat(c, dir);
	struct listing l = {.c = c, .plus = plus, .bytes = RESULT_FIXED};
	int end;

	if (status)
		return status;
	if (!S_ISDIR(dir->st.st_mode))
		return NFS3ERR_NOTDIR;
	if (c->a.readdir.maxcount > NFS3_IO_MAX)
		c->a.readdir.maxcount = NFS3_IO_MAX;
	l.dirfd = fds_data(c->s, dir->n, false);
	if (l.dirfd < 0)
		return nfs3_status(l.dirfd);
	if (lseek(l.dirfd, (off_t) c->a.readdir.cookie, SEEK_SET) < 0)
		return NFS3ERR_BAD_COOKIE;
	attr_put_post(c, dir, &dir->st);
	xdr_put_u64(c->out, 0); /* no verifier: cookies do not grow old */
	end = put_entries(&l);
	if (end < 0)
		return nfs3_status(end);
	if (!end && l.names == 0)
		return NFS3ERR_TOOSMALL;
	xdr_put_u32(c->out, 0);
	xdr_put_u32(c->out, end == 1);
	return NFS3_OK;
}

enum nfsstat3 nfs3_readdir(struct call *c)
{
	return list(c, false);
}

enum nfsstat3 nfs3_readdirplus(struct call *c)
{
	return list(c, true);
}

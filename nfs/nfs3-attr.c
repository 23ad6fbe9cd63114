// SPDX-License-Identifier: GPL-2.0-or-later
/* GETATTR SETATTR ACCESS FSSTAT FSINFO PATHCONF */
#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "attr.h"
#include "errno-map.h"
#include "gate.h"

enum { FSF3_LINK = 0x1, FSF3_SYMLINK = 0x2, FSF3_HOMOGENEOUS = 0x8, FSF3_CANSETTIME = 0x10 };

enum nfsstat3 nfs3_getattr(struct call *c)
{
	enum nfsstat3 status = obj_stat(c, &c->obj[0]);

	if (!status)
		attr_put(c, &c->obj[0], &c->obj[0].st);
	return status;
}

enum nfsstat3 nfs3_setattr(struct call *c)
{
	const struct stat *pre = &c->obj[0].pre;

	if (c->a.setattr.guard && (pre->st_ctim.tv_sec != c->a.setattr.ctime.tv_sec ||
				   pre->st_ctim.tv_nsec != c->a.setattr.ctime.tv_nsec))
		return NFS3ERR_NOT_SYNC;
	return nfs3_status(attr_apply(c, &c->obj[0], &c->a.setattr.attr, pre));
}

/* May the host's user? The kernel is asked only where the mode alone does not tell. */
static bool host_may(const struct obj *o, int want)
{
	mode_t m = o->st.st_mode;

	if ((m >> 3 & m & (mode_t) want) == (mode_t) want)
		return true;
	if (want == X_OK && !(m & 0111))
		return false;
	return faccessat(o->fd, "", want, AT_EMPTY_PATH | AT_EACCESS) == 0;
}

static uint32_t access_dir(const struct obj *o, bool own)
{
	uint32_t ok = 0;

	/* The owner's own bits count, as the host's kernel has it: it is no superuser there. */
	if (own ? (o->st.st_mode & S_IRUSR) != 0 : host_may(o, R_OK))
		ok |= ACCESS3_READ;
	if (own ? (o->st.st_mode & S_IXUSR) != 0 : host_may(o, X_OK))
		ok |= ACCESS3_LOOKUP;
	if ((ok & ACCESS3_LOOKUP) && o->e->rw &&
	    (own ? (o->st.st_mode & S_IWUSR) != 0 : host_may(o, W_OK)))
		ok |= ACCESS3_MODIFY | ACCESS3_EXTEND | ACCESS3_DELETE;
	return ok;
}

static uint32_t access_file(const struct obj *o, bool own)
{
	uint32_t ok = 0;

	if (own || host_may(o, R_OK))
		ok |= ACCESS3_READ;
	if (own || (o->e->rw && host_may(o, W_OK)))
		ok |= ACCESS3_MODIFY | ACCESS3_EXTEND;
	if (own ? (o->st.st_mode & 0111) != 0 : host_may(o, X_OK))
		ok |= ACCESS3_EXECUTE;
	return ok;
}

enum nfsstat3 nfs3_access(struct call *c)
{
	const uint32_t writes = ACCESS3_MODIFY | ACCESS3_EXTEND | ACCESS3_DELETE;
	struct obj *o = &c->obj[0];
	enum nfsstat3 status = obj_stat(c, o);
	bool own = o->st.st_uid == c->s->uid;
	uint32_t ok;

	if (status)
		return status;
	ok = S_ISDIR(o->st.st_mode) ? access_dir(o, own) : access_file(o, own);
	ok &= c->a.access.want;
	if ((ok & writes) && !gate_writable(c->s, o))
		ok &= ~writes;
	attr_put_post(c, o, &o->st);
	xdr_put_u32(c->out, ok);
	return NFS3_OK;
}

enum nfsstat3 nfs3_fsstat(struct call *c)
{
	struct obj *o = &c->obj[0];
	struct statvfs v;

	if (fstatvfs(o->fd, &v) < 0)
		return nfs3_status(errno);
	attr_put_post_now(c, o);
	xdr_put_u64(c->out, (uint64_t) v.f_blocks * v.f_frsize);
	xdr_put_u64(c->out, (uint64_t) v.f_bfree * v.f_frsize);
	xdr_put_u64(c->out, (uint64_t) v.f_bavail * v.f_frsize);
	xdr_put_u64(c->out, v.f_files);
	xdr_put_u64(c->out, v.f_ffree);
	xdr_put_u64(c->out, v.f_favail);
	xdr_put_u32(c->out, 0); /* may change at any time */
	return NFS3_OK;
}

enum nfsstat3 nfs3_fsinfo(struct call *c)
{
	attr_put_post_now(c, &c->obj[0]);
	for (int i = 0; i < 2; i++) { /* READ, then WRITE: most, preferred, multiple */
		xdr_put_u32(c->out, NFS3_IO_MAX);
		xdr_put_u32(c->out, NFS3_IO_MAX);
		xdr_put_u32(c->out, 4096);
	}
	xdr_put_u32(c->out, 64 << 10); /* READDIR, preferred */
	xdr_put_u64(c->out, INT64_MAX);
	xdr_put_u32(c->out, 0); /* times are kept to the nanosecond */
	xdr_put_u32(c->out, 1);
	xdr_put_u32(c->out, FSF3_LINK | FSF3_SYMLINK | FSF3_HOMOGENEOUS | FSF3_CANSETTIME);
	return NFS3_OK;
}

enum nfsstat3 nfs3_pathconf(struct call *c)
{
	attr_put_post_now(c, &c->obj[0]);
	xdr_put_u32(c->out, 32000); /* links; some file systems allow more */
	xdr_put_u32(c->out, NFS3_NAME_MAX);
	xdr_put_u32(c->out, 1); /* no_trunc */
	xdr_put_u32(c->out, 1); /* chown_restricted */
	xdr_put_u32(c->out, 0); /* case_insensitive */
	xdr_put_u32(c->out, 1); /* case_preserving */
	return NFS3_OK;
}

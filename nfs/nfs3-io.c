// SPDX-License-Identifier: GPL-2.0-or-later
/* READLINK READ WRITE COMMIT */
#include <errno.h>
#include <unistd.h>

#include "attr.h"
#include "errno-map.h"

enum { FATTR3_SIZE = 84 };

enum nfsstat3 nfs3_readlink(struct call *c)
{
	struct obj *o = &c->obj[0];
	enum nfsstat3 status = obj_stat(c, o);
	char target[NFS3_PATH_MAX + 1];
	ssize_t n;

	if (status)
		return status;
	if (!S_ISLNK(o->st.st_mode))
		return NFS3ERR_INVAL;
	n = readlinkat(o->fd, "", target, sizeof(target));
	if (n < 0)
		return nfs3_status(errno);
	attr_put_post(c, o, &o->st);
	xdr_put_opaque(c->out, target, (uint32_t) n);
	return NFS3_OK;
}

enum nfsstat3 nfs3_read(struct call *c)
{
	const size_t head = 4 + FATTR3_SIZE + 12;
	uint64_t offset = c->a.io.offset;
	uint32_t count = c->a.io.count;
	struct obj *o = &c->obj[0];
	struct xdr_out *out = c->out;
	enum nfsstat3 status;
	ssize_t n = 0;
	int fd;

	fd = fds_data(c->s, o->n, false);
	if (fd < 0)
		return nfs3_status(fd);
	if (count > NFS3_IO_MAX)
		count = NFS3_IO_MAX;
	if ((size_t) (out->end - out->p) < head + xdr_padded(count))
		return NFS3ERR_SERVERFAULT;
	/* The data goes where it will stand in the reply; what comes before it is known after. */
	if (offset <= INT64_MAX)
		n = pread(fd, out->p + head, count, (off_t) offset);
	if (n < 0)
		return nfs3_status(errno);
	status = obj_stat(c, o);
	if (status)
		return status;
	attr_put_post(c, o, &o->st);
	xdr_put_u32(out, (uint32_t) n);
	xdr_put_u32(out, offset + (uint64_t) n >= (uint64_t) o->st.st_size);
	xdr_put_u32(out, (uint32_t) n);
	xdr_reserve(out, (size_t) n);
	return NFS3_OK;
}

/* To the disk where the export wants that; the fd is needed no more. PROTOCOL.md, "Stable". */
static int make_stable(struct call *c, struct obj *o, int fd)
{
	if (o->e->sync && fd >= 0 && fdatasync(fd) < 0)
		return -errno;
	return fds_written(c->s, o->n, o->pre.st_mode);
}

enum nfsstat3 nfs3_write(struct call *c)
{
	uint32_t len = c->a.write.len;
	struct obj *o = &c->obj[0];
	ssize_t n;
	int fd, r;

	if (c->a.write.count < len)
		len = c->a.write.count;
	if (c->a.write.offset > (uint64_t) INT64_MAX - len)
		return NFS3ERR_FBIG;
	fd = fds_data(c->s, o->n, true);
	if (fd < 0)
		return nfs3_status(fd);
	n = len ? pwrite(fd, c->a.write.data, len, (off_t) c->a.write.offset) : 0;
	if (n < 0)
		return nfs3_status(errno);
	if (c->a.write.stable != UNSTABLE) {
		r = make_stable(c, o, fd);
		if (r < 0)
			return nfs3_status(r);
	}
	attr_put_wcc(c, o);
	xdr_put_u32(c->out, (uint32_t) n);
	xdr_put_u32(c->out, c->a.write.stable == UNSTABLE ? UNSTABLE : FILE_SYNC);
	xdr_put_u64(c->out, c->s->write_verf);
	return NFS3_OK;
}

enum nfsstat3 nfs3_commit(struct call *c)
{
	struct obj *o = &c->obj[0];
	int fd = -1, r;

	if (o->e->sync) {
		fd = fds_data(c->s, o->n, false);
		if (fd < 0)
			return nfs3_status(fd);
	}
	r = make_stable(c, o, fd);
	if (r < 0)
		return nfs3_status(r);
	attr_put_wcc(c, o);
	xdr_put_u64(c->out, c->s->write_verf);
	return NFS3_OK;
}

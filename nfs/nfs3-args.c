// SPDX-License-Identifier: GPL-2.0-or-later
/* The arguments after the leading handles and names; RFC 1813, section 3.3. */
#include <string.h>

#include "call.h"

enum { NSEC_PER_SEC = 1000000000 };

static void get_time(struct xdr_in *in, struct timespec *t)
{
	t->tv_sec = xdr_get_u32(in);
	t->tv_nsec = xdr_get_u32(in);
	if (t->tv_nsec >= NSEC_PER_SEC)
		in->bad = true;
}

static enum time_how get_set_time(struct xdr_in *in, struct timespec *t)
{
	uint32_t how = xdr_get_u32(in);

	if (how > TIME_CLIENT)
		in->bad = true;
	if (how == TIME_CLIENT)
		get_time(in, t);
	return how;
}

static void get_sattr(struct xdr_in *in, struct sattr *a)
{
	a->set_mode = xdr_get_bool(in);
	if (a->set_mode)
		a->mode = xdr_get_u32(in);
	a->set_uid = xdr_get_bool(in);
	if (a->set_uid)
		a->uid = xdr_get_u32(in);
	a->set_gid = xdr_get_bool(in);
	if (a->set_gid)
		a->gid = xdr_get_u32(in);
	a->set_size = xdr_get_bool(in);
	if (a->set_size)
		a->size = xdr_get_u64(in);
	a->set_atime = get_set_time(in, &a->atime);
	a->set_mtime = get_set_time(in, &a->mtime);
}

void nfs3_args_setattr(struct call *c)
{
	get_sattr(c->in, &c->a.setattr.attr);
	c->a.setattr.guard = xdr_get_bool(c->in);
	if (c->a.setattr.guard)
		get_time(c->in, &c->a.setattr.ctime);
}

void nfs3_args_access(struct call *c)
{
	c->a.access.want = xdr_get_u32(c->in);
}

void nfs3_args_io(struct call *c)
{
	c->a.io.offset = xdr_get_u64(c->in);
	c->a.io.count = xdr_get_u32(c->in);
}

void nfs3_args_write(struct call *c)
{
	c->a.write.offset = xdr_get_u64(c->in);
	c->a.write.count = xdr_get_u32(c->in);
	c->a.write.stable = xdr_get_u32(c->in);
	c->a.write.data = xdr_get_opaque(c->in, NFS3_IO_MAX, &c->a.write.len);
	if (c->a.write.stable > FILE_SYNC)
		c->in->bad = true;
}

void nfs3_args_create(struct call *c)
{
	c->a.create.how = xdr_get_u32(c->in);
	if (c->a.create.how > CREATE_EXCLUSIVE)
		c->in->bad = true;
	if (c->a.create.how == CREATE_EXCLUSIVE) {
		c->a.create.verf[0] = xdr_get_u32(c->in);
		c->a.create.verf[1] = xdr_get_u32(c->in);
	} else {
		get_sattr(c->in, &c->a.create.attr);
	}
}

void nfs3_args_mkdir(struct call *c)
{
	get_sattr(c->in, &c->a.mkdir.attr);
}

void nfs3_args_symlink(struct call *c)
{
	const uint8_t *target;
	uint32_t len;

	get_sattr(c->in, &c->a.symlink.attr);
	target = xdr_get_opaque(c->in, NFS3_PATH_MAX, &len);
	if (len)
		memcpy(c->a.symlink.target, target, len);
	c->a.symlink.target[len] = '\0';
	/* A zero byte would make another link than the one asked for. */
	if (len && memchr(target, 0, len))
		c->in->bad = true;
}

void nfs3_args_mknod(struct call *c)
{
	c->a.mknod.type = xdr_get_u32(c->in);
	if (c->a.mknod.type == NF3CHR || c->a.mknod.type == NF3BLK) {
		get_sattr(c->in, &c->a.mknod.attr);
		xdr_get_u64(c->in); /* major and minor: devices are refused */
	} else if (c->a.mknod.type == NF3SOCK || c->a.mknod.type == NF3FIFO) {
		get_sattr(c->in, &c->a.mknod.attr);
	}
}

void nfs3_args_readdir(struct call *c)
{
	c->a.readdir.cookie = xdr_get_u64(c->in);
	xdr_get_u64(c->in); /* the verifier: our cookies stay valid without */
	c->a.readdir.dircount = c->a.readdir.maxcount = xdr_get_u32(c->in);
}

void nfs3_args_readdirplus(struct call *c)
{
	c->a.readdir.cookie = xdr_get_u64(c->in);
	xdr_get_u64(c->in);
	c->a.readdir.dircount = xdr_get_u32(c->in);
	c->a.readdir.maxcount = xdr_get_u32(c->in);
}

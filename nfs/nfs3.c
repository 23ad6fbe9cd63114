// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "attr.h"
#include "call.h"
#include "errno-map.h"
#include "gate.h"
#include "handle.h"
#include "nfs3.h"
#include "resolve.h"

static enum nfsstat3 nfs3_null(struct call *c)
{
	return NFS3_OK;
}

static const struct row table[NFS3_NPROC] = {
	[NFS3_NULL] = {"NULL", nfs3_null},
	[NFS3_GETATTR] = {"GETATTR", nfs3_getattr, .args = ARGS_FH},
	[NFS3_SETATTR] = {"SETATTR", nfs3_setattr, nfs3_args_setattr, ARGS_FH, FAIL_WCC,
			  .does_write = true, .ok_is_fail = true, .once = true},
	[NFS3_LOOKUP] = {"LOOKUP", nfs3_lookup, NULL, ARGS_DIROP, FAIL_ATTR},
	[NFS3_ACCESS] = {"ACCESS", nfs3_access, nfs3_args_access, ARGS_FH, FAIL_ATTR},
	[NFS3_READLINK] = {"READLINK", nfs3_readlink, NULL, ARGS_FH, FAIL_ATTR},
	[NFS3_READ] = {"READ", nfs3_read, nfs3_args_io, ARGS_FH, FAIL_ATTR, .removed_ok = true},
	[NFS3_WRITE] = {"WRITE", nfs3_write, nfs3_args_write, ARGS_FH, FAIL_WCC, .does_write = true,
			.removed_ok = true},
	[NFS3_CREATE] = {"CREATE", nfs3_create, nfs3_args_create, ARGS_DIROP, FAIL_WCC,
			 .does_write = true, .once = true},
	[NFS3_MKDIR] = {"MKDIR", nfs3_mkdir, nfs3_args_mkdir, ARGS_DIROP, FAIL_WCC,
			.does_write = true, .once = true},
	[NFS3_SYMLINK] = {"SYMLINK", nfs3_symlink, nfs3_args_symlink, ARGS_DIROP, FAIL_WCC,
			  .does_write = true, .once = true},
	[NFS3_MKNOD] = {"MKNOD", nfs3_mknod, nfs3_args_mknod, ARGS_DIROP, FAIL_WCC,
			.does_write = true, .once = true},
	[NFS3_REMOVE] = {"REMOVE", nfs3_remove, NULL, ARGS_DIROP, FAIL_WCC, .does_write = true,
			 .ok_is_fail = true, .once = true},
	[NFS3_RMDIR] = {"RMDIR", nfs3_rmdir, NULL, ARGS_DIROP, FAIL_WCC, .does_write = true,
			.ok_is_fail = true, .once = true},
	[NFS3_RENAME] = {"RENAME", nfs3_rename, NULL, ARGS_DIROP2, FAIL_WCC2, .does_write = true,
			 .ok_is_fail = true, .once = true},
	[NFS3_LINK] = {"LINK", nfs3_link, NULL, ARGS_FH_DIROP, FAIL_ATTR_WCC, .does_write = true,
		       .ok_is_fail = true, .once = true},
	[NFS3_READDIR] = {"READDIR", nfs3_readdir, nfs3_args_readdir, ARGS_FH, FAIL_ATTR},
	[NFS3_READDIRPLUS] = {"READDIRPLUS", nfs3_readdirplus, nfs3_args_readdirplus, ARGS_FH,
			      FAIL_ATTR},
	[NFS3_FSSTAT] = {"FSSTAT", nfs3_fsstat, NULL, ARGS_FH, FAIL_ATTR},
	[NFS3_FSINFO] = {"FSINFO", nfs3_fsinfo, NULL, ARGS_FH, FAIL_ATTR},
	[NFS3_PATHCONF] = {"PATHCONF", nfs3_pathconf, NULL, ARGS_FH, FAIL_ATTR},
	/* Not a write: it changes nothing that a WRITE, which asked, has not changed. */
	[NFS3_COMMIT] = {"COMMIT", nfs3_commit, nfs3_args_io, ARGS_FH, FAIL_WCC,
			 .removed_ok = true},
};

struct wire {
	const uint8_t *fh, *name;
	uint32_t fh_len, name_len;
};

static void decode_fh(struct call *c, struct wire *w)
{
	w->fh = xdr_get_opaque(c->in, NFS3_FHSIZE, &w->fh_len);
}

static void decode_dirop(struct call *c, struct wire *w)
{
	decode_fh(c, w);
	w->name = xdr_get_opaque(c->in, UINT16_MAX, &w->name_len);
}

static void decode(struct call *c, struct wire w[2])
{
	switch (c->row->args) {
	case ARGS_NONE:
		break;
	case ARGS_FH:
		decode_fh(c, &w[0]);
		break;
	case ARGS_DIROP:
		decode_dirop(c, &w[0]);
		break;
	case ARGS_FH_DIROP:
		decode_fh(c, &w[0]);
		decode_dirop(c, &w[1]);
		break;
	case ARGS_DIROP2:
		decode_dirop(c, &w[0]);
		decode_dirop(c, &w[1]);
		break;
	}
	if (c->row->decode)
		c->row->decode(c);
}

static enum nfsstat3 take_name(struct name *n, const struct wire *w)
{
	if (w->name_len > NFS3_NAME_MAX)
		return NFS3ERR_NAMETOOLONG;
	if (w->name_len == 0 || memchr(w->name, '/', w->name_len) ||
	    memchr(w->name, 0, w->name_len))
		return w->name_len ? NFS3ERR_INVAL : NFS3ERR_ACCES;
	memcpy(n->s, w->name, w->name_len);
	n->s[w->name_len] = '\0';
	n->len = w->name_len;
	return NFS3_OK;
}

static enum nfsstat3 take_object(struct call *c, struct obj *o, const struct wire *w)
{
	struct handle h;
	struct node *n;
	int r;

	if (!handle_unpack(c->s->key, w->fh, w->fh_len, &h))
		return NFS3ERR_BADHANDLE;
	r = resolve_handle(c->s, &h, &o->e, &n);
	if (r < 0)
		return nfs3_status(r);
	r = resolve_node(c->s, o->e, n, true);
	if (r < 0)
		return nfs3_status(r);
	/* The search made nodes; a full map may have given this one to another file. */
	if (n->id.v[0] != h.id.v[0] || n->id.v[1] != h.id.v[1])
		return NFS3ERR_STALE;
	o->n = n;
	o->fd = r;
	fds_pin(c->s, n);
	return NFS3_OK;
}

enum nfsstat3 obj_stat(struct call *c, struct obj *o)
{
	if (fstat(o->fd, &o->st) < 0)
		return nfs3_status(errno);
	if (o->st.st_nlink == 0 && !c->row->removed_ok)
		return NFS3ERR_STALE;
	if (gate_hidden_node(c->s, o->e, o->n, &o->st))
		return NFS3ERR_STALE;
	return NFS3_OK;
}

/* For the wcc data of a failure as of a success: the state before. */
static enum nfsstat3 take_pre(struct call *c, struct obj *o)
{
	enum nfsstat3 status = obj_stat(c, o);

	if (status)
		return status;
	o->pre = o->st;
	o->have_pre = true;
	return NFS3_OK;
}

static enum nfsstat3 take_all_pre(struct call *c)
{
	enum nfsstat3 status = NFS3_OK;

	if (c->row->fail == FAIL_WCC || c->row->fail == FAIL_WCC2)
		status = take_pre(c, &c->obj[0]);
	if (!status && (c->row->fail == FAIL_WCC2 || c->row->fail == FAIL_ATTR_WCC))
		status = take_pre(c, &c->obj[1]);
	return status;
}

static enum nfsstat3 prepare(struct call *c, const struct wire w[2])
{
	enum args_shape args = c->row->args;
	enum nfsstat3 status = NFS3_OK;

	if (args != ARGS_NONE)
		status = take_object(c, &c->obj[0], &w[0]);
	if (!status && (args == ARGS_FH_DIROP || args == ARGS_DIROP2))
		status = take_object(c, &c->obj[1], &w[1]);
	if (!status && (args == ARGS_DIROP || args == ARGS_DIROP2))
		status = take_name(&c->name[0], &w[0]);
	if (!status && (args == ARGS_FH_DIROP || args == ARGS_DIROP2))
		status = take_name(&c->name[1], &w[1]);
	if (!status)
		status = take_all_pre(c);
	if (!status && c->row->does_write)
		status = gate_write(c);
	return status;
}

bool nfs3_once(uint32_t proc)
{
	return proc < NFS3_NPROC && table[proc].once;
}

/* A file that turned out to be gone needs no place in the map for long. */
static void let_go(struct call *c)
{
	for (int i = 0; i < 2; i++) {
		struct obj *o = &c->obj[i];
		struct stat st;

		if (o->n && fstat(o->fd, &st) == 0 && st.st_nlink == 0)
			fds_removed(c->s, o->n);
	}
}

enum rpc_const nfs3_dispatch(struct server *s, uint32_t proc, struct xdr_in *in,
			     struct xdr_out *out)
{
	struct call c = {
		.s = s, .proc = proc, .in = in, .out = out, .obj = {{.fd = -1}, {.fd = -1}}};
	struct wire w[2] = {0};
	enum nfsstat3 status;
	uint8_t *at, *body;

	if (proc >= NFS3_NPROC)
		return RPC_PROC_UNAVAIL;
	if (proc == NFS3_NULL)
		return RPC_SUCCESS;
	c.row = &table[proc];
	decode(&c, w);
	if (in->bad)
		return RPC_GARBAGE_ARGS;
	at = xdr_reserve(out, 4);
	if (!at)
		return RPC_SYSTEM_ERR;
	body = out->p;
	status = prepare(&c, w);
	if (!status)
		status = c.row->handler(&c);
	if (status)
		out->p = body;
	if (status || c.row->ok_is_fail)
		attr_put_fail(&c, c.row->fail);
	xdr_store_u32(at, status);
	if (status == NFS3ERR_STALE)
		let_go(&c);
	fds_unpin(&s->fds);
	return out->full ? RPC_SYSTEM_ERR : RPC_SUCCESS;
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "mount3.h"
#include "nfs3.h"
#include "rpc.h"
#include "siphash.h"

enum { AUTH_MACHINE_MAX = 255, AUTH_GIDS_MAX = 16 };

struct rpc_call {
	uint32_t xid, version, prog, vers, proc;
	uint32_t auth_error; /* 0: fine */
};

/*
 * Who the caller says it is makes no difference (PROTOCOL.md, "Identities"), but it has to be
 * well-formed.
 */
static uint32_t check_cred(uint32_t flavor, const uint8_t *body, uint32_t len)
{
	struct xdr_in in;
	uint32_t n;

	if (flavor == RPC_AUTH_NONE)
		return 0;
	if (flavor != RPC_AUTH_SYS)
		return RPC_AUTH_REJECTEDCRED;
	if (!body)
		return RPC_AUTH_BADCRED;
	xdr_in_init(&in, body, len);
	xdr_get_u32(&in);
	xdr_get_opaque(&in, AUTH_MACHINE_MAX, &n);
	xdr_get_u32(&in);
	xdr_get_u32(&in);
	n = xdr_get_u32(&in);
	if (n > AUTH_GIDS_MAX)
		return RPC_AUTH_BADCRED;
	xdr_get_fixed(&in, (size_t) n * 4);
	return in.bad ? RPC_AUTH_BADCRED : 0;
}

static bool get_call(struct xdr_in *in, struct rpc_call *call)
{
	const uint8_t *cred;
	uint32_t flavor, len, verf_len;

	call->xid = xdr_get_u32(in);
	if (xdr_get_u32(in) != RPC_CALL)
		return false;
	call->version = xdr_get_u32(in);
	if (call->version != RPC_VERSION)
		return !in->bad;
	call->prog = xdr_get_u32(in);
	call->vers = xdr_get_u32(in);
	call->proc = xdr_get_u32(in);
	flavor = xdr_get_u32(in);
	cred = xdr_get_opaque(in, RPC_AUTH_MAX, &len);
	xdr_get_u32(in);
	xdr_get_opaque(in, RPC_AUTH_MAX, &verf_len);
	call->auth_error = check_cred(flavor, cred, len);
	return !in->bad;
}

static bool put_denied(const struct rpc_call *call, struct xdr_out *out)
{
	xdr_put_u32(out, call->xid);
	xdr_put_u32(out, RPC_REPLY);
	xdr_put_u32(out, RPC_MSG_DENIED);
	if (call->version != RPC_VERSION) {
		xdr_put_u32(out, RPC_MISMATCH);
		xdr_put_u32(out, RPC_VERSION);
		xdr_put_u32(out, RPC_VERSION);
	} else {
		xdr_put_u32(out, RPC_AUTH_ERROR);
		xdr_put_u32(out, call->auth_error);
	}
	return !out->full;
}

static uint8_t *put_accepted(const struct rpc_call *call, struct xdr_out *out)
{
	xdr_put_u32(out, call->xid);
	xdr_put_u32(out, RPC_REPLY);
	xdr_put_u32(out, RPC_MSG_ACCEPTED);
	xdr_put_u32(out, RPC_AUTH_NONE);
	xdr_put_u32(out, 0);
	return xdr_reserve(out, 4);
}

static enum rpc_const dispatch(struct server *s, const struct rpc_call *call, struct xdr_in *in,
			       struct xdr_out *out)
{
	uint32_t version = call->prog == NFS_PROGRAM ? NFS_VERSION : MOUNT_VERSION;

	if (call->prog != NFS_PROGRAM && call->prog != MOUNT_PROGRAM)
		return RPC_PROG_UNAVAIL;
	if (call->vers != version) {
		xdr_put_u32(out, version);
		xdr_put_u32(out, version);
		return RPC_PROG_MISMATCH;
	}
	if (call->prog == NFS_PROGRAM)
		return nfs3_dispatch(s, call->proc, in, out);
	return mount3_dispatch(s, call->proc, in, out);
}

bool rpc_handle(struct server *s, const uint8_t *rec, size_t len, struct xdr_out *out)
{
	const struct drc_entry *again;
	struct rpc_call call = {0};
	uint8_t *begin = out->p, *status_at, *body;
	enum rpc_const status;
	struct xdr_in in;
	uint64_t hash = 0;
	bool once;

	xdr_in_init(&in, rec, len);
	if (!get_call(&in, &call))
		return false;
	if (call.version != RPC_VERSION || call.auth_error)
		return put_denied(&call, out);
	once = call.prog == NFS_PROGRAM && call.vers == NFS_VERSION && nfs3_once(call.proc);
	if (once) {
		hash = siphash24(s->key, rec, len);
		again = drc_find(&s->drc, call.xid, hash);
		if (again) {
			xdr_put_fixed(out, again->reply, again->len);
			return !out->full;
		}
	}
	status_at = put_accepted(&call, out);
	if (!status_at)
		return false;
	body = out->p;
	status = dispatch(s, &call, &in, out);
	if (status != RPC_SUCCESS && status != RPC_PROG_MISMATCH) {
		out->p = body;
		out->full = false;
	}
	xdr_store_u32(status_at, status);
	if (once && status == RPC_SUCCESS)
		drc_keep(&s->drc, call.xid, hash, begin, (size_t) (out->p - begin));
	return !out->full;
}

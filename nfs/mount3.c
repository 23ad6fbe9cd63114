// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "errno-map.h"
#include "gate.h"
#include "handle.h"
#include "log.h"
#include "mount3.h"
#include "resolve.h"

enum { MNT_PATH_MAX = 1024, MNT3ERR_NOENT = 2, MNT3ERR_ACCES = 13, MNT3ERR_NOTDIR = 20 };

/* Every byte is looked at, whatever the first difference. */
static bool token_matches(const struct server *s, const char *path, size_t len)
{
	size_t n = strlen(s->token);
	unsigned char diff = 0;

	if (n == 0 || len < n + 2 || path[0] != '/')
		return false;
	for (size_t i = 0; i < n; i++)
		diff |= (unsigned char) (s->token[i] ^ path[1 + i]);
	return diff == 0 && path[1 + n] == '/';
}

/* One step down, to a real folder that is not hidden. */
static int step(struct server *s, struct export *e, struct node **n, const char *name, size_t len)
{
	char one[NFS3_NAME_MAX + 1];
	struct node *dir = *n;
	struct file_id id;
	struct stat st;
	int fd = resolve_node(s, e, dir, true);

	if (fd < 0)
		return fd;
	if (len > NFS3_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(one, name, len);
	one[len] = '\0';
	if (strcmp(one, "..") == 0)
		return -EACCES;
	fd = resolve_child(s, fd, one, &st, &id);
	if (fd < 0)
		return fd;
	if (gate_hidden(s, e, dir, one, len, &st) || !S_ISDIR(st.st_mode)) {
		close(fd);
		return S_ISDIR(st.st_mode) ? -ENOENT : -ENOTDIR;
	}
	*n = node_see(&s->nodes, e->tag, &id, st.st_ino, dir, one, len);
	if (!*n) {
		close(fd);
		return -ENOMEM;
	}
	fd = fds_adopt(s, *n, fd);
	return fd < 0 ? fd : 0;
}

static int walk(struct server *s, struct export *e, const char *p, const char *end, struct node **n)
{
	int r = 0;

	*n = &s->nodes.v[e->root];
	while (p < end && r == 0) {
		const char *slash = memchr(p, '/', (size_t) (end - p));
		size_t len = (size_t) ((slash ? slash : end) - p);

		if (len && !(len == 1 && *p == '.'))
			r = step(s, e, n, p, len);
		p += len + (slash != NULL);
	}
	return r;
}

static uint32_t find_mount(struct server *s, const char *path, size_t len, struct handle *h)
{
	const char *end = path + len, *name, *slash;
	struct export *e;
	struct node *n;
	int r;

	if (memchr(path, 0, len) || !token_matches(s, path, len)) {
		nfs_log("a mount without the right token was refused");
		return MNT3ERR_ACCES;
	}
	name = path + strlen(s->token) + 2;
	slash = memchr(name, '/', (size_t) (end - name));
	e = export_by_name(s, name, (size_t) ((slash ? slash : end) - name));
	if (!e || e->root_fd < 0)
		return MNT3ERR_NOENT;
	r = walk(s, e, slash ? slash + 1 : end, end, &n);
	if (r < 0)
		return r == -ENOTDIR  ? MNT3ERR_NOTDIR
		       : r == -EACCES ? MNT3ERR_ACCES
				      : MNT3ERR_NOENT;
	*h = (struct handle){.tag = e->tag, .id = n->id, .ino = n->ino};
	return 0;
}

static void mnt(struct server *s, const char *path, size_t len, struct xdr_out *out)
{
	uint8_t raw[HANDLE_SIZE];
	struct handle h;
	uint32_t status = find_mount(s, path, len, &h);

	xdr_put_u32(out, status);
	if (status)
		return;
	handle_pack(s->key, &h, raw);
	xdr_put_opaque(out, raw, sizeof(raw));
	xdr_put_u32(out, 2);
	xdr_put_u32(out, RPC_AUTH_SYS);
	xdr_put_u32(out, RPC_AUTH_NONE);
}

/* Names only: the token is for those who know it. */
static void list_exports(struct server *s, struct xdr_out *out)
{
	char name[EXPORT_NAME_MAX + 2] = "/";

	for (unsigned int i = 0; i < s->n_exports; i++) {
		strcpy(name + 1, s->exports[i].name);
		xdr_put_u32(out, 1);
		xdr_put_opaque(out, name, (uint32_t) strlen(name));
		xdr_put_u32(out, 0); /* no groups */
	}
	xdr_put_u32(out, 0);
}

enum rpc_const mount3_dispatch(struct server *s, uint32_t proc, struct xdr_in *in,
			       struct xdr_out *out)
{
	const uint8_t *path = NULL;
	uint32_t len = 0;

	if (proc == MOUNT3_MNT || proc == MOUNT3_UMNT)
		path = xdr_get_opaque(in, MNT_PATH_MAX, &len);
	if (in->bad)
		return RPC_GARBAGE_ARGS;
	switch (proc) {
	case MOUNT3_NULL:
	case MOUNT3_UMNT:
	case MOUNT3_UMNTALL:
		break;
	case MOUNT3_MNT:
		mnt(s, (const char *) path, len, out);
		break;
	case MOUNT3_DUMP:
		xdr_put_u32(out, 0);
		break;
	case MOUNT3_EXPORT:
		list_exports(s, out);
		break;
	default:
		return RPC_PROC_UNAVAIL;
	}
	return RPC_SUCCESS;
}

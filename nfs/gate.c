// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Theory of operation.
 *
 * Reading: an export may hide names. That is judged where a name is shown (LOOKUP, READDIR, MNT)
 * and, for rules that depend on a file's mode, again whenever its attributes are read.
 *
 * Writing: an export may protect names, because the host acts on such files (.git/config makes
 * git run programs). A pattern matches consecutive components anywhere in a path and protects
 * what it matches and all below. For the path of an object the kernel is asked (readlink of
 * /proc/self/fd/N), since the map of nodes may be behind: git on the host writes config.lock and
 * renames it, and a handle of config.lock must not stay a way in.
 *
 * A pattern of several components could also be fulfilled from above: make "x/config", then
 * rename x to ".git", or plant a link or a file named ".git" that points elsewhere. So a name
 * that begins a pattern (a carrier) may be made by MKDIR only, and never renamed or removed other
 * than by RMDIR, which needs it to be empty.
 */
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gate.h"

enum { PARTS_MAX = 1024, PATH_BUF = PATH_MAX + NFS3_NAME_MAX + 2 };

struct part {
	const char *s;
	size_t len;
};

static bool part_matches(const struct pattern *p, unsigned int i, const struct part *part)
{
	char name[NFS3_NAME_MAX + 1];

	if (!p->wild[i])
		return strlen(p->part[i]) == part->len &&
		       memcmp(p->part[i], part->s, part->len) == 0;
	if (part->len > NFS3_NAME_MAX)
		return true;
	memcpy(name, part->s, part->len);
	name[part->len] = '\0';
	return fnmatch(p->part[i], name, 0) == 0;
}

static enum path_rule match(const struct pattern *p, const struct part *part, unsigned int n)
{
	enum path_rule rule = PATH_FREE;

	for (unsigned int i = 0; i < n; i++) {
		unsigned int k = 0;

		while (k < p->n && i + k < n && part_matches(p, k, &part[i + k]))
			k++;
		if (k == p->n)
			return PATH_PROTECTED;
		if (k > 0 && i + k == n)
			rule = PATH_CARRIER;
	}
	return rule;
}

enum path_rule gate_path_rule(const struct export *e, const char *path)
{
	enum path_rule rule = PATH_FREE, r;
	struct part part[PARTS_MAX];
	unsigned int n = 0;

	while (*path) {
		size_t len = strcspn(path, "/");

		if (len) {
			if (n == PARTS_MAX)
				return PATH_PROTECTED;
			part[n++] = (struct part){path, len};
		}
		path += len + (path[len] == '/');
	}
	for (unsigned int i = 0; i < e->n_protect && rule != PATH_PROTECTED; i++) {
		r = match(&e->protect[i], part, n);
		if (r > rule)
			rule = r;
	}
	return rule;
}

/* The path as the map has it, built from its end. NULL: not known, or too long. */
static const char *map_path(struct server *s, const struct node *n, char buf[PATH_BUF])
{
	char *p = buf + PATH_BUF - 1;

	*p = '\0';
	while (!(n->flags & NODE_ROOT)) {
		if (n->name_len == 0 || (size_t) (p - buf) < n->name_len + 1u)
			return NULL;
		if (*p)
			*--p = '/';
		p -= n->name_len;
		memcpy(p, node_name(&s->nodes, n), n->name_len);
		n = node_parent(&s->nodes, n);
		if (!n)
			return NULL;
	}
	return p;
}

/* 0 and the path relative to the export's root, or -ENOENT when the object is outside of it. */
static int real_path(struct server *s, const struct obj *o, char buf[PATH_BUF], const char **rel)
{
	char root[PATH_MAX + 1], name[16];
	ssize_t n, root_len;

	snprintf(name, sizeof(name), "%d", o->e->root_fd);
	root_len = readlinkat(s->proc_fd, name, root, sizeof(root) - 1);
	snprintf(name, sizeof(name), "%d", o->fd);
	n = readlinkat(s->proc_fd, name, buf, PATH_MAX);
	if (n < 0 && errno == ENAMETOOLONG) {
		*rel = map_path(s, o->n, buf);
		return *rel ? 0 : -ENOENT;
	}
	if (n < 0 || root_len < 1)
		return -ENOENT;
	buf[n] = '\0';
	if (root_len == 1)
		root_len = 0; /* "/" */
	if (n < root_len || memcmp(buf, root, (size_t) root_len) != 0 ||
	    (buf[root_len] != '\0' && buf[root_len] != '/'))
		return -ENOENT;
	*rel = buf + root_len + (buf[root_len] == '/');
	return 0;
}

/* @entry or something below it? */
static bool is_below(const char *path, size_t len, const char *entry)
{
	size_t n = strlen(entry);

	return len >= n && memcmp(path, entry, n) == 0 && (len == n || n == 0 || path[n] == '/');
}

static bool listed_below(const struct strlist *l, const char *path)
{
	for (unsigned int i = 0; i < l->n; i++)
		if (is_below(path, strlen(path), l->v[i]))
			return true;
	return false;
}

static bool is_private(const struct stat *st)
{
	mode_t need = S_ISDIR(st->st_mode) ? S_IROTH | S_IXOTH : S_IROTH;

	return (st->st_mode & need) != need;
}

static bool has_hiding(const struct export *e)
{
	return e->only.n || e->hide.n || e->hide_private.n;
}

static bool path_hidden(const struct export *e, const char *path, const struct stat *st)
{
	size_t top = strcspn(path, "/");
	bool shown = !e->only.n || !*path;

	for (unsigned int i = 0; i < e->only.n && !shown; i++)
		shown = strlen(e->only.v[i]) == top && memcmp(path, e->only.v[i], top) == 0;
	return !shown || listed_below(&e->hide, path) ||
	       (st && is_private(st) && listed_below(&e->hide_private, path));
}

bool gate_hidden(struct server *s, const struct export *e, const struct node *dir, const char *name,
		 size_t len, const struct stat *st)
{
	char buf[PATH_BUF], path[PATH_BUF + NFS3_NAME_MAX + 2];
	const char *d;

	if (!has_hiding(e))
		return false;
	d = map_path(s, dir, buf);
	if (!d || len > NFS3_NAME_MAX)
		return true;
	snprintf(path, sizeof(path), "%s%s%.*s", d, *d ? "/" : "", (int) len, name);
	return path_hidden(e, path, st);
}

bool gate_hidden_node(struct server *s, const struct export *e, const struct node *n,
		      const struct stat *st)
{
	char buf[PATH_BUF];
	const char *path;

	if (!e->hide_private.n || !is_private(st))
		return false;
	path = map_path(s, n, buf);
	return !path || path_hidden(e, path, st);
}

bool gate_writable(struct server *s, const struct obj *o)
{
	char buf[PATH_BUF];
	const char *path;

	if (!o->e->rw || !o->e->n_protect)
		return o->e->rw;
	path = map_path(s, o->n, buf);
	return path && gate_path_rule(o->e, path) != PATH_PROTECTED;
}

static enum nfsstat3 check_object(struct call *c, const struct obj *o)
{
	char buf[PATH_BUF];
	const char *path;

	if (!o->e->n_protect)
		return NFS3_OK;
	if (real_path(c->s, o, buf, &path) < 0)
		return NFS3ERR_STALE;
	return gate_path_rule(o->e, path) == PATH_PROTECTED ? NFS3ERR_ACCES : NFS3_OK;
}

static enum nfsstat3 check_name(struct call *c, const struct obj *dir, const struct name *name)
{
	bool carrier_ok = c->proc == NFS3_MKDIR || c->proc == NFS3_RMDIR;
	char buf[PATH_BUF], path[PATH_BUF + NFS3_NAME_MAX + 2];
	enum path_rule rule;
	const char *d;

	if (!dir->e->n_protect && !has_hiding(dir->e))
		return NFS3_OK;
	if (real_path(c->s, dir, buf, &d) < 0)
		return NFS3ERR_STALE;
	snprintf(path, sizeof(path), "%s%s%s", d, *d ? "/" : "", name->s);
	if (path_hidden(dir->e, path, NULL))
		return NFS3ERR_ACCES;
	rule = gate_path_rule(dir->e, path);
	return rule == PATH_FREE || (rule == PATH_CARRIER && carrier_ok) ? NFS3_OK : NFS3ERR_ACCES;
}

enum nfsstat3 gate_write(struct call *c)
{
	enum nfsstat3 status = NFS3_OK;

	for (int i = 0; i < 2; i++)
		if (c->obj[i].e && !c->obj[i].e->rw)
			return NFS3ERR_ROFS;
	switch (c->row->args) {
	case ARGS_NONE:
		return NFS3ERR_SERVERFAULT;
	case ARGS_FH:
		return check_object(c, &c->obj[0]);
	case ARGS_DIROP:
		return check_name(c, &c->obj[0], &c->name[0]);
	case ARGS_FH_DIROP:
		status = check_object(c, &c->obj[0]);
		break;
	case ARGS_DIROP2:
		status = check_name(c, &c->obj[0], &c->name[0]);
		break;
	}
	return status ? status : check_name(c, &c->obj[1], &c->name[1]);
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "find.h"
#include "resolve.h"

int resolve_child(struct server *s, int dirfd, const char *name, struct stat *st,
		  struct file_id *id)
{
	int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0)
		r = -errno;
	else
		r = file_identify(s->key, fd, "", st->st_dev, id);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* Is the file still where it was seen? -ENOENT: no, or another one is there. */
static int open_in_place(struct server *s, int dirfd, struct node *n)
{
	char name[256];
	struct file_id id;
	struct stat st;
	int fd;

	memcpy(name, node_name(&s->nodes, n), n->name_len);
	name[n->name_len] = '\0';
	fd = resolve_child(s, dirfd, name, &st, &id);
	if (fd < 0)
		return fd == -ENOTDIR ? -ENOENT : fd;
	if (id.v[0] != n->id.v[0] || id.v[1] != n->id.v[1]) {
		close(fd);
		return -ENOENT;
	}
	return fds_adopt(s, n, fd);
}

static int search_for(struct server *s, struct export *e, struct node *n, bool search)
{
	return search ? find_lost(s, e, n) : -ESTALE;
}

int resolve_node(struct server *s, struct export *e, struct node *n, bool search)
{
	struct node *chain[DEPTH_MAX], *at = n, *parent;
	unsigned int depth = 0;
	int fd;

	while ((fd = fds_peek(s, at)) < 0) {
		if (depth == DEPTH_MAX)
			return -ESTALE;
		parent = at->name_len ? node_parent(&s->nodes, at) : NULL;
		if (!parent) {
			fd = search_for(s, e, at, search);
			if (fd < 0)
				return fd;
			break;
		}
		chain[depth++] = at;
		at = parent;
	}
	while (depth > 0) {
		at = chain[--depth];
		fd = open_in_place(s, fd, at);
		if (fd == -ENOENT)
			fd = search_for(s, e, at, search);
		if (fd < 0)
			return fd;
	}
	return fd;
}

int resolve_handle(struct server *s, const struct handle *h, struct export **e, struct node **n)
{
	*e = export_by_tag(s, h->tag);
	if (!*e || (*e)->root_fd < 0)
		return -ESTALE;
	*n = node_find(&s->nodes, h->tag, &h->id);
	if (!*n)
		*n = node_see(&s->nodes, h->tag, &h->id, h->ino, NULL, NULL, 0);
	return *n ? 0 : -ENOMEM;
}

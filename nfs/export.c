// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "export.h"
#include "handle.h"
#include "log.h"
#include "server.h"
#include "siphash.h"

int strlist_add(struct strlist *l, const char *s)
{
	char **v = realloc(l->v, (l->n + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	l->v = v;
	v[l->n] = strdup(s);
	if (!v[l->n])
		return -ENOMEM;
	l->n++;
	return 0;
}

static int pattern_split(struct pattern *p, const char *s)
{
	while (*s) {
		size_t len = strcspn(s, "/");

		if (len && !(len == 2 && memcmp(s, "**", 2) == 0 && !s[2])) {
			if (p->n == PATTERN_PARTS_MAX)
				return -EINVAL;
			p->part[p->n] = strndup(s, len);
			if (!p->part[p->n])
				return -ENOMEM;
			p->wild[p->n] = strpbrk(p->part[p->n], "*?[\\") != NULL;
			p->n++;
		}
		s += len + (s[len] == '/');
	}
	return p->n ? 0 : -EINVAL;
}

int export_add_protect(struct export *e, const char *pattern)
{
	struct pattern *v = realloc(e->protect, (e->n_protect + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	e->protect = v;
	v[e->n_protect] = (struct pattern){0};
	return pattern_split(&v[e->n_protect++], pattern);
}

int export_open(struct server *s, struct export *e)
{
	static const uint64_t tag_key[2] = {0x6465767676d2d6e6, 0x66733a7461670000};
	char both[EXPORT_NAME_MAX + 1 + PATH_MAX + 1] = {0};
	struct file_id id;
	struct node *root;
	struct stat st;
	uint64_t h;
	int r;

	memcpy(both, e->name, strlen(e->name));
	strncpy(both + EXPORT_NAME_MAX + 1, e->path, PATH_MAX);
	h = siphash24(tag_key, both, sizeof(both));
	e->tag = (uint32_t) h;
	e->fsid = h;
	e->root_fd = open(e->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (e->root_fd < 0 || fstat(e->root_fd, &st) < 0)
		return -errno;
	e->root_dev = st.st_dev;
	r = file_identify(s->key, e->root_fd, "", st.st_dev, &id);
	if (r < 0)
		return r;
	root = node_see(&s->nodes, e->tag, &id, st.st_ino, NULL, NULL, 0);
	if (!root)
		return -ENOMEM;
	root->flags |= NODE_ROOT;
	e->root = node_index(&s->nodes, root);
	r = fds_adopt(s, root, fcntl(e->root_fd, F_DUPFD_CLOEXEC, 3));
	fds_keep_forever(s, root);
	return r < 0 ? r : 0;
}

struct export *export_by_tag(struct server *s, uint32_t tag)
{
	for (unsigned int i = 0; i < s->n_exports; i++)
		if (s->exports[i].tag == tag)
			return &s->exports[i];
	return NULL;
}

struct export *export_by_name(struct server *s, const char *name, size_t len)
{
	for (unsigned int i = 0; i < s->n_exports; i++)
		if (strlen(s->exports[i].name) == len && memcmp(s->exports[i].name, name, len) == 0)
			return &s->exports[i];
	return NULL;
}

uint64_t export_fileid(const struct export *e, dev_t dev, ino_t ino)
{
	static const uint64_t key[2] = {1, 2};
	uint64_t d = dev;

	if (dev == e->root_dev)
		return ino;
	return ino ^ siphash24(key, &d, sizeof(d)) << 32;
}

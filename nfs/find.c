// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "find.h"
#include "gate.h"
#include "resolve.h"

struct search {
	struct server *s;
	struct export *e;
	struct node *want;
	uint32_t *queue; /* folders still to be read; NULL: do not descend */
	size_t n_queue, cap;
	unsigned int entries;
	uint64_t deadline_ms;
};

static bool same(const struct file_id *a, const struct file_id *b)
{
	return a->v[0] == b->v[0] && a->v[1] == b->v[1];
}

static void enqueue(struct search *q, struct node *n)
{
	uint32_t *bigger;

	if (q->n_queue == q->cap) {
		bigger = realloc(q->queue, 2 * q->cap * sizeof(*q->queue));
		if (!bigger)
			return;
		q->queue = bigger;
		q->cap *= 2;
	}
	q->queue[q->n_queue++] = node_index(&q->s->nodes, n);
}

/* >= 0: this is the file. */
static int look_at(struct search *q, struct node *dir, int dirfd, const struct dirent64 *d)
{
	bool may_be_it = d->d_ino == q->want->ino;
	bool descend = q->queue && (d->d_type == DT_DIR || d->d_type == DT_UNKNOWN);
	size_t len = strlen(d->d_name);
	struct file_id id;
	struct stat st;
	struct node *n;
	int fd;

	if ((!may_be_it && !descend) || strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
		return -ENOENT;
	fd = resolve_child(q->s, dirfd, d->d_name, &st, &id);
	if (fd < 0)
		return -ENOENT;
	if (gate_hidden(q->s, q->e, dir, d->d_name, len, &st)) {
		close(fd);
		return -ENOENT;
	}
	if (same(&id, &q->want->id)) {
		node_see(&q->s->nodes, q->e->tag, &id, st.st_ino, dir, d->d_name, len);
		return fds_adopt(q->s, q->want, fd);
	}
	close(fd);
	if (descend && S_ISDIR(st.st_mode)) {
		n = node_see(&q->s->nodes, q->e->tag, &id, st.st_ino, dir, d->d_name, len);
		if (n)
			enqueue(q, n);
	}
	return -ENOENT;
}

static int search_dir(struct search *q, struct node *dir)
{
	_Alignas(struct dirent64) char buf[16384];
	const struct dirent64 *d;
	ssize_t n;
	int dirfd, fd;

	if (resolve_node(q->s, q->e, dir, false) < 0)
		return -ENOENT;
	dirfd = fds_data(q->s, dir, false);
	if (dirfd < 0 || lseek(dirfd, 0, SEEK_SET) < 0)
		return -ENOENT;
	while ((n = getdents64(dirfd, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n; at += d->d_reclen) {
			d = (const void *) (buf + at);
			fd = look_at(q, dir, dirfd, d);
			if (fd >= 0)
				return fd;
			if (++q->entries > FIND_ENTRIES)
				return -ETIMEDOUT;
		}
		if (now_ms() > q->deadline_ms)
			return -ETIMEDOUT;
	}
	return -ENOENT;
}

static int search_export(struct search *q)
{
	struct server *s = q->s;
	uint64_t begin = now_ms();
	int fd = -ENOENT;

	q->cap = 1024;
	q->queue = malloc(q->cap * sizeof(*q->queue));
	if (!q->queue)
		return -ENOMEM;
	enqueue(q, &s->nodes.v[q->e->root]);
	for (size_t i = 0; i < q->n_queue && fd == -ENOENT; i++)
		fd = search_dir(q, &s->nodes.v[q->queue[i]]);
	free(q->queue);
	s->no_find_before_ms = now_ms() + 10 * (now_ms() - begin);
	return fd;
}

int find_lost(struct server *s, struct export *e, struct node *n)
{
	struct search q = {.s = s, .e = e, .want = n, .deadline_ms = now_ms() + FIND_MS};
	struct node *parent = node_parent(&s->nodes, n);
	int fd = -ENOENT;

	if (parent)
		fd = search_dir(&q, parent);
	if (fd < 0 && now_ms() < s->no_find_before_ms)
		return -ESTALE;
	if (fd < 0)
		fd = search_export(&q);
	if (fd >= 0)
		return fd;
	if (fd == -ENOENT) {
		fds_drop(s, n);
		node_forget(&s->nodes, n);
	}
	return -ESTALE;
}

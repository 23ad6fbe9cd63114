// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "server.h"

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

static uint64_t new_verifier(void)
{
	struct timespec t;
	uint64_t v;

	if (getrandom(&v, sizeof(v), 0) == sizeof(v))
		return v;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t) t.tv_sec << 32 ^ (uint64_t) t.tv_nsec;
}

int server_start(struct server *s)
{
	int r;

	s->uid = geteuid();
	s->gid = getegid();
	s->write_verf = new_verifier();
	s->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->proc_fd < 0) {
		r = -errno;
		nfs_log("cannot open /proc/self/fd: %s", strerror(errno));
		return r;
	}
	r = fds_init(&s->fds);
	if (r == 0)
		r = nodes_open(&s->nodes, s->state_dir, s->key);
	if (r < 0) {
		nfs_log("cannot start: %s", strerror(-r));
		return r;
	}
	for (unsigned int i = 0; i < s->n_exports; i++) {
		r = export_open(s, &s->exports[i]);
		/* The other exports are as good as ever; this one's handles are stale. */
		if (r < 0)
			nfs_log("cannot export %s: %s", s->exports[i].path, strerror(-r));
	}
	return 0;
}

void server_stop(struct server *s)
{
	fds_close_all(s);
	nodes_close(&s->nodes);
	for (unsigned int i = 0; i < s->n_exports; i++) {
		struct export *e = &s->exports[i];
		struct strlist *lists[] = {&e->only, &e->hide, &e->hide_private};

		if (e->root_fd >= 0)
			close(e->root_fd);
		free(e->path);
		for (unsigned int j = 0; j < 3; j++) {
			while (lists[j]->n)
				free(lists[j]->v[--lists[j]->n]);
			free(lists[j]->v);
		}
		for (unsigned int j = 0; j < e->n_protect; j++)
			while (e->protect[j].n)
				free(e->protect[j].part[--e->protect[j].n]);
		free(e->protect);
	}
	close(s->proc_fd);
	free(s->state_dir);
}

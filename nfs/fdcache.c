// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Theory of operation: slots in a least-recently-used list, found through node.slot, which is a
 * guess that slot.node must confirm. fds for data are opened from the O_PATH fd through
 * /proc/self/fd, so they are of that very inode and no name is looked up again.
 *
 * Modes: the server has the host user's rights and no more, but the client's stateless writes
 * must go where its open() allowed them (git makes objects 0444 and then writes them). So for a
 * file that the user owns the mode is lifted for the moment of the open, and put back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdcache.h"
#include "server.h"

enum {
	IDLE_MS = 10000, /* a pinned file system cannot be unmounted on the host */
	WRITE_LINGER_MS = 1000,
	WRITE_MAX = 64,
	OWNER_RW = S_IRUSR | S_IWUSR,
	FDS_RESERVED = 128, /* connections, exports, and what a call opens besides */
};

int fds_init(struct fdcache *c)
{
	struct rlimit rl;

	memset(c, 0, sizeof(*c));
	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return -errno;
	if (rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max < 16384 ? rl.rlim_max : 16384;
		setrlimit(RLIMIT_NOFILE, &rl);
		getrlimit(RLIMIT_NOFILE, &rl);
	}
	if (rl.rlim_cur < FDS_RESERVED + 2 * FDS_SLOTS_MIN)
		return -EMFILE;
	/* Most slots hold one fd, some two. */
	c->max = (unsigned int) ((rl.rlim_cur - FDS_RESERVED) / 2);
	if (c->max > FDS_SLOTS_MAX)
		c->max = FDS_SLOTS_MAX;
	c->slot = calloc(c->max + 1, sizeof(*c->slot));
	if (!c->slot)
		return -ENOMEM;
	c->n = 1;
	return 0;
}

static void list_remove(struct fdcache *c, uint16_t i)
{
	struct fd_slot *s = &c->slot[i];

	c->slot[s->newer].older = s->older;
	c->slot[s->older].newer = s->newer;
}

static void list_add_newest(struct fdcache *c, uint16_t i)
{
	struct fd_slot *s = &c->slot[i];

	s->newer = 0;
	s->older = c->slot[0].older;
	c->slot[s->older].newer = i;
	c->slot[0].older = i;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int close_write(struct fdcache *c, struct fd_slot *s)
{
	int r = 0;

	if (s->write >= 0) {
		if (close(s->write) < 0)
			r = -errno;
		s->write = -1;
		c->n_write--;
	}
	return r;
}

static void slot_free(struct server *s, uint16_t i)
{
	struct fdcache *c = &s->fds;
	struct fd_slot *slot = &c->slot[i];

	close_write(c, slot);
	close_fd(&slot->read);
	close_fd(&slot->path);
	list_remove(c, i);
	s->nodes.v[slot->node].slot = 0;
	if (slot->removed)
		node_forget(&s->nodes, &s->nodes.v[slot->node]);
	slot->node = 0;
	slot->older = c->free;
	c->free = i;
	c->n_open--;
}

void fds_close_all(struct server *s)
{
	struct fdcache *c = &s->fds;

	if (!c->slot)
		return;
	while (c->slot[0].older)
		slot_free(s, c->slot[0].older);
	free(c->slot);
	c->slot = NULL;
}

static struct fd_slot *slot_of(struct server *s, struct node *n)
{
	struct fdcache *c = &s->fds;
	uint32_t i = n->slot;

	if (i == 0 || i >= c->n || c->slot[i].node != node_index(&s->nodes, n))
		return NULL;
	return &c->slot[i];
}

void fds_pin(struct server *s, struct node *n)
{
	struct fd_slot *slot = slot_of(s, n);
	struct fdcache *c = &s->fds;

	if (slot && c->n_pinned < FDS_PINS) {
		slot->pins++;
		c->pinned[c->n_pinned++] = (uint16_t) (slot - c->slot);
	}
}

void fds_unpin(struct fdcache *c)
{
	while (c->n_pinned > 0)
		c->slot[c->pinned[--c->n_pinned]].pins--;
}

static void touch(struct fdcache *c, struct fd_slot *s)
{
	uint16_t i = (uint16_t) (s - c->slot);

	if (c->slot[0].older == i)
		return;
	list_remove(c, i);
	list_add_newest(c, i);
}

static bool evict_one(struct server *s)
{
	struct fdcache *c = &s->fds;

	for (uint16_t i = c->slot[0].newer; i; i = c->slot[i].newer) {
		if (c->slot[i].pins || c->slot[i].forever)
			continue;
		slot_free(s, i);
		return true;
	}
	return false;
}

static uint16_t slot_new(struct server *s)
{
	struct fdcache *c = &s->fds;
	uint16_t i;

	if (c->n_open >= c->max - 1 && !evict_one(s))
		return 0;
	i = c->free;
	if (i)
		c->free = c->slot[i].older;
	else
		i = (uint16_t) c->n++;
	c->slot[i] = (struct fd_slot){.path = -1, .read = -1, .write = -1};
	list_add_newest(c, i);
	c->n_open++;
	return i;
}

int fds_peek(struct server *s, struct node *n)
{
	struct fd_slot *slot = slot_of(s, n);

	if (!slot)
		return -ENOENT;
	touch(&s->fds, slot);
	slot->used_ms = now_ms();
	return slot->path;
}

int fds_adopt(struct server *s, struct node *n, int path_fd)
{
	int fd = fds_peek(s, n);
	uint16_t i;

	if (fd >= 0) {
		close(path_fd);
		return fd;
	}
	i = slot_new(s);
	if (!i) {
		close(path_fd);
		return -ENFILE;
	}
	s->fds.slot[i].node = node_index(&s->nodes, n);
	s->fds.slot[i].path = path_fd;
	n->slot = i;
	return fds_peek(s, n);
}

/* Opens the inode behind @path_fd, lifting the mode of the user's own file where needed. */
static int open_data(struct server *s, int path_fd, int flags)
{
	mode_t need = (flags & O_ACCMODE) == O_RDONLY ? S_IRUSR : OWNER_RW;
	char name[16], full[32];
	struct stat st;
	int fd, err;

	snprintf(name, sizeof(name), "%d", path_fd);
	flags |= O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	fd = openat(s->proc_fd, name, flags);
	if (fd >= 0 || errno != EACCES)
		return fd < 0 ? -errno : fd;
	if (fstat(path_fd, &st) < 0 || st.st_uid != s->uid || (st.st_mode & need) == need)
		return -EACCES;
	snprintf(full, sizeof(full), "/proc/self/fd/%d", path_fd);
	if (chmod(full, (st.st_mode & 07777) | need) < 0)
		return -EACCES;
	fd = openat(s->proc_fd, name, flags);
	err = errno;
	chmod(full, st.st_mode & 07777);
	return fd < 0 ? -err : fd;
}

static void limit_writers(struct fdcache *c)
{
	for (uint16_t i = c->slot[0].newer; i && c->n_write >= WRITE_MAX; i = c->slot[i].newer)
		if (!c->slot[i].pins)
			close_write(c, &c->slot[i]);
}

static void set_write(struct fdcache *c, struct fd_slot *slot, int fd, bool reads)
{
	limit_writers(c);
	close_write(c, slot);
	slot->write = fd;
	slot->write_reads = reads;
	slot->write_linger = false;
	slot->written_ms = now_ms();
	c->n_write++;
}

static int open_for_write(struct server *s, struct fd_slot *slot)
{
	bool reads = true;
	int fd = open_data(s, slot->path, O_RDWR);

	if (fd == -EACCES) { /* somebody else's file that may be written but not read */
		fd = open_data(s, slot->path, O_WRONLY);
		reads = false;
	}
	if (fd >= 0)
		set_write(&s->fds, slot, fd, reads);
	return fd;
}

int fds_data(struct server *s, struct node *n, bool write)
{
	struct fd_slot *slot = slot_of(s, n);
	struct stat st;
	int fd;

	if (!slot)
		return -ESTALE;
	if (slot->write >= 0 && (write || slot->write_reads)) {
		if (write)
			slot->written_ms = slot->used_ms;
		return slot->write;
	}
	if (!write && slot->read >= 0)
		return slot->read;
	/* Opening a fifo or a device would do more than read. */
	if (fstat(slot->path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && (write || !S_ISDIR(st.st_mode)))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if (write)
		return open_for_write(s, slot);
	fd = open_data(s, slot->path, O_RDONLY);
	if (fd >= 0)
		slot->read = fd;
	return fd;
}

void fds_adopt_rdwr(struct server *s, struct node *n, int rdwr_fd)
{
	struct fd_slot *slot = slot_of(s, n);

	if (slot)
		set_write(&s->fds, slot, rdwr_fd, true);
	else
		close(rdwr_fd);
}

int fds_written(struct server *s, struct node *n, mode_t mode)
{
	struct fd_slot *slot = slot_of(s, n);

	if (!slot || slot->write < 0)
		return 0;
	slot->write_linger = (mode & OWNER_RW) != OWNER_RW;
	return slot->write_linger ? 0 : close_write(&s->fds, slot);
}

void fds_keep_forever(struct server *s, struct node *n)
{
	struct fd_slot *slot = slot_of(s, n);

	if (slot)
		slot->forever = true;
}

void fds_drop(struct server *s, struct node *n)
{
	struct fd_slot *slot = slot_of(s, n);

	if (slot && !slot->pins && !slot->forever)
		slot_free(s, (uint16_t) (slot - s->fds.slot));
}

void fds_removed(struct server *s, struct node *n)
{
	struct fd_slot *slot = slot_of(s, n);

	if (n->flags & NODE_ROOT)
		return;
	if (slot)
		slot->removed = true;
	else
		node_forget(&s->nodes, n);
}

int fds_sweep(struct server *s)
{
	struct fdcache *c = &s->fds;
	uint64_t now = now_ms();
	uint16_t i, newer;

	for (i = c->slot[0].newer; i; i = newer) {
		struct fd_slot *slot = &c->slot[i];

		newer = slot->newer;
		if (slot->write >= 0 &&
		    now - slot->written_ms >=
			    (slot->write_linger ? WRITE_LINGER_MS : FDS_WRITE_IDLE_MS))
			close_write(c, slot);
		if (now - slot->used_ms < IDLE_MS && c->n_write == 0)
			break; /* the rest is newer */
		if (now - slot->used_ms >= IDLE_MS && !slot->forever && !slot->pins)
			slot_free(s, i);
	}
	if (c->n_write)
		return FDS_WRITE_IDLE_MS;
	return c->n_open > s->n_exports ? IDLE_MS : -1;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open files, bounded: for a node an O_PATH fd, and as needed one to read and one to write.
 *
 * fds stay valid until the slot is evicted; what is used in the current call is pinned and is
 * not. Fds open for writing are closed soon (fds_written, fds_sweep): while one is open, the
 * host cannot run the file (ETXTBSY).
 *
 * Functions return an fd (not to be closed by the caller) or a negative errno.
 */
#ifndef NFS_FDCACHE_H
#define NFS_FDCACHE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "node.h"

struct server;

enum { FDS_SLOTS_MAX = 4096, FDS_SLOTS_MIN = 64, FDS_PINS = 8, FDS_WRITE_IDLE_MS = 250 };

struct fd_slot {
	uint32_t node; /* 0: free */
	int path, read, write;
	bool write_reads;  /* .write was opened O_RDWR */
	bool write_linger; /* opening it again would need a change of mode */
	bool forever;	   /* an export's root */
	bool removed;	   /* its last name is gone: the node goes with the slot */
	uint8_t pins;
	uint16_t newer, older;
	uint64_t used_ms, written_ms;
};

struct fdcache {
	struct fd_slot
		*slot; /* slot 0 is the list's head: .older is the newest, .newer the oldest */
	unsigned int n, max;
	unsigned int n_write, n_open;
	uint16_t free; /* chained through .older */
	uint16_t pinned[FDS_PINS];
	unsigned int n_pinned;
};

int fds_init(struct fdcache *c);
void fds_close_all(struct server *s);

/* The cached O_PATH fd, or -ENOENT. */
int fds_peek(struct server *s, struct node *n);
/* The node's fds stay until fds_unpin(). */
void fds_pin(struct server *s, struct node *n);
void fds_unpin(struct fdcache *c);
/* Takes @path_fd as the node's; if it has one already, that one is kept. */
int fds_adopt(struct server *s, struct node *n, int path_fd);
/* Takes @rdwr_fd, freshly made by CREATE. The node must be cached. */
void fds_adopt_rdwr(struct server *s, struct node *n, int rdwr_fd);
/* An fd on the data of a regular file, or (not for writing) of a directory. Must be cached. */
int fds_data(struct server *s, struct node *n, bool write);
/*
 * What was written is stable: close the fd for writing, or let it linger for a while if under
 * the file's @mode it could not just be opened again. close()'s error.
 */
int fds_written(struct server *s, struct node *n, mode_t mode);
void fds_keep_forever(struct server *s, struct node *n);
void fds_drop(struct server *s, struct node *n);
/*
 * The file lost its last name. Who has it open may read and write on while the cache keeps it;
 * then the node is freed as well.
 */
void fds_removed(struct server *s, struct node *n);
/* Closes what is idle. Returns in how many ms to call again, -1: never. */
int fds_sweep(struct server *s);

#endif

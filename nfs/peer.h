/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose socket is the other end of a loopback TCP connection? No privilege needed, libc only;
 * devvm-nfsd and the keeper's gdb forwarder compile this same file.
 *
 * The answer is of this moment: a process can pass the socket on later, which is its own choice.
 * On Linux the peer's socket is established by the time accept() returns, so an answer of
 * "nobody" means that it has been closed already: drop the connection.
 *
 * All functions return 0 or a negative errno unless said otherwise.
 */
#ifndef NFS_PEER_H
#define NFS_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct peer {
	uid_t uid;	/* of the process that made the socket */
	uint32_t inode; /* never 0; the N of "socket:[N]" in /proc/PID/fd */
};

/*
 * peer_lookup: fill @out for the far end of @connected_fd (IPv4 or IPv6, both ends on loopback).
 * -ENOENT: no such socket now (closed, or not on this host); -EAFNOSUPPORT: not TCP over IP, or
 * not a loopback address.
 */
int peer_lookup(int connected_fd, struct peer *out);

/* peer_pid_owns: does the process @pid hold the socket @inode? Unreadable /proc/PID/fd: false. */
bool peer_pid_owns(pid_t pid, uint32_t inode);

/*
 * peer_for_each_owner: call @cb for each process of user @uid that holds the socket @inode, until
 * it returns non-zero. Returns what the last @cb returned, or -ESRCH when there was none, or
 * another negative errno when /proc cannot be read.
 */
int peer_for_each_owner(uid_t uid, uint32_t inode, int (*cb)(pid_t pid, void *arg), void *arg);

#endif

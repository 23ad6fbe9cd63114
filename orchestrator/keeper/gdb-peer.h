/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is at the other end of a connection to the gdb port, and may he? */
#pragma once

#include <glib.h>
#include <sys/types.h>

typedef struct {
	pid_t pid;
	char comm[32];
} GdbPeer;

/* FALSE with a reason (new string) when the peer must not reach a stub. qemu: the VM's own pid. */
gboolean gdb_peer_allowed(int fd, pid_t qemu, GdbPeer *peer, char **why);

/* Is the program of this path a virtual machine, or a helper that speaks for one? */
gboolean gdb_peer_speaks_for_guests(const char *exe);

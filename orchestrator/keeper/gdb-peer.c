// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The race: between accept and the look into /proc the peer may fork, or pass the socket on. A
 * guest can make neither happen: its connections are sockets that QEMU, or a network helper, opens
 * itself and holds from before the SYN until the close. A process of ours that hands its socket to
 * a guest on purpose could as well run gdb. When nobody holds the socket any more there is nobody
 * to serve. What is found is checked for every owner, not the first.
 */
#include "gdb-peer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nfs/peer.h"

typedef struct {
	pid_t qemu;
	GdbPeer *peer;
	char *why;
} Look;

gboolean gdb_peer_speaks_for_guests(const char *exe)
{
	static const char *const names[] = {"qemu",   "kvm",	 "passt",     "pasta",
					    "slirp",  "gvproxy", "vde",	      "rootless",
					    "vpnkit", "crosvm",	 "cloud-hyp", "firecracker"};
	g_autofree char *base = g_path_get_basename(exe);

	for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
		if (g_str_has_prefix(base, names[i]))
			return TRUE;
	return FALSE;
}

static void read_comm(pid_t pid, char *out, gsize size)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/comm", (int) pid), *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		text = g_strdup("?");
	g_strchomp(text);
	g_strlcpy(out, text, size);
	for (char *p = out; *p; p++)
		if (!g_ascii_isprint(*p))
			*p = '?';
}

static int look_at(pid_t pid, void *arg)
{
	Look *look = arg;
	char link[64], exe[4096];
	ssize_t n;

	g_snprintf(link, sizeof(link), "/proc/%d/exe", (int) pid);
	n = readlink(link, exe, sizeof(exe) - 1);
	if (n <= 0) {
		look->why = g_strdup_printf("pid %d: its program cannot be read", (int) pid);
		return -EACCES;
	}
	exe[n] = 0;
	if (pid == look->qemu || gdb_peer_speaks_for_guests(exe)) {
		look->why = g_strdup_printf("pid %d (%s) speaks for a guest", (int) pid, exe);
		return -EACCES;
	}
	if (look->peer->pid == 0) {
		look->peer->pid = pid;
		read_comm(pid, look->peer->comm, sizeof(look->peer->comm));
	}
	return 0;
}

gboolean gdb_peer_allowed(int fd, pid_t qemu, GdbPeer *peer, char **why)
{
	Look look = {.qemu = qemu, .peer = peer};
	struct peer socket;
	int r = peer_lookup(fd, &socket);

	memset(peer, 0, sizeof(*peer));
	if (r < 0) {
		*why = g_strdup_printf("its socket cannot be found: %s", g_strerror(-r));
		return FALSE;
	}
	if (socket.uid != geteuid()) {
		*why = g_strdup_printf("it is of user %u", (guint) socket.uid);
		return FALSE;
	}
	r = peer_for_each_owner(socket.uid, socket.inode, look_at, &look);
	if (r == 0 && peer->pid != 0)
		return TRUE;
	*why = look.why ? look.why
			: g_strdup_printf("no process holds its socket: %s",
					  g_strerror(r < 0 ? -r : ESRCH));
	return FALSE;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Theory of operation: the kernel's sock_diag answers for one exact 4-tuple with uid and inode of
 * that socket. The tuple of the peer is ours with the ends swapped. The answer's own tuple is
 * compared with the question, because a listening socket would be found as well, and an inode of
 * 0 (a socket that no process has any more) is no answer. The inode's holder is looked up in
 * /proc/PID/fd.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "peer.h"

static int fill_end(const struct sockaddr_storage *ss, uint32_t addr[4], uint16_t *port)
{
	if (ss->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *) ss;

		if (ntohl(in->sin_addr.s_addr) >> 24 != 127)
			return -EAFNOSUPPORT;
		addr[0] = in->sin_addr.s_addr;
		*port = in->sin_port;
		return AF_INET;
	}
	if (ss->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *) ss;

		*port = in6->sin6_port;
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
			memcpy(addr, &in6->sin6_addr.s6_addr[12], 4);
			return ntohl(addr[0]) >> 24 == 127 ? AF_INET : -EAFNOSUPPORT;
		}
		if (!IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr))
			return -EAFNOSUPPORT;
		memcpy(addr, &in6->sin6_addr, 16);
		return AF_INET6;
	}
	return -EAFNOSUPPORT;
}

/* The peer's own view of the connection: its source is our peer address. */
static int peer_tuple(int fd, struct inet_diag_req_v2 *req)
{
	struct sockaddr_storage self = {0}, peer = {0};
	socklen_t self_len = sizeof(self), peer_len = sizeof(peer);
	int family;

	if (getsockname(fd, (struct sockaddr *) &self, &self_len) < 0 ||
	    getpeername(fd, (struct sockaddr *) &peer, &peer_len) < 0)
		return errno == ENOTCONN ? -ENOENT : -errno;
	family = fill_end(&peer, req->id.idiag_src, &req->id.idiag_sport);
	if (family < 0)
		return family;
	if (fill_end(&self, req->id.idiag_dst, &req->id.idiag_dport) != family)
		return -EAFNOSUPPORT;
	req->sdiag_family = (uint8_t) family;
	req->sdiag_protocol = IPPROTO_TCP;
	req->idiag_states = UINT32_MAX;
	req->id.idiag_cookie[0] = req->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return 0;
}

static int parse_answer(const char *buf, size_t len, const struct inet_diag_req_v2 *req,
			struct peer *out)
{
	const struct nlmsghdr *h = (const void *) buf;
	const struct inet_diag_msg *m;

	if (!NLMSG_OK(h, len))
		return -EPROTO;
	if (h->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = NLMSG_DATA(h);

		if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)))
			return -EPROTO;
		return e->error ? e->error : -EPROTO;
	}
	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return -EPROTO;
	m = NLMSG_DATA(h);
	if (m->id.idiag_sport != req->id.idiag_sport || m->id.idiag_dport != req->id.idiag_dport ||
	    m->idiag_state == TCP_LISTEN || m->idiag_inode == 0)
		return -ENOENT;
	out->uid = m->idiag_uid;
	out->inode = m->idiag_inode;
	return 0;
}

int peer_lookup(int connected_fd, struct peer *out)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 req;
	} ask = {.h = {.nlmsg_len = sizeof(ask),
		       .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		       .nlmsg_flags = NLM_F_REQUEST}};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	_Alignas(struct nlmsghdr) char buf[4096];
	ssize_t n;
	int nl, r;

	r = peer_tuple(connected_fd, &ask.req);
	if (r < 0)
		return r;
	nl = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (nl < 0)
		return -errno;
	if (sendto(nl, &ask, sizeof(ask), 0, (struct sockaddr *) &kernel, sizeof(kernel)) < 0) {
		r = -errno;
	} else {
		do
			n = recv(nl, buf, sizeof(buf), 0);
		while (n < 0 && errno == EINTR);
		r = n < 0 ? -errno : parse_answer(buf, (size_t) n, &ask.req, out);
	}
	close(nl);
	return r;
}

bool peer_pid_owns(pid_t pid, uint32_t inode)
{
	char path[64], want[32], got[32];
	bool found = false;
	struct dirent *e;
	ssize_t n;
	DIR *d;

	if (pid <= 0 || inode == 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int) pid);
	snprintf(want, sizeof(want), "socket:[%u]", inode);
	d = opendir(path);
	if (!d)
		return false;
	while (!found && (e = readdir(d))) {
		n = readlinkat(dirfd(d), e->d_name, got, sizeof(got) - 1);
		if (n > 0) {
			got[n] = '\0';
			found = strcmp(got, want) == 0;
		}
	}
	closedir(d);
	return found;
}

int peer_for_each_owner(uid_t uid, uint32_t inode, int (*cb)(pid_t pid, void *arg), void *arg)
{
	struct dirent *e;
	struct stat st;
	int r = -ESRCH;
	char *end;
	long pid;
	DIR *d;

	d = opendir("/proc");
	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		pid = strtol(e->d_name, &end, 10);
		if (*end || pid <= 0 || fstatat(dirfd(d), e->d_name, &st, 0) < 0 ||
		    st.st_uid != uid)
			continue;
		if (!peer_pid_owns((pid_t) pid, inode))
			continue;
		r = cb((pid_t) pid, arg);
		if (r)
			break;
	}
	closedir(d);
	return r;
}

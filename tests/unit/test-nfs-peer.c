// SPDX-License-Identifier: GPL-2.0-or-later
/* Real loopback connections, in this process and from another one. */
#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"

struct pair {
	int listener, client, server;
};

static void fill(struct sockaddr_storage *ss, socklen_t *len, int family)
{
	memset(ss, 0, sizeof(*ss));
	ss->ss_family = (sa_family_t) family;
	if (family == AF_INET) {
		((struct sockaddr_in *) ss)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		*len = sizeof(struct sockaddr_in);
	} else {
		((struct sockaddr_in6 *) ss)->sin6_addr = in6addr_loopback;
		*len = sizeof(struct sockaddr_in6);
	}
}

static int listen_loopback(int family, struct sockaddr_storage *at, socklen_t *len)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fill(at, len, family);
	if (fd < 0 || bind(fd, (struct sockaddr *) at, *len) < 0)
		return -1;
	g_assert_cmpint(listen(fd, 4), ==, 0);
	g_assert_cmpint(getsockname(fd, (struct sockaddr *) at, len), ==, 0);
	return fd;
}

static int count(pid_t pid, void *arg)
{
	*(pid_t *) arg = pid;
	return 1;
}

static void own_connection(int family)
{
	struct sockaddr_storage at;
	socklen_t len;
	int listener = listen_loopback(family, &at, &len), client, server;
	struct peer peer;
	struct stat st;
	pid_t owner = 0;

	if (listener < 0) {
		g_test_skip("no such loopback here");
		return;
	}
	client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(connect(client, (struct sockaddr *) &at, len), ==, 0);
	server = accept(listener, NULL, NULL);
	g_assert_cmpint(peer_lookup(server, &peer), ==, 0);
	g_assert_cmpuint(peer.uid, ==, geteuid());
	g_assert_cmpint(fstat(client, &st), ==, 0);
	g_assert_cmpuint(peer.inode, ==, st.st_ino);
	g_assert_true(peer_pid_owns(getpid(), peer.inode));
	g_assert_false(peer_pid_owns(1, peer.inode));
	g_assert_false(peer_pid_owns(getpid(), 0));
	g_assert_cmpint(peer_for_each_owner(geteuid(), peer.inode, count, &owner), ==, 1);
	g_assert_cmpint(owner, ==, getpid());
	g_assert_cmpint(peer_for_each_owner(geteuid() + 1, peer.inode, count, &owner), ==, -ESRCH);
	/* A closed peer is nobody. */
	close(client);
	g_assert_cmpint(peer_lookup(server, &peer), ==, -ENOENT);
	close(server);
	close(listener);
}

static void test_ipv4(void)
{
	own_connection(AF_INET);
}

static void test_ipv6(void)
{
	own_connection(AF_INET6);
}

static void test_other_process(void)
{
	struct sockaddr_storage at;
	socklen_t len;
	int listener = listen_loopback(AF_INET, &at, &len), server;
	struct peer peer;
	pid_t child = fork();

	if (child == 0) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(fd, (struct sockaddr *) &at, len) < 0)
			_exit(1);
		pause();
		_exit(0);
	}
	server = accept(listener, NULL, NULL);
	g_assert_cmpint(peer_lookup(server, &peer), ==, 0);
	g_assert_false(peer_pid_owns(getpid(), peer.inode));
	g_assert_true(peer_pid_owns(child, peer.inode));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(server);
	close(listener);
}

static void test_not_tcp(void)
{
	struct peer peer;
	int sv[2];

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), ==, 0);
	g_assert_cmpint(peer_lookup(sv[0], &peer), ==, -EAFNOSUPPORT);
	close(sv[0]);
	close(sv[1]);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nfs/peer/ipv4", test_ipv4);
	g_test_add_func("/nfs/peer/ipv6", test_ipv6);
	g_test_add_func("/nfs/peer/other-process", test_other_process);
	g_test_add_func("/nfs/peer/not-tcp", test_not_tcp);
	return g_test_run();
}

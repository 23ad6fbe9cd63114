// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devvm-nfsd: NFSv3 and MOUNTv3 for one VM, as an ordinary user. One thread, one epoll loop; all
 * state is in struct server. PROTOCOL.md says what is served.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "conn.h"
#include "log.h"
#include "server.h"

enum { EVENTS = 32, BACKLOG = 64 };

static volatile sig_atomic_t stopping;

static void on_term(int sig)
{
	stopping = 1;
}

static void drop_privileges(int keep_fd)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	if (keep_fd > 3)
		close_range(3, (unsigned int) keep_fd - 1, 0);
	close_range(keep_fd < 3 ? 3 : (unsigned int) keep_fd + 1, ~0u, 0);
	/* Modes are the client's business. */
	umask(0);
}

static void set_signals(sigset_t *wait_mask)
{
	struct sigaction term = {.sa_handler = on_term};
	sigset_t block;

	sigaction(SIGTERM, &term, NULL);
	sigaction(SIGINT, &term, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	/* They arrive while the loop waits and at no other time. */
	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGINT);
	sigprocmask(SIG_BLOCK, &block, wait_mask);
	sigdelset(wait_mask, SIGTERM);
	sigdelset(wait_mask, SIGINT);
}

static int listen_on(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t) port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	socklen_t len = sizeof(a);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *) &a, sizeof(a)) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *) &a, &len) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	printf("listening %d\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

static int open_listener(struct server *s)
{
	int on = 0, fd = s->listen_fd;
	socklen_t len = sizeof(on);

	if (fd < 0)
		fd = listen_on(s->listen_port);
	else if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) < 0)
		fd = -errno;
	else if (!on)
		fd = -EINVAL;
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

static int sooner(int a, int b)
{
	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	return a < b ? a : b;
}

static int serve(struct server *s, int listen_fd, const sigset_t *wait_mask)
{
	struct epoll_event ev[EVENTS] = {{.events = EPOLLIN}};
	int epoll = epoll_create1(EPOLL_CLOEXEC), n, timeout = -1;
	uint64_t sweep_at = 0;
	struct conns cs;

	if (epoll < 0 || conns_init(&cs, s, epoll) < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, listen_fd, &ev[0]) < 0)
		return -errno;
	while (!stopping) {
		n = epoll_pwait(epoll, ev, EVENTS, timeout, wait_mask);
		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr)
				conn_event(&cs, ev[i].data.ptr, ev[i].events);
			else
				conns_accept(&cs, listen_fd);
		}
		/* Idle things are closed at their time, also while others are busy. */
		if (s->fds.n_write && sweep_at > now_ms() + FDS_WRITE_IDLE_MS)
			sweep_at = now_ms() + FDS_WRITE_IDLE_MS;
		if (timeout < 0 || now_ms() >= sweep_at) {
			timeout = sooner(fds_sweep(s), conns_sweep(&cs));
			sweep_at = now_ms() + (uint64_t) (timeout < 0 ? 0 : timeout);
		} else {
			timeout = (int) (sweep_at - now_ms());
		}
	}
	conns_close(&cs);
	close(epoll);
	return 0;
}

int main(int argc, char **argv)
{
	static struct server s = {.listen_fd = -1, .listen_port = -1};
	sigset_t wait_mask;
	int fd, r;

	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		puts("devvm-nfsd " DEVVM_VERSION);
		return 0;
	}
	if (argc > 1) {
		fputs("devvm-nfsd is started by devvm-keeper; its configuration comes on stdin\n",
		      stderr);
		return 2;
	}
	if (config_read(&s, stdin) < 0)
		return 2;
	drop_privileges(s.listen_fd);
	set_signals(&wait_mask);
	fd = open_listener(&s);
	if (fd < 0) {
		nfs_log("cannot listen: %s", strerror(-fd));
		return 1;
	}
	if (server_start(&s) < 0)
		return 1;
	r = serve(&s, fd, &wait_mask);
	if (r < 0)
		nfs_log("the loop ended: %s", strerror(-r));
	server_stop(&s);
	return r < 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fresh mounts of the trees: what makes a command see every host edit made before it.
 *
 * Theory of operation
 * -------------------
 * A command with PROTO_EXEC_FRESH runs in a mount namespace of its own, in which an NFS mount that
 * nobody has used is stacked on each tree's standing mount. All other mounts are shared (their
 * copies are peers of the agent's): what the command mounts elsewhere is mounted for everybody.
 * The standing mounts are private, so the stacked ones stay in their namespace, and end with it.
 *
 * Such a namespace takes a mount per tree to make (3 ms) and more to end (26 ms), and both may hang
 * on a dead server; so three workers, children of the agent that live as long as it does, do that:
 *   maker    keeps FRESH_READY_MAX namespaces ready and sends their descriptors
 *   syncer   after a command: writes back what is still dirty on its trees (a file that was written
 *            through mmap after its close would reach the host later than the command's EXIT),
 *            and carries mounts made below a tree over (carry.c)
 *   dropper  closes the last descriptor of a namespace, which unmounts
 *
 * A prepared mount has nothing cached but its root folder's attributes: statx with
 * AT_STATX_FORCE_SYNC at the hand-over renews them.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"

#define SERVER_LIMIT_MS 60000 /* how long the maker waits for a server that is away */
#define SERVER_RETRY_MS 100
#define FRESH_MAX_AGE_MS (30 * 60 * 1000) /* half of what the mounts trust their attributes */

/* --- descriptors over sockets ----------------------------------------------------------------- */

static bool send_fd(int socket, uint32_t value, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = &value, .iov_len = sizeof(value)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
						  .cmsg_level = SOL_SOCKET,
						  .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	return sendmsg(socket, &m, MSG_NOSIGNAL) == sizeof(value);
}

/* 1: a message; 0: the other end is gone; -1: nothing there. */
static int recv_fd(int socket, uint32_t *value, int *fd, int flags)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = value, .iov_len = sizeof(*value)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	ssize_t n;

	*fd = -1;
	do {
		n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC | flags);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -1 : 0;
	if (n != sizeof(*value))
		return 0;
	if (m.msg_controllen >= CMSG_LEN(sizeof(int)) && control.header.cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(&control.header), sizeof(*fd));
	return 1;
}

/* --- the workers ------------------------------------------------------------------------------ */

/* A namespace with fresh mounts, or -1 and why; the caller is back in `home`. */
static int make_namespace(const struct setup *s, int home, struct step_error *e)
{
	bool ok = unshare(CLONE_NEWNS) == 0;
	int fd = -1;

	if (!ok)
		step_fail(e, "cannot make a mount namespace");
	for (unsigned i = 0; ok && i < s->n_trees; i++)
		ok = mounts_tree(s, &s->trees[i], true, e);
	if (ok) {
		fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			step_fail(e, "cannot keep a mount namespace");
	}
	if (setns(home, CLONE_NEWNS) < 0)
		_exit(1);
	return fd;
}

/* The server is away, or on its way back: the keeper restarts it. */
static bool may_pass(int error)
{
	return error == ECONNREFUSED || error == ECONNRESET || error == ETIMEDOUT ||
	       error == EHOSTUNREACH || error == ENETUNREACH || error == EPIPE;
}

static int make_patiently(const struct setup *s, int home)
{
	int64_t limit = now_ms() + SERVER_LIMIT_MS;
	struct step_error e;
	int fd;

	while ((fd = make_namespace(s, home, &e)) < 0 && may_pass(e.error) && now_ms() < limit)
		poll(NULL, 0, SERVER_RETRY_MS);
	if (fd < 0) {
		say("no fresh mount of the trees: %s", e.text);
		errno = e.error;
	}
	return fd;
}

static void maker_main(struct agent *a, int socket, int home)
{
	uint32_t value;
	int fd;

	while (recv_fd(socket, &value, &fd, 0) > 0) {
		fd = make_patiently(&a->setup, home);
		send_fd(socket, fd < 0 ? (uint32_t) errno : 0, fd);
		close_fd(&fd);
	}
}

static void sync_trees(const struct setup *s)
{
	for (unsigned i = 0; i < s->n_trees; i++) {
		int fd = open(s->trees[i].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0 && syncfs(fd) < 0)
			say_errno("cannot write back %s to the host", s->trees[i].path);
		close_fd(&fd);
	}
}

static void syncer_main(struct agent *a, int socket, int home)
{
	static struct carry_list come, gone;
	uint32_t stream;
	int fd;

	while (recv_fd(socket, &stream, &fd, 0) > 0) {
		come.n = gone.n = 0;
		if (setns(fd, CLONE_NEWNS) == 0) {
			sync_trees(&a->setup);
			carry_changes(&a->setup, fd, &come, &gone);
		}
		if (setns(home, CLONE_NEWNS) < 0)
			_exit(1);
		carry_back(&come, &gone);
		close_fd(&fd);
		send_fd(socket, stream, -1);
	}
}

static void dropper_main(struct agent *a, int socket, int home)
{
	uint32_t value;
	int fd;

	while (recv_fd(socket, &value, &fd, 0) > 0)
		close_fd(&fd);
}

static int start_worker(struct agent *a, void (*work)(struct agent *, int, int))
{
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		int home;

		setsid();
		signal(SIGHUP, SIG_IGN);
		/* Else it would keep commands' pipes open. */
		dup3(fds[1], REPORT_FD, O_CLOEXEC);
		close_range(REPORT_FD + 1, ~0u, 0);
		log_open(true);
		write_file("/proc/self/oom_score_adj", "-1000");
		home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
		work(a, REPORT_FD, home);
		_exit(0);
	}
	close(fds[1]);
	if (pid > 0)
		return fds[0];
	close(fds[0]);
	return -1;
}

/* --- in the agent ----------------------------------------------------------------------------- */

static unsigned waiting_commands(struct agent *a)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PROTO_MAX_STREAMS; i++)
		n += a->streams[i].id && a->streams[i].wants_ns;
	return n;
}

/* As many as are waited for, and some in reserve. */
void fresh_order(struct agent *a)
{
	unsigned wanted = waiting_commands(a) + FRESH_READY_MAX;

	while (a->maker >= 0 && a->n_fresh + a->making < wanted && send_fd(a->maker, 0, -1))
		a->making++;
}

static void start_maker(struct agent *a)
{
	a->making = 0;
	a->maker = start_worker(a, maker_main);
	if (a->maker < 0 || fcntl(a->maker, F_SETFL, O_NONBLOCK) < 0 ||
	    !agent_watch(a, a->maker, EPOLLIN, WATCH_MAKER, 0))
		say_errno("cannot start the maker of fresh mounts");
	fresh_order(a);
}

static void start_syncer(struct agent *a)
{
	a->syncer = start_worker(a, syncer_main);
	if (a->syncer < 0 || !agent_watch(a, a->syncer, EPOLLIN, WATCH_SYNCER, 0))
		say_errno("cannot start the syncer of fresh mounts");
}

void fresh_start(struct agent *a)
{
	if (!a->setup.n_trees)
		return;
	a->dropper = start_worker(a, dropper_main);
	start_syncer(a);
	start_maker(a);
}

int fresh_take(struct agent *a)
{
	int64_t oldest = now_ms() - FRESH_MAX_AGE_MS;
	int fd = -1;

	while (a->n_fresh && fd < 0) {
		struct fresh_ns *f = &a->fresh[--a->n_fresh];

		if (f->made_ms >= oldest)
			fd = f->fd;
		else
			fresh_drop(a, f->fd);
	}
	return fd;
}

/* A new one goes to the command that waits for it, else to the reserve. */
static void hand_out(struct agent *a, int fd)
{
	for (unsigned i = 0; i < PROTO_MAX_STREAMS; i++) {
		struct stream *s = &a->streams[i];

		if (!s->id || !s->wants_ns)
			continue;
		s->wants_ns = false;
		s->ns = fd;
		send_fd(s->report, 0, fd);
		return;
	}
	if (a->n_fresh < FRESH_READY_MAX)
		a->fresh[a->n_fresh++] = (struct fresh_ns){.fd = fd, .made_ms = now_ms()};
	else
		fresh_drop(a, fd);
}

/* Not to be had: the commands that wait for one are told. */
static void refuse(struct agent *a, uint32_t error)
{
	for (unsigned i = 0; i < PROTO_MAX_STREAMS; i++) {
		struct stream *s = &a->streams[i];

		if (s->id && s->wants_ns) {
			s->wants_ns = false;
			send_fd(s->report, error, -1);
		}
	}
}

void fresh_made(struct agent *a)
{
	uint32_t error;
	int fd, got;

	while ((got = recv_fd(a->maker, &error, &fd, MSG_DONTWAIT)) > 0) {
		if (a->making)
			a->making--;
		if (fd >= 0)
			hand_out(a, fd);
		else
			refuse(a, error ? error : EIO);
	}
	if (got == 0) {
		say("the maker of fresh mounts has died; starting another");
		close_fd(&a->maker);
		start_maker(a);
	}
}

bool fresh_sync(struct agent *a, int ns, uint32_t stream)
{
	return a->syncer >= 0 && send_fd(a->syncer, stream, ns);
}

void fresh_synced(struct agent *a)
{
	uint32_t stream;
	int fd, got;

	while ((got = recv_fd(a->syncer, &stream, &fd, MSG_DONTWAIT)) > 0)
		streams_synced(a, stream);
	if (got == 0) {
		say("the syncer of fresh mounts has died; starting another");
		close_fd(&a->syncer);
		for (unsigned i = 0; i < PROTO_MAX_STREAMS; i++)
			a->streams[i].syncing = false;
		start_syncer(a);
	}
}

void fresh_drop(struct agent *a, int ns)
{
	if (a->dropper >= 0 && !send_fd(a->dropper, 0, ns)) {
		close_fd(&a->dropper);
		a->dropper = start_worker(a, dropper_main);
		send_fd(a->dropper, 0, ns);
	}
	close(ns);
}

/* --- in a command's child --------------------------------------------------------------------- */

bool fresh_enter(struct agent *a, int ns, struct step_error *e)
{
	static struct carry_list below;
	uint32_t error = 0;

	if (a->carry)
		carry_take(&a->setup, &below);
	if (ns < 0 && recv_fd(REPORT_FD, &error, &ns, 0) <= 0)
		error = EIO;
	errno = (int) error;
	if (ns < 0)
		return step_fail(e, "cannot make a fresh mount of the trees in the guest");
	if (setns(ns, CLONE_NEWNS) < 0)
		return step_fail(e, "cannot enter the fresh mount of the trees");
	for (unsigned i = 0; i < a->setup.n_trees; i++) {
		struct statx sx;

		if (statx(AT_FDCWD, a->setup.trees[i].path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS,
			  &sx) < 0)
			return step_fail(e, "cannot read the tree %s in the guest",
					 a->setup.trees[i].path);
	}
	carry_in(&below, ns);
	return true;
}

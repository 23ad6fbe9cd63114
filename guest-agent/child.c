// SPDX-License-Identifier: GPL-2.0-or-later
/* A stream's child: its pipes or terminal, and how it reports its outcome. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent.h"

/* The child's ends. */
struct ends {
	int in, out, err, report, master;
};

void report(uint32_t how, int32_t value, const char *format, ...)
{
	uint8_t payload[REPORT_SIZE];
	struct wire w = wire_over(payload, sizeof(payload));
	char message[256];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	wire_put_u32(&w, how);
	wire_put_u32(&w, (uint32_t) value);
	wire_put_str(&w, message);
	if (write(REPORT_FD, payload, w.pos) < 0)
		_exit(125);
	_exit(0);
}

void report_errno(const char *format, ...)
{
	int error = errno;
	char text[200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	report(PROTO_FAILED, error, "%s: %s", text, strerror(error));
}

bool report_read(int fd, uint32_t *how, int32_t *value, char *message, size_t size)
{
	uint8_t payload[REPORT_SIZE];
	ssize_t n = fd >= 0 ? recv(fd, payload, sizeof(payload), MSG_DONTWAIT) : -1;
	struct wire w = wire_over(payload, n > 0 ? (size_t) n : 0);

	if (n <= 0)
		return false;
	*how = wire_get_u32(&w);
	*value = (int32_t) wire_get_u32(&w);
	snprintf(message, size, "%s", wire_get_str(&w));
	return !w.bad;
}

void child_set_size(int master, uint32_t rows, uint32_t columns)
{
	struct winsize size = {.ws_row = (unsigned short) rows, .ws_col = (unsigned short) columns};

	ioctl(master, TIOCSWINSZ, &size);
}

static bool make_pipe(int *ours, int *theirs, bool we_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return false;
	*ours = fds[we_write];
	*theirs = fds[!we_write];
	return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0;
}

static bool make_terminal(struct stream *s, struct ends *e)
{
	int unlocked = 0;

	s->in = s->out = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (s->in < 0)
		return false;
	e->master = s->in;
	return ioctl(s->in, TIOCSPTLCK, &unlocked) == 0;
}

static bool make_ends(struct stream *s, unsigned flags, struct ends *e)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return false;
	s->report = fds[0];
	e->report = fds[1];
	if (flags & CHILD_TTY)
		return make_terminal(s, e);
	return make_pipe(&s->out, &e->out, false) && make_pipe(&s->err, &e->err, false) &&
	       (!(flags & CHILD_STDIN) || make_pipe(&s->in, &e->in, true));
}

static bool watch_ends(struct agent *a, struct stream *s)
{
	unsigned slot = (unsigned) (s - a->streams);

	if (s->in >= 0 && s->in == s->out) /* WATCH_IN with EPOLLIN stands for both */
		return agent_watch(a, s->in, EPOLLIN | EPOLLOUT, WATCH_IN, slot);
	return agent_watch(a, s->out, EPOLLIN, WATCH_OUT, slot) &&
	       agent_watch(a, s->err, EPOLLIN, WATCH_ERR, slot) &&
	       (s->in < 0 || agent_watch(a, s->in, EPOLLOUT, WATCH_IN, slot));
}

void child_signals(void)
{
	sigset_t none;

	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void take_terminal(struct ends *e)
{
	int slave = ioctl(e->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
		report_errno("cannot open the command's terminal");
	e->in = e->out = e->err = slave;
}

/*
 * No exec will close these: as long as a writer is open there is no end of file, and as long as a
 * reader is, no EPIPE.
 */
static void close_streams(struct agent *a)
{
	for (unsigned i = 0; i < PROTO_MAX_STREAMS; i++) {
		struct stream *s = &a->streams[i];

		if (!s->id)
			continue;
		if (s->in == s->out)
			s->in = -1;
		close_fd(&s->in);
		close_fd(&s->out);
		close_fd(&s->err);
	}
}

static void __attribute__((noreturn))
run_child(struct agent *a, struct stream *s, struct ends *e, struct wire *args)
{
	setsid();
	dup3(e->report, REPORT_FD, O_CLOEXEC);
	if (e->master >= 0)
		take_terminal(e);
	dup2(e->in >= 0 ? e->in : a->null, 0);
	dup2(e->out, 1);
	dup2(e->err, 2);
	log_open(false);
	child_signals();
	if (a->service)
		write_file("/proc/self/oom_score_adj", "0");
	if (s->op->run != op_exec_run) {
		signal(SIGHUP, SIG_IGN); /* ends by end of file on its input, and cleans up */
		close_streams(a);
	}
	s->op->run(a, args);
	report(PROTO_EXITED, 0, "%s", "");
}

bool child_start(struct agent *a, struct stream *s, unsigned flags, struct wire *args)
{
	struct ends e = {-1, -1, -1, -1, -1};
	unsigned long clone_flags = SIGCHLD | (flags & CHILD_SHARE_FS ? CLONE_FS : 0);
	long pid = -1;
	int error;

	if (make_ends(s, flags, &e) && watch_ends(a, s))
		pid = syscall(SYS_clone, clone_flags, 0, 0, 0, 0);
	if (pid == 0)
		run_child(a, s, &e, args);
	error = errno;
	close_fd(&e.in);
	close_fd(&e.out);
	close_fd(&e.err);
	close_fd(&e.report);
	if (pid < 0) {
		char message[128];

		snprintf(message, sizeof(message), "cannot start a process in the guest: %s",
			 strerror(error));
		stream_end(a, s, PROTO_FAILED, error, message);
		return false;
	}
	s->pid = (pid_t) pid;
	return true;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* devvm-agent: boot as PID 1 or start as a service, then the loop. See agent.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

#define EVENTS_AT_ONCE 32
#define PORT_RETRY_MS 250 /* beside the uevents, while there is no channel */
#define HOST_MISSED_MS 10000

static struct agent agent;

int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* PID 1 must not end: the kernel panics when it does, which the console and libvirt show. */
static void __attribute__((noreturn)) die(const char *what)
{
	say_errno("cannot go on: %s", what);
	exit(1);
}

bool agent_watch(struct agent *a, int fd, uint32_t events, enum watch what, unsigned slot)
{
	struct epoll_event event = {.events = events | EPOLLET,
				    .data.u64 = (uint64_t) slot << 8 | what};

	return epoll_ctl(a->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void reap(struct agent *a)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(a->signals, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == a->setup_pid)
			setup_reaped(a, status);
		else
			streams_reaped(a, pid, status);
	}
}

static void stream_event(struct agent *a, struct stream *s, enum watch what, uint32_t events)
{
	bool readable = events & (EPOLLIN | EPOLLHUP | EPOLLERR);

	if (what == WATCH_OUT)
		s->out_ready |= readable;
	else if (what == WATCH_ERR)
		s->err_ready |= readable;
	else
		s->in_ready |= (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
	if (what == WATCH_IN && s->in == s->out)
		s->out_ready |= readable;
}

static void handle_event(struct agent *a, const struct epoll_event *event)
{
	enum watch what = (enum watch)(event->data.u64 & 0xff);

	switch (what) {
	case WATCH_PORT:
		a->port_readable |= (event->events & (EPOLLIN | EPOLLHUP)) != 0;
		a->port_writable |= (event->events & EPOLLOUT) != 0;
		break;
	case WATCH_SIGNALS:
		reap(a);
		break;
	case WATCH_MAKER:
		fresh_made(a);
		break;
	case WATCH_SYNCER:
		fresh_synced(a);
		break;
	case WATCH_UEVENTS:
		devices_event(a);
		break;
	case WATCH_IN:
	case WATCH_OUT:
	case WATCH_ERR:
		stream_event(a, &a->streams[event->data.u64 >> 8], what, event->events);
		break;
	}
}

/* Once the POWER stream's EXIT is out, or at its deadline. */
static void power_if_due(struct agent *a)
{
	bool told = !stream_find(a, a->power_stream) && a->tx_start == a->tx_end;

	if (!a->power || !(told || now_ms() >= a->power_at))
		return;
	reboot(a->power);
	say_errno("reboot(2) failed");
	a->power = 0;
}

static int64_t earlier(int64_t x, int64_t y)
{
	return x < 0 || (y >= 0 && y < x) ? y : x;
}

static int64_t next_deadline(struct agent *a, int64_t started)
{
	int64_t first = streams_deadline(a);

	if (a->port < 0)
		first = earlier(first, now_ms() + PORT_RETRY_MS);
	if (!a->session && !a->host_missed)
		first = earlier(first, started + HOST_MISSED_MS);
	if (a->power)
		first = earlier(first, a->power_at);
	return first;
}

static void deadlines(struct agent *a, int64_t started)
{
	int64_t now = now_ms();

	streams_deadlines(a, now);
	if (a->port < 0)
		channel_open(a);
	if (!a->session && !a->host_missed && now >= started + HOST_MISSED_MS) {
		a->host_missed = true;
		say(a->port < 0 ? "the VM has no channel named " PROTO_PORT_NAME
				: "no host has spoken on the channel for 10 s; still waiting");
	}
}

static void loop(struct agent *a)
{
	int64_t started = now_ms();

	for (;;) {
		struct epoll_event events[EVENTS_AT_ONCE];
		int64_t deadline;
		int n, wait = 0;

		if (a->port >= 0)
			channel_read(a);
		if (!streams_pump(a)) {
			deadline = next_deadline(a, started);
			wait = deadline < 0 ? -1 : (int) (deadline - now_ms());
			if (deadline >= 0 && wait < 0)
				wait = 0;
		}
		if (a->port >= 0)
			channel_flush(a);
		power_if_due(a);
		n = epoll_wait(a->epoll, events, EVENTS_AT_ONCE, wait);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++)
			handle_event(a, &events[i]);
		deadlines(a, started);
	}
}

/* 0 to REPORT_FD are always open, so that no descriptor of ours ever gets such a number. */
static void fill_low_fds(struct agent *a)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= REPORT_FD);
	a->null = fd;
}

static void init(struct agent *a)
{
	sigset_t set;

	a->port = a->loader_done = a->setup_report = -1;
	a->maker = a->syncer = a->dropper = a->uevents = a->exec_ns = a->mountinfo = -1;
	streams_init(a);
	fill_low_fds(a);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	a->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	a->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (a->signals < 0 || a->epoll < 0 ||
	    !agent_watch(a, a->signals, EPOLLIN, WATCH_SIGNALS, 0))
		die("cannot set up the event loop");
}

int main(int argc, char **argv)
{
	struct agent *a = &agent;

	a->service = argc == 2 && strcmp(argv[1], "--service") == 0;
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("devvm-agent %s, protocol %u\n", DEVVM_VERSION, PROTO_VERSION);
		return 0;
	}
	if (!a->service && getpid() != 1) {
		fprintf(stderr,
			"usage: devvm-agent --service | --version   (or as a guest's PID 1)\n");
		return 2;
	}
	if (!a->service)
		early_boot(a);
	init(a);
	if (a->service) {
		a->state = PROTO_AGENT_READY;
		write_file("/proc/self/oom_score_adj", "-1000");
	} else {
		devices_listen(a);
		early_load_modules(a);
	}
	channel_open(a);
	loop(a);
}

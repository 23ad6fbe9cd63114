// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SETUP: from the initramfs to the guest that commands run in. Its child shares root and working
 * folder with the agent, so its chroot is the agent's. The SETUP outlives the session that asked
 * for it: a keeper that takes over meanwhile asks again, and is told of the end.
 *
 * On STDOUT, for benchmarks: "STEP MILLISECONDS" for each step.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

static void attach(struct agent *a, struct stream *s)
{
	a->setup_stream = s->id;
}

void op_setup_start(struct agent *a, struct stream *s, struct wire *args)
{
	size_t n;
	const uint8_t *lines = wire_get_bytes(args, &n);

	if (a->state == PROTO_AGENT_READY) {
		stream_end(a, s, PROTO_EXITED, 0, "");
		return;
	}
	if (a->setup_running) {
		attach(a, s);
		return;
	}
	if (args->bad || !setup_parse(&a->setup, lines, n)) {
		stream_end(a, s, PROTO_FAILED, EPROTO,
			   args->bad ? "setup: malformed request" : a->setup.error);
		return;
	}
	if (!child_start(a, s, s->op->child_flags, args))
		return;
	a->setup_running = true;
	a->setup_pid = s->pid;
	a->setup_report = s->report;
	s->pid = 0; /* not the session's: see streams_drop_session */
	s->report = -1;
	attach(a, s);
}

void setup_reaped(struct agent *a, int status)
{
	struct stream *s = stream_find(a, a->setup_stream);
	static struct stream nobody;
	struct stream *end = s && a->setup_stream ? s : &nobody;

	stream_child_gone(end, a->setup_report, status);
	close_fd(&a->setup_report);
	a->setup_running = false;
	a->setup_pid = 0;
	if (end->how == PROTO_EXITED && end->value == 0) {
		a->state = PROTO_AGENT_READY;
		fresh_start(a);
	} else {
		say("the setup failed: %s", end->message);
	}
}

/* --- in the child ----------------------------------------------------------------------------- */

static struct timespec step_began;

static void step(const char *name)
{
	struct timespec now;
	double ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (double) (now.tv_sec - step_began.tv_sec) * 1e3 +
	     (double) (now.tv_nsec - step_began.tv_nsec) / 1e6;
	step_began = now;
	if (name)
		dprintf(1, "%s %.1f\n", name, ms);
}

static void wait_for_modules(struct agent *a)
{
	char c;

	while (a->loader_done >= 0 && read(a->loader_done, &c, 1) < 0 && errno == EINTR)
		;
}

static void set_identity(const struct setup *s)
{
	struct timespec time = {.tv_sec = (time_t) (s->clock_ns / 1000000000u),
				.tv_nsec = (long) (s->clock_ns % 1000000000u)};

	if (s->clock_ns && clock_settime(CLOCK_REALTIME, &time) < 0)
		dprintf(2, "devvm: cannot set the guest's clock: %s\n", strerror(errno));
	if (s->hostname && sethostname(s->hostname, strlen(s->hostname)) < 0)
		dprintf(2, "devvm: cannot set the guest's name: %s\n", strerror(errno));
}

/*
 * A folder of the host's may stand there (the modules of a kernel that is installed and also a
 * build tree): a rename cannot replace it, and what is in it must not be used. The target is
 * mounted over it.
 */
static bool make_link(const char *path, const char *target)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return mount(target, path, NULL, MS_BIND, NULL) == 0;
	return make_parents(path) && replace_symlink(path, target);
}

static void make_links(const struct setup *s)
{
	for (unsigned i = 0; i < s->n_links; i++)
		if (!make_link(s->links[i].path, s->links[i].target))
			dprintf(2, "devvm: cannot make the link %s in the guest: %s\n",
				s->links[i].path, strerror(errno));
}

/*
 * The host's loader, C library and PATH, into the caches, while the setup waits for the server and
 * the host for the setup: a first command 40 ms later takes 109 ms instead of 196. Nobody waits for
 * it; PID 1 reaps it.
 */
static void warm_up(int null)
{
	static const char *const folders[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
					      "/usr/bin"};
	pid_t pid = fork();

	if (pid != 0)
		return;
	for (int fd = 0; fd <= 2; fd++) /* SETUP's own end must not wait for it */
		dup2(null, fd);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		(void) !access(folders[i], X_OK);
	execl("/bin/sh", "sh", "-c", ":", NULL);
	_exit(127);
}

static void check(bool ok, const struct step_error *e)
{
	if (!ok)
		report(PROTO_FAILED, e->error, "%s", e->text);
}

void op_setup_run(struct agent *a, struct wire *args)
{
	const struct setup *s = &a->setup;
	struct step_error e = {0};

	signal(SIGPIPE, SIG_IGN);
	step(NULL);
	set_identity(s);
	wait_for_modules(a);
	step("modules");
	if (s->net_address)
		check(net_up(s, &e), &e);
	step("network");
	if (s->root_export)
		check(root_switch(s, &e), &e);
	step("root");
	if (s->root_export)
		warm_up(a->null);
	mounts_kernel();
	step("kernel-mounts");
	for (unsigned i = 0; i < s->n_trees; i++)
		check(mounts_tree(s, &s->trees[i], false, &e), &e);
	step("trees");
	make_links(s);
	devices_coldplug();
	step("links");
}

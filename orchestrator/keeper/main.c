// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devvm-keeper RUNDIR: starts, takes the lock, binds what it listens on, and goes into the
 * background; once the command has returned 0 the keeper (this one, or the one that was there
 * before) is there to be connected to.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "channel.h"
#include "client.h"
#include "gdb-forward.h"
#include "nfs-server.h"
#include "qmp.h"
#include "setup.h"
#include "streams.h"
#include "util/error.h"

#define SOCKET_NAME "keeper.sock"
#define LOCK_NAME "keeper.lock"
#define END_WAIT_MS 500
#define END_CHECK_MS 10

static int lock_fd = -1;
static gboolean vm_gone; /* the keeper ends for good: so does its NFS server */

/* --- The end ---------------------------------------------------------------------------------- */

static gboolean quit_when_flushed(gpointer data)
{
	static guint waited;
	Keeper *k = data;

	waited += END_CHECK_MS;
	if (waited < END_WAIT_MS && clients_busy(k->clients))
		return G_SOURCE_CONTINUE;
	g_main_loop_quit(k->loop);
	return G_SOURCE_REMOVE;
}

static void end_softly(Keeper *k, const char *why)
{
	if (k->ending)
		return;
	k->ending = TRUE;
	klog("ending: %s", why);
	unlink(SOCKET_NAME);
	clients_close(k->clients);
	streams_end_all(k->streams, why);
	g_timeout_add(END_CHECK_MS, quit_when_flushed, k);
}

void keeper_end(Keeper *k, const char *why)
{
	vm_gone = TRUE;
	end_softly(k, why);
}

/* Told to end while the VM runs: its NFS server stays, the next keeper takes over. */
static gboolean on_term(gpointer data)
{
	Keeper *k = data;
	g_autofree char *why = g_strdup_printf("%s's keeper was ended: the command may have gone "
					       "on or been ended",
					       k->boot->name);

	end_softly(k, why);
	return G_SOURCE_CONTINUE;
}

void keeper_qemu_here(Keeper *k)
{
	nfs_server_qemu_here(k->nfs);
	gdb_forward_qemu_here(k->gdb);
	channel_start(k->channel);
}

/* --- Sockets ---------------------------------------------------------------------------------- */

/* The name appears when connections are taken, and not before. -1 with an error. */
static int listen_for_clients(GError **error)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = SOCKET_NAME ".new"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	unlink(a.sun_path);
	if (fd >= 0 && bind(fd, (struct sockaddr *) &a, sizeof(a)) == 0 &&
	    chmod(a.sun_path, 0600) == 0 && listen(fd, 64) == 0 &&
	    rename(a.sun_path, SOCKET_NAME) == 0)
		return fd;
	devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot listen on %s", SOCKET_NAME);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* --- The start -------------------------------------------------------------------------------- */

static gboolean enter_run_dir(const char *path, GError **error)
{
	struct stat st;

	if (chdir(path) < 0 || stat(".", &st) < 0)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot enter %s", path);
	if (st.st_uid != geteuid() || (st.st_mode & 0077))
		return devvm_fail(error, DEVVM_ERROR_FAILED, "%s is not private to you", path);
	return TRUE;
}

/* 1: the lock is ours; 0: another keeper has it; -1 with an error. It is held until the end. */
static int take_lock(GError **error)
{
	lock_fd = open(LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock_fd >= 0 && flock(lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 1;
	if (lock_fd >= 0 && errno == EWOULDBLOCK)
		return 0;
	devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot lock %s", LOCK_NAME);
	return -1;
}

static gboolean make_parts(Keeper *k, GError **error)
{
	int fd;

	k->loop = g_main_loop_new(NULL, FALSE);
	k->qmp = qmp_new(k);
	k->streams = streams_new(k);
	k->channel = channel_new(k);
	k->setup = setup_new(k);
	k->gdb = gdb_forward_new(k);
	k->nfs = nfs_server_new(k);
	if (!nfs_server_bind(k->nfs, error))
		return FALSE;
	gdb_forward_start(k->gdb);
	fd = listen_for_clients(error);
	if (fd < 0)
		return FALSE;
	k->clients = clients_new(k, fd);
	return TRUE;
}

static void free_parts(Keeper *k)
{
	clients_free(k->clients);
	gdb_forward_free(k->gdb);
	channel_free(k->channel);
	setup_free(k->setup);
	streams_free(k->streams);
	nfs_server_free(k->nfs);
	qmp_free(k->qmp);
	boot_state_free(k->boot);
	g_clear_pointer(&k->loop, g_main_loop_unref);
}

/* The parent's part of it does not return. */
static gboolean go_to_background(GError **error)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid;

	if (null < 0 || !klog_open(error))
		return null >= 0 ? FALSE
				 : devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "/dev/null");
	pid = fork();
	if (pid < 0)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot fork");
	if (pid > 0)
		_exit(0);
	setsid();
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	return TRUE;
}

/* For `down` and `rm`, which wait for the keeper's end. */
static void write_pid(void)
{
	g_autofree char *text = g_strdup_printf("%d\n", (int) getpid());

	if (ftruncate(lock_fd, 0) < 0 || pwrite(lock_fd, text, strlen(text), 0) < 0)
		klog("cannot write %s: %s", LOCK_NAME, g_strerror(errno));
}

static void run(Keeper *k)
{
	write_pid();
	g_unix_signal_add(SIGTERM, on_term, k);
	g_unix_signal_add(SIGINT, on_term, k);
	klog("keeper %s of %s, pid %d", DEVVM_VERSION, k->boot->name, (int) getpid());
	qmp_start(k->qmp);
	g_main_loop_run(k->loop);
	if (vm_gone) {
		nfs_server_stop(k->nfs);
		unlink("setup.done");
		unlink("gdb.session");
	}
	klog("ended");
}

/* What `rm` needs when QEMU and keeper were both killed: the NFS server may still be there. */
static int clean_up(const char *run_dir, GError **error)
{
	int locked;

	if (!enter_run_dir(run_dir, error))
		return 1;
	locked = take_lock(error);
	if (locked == 1) {
		nfs_server_stop_leftover();
		unlink(SOCKET_NAME);
		unlink("setup.done");
		unlink("gdb.session");
	}
	return locked == 1 ? 0 : 1;
}

static int keep(const char *run_dir, gboolean foreground, GError **error)
{
	Keeper k = {.started_us = g_get_real_time()};
	int locked;

	if (!enter_run_dir(run_dir, error))
		return 1;
	k.boot = boot_state_load("boot.state", error);
	if (!k.boot)
		return 1;
	locked = take_lock(error);
	if (locked <= 0) {
		boot_state_free(k.boot);
		return locked == 0 ? 0 : 1;
	}
	if (make_parts(&k, error) && (foreground || go_to_background(error))) {
		run(&k);
		free_parts(&k);
		return 0;
	}
	free_parts(&k);
	return 1;
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	const char *option = argc > 2 ? argv[1] : "", *run_dir = argc > 1 ? argv[argc - 1] : "";
	int status;

	setlocale(LC_ALL, "");
	g_set_prgname("devvm-keeper");
	if (argc == 2 && !strcmp(argv[1], "--version")) {
		printf("devvm-keeper %s\n", DEVVM_VERSION);
		return 0;
	}
	if (argc < 2 || argc > 3 || *run_dir != '/' ||
	    (argc == 3 && strcmp(option, "--foreground") && strcmp(option, "--clean-up"))) {
		fputs("devvm-keeper is started by devvm: devvm-keeper [--foreground|--clean-up] "
		      "RUNDIR\n",
		      stderr);
		return 2;
	}
	umask(0077);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	close_range(3, ~0u, 0);
	status = strcmp(option, "--clean-up")
			 ? keep(run_dir, !strcmp(option, "--foreground"), &error)
			 : clean_up(run_dir, &error);
	if (error)
		fprintf(stderr, "devvm-keeper: %s\n", error->message);
	return status;
}

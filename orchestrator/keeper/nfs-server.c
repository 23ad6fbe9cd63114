// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The order of a take-over: bind (SO_REUSEPORT: the port is shared with the old server for a
 * moment, and with nobody of another uid), end the old server, start the new one. So the guest
 * never meets a closed port, and two servers never write the same state.
 */
#include "nfs-server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qmp.h"
#include "util/error.h"
#include "util/paths.h"
#include "watch.h"

#define STATE_NAME "nfs.state"
#define STATE_DIR "nfs"
#define GUEST_SIDE "10.0.2.2" /* the host, as user-mode networking shows it */
#define SERVER_FD 3
#define RESPAWN_MAX_MS 5000
#define STABLE_US (10 * G_USEC_PER_SEC) /* alive so long: the next death is a first one again */
#define END_WAIT_MS 1000

struct NfsServer {
	Keeper *k;
	char *token, *key; /* hexadecimal */
	guint port;
	int listen_fd;

	pid_t pid; /* 0: none runs */
	int pidfd;
	Watch *exit_watch;
	int words_fd; /* its stderr */
	Watch *words_watch;
	gint64 started; /* monotonic µs */
	guint respawn_timer, respawn_ms, restarts;
	char *error;
};

/* --- State ------------------------------------------------------------------------------------ */

static char *random_hex(gsize bytes)
{
	guint8 raw[32];
	GString *out = g_string_new(NULL);

	g_assert(bytes <= sizeof(raw));
	if (getrandom(raw, bytes, 0) != (gssize) bytes)
		g_error("no random numbers: %s", g_strerror(errno));
	for (gsize i = 0; i < bytes; i++)
		g_string_append_printf(out, "%02x", raw[i]);
	return g_string_free(out, FALSE);
}

static gboolean is_hex(const char *s, gsize digits)
{
	return s && strlen(s) == digits && strspn(s, "0123456789abcdef") == digits;
}

/* The start time of a process in clock ticks (proc(5), stat, field 22): tells it from another of
 * the same number. 0: there is none. */
static guint64 start_time(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int) pid), *text = NULL;
	g_auto(GStrv) fields = NULL;
	const char *after_comm;

	if (!g_file_get_contents(path, &text, NULL, NULL) || !(after_comm = strrchr(text, ')')))
		return 0;
	fields = g_strsplit(after_comm + 1, " ", 24);
	return g_strv_length(fields) > 20 ? g_ascii_strtoull(fields[20], NULL, 10) : 0;
}

static void save_state(const NfsServer *n)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;
	gsize size;

	g_key_file_set_integer(file, "nfs", "port", (gint) n->port);
	g_key_file_set_string(file, "nfs", "token", n->token);
	g_key_file_set_string(file, "nfs", "key", n->key);
	g_key_file_set_integer(file, "nfs", "pid", n->pid);
	g_key_file_set_uint64(file, "nfs", "start", n->pid ? start_time(n->pid) : 0);
	text = g_key_file_to_data(file, &size, NULL);
	if (!g_file_set_contents_full(STATE_NAME, text, (gssize) size,
				      G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error))
		klog("%s", error->message);
}

static GKeyFile *load_state(void)
{
	g_autoptr(GKeyFile) file = g_key_file_new();

	if (!g_key_file_load_from_file(file, STATE_NAME, G_KEY_FILE_NONE, NULL))
		return NULL;
	return g_steal_pointer(&file);
}

/* --- Ending a server that is not our child ---------------------------------------------------- */

static gboolean is_nfsd(pid_t pid)
{
	g_autofree char *link = g_strdup_printf("/proc/%d/exe", (int) pid);
	g_autofree char *exe = g_file_read_link(link, NULL);
	g_autofree char *base = exe ? g_path_get_basename(exe) : NULL;

	return base && (!strcmp(base, "devvm-nfsd") || !strcmp(base, "devvm-nfsd (deleted)"));
}

/* SIGTERM, a second for it, SIGKILL. */
static void end_process(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	if (pidfd_send_signal(pidfd, SIGTERM, NULL, 0) < 0 || poll(&p, 1, END_WAIT_MS) > 0)
		return;
	pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	poll(&p, 1, END_WAIT_MS);
}

void nfs_server_stop_leftover(void)
{
	g_autoptr(GKeyFile) file = load_state();
	pid_t pid = file ? g_key_file_get_integer(file, "nfs", "pid", NULL) : 0;
	guint64 start = file ? g_key_file_get_uint64(file, "nfs", "start", NULL) : 0;
	int pidfd = pid > 1 ? pidfd_open(pid, 0) : -1;

	if (pidfd < 0)
		return;
	/* Looked at after the pidfd was opened: it is this process that the pidfd holds. */
	if (start && start_time(pid) == start && is_nfsd(pid)) {
		klog("ending devvm-nfsd %d, which another keeper left", (int) pid);
		end_process(pidfd);
	}
	close(pidfd);
}

/* --- The port --------------------------------------------------------------------------------- */

static int bind_port(guint port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((guint16) port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), saved;

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	    bind(fd, (struct sockaddr *) &a, sizeof(a)) == 0 && listen(fd, 64) == 0)
		return fd;
	saved = errno;
	if (fd >= 0)
		close(fd);
	return -saved;
}

gboolean nfs_server_bind(NfsServer *n, GError **error)
{
	g_autoptr(GKeyFile) file = load_state();
	struct sockaddr_in a;
	socklen_t size = sizeof(a);

	if (!n->k->boot->exports[0])
		return TRUE;
	if (file) {
		n->token = g_key_file_get_string(file, "nfs", "token", NULL);
		n->key = g_key_file_get_string(file, "nfs", "key", NULL);
		n->port = (guint) g_key_file_get_integer(file, "nfs", "port", NULL);
	}
	if (!is_hex(n->token, 32) || !is_hex(n->key, 32) || n->port > 65535) {
		g_free(n->token);
		g_free(n->key);
		n->token = random_hex(16);
		n->key = random_hex(16);
		n->port = 0;
	}
	n->listen_fd = bind_port(n->port);
	if (n->listen_fd == -EADDRINUSE && n->port) {
		klog("NFS port %u was taken meanwhile: a guest that has mounts must be restarted",
		     n->port);
		n->listen_fd = bind_port(0);
	}
	if (n->listen_fd < 0 || getsockname(n->listen_fd, (struct sockaddr *) &a, &size) < 0)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED,
					n->listen_fd < 0 ? -n->listen_fd : errno,
					"cannot bind a port for the NFS server");
	n->port = ntohs(a.sin_port);
	return TRUE;
}

/* --- The server ------------------------------------------------------------------------------- */

static char *configuration(const NfsServer *n)
{
	GString *out = g_string_new(NULL);
	g_autofree char *folder = g_get_current_dir();
	g_autofree char *state = g_build_filename(folder, STATE_DIR, NULL);
	g_autofree char *escaped = g_uri_escape_string(state, "/", FALSE);

	g_string_append_printf(out, "listen-fd %d\npeer-pid %d\ntoken %s\nkey %s\n", SERVER_FD,
			       (int) qmp_pid(n->k->qmp), n->token, n->key);
	g_string_append_printf(out, "state-dir %s\n", escaped);
	for (gsize i = 0; n->k->boot->exports[i]; i++)
		g_string_append_printf(out, "export %s\n", n->k->boot->exports[i]);
	return g_string_free(out, FALSE);
}

/* The configuration as a file to read, from its start; -1 with errno. */
static int configuration_fd(const NfsServer *n)
{
	g_autofree char *text = configuration(n);
	gssize size = (gssize) strlen(text);
	int fd = memfd_create("devvm-nfsd-configuration", MFD_CLOEXEC);

	if (fd >= 0 && (write(fd, text, (gsize) size) != size || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* 0 or errno */
static int spawn(NfsServer *n, const char *program, int in, int err)
{
	char *argv[] = {(char *) program, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	/* The listening socket first: 0 and 2 are never among our own fds. */
	posix_spawn_file_actions_adddup2(&actions, n->listen_fd, SERVER_FD);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
	r = posix_spawn(&n->pid, program, &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (r)
		n->pid = 0;
	return r;
}

static void on_words(gpointer data, GIOCondition ready)
{
	NfsServer *n = data;
	char text[1024];
	gssize got = read(n->words_fd, text, sizeof(text) - 1);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0) {
		text[got] = 0;
		klog("%s", g_strchomp(text));
		return;
	}
	g_clear_pointer(&n->words_watch, watch_free);
	close(n->words_fd);
	n->words_fd = -1;
}

static void start(NfsServer *n);

static gboolean respawn(gpointer data)
{
	NfsServer *n = data;

	n->respawn_timer = 0;
	start(n);
	return G_SOURCE_REMOVE;
}

static void respawn_later(NfsServer *n)
{
	if (n->k->ending || n->respawn_timer)
		return;
	if (n->started && g_get_monotonic_time() - n->started > STABLE_US)
		n->respawn_ms = 0;
	n->respawn_timer = g_timeout_add(n->respawn_ms, respawn, n);
	n->respawn_ms = CLAMP(n->respawn_ms * 2, 50, RESPAWN_MAX_MS);
	n->restarts++;
}

static void forget_process(NfsServer *n)
{
	g_clear_pointer(&n->exit_watch, watch_free);
	if (n->pidfd >= 0)
		close(n->pidfd);
	n->pidfd = -1;
	n->pid = 0;
}

static void on_exit_of_server(gpointer data, GIOCondition ready)
{
	NfsServer *n = data;
	int status = 0;

	if (waitpid(n->pid, &status, WNOHANG) != n->pid)
		return;
	g_free(n->error);
	n->error =
		WIFSIGNALED(status)
			? g_strdup_printf("devvm-nfsd was ended by signal %d", WTERMSIG(status))
			: g_strdup_printf("devvm-nfsd ended with status %d", WEXITSTATUS(status));
	klog("%s: it is started again", n->error);
	forget_process(n);
	respawn_later(n);
}

static void start(NfsServer *n)
{
	g_autofree char *program = devvm_program("devvm-nfsd");
	int in = configuration_fd(n), words[2] = {-1, -1}, r = in < 0 ? errno : 0;

	if (!r && pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0)
		r = errno;
	if (!r)
		r = spawn(n, program, in, words[1]);
	if (in >= 0)
		close(in);
	if (words[1] >= 0)
		close(words[1]);
	if (r) {
		if (words[0] >= 0)
			close(words[0]);
		g_free(n->error);
		n->error = g_strdup_printf("cannot start %s: %s", program, g_strerror(r));
		klog("%s", n->error);
		respawn_later(n);
		return;
	}
	g_clear_pointer(&n->words_watch, watch_free);
	if (n->words_fd >= 0)
		close(n->words_fd);
	n->words_fd = words[0];
	n->words_watch = watch_new(n->words_fd, G_IO_IN, on_words, n);
	n->started = g_get_monotonic_time();
	n->pidfd = pidfd_open(n->pid, 0);
	n->exit_watch = watch_new(n->pidfd, G_IO_IN, on_exit_of_server, n);
	save_state(n);
}

void nfs_server_qemu_here(NfsServer *n)
{
	if (n->listen_fd < 0)
		return;
	nfs_server_stop_leftover();
	mkdir(STATE_DIR, 0700);
	start(n);
}

void nfs_server_stop(NfsServer *n)
{
	g_clear_handle_id(&n->respawn_timer, g_source_remove);
	if (n->pid) {
		g_clear_pointer(&n->exit_watch, watch_free);
		end_process(n->pidfd);
		waitpid(n->pid, NULL, WNOHANG);
		forget_process(n);
	} else {
		nfs_server_stop_leftover();
	}
	/* Port, token and key stay: a VM that was saved and is restored goes on with them. */
	if (n->token)
		save_state(n);
}

NfsServer *nfs_server_new(Keeper *k)
{
	NfsServer *n = g_new0(NfsServer, 1);

	n->k = k;
	n->listen_fd = n->pidfd = n->words_fd = -1;
	return n;
}

void nfs_server_free(NfsServer *n)
{
	if (!n)
		return;
	g_clear_handle_id(&n->respawn_timer, g_source_remove);
	forget_process(n);
	g_clear_pointer(&n->words_watch, watch_free);
	if (n->words_fd >= 0)
		close(n->words_fd);
	if (n->listen_fd >= 0)
		close(n->listen_fd);
	g_free(n->token);
	g_free(n->key);
	g_free(n->error);
	g_free(n);
}

char *nfs_server_setup_line(const NfsServer *n)
{
	if (n->listen_fd < 0)
		return NULL;
	return g_strdup_printf("nfs %s %u %s", GUEST_SIDE, n->port, n->token);
}

guint nfs_server_port(const NfsServer *n)
{
	return n->port;
}

pid_t nfs_server_pid(const NfsServer *n)
{
	return n->pid;
}

guint nfs_server_restarts(const NfsServer *n)
{
	return n->restarts;
}

const char *nfs_server_error(const NfsServer *n)
{
	return n->pid ? NULL : n->error;
}

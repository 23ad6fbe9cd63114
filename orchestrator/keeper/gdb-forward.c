// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Theory of operation. One gdb at a time. While one is connected a file RUNDIR/gdb.session stands,
 * so that the successor of a killed keeper knows that there is something to mend.
 *
 * QEMU (7.2) does nothing when its stub's connection closes: the VM stays stopped, or, if it ran,
 * the breakpoints stay in it and stop it later, for nobody. A gdb that detaches takes its
 * breakpoints away and lets the VM run; one that was killed does not, so the keeper says in its
 * place, on the connection to the stub that it still holds: interrupt (nothing but an interrupt is
 * understood while the VM runs), then `D;1` (removes all breakpoints, continues), and waits for
 * OK. Should the stub not answer, QMP `cont` at least lets the VM run. A VM that has panicked, or
 * that was stopped before gdb came, is left as it is.
 */
#include "gdb-forward.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gdb-peer.h"
#include "qmp.h"
#include "util/unix-connect.h"
#include "watch.h"

#define SESSION_NAME "gdb.session"
#define BUFFER (16 * 1024)
#define MEND_MS 1500
#define SETTLE_MS 300
#define ACCEPT_PAUSE_MS 100
#define INTERRUPT_AND_DETACH "+\003$D;1#b0"
#define DETACH "$D;1#b0"

/* Bytes that were read from one end and are to be written to the other. */
typedef struct {
	guint8 bytes[BUFFER];
	gsize start, end;
} Pipe;

typedef struct {
	int fd;
	Watch *watch;
} End;

struct GdbForward {
	Keeper *k;
	int listen_fd;
	Watch *listen_watch;
	guint pause;
	char *error;

	End gdb, stub; /* fd -1 when there is none */
	Pipe to_stub, to_gdb;
	GdbPeer peer;
	gboolean was_stopped; /* before this gdb came, and not by one */
	char tail[16];	      /* the last bytes gdb sent: was it a detach? */

	gboolean mending;
	gboolean said_detach_again;
	guint mend_timer;
	char heard[32]; /* the last bytes of the stub while mending */
};

static void begin_mending(GdbForward *g);

/* --- Ends ------------------------------------------------------------------------------------- */

static void end_close(End *e)
{
	g_clear_pointer(&e->watch, watch_free);
	if (e->fd >= 0)
		close(e->fd);
	e->fd = -1;
}

/* Keeps the last bytes of a conversation: text holds size - 1 of them. */
static void remember(char *text, gsize size, const guint8 *bytes, gsize n)
{
	gsize have = strlen(text), keep;

	for (gsize i = n > size - 1 ? n - (size - 1) : 0; i < n; i++) {
		keep = MIN(have, size - 2);
		memmove(text, text + have - keep, keep);
		text[keep] = bytes[i] ? (char) bytes[i] : '.';
		text[keep + 1] = 0;
		have = keep + 1;
	}
}

static gboolean said_goodbye(const char *tail)
{
	g_autofree char *text = g_strdup(tail);

	while (g_str_has_suffix(text, "+"))
		text[strlen(text) - 1] = 0;
	return g_str_has_suffix(text, DETACH) || g_str_has_suffix(text, "$D#44");
}

/* --- After a gdb ------------------------------------------------------------------------------ */

static void on_final_status(gpointer data, const char *status)
{
	GdbForward *g = data;

	if (!status || g->stub.fd >= 0 || qmp_panicked(g->k->qmp))
		return;
	if (!strcmp(status, "debug") || !strcmp(status, "paused")) {
		klog("the VM is still stopped (%s) with no gdb there: it goes on", status);
		qmp_command(g->k->qmp, "cont", NULL, NULL);
	}
}

/* The session is over, and the stub as it should be. */
static void session_over(GdbForward *g)
{
	gboolean leave = g->was_stopped || qmp_panicked(g->k->qmp);

	end_close(&g->gdb);
	end_close(&g->stub);
	g_clear_handle_id(&g->mend_timer, g_source_remove);
	g->mending = FALSE;
	unlink(SESSION_NAME);
	if (g->listen_watch)
		watch_set(g->listen_watch, G_IO_IN);
	if (leave)
		klog("the VM was stopped before gdb came, or has panicked: left as it is");
	else if (!g->k->ending)
		qmp_command(g->k->qmp, "query-status", on_final_status, g);
}

static gboolean mend_timeout(gpointer data)
{
	GdbForward *g = data;

	g->mend_timer = 0;
	klog("the gdb stub did not answer: breakpoints may be left in the VM");
	session_over(g);
	return G_SOURCE_REMOVE;
}

static void say(GdbForward *g, const char *text)
{
	/* A few bytes into a socket that nobody else writes to: they fit, or it is broken. */
	if (send(g->stub.fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		klog("gdb stub: %s", g_strerror(errno));
}

static void on_mending(gpointer data, GIOCondition ready)
{
	GdbForward *g = data;
	guint8 bytes[512];
	gssize n = recv(g->stub.fd, bytes, sizeof(bytes), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		session_over(g);
		return;
	}
	remember(g->heard, sizeof(g->heard), bytes, (gsize) n);
	if (strstr(g->heard, "$OK#9a")) {
		say(g, "+");
		klog("gdb ended without a detach: its breakpoints are removed, the VM goes on");
		session_over(g);
	} else if (memchr(bytes, '-', (gsize) n) && !g->said_detach_again) {
		/* The dead gdb was cut within a packet, which ours has completed. */
		g->said_detach_again = TRUE;
		say(g, DETACH);
	}
}

static void begin_mending(GdbForward *g)
{
	end_close(&g->gdb);
	if (g->stub.fd < 0 || g->was_stopped || qmp_panicked(g->k->qmp) || said_goodbye(g->tail)) {
		session_over(g);
		return;
	}
	g_clear_pointer(&g->stub.watch, watch_free);
	g->mending = TRUE;
	g->said_detach_again = FALSE;
	g->heard[0] = 0;
	if (g->listen_watch)
		watch_set(g->listen_watch, 0);
	g->stub.watch = watch_new(g->stub.fd, G_IO_IN, on_mending, g);
	g->mend_timer = g_timeout_add(MEND_MS, mend_timeout, g);
	say(g, INTERRUPT_AND_DETACH);
}

/* --- Passing bytes ---------------------------------------------------------------------------- */

static void set_conditions(GdbForward *g)
{
	gboolean up = g->to_stub.start < g->to_stub.end, down = g->to_gdb.start < g->to_gdb.end;

	watch_set(g->gdb.watch, (up ? 0 : G_IO_IN) | (down ? G_IO_OUT : 0));
	watch_set(g->stub.watch, (down ? 0 : G_IO_IN) | (up ? G_IO_OUT : 0));
}

/* Reads when the buffer is empty, writes at once what it can. FALSE: `from` is closed or broken. */
static gboolean pump(int from, int to, Pipe *p)
{
	gssize n;

	if (p->start == p->end) {
		n = recv(from, p->bytes, sizeof(p->bytes), 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return TRUE;
		if (n <= 0)
			return FALSE;
		p->start = 0;
		p->end = (gsize) n;
	}
	n = send(to, p->bytes + p->start, p->end - p->start, MSG_NOSIGNAL);
	if (n > 0)
		p->start += (gsize) n;
	return TRUE; /* a broken `to` is seen by its own watch */
}

static void on_gdb(gpointer data, GIOCondition ready)
{
	GdbForward *g = data;
	gboolean full = g->to_stub.start < g->to_stub.end, alive = TRUE;

	if (ready & G_IO_OUT)
		pump(g->stub.fd, g->gdb.fd, &g->to_gdb);
	if ((ready & G_IO_IN) && !full) {
		alive = pump(g->gdb.fd, g->stub.fd, &g->to_stub);
		if (alive)
			remember(g->tail, sizeof(g->tail), g->to_stub.bytes, g->to_stub.end);
	} else if (ready & (G_IO_HUP | G_IO_ERR)) {
		alive = FALSE;
	}
	if (alive) {
		set_conditions(g);
		return;
	}
	klog("gdb (pid %d) has gone", (int) g->peer.pid);
	begin_mending(g);
}

static void on_stub(gpointer data, GIOCondition ready)
{
	GdbForward *g = data;
	gboolean full = g->to_gdb.start < g->to_gdb.end, alive = TRUE;

	if (ready & G_IO_OUT)
		pump(g->gdb.fd, g->stub.fd, &g->to_stub);
	if ((ready & G_IO_IN) && !full)
		alive = pump(g->stub.fd, g->gdb.fd, &g->to_gdb);
	else if (ready & (G_IO_HUP | G_IO_ERR))
		alive = FALSE;
	if (alive) {
		set_conditions(g);
		return;
	}
	klog("QEMU has closed the gdb stub");
	end_close(&g->stub);
	session_over(g);
}

/* --- A gdb comes ------------------------------------------------------------------------------ */

static gboolean note_session(const GdbForward *g, GError **error)
{
	g_autofree char *text = g_strdup_printf("%d\n", g->was_stopped);

	return g_file_set_contents_full(SESSION_NAME, text, -1, G_FILE_SET_CONTENTS_CONSISTENT,
					0600, error);
}

/* Takes fd. */
static void begin_session(GdbForward *g, int fd)
{
	g_autoptr(GError) error = NULL;
	const int one = 1;

	/* A moment's stop is the end of the gdb before, whose RESUME is on its way to us. */
	g->was_stopped = qmp_stopped_ms(g->k->qmp) > SETTLE_MS;
	if (!note_session(g, &error)) {
		klog("gdb is turned away: %s", error->message);
		close(fd);
		return;
	}
	g->stub.fd = unix_connect(g->k->boot->gdb_socket, SOCK_NONBLOCK);
	if (g->stub.fd < 0) {
		klog("%s: %s", g->k->boot->gdb_socket, g_strerror(-g->stub.fd));
		g->stub.fd = -1;
		unlink(SESSION_NAME);
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	g->gdb.fd = fd;
	g->to_stub.start = g->to_stub.end = g->to_gdb.start = g->to_gdb.end = 0;
	g->tail[0] = 0;
	g->gdb.watch = watch_new(fd, G_IO_IN, on_gdb, g);
	g->stub.watch = watch_new(g->stub.fd, G_IO_IN, on_stub, g);
	klog("gdb: pid %d (%s)", (int) g->peer.pid, g->peer.comm);
}

static gboolean pause_over(gpointer data)
{
	GdbForward *g = data;

	g->pause = 0;
	if (!g->mending)
		watch_set(g->listen_watch, G_IO_IN);
	return G_SOURCE_REMOVE;
}

static void on_accept(gpointer data, GIOCondition ready)
{
	GdbForward *g = data;
	int fd = accept4(g->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	g_autofree char *why = NULL;
	GdbPeer peer;

	if (fd < 0) {
		watch_set(g->listen_watch, 0);
		if (!g->pause)
			g->pause = g_timeout_add(ACCEPT_PAUSE_MS, pause_over, g);
		return;
	}
	if (!gdb_peer_allowed(fd, qmp_pid(g->k->qmp), &peer, &why)) {
		klog("a connection to the gdb port was turned away: %s", why);
		close(fd);
	} else if (g->gdb.fd >= 0) {
		klog("gdb pid %d (%s) was turned away: pid %d (%s) holds the VM", (int) peer.pid,
		     peer.comm, (int) g->peer.pid, g->peer.comm);
		close(fd);
	} else {
		g->peer = peer;
		begin_session(g, fd);
	}
}

/* --- Life ------------------------------------------------------------------------------------- */

GdbForward *gdb_forward_new(Keeper *k)
{
	GdbForward *g = g_new0(GdbForward, 1);

	g->k = k;
	g->listen_fd = g->gdb.fd = g->stub.fd = -1;
	return g;
}

void gdb_forward_start(GdbForward *g)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons((guint16) g->k->boot->gdb_port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int one = 1;

	if (strcmp(g->k->boot->gdb_mode, "keeper"))
		return;
	g->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (g->listen_fd >= 0)
		setsockopt(g->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (g->listen_fd < 0 ||
	    bind(g->listen_fd, (struct sockaddr *) &address, sizeof(address)) < 0 ||
	    listen(g->listen_fd, 8) < 0) {
		g->error = g_strdup_printf("gdb port 127.0.0.1:%u: %s", g->k->boot->gdb_port,
					   g_strerror(errno));
		klog("%s", g->error);
		if (g->listen_fd >= 0)
			close(g->listen_fd);
		g->listen_fd = -1;
	}
}

void gdb_forward_qemu_here(GdbForward *g)
{
	g_autofree char *text = NULL;

	if (g->listen_fd >= 0)
		g->listen_watch = watch_new(g->listen_fd, G_IO_IN, on_accept, g);
	if (strcmp(g->k->boot->gdb_mode, "keeper") ||
	    !g_file_get_contents(SESSION_NAME, &text, NULL, NULL))
		return;
	klog("a gdb was connected when the keeper before this one died");
	g->was_stopped = text[0] == '1';
	g->stub.fd = unix_connect(g->k->boot->gdb_socket, SOCK_NONBLOCK);
	begin_mending(g);
}

void gdb_forward_free(GdbForward *g)
{
	if (!g)
		return;
	g_clear_pointer(&g->listen_watch, watch_free);
	g_clear_handle_id(&g->pause, g_source_remove);
	g_clear_handle_id(&g->mend_timer, g_source_remove);
	end_close(&g->gdb);
	end_close(&g->stub);
	if (g->listen_fd >= 0)
		close(g->listen_fd);
	g_free(g->error);
	g_free(g);
}

char *gdb_forward_address(const GdbForward *g)
{
	const BootState *b = g->k->boot;

	if (!strcmp(b->gdb_mode, "unix"))
		return g_strdup(b->gdb_socket);
	return b->gdb_port ? g_strdup_printf("127.0.0.1:%u", b->gdb_port) : NULL;
}

char *gdb_forward_holder(const GdbForward *g)
{
	if (g->gdb.fd < 0)
		return NULL;
	return g_strdup_printf("%d %s", (int) g->peer.pid, g->peer.comm);
}

const char *gdb_forward_error(const GdbForward *g)
{
	return g->error;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lines of JSON each way. Replies come in the order of the commands, so a queue of who asked is
 * all that is kept.
 */
#include "qmp.h"

#include <errno.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "gdb-forward.h"
#include "lines.h"
#include "setup.h"
#include "streams.h"
#include "util/unix-connect.h"
#include "watch.h"

#define READ_BYTES 4096
#define RETRY_MS 20
#define QMP_WAIT_MS 30000

typedef struct {
	QmpReply f;
	gpointer data;
} Asked;

struct Qmp {
	Keeper *k;
	int fd;
	Watch *watch;
	guint retry_timer;
	gint64 deadline; /* monotonic µs, for the first connection */
	Lines lines;
	GByteArray *out;
	GQueue asked; /* of Asked* */

	pid_t pid;
	char *state;
	gint64 stopped_since; /* monotonic µs; 0: running */
	guint changes;	      /* STOP and RESUME events so far */
	gboolean asking;      /* a query-status is under way, */
	guint asked_at;	      /* sent when there had been so many changes */
	gboolean panicked;
	gint64 up_us;
};

/* --- Commands --------------------------------------------------------------------------------- */

static void flush(Qmp *q)
{
	while (q->out->len > 0) {
		gssize n = send(q->fd, q->out->data, q->out->len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		g_byte_array_remove_range(q->out, 0, (guint) n);
	}
	watch_set(q->watch, q->out->len ? G_IO_IN | G_IO_OUT : G_IO_IN);
}

void qmp_command(Qmp *q, const char *command, QmpReply f, gpointer data)
{
	g_autofree char *text = g_strdup_printf("{\"execute\": \"%s\"}\n", command);
	Asked *asked;

	if (!q->watch) {
		if (f)
			f(data, NULL);
		return;
	}
	asked = g_new0(Asked, 1);
	asked->f = f;
	asked->data = data;
	g_queue_push_tail(&q->asked, asked);
	g_byte_array_append(q->out, (const guint8 *) text, (guint) strlen(text));
	flush(q);
}

static void answer(Qmp *q, const char *reply)
{
	g_autofree Asked *asked = g_queue_pop_head(&q->asked);

	if (asked && asked->f)
		asked->f(asked->data, reply);
}

/* --- What the VM does ------------------------------------------------------------------------- */

static void set_state(Qmp *q, const char *state, gboolean running)
{
	gboolean was_stopped = q->stopped_since != 0;
	gint64 stopped_ms = qmp_stopped_ms(q);

	if (g_strcmp0(q->state, state)) {
		g_free(q->state);
		q->state = g_strdup(state);
	}
	if (running)
		q->stopped_since = 0;
	else if (!was_stopped)
		q->stopped_since = g_get_monotonic_time();
	if (running && was_stopped)
		setup_resumed(q->k->setup, stopped_ms);
	streams_recheck(q->k->streams);
}

static void on_status(gpointer data, const char *reply);

/*
 * A reply and an event may overtake each other: an answer that was asked for before the last event
 * says nothing, and the question is put again.
 */
static void ask_status(Qmp *q)
{
	if (q->asking)
		return;
	q->asking = TRUE;
	q->asked_at = q->changes;
	qmp_command(q, "query-status", on_status, q);
}

static void on_status(gpointer data, const char *reply)
{
	Qmp *q = data;

	q->asking = FALSE;
	if (!reply)
		return;
	if (q->asked_at != q->changes) {
		ask_status(q);
		return;
	}
	if (!strcmp(reply, "guest-panicked"))
		q->panicked = TRUE;
	/* A VM that waits for its incoming memory runs in no sense that matters to an operation. */
	set_state(q, reply, !strcmp(reply, "running"));
}

/* What runs there will never end by itself; what gdb can still see is not the keeper's matter. */
static void on_panic(Qmp *q)
{
	g_autofree char *why = g_strdup_printf("%s's kernel has panicked: `devvm console %s` "
					       "shows its last words",
					       q->k->boot->name, q->k->boot->name);

	q->panicked = TRUE;
	klog("the guest's kernel has panicked");
	ask_status(q);
	channel_new_session(q->k->channel, why);
}

static void on_event(Qmp *q, const char *event)
{
	if (!strcmp(event, "STOP")) {
		q->changes++;
		set_state(q, "stopped", FALSE);
		ask_status(q);
	} else if (!strcmp(event, "RESUME")) {
		q->changes++;
		set_state(q, "running", TRUE);
	} else if (!strcmp(event, "GUEST_PANICKED")) {
		on_panic(q);
	} else if (!strcmp(event, "RESET")) {
		q->panicked = FALSE;
		klog("the guest was restarted");
		setup_guest_reset(q->k->setup);
		channel_new_session(q->k->channel, "the guest was restarted");
	} else if (!strcmp(event, "SHUTDOWN")) {
		klog("the guest shuts down");
	}
}

/* --- Lines ------------------------------------------------------------------------------------ */

static const char *string_member(JsonObject *object, const char *name)
{
	JsonNode *node = object ? json_object_get_member(object, name) : NULL;

	return node && JSON_NODE_HOLDS_VALUE(node) &&
			       json_node_get_value_type(node) == G_TYPE_STRING
		       ? json_node_get_string(node)
		       : NULL;
}

static void take_return(Qmp *q, JsonObject *object)
{
	JsonNode *node = json_object_get_member(object, "return");
	const char *status = node && JSON_NODE_HOLDS_OBJECT(node)
				     ? string_member(json_node_get_object(node), "status")
				     : NULL;

	answer(q, status ? status : "");
}

static void take_line(gpointer data, const char *line, gsize n)
{
	Qmp *q = data;
	g_autoptr(JsonParser) parser = json_parser_new();
	JsonNode *root = json_parser_load_from_data(parser, line, (gssize) n, NULL)
				 ? json_parser_get_root(parser)
				 : NULL;
	JsonObject *object =
		root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
	const char *event = string_member(object, "event");

	if (!object) {
		klog("QMP: a line that is no JSON object");
	} else if (event) {
		on_event(q, event);
	} else if (json_object_has_member(object, "return")) {
		take_return(q, object);
	} else if (json_object_has_member(object, "error")) {
		answer(q, NULL);
	} else if (json_object_has_member(object, "QMP")) {
		q->up_us = g_get_real_time();
		qmp_command(q, "qmp_capabilities", NULL, NULL);
		ask_status(q);
	}
}

static void gone(Qmp *q)
{
	g_autofree char *why = g_strdup_printf(
		"%s has ended (its QEMU is gone): nobody knows how the command ended; start it "
		"again with `devvm up %s`",
		q->k->boot->name, q->k->boot->name);

	g_clear_pointer(&q->watch, watch_free);
	close(q->fd);
	q->fd = -1;
	q->pid = 0;
	while (!g_queue_is_empty(&q->asked))
		answer(q, NULL);
	klog("QEMU is gone");
	keeper_end(q->k, why);
}

static void on_ready(gpointer data, GIOCondition ready)
{
	Qmp *q = data;
	guint8 bytes[READ_BYTES];
	gssize n;

	if (ready & G_IO_OUT)
		flush(q);
	if (!(ready & (G_IO_IN | G_IO_HUP | G_IO_ERR)))
		return;
	n = recv(q->fd, bytes, sizeof(bytes), 0);
	if (n > 0)
		lines_add(&q->lines, bytes, (gsize) n, take_line, q);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		gone(q);
}

/* --- Life ------------------------------------------------------------------------------------- */

static gboolean try_connect(gpointer data)
{
	Qmp *q = data;
	struct ucred cred = {0};
	socklen_t size = sizeof(cred);
	int fd = unix_connect(q->k->boot->qmp_socket, SOCK_NONBLOCK);

	if (fd < 0) {
		if (g_get_monotonic_time() < q->deadline)
			return G_SOURCE_CONTINUE;
		q->retry_timer = 0;
		klog("%s: %s", q->k->boot->qmp_socket, g_strerror(-fd));
		keeper_end(q->k, "the VM is not running");
		return G_SOURCE_REMOVE;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0)
		q->pid = cred.pid;
	q->fd = fd;
	q->watch = watch_new(fd, G_IO_IN, on_ready, q);
	q->retry_timer = 0;
	klog("QEMU is pid %d", (int) q->pid);
	keeper_qemu_here(q->k);
	return G_SOURCE_REMOVE;
}

Qmp *qmp_new(Keeper *k)
{
	Qmp *q = g_new0(Qmp, 1);

	q->k = k;
	q->fd = -1;
	lines_init(&q->lines);
	q->out = g_byte_array_new();
	q->state = g_strdup("unknown");
	g_queue_init(&q->asked);
	return q;
}

void qmp_start(Qmp *q)
{
	q->deadline = g_get_monotonic_time() + QMP_WAIT_MS * 1000;
	if (try_connect(q) == G_SOURCE_CONTINUE)
		q->retry_timer = g_timeout_add(RETRY_MS, try_connect, q);
}

void qmp_free(Qmp *q)
{
	if (!q)
		return;
	g_clear_pointer(&q->watch, watch_free);
	g_clear_handle_id(&q->retry_timer, g_source_remove);
	if (q->fd >= 0)
		close(q->fd);
	g_queue_clear_full(&q->asked, g_free);
	lines_clear(&q->lines);
	g_byte_array_unref(q->out);
	g_free(q->state);
	g_free(q);
}

pid_t qmp_pid(const Qmp *q)
{
	return q->pid;
}

gboolean qmp_stopped(const Qmp *q)
{
	return q->stopped_since != 0;
}

gint64 qmp_stopped_ms(const Qmp *q)
{
	return q->stopped_since ? (g_get_monotonic_time() - q->stopped_since) / 1000 : 0;
}

gboolean qmp_panicked(const Qmp *q)
{
	return q->panicked;
}

const char *qmp_state(const Qmp *q)
{
	return q->state;
}

gint64 qmp_up_us(const Qmp *q)
{
	return q->up_us;
}

char *qmp_stopped_text(const Qmp *q)
{
	const char *name = q->k->boot->name;
	g_autofree char *holder = gdb_forward_holder(q->k->gdb);

	if (q->panicked)
		return g_strdup_printf("%s has panicked and is kept as it was: look at `devvm "
				       "console %s`, then `devvm reboot %s`",
				       name, name, name);
	if (holder)
		return g_strdup_printf("%s is stopped in gdb (pid %s): continue there, or end "
				       "that gdb",
				       name, holder);
	if (!strcmp(q->state, "debug"))
		return g_strdup_printf("%s is stopped in gdb: continue there", name);
	return g_strdup_printf("%s is stopped (%s): continue in the gdb that holds it, or `virsh "
			       "resume %s` if it was suspended",
			       name, q->state, name);
}

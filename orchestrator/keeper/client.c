// SPDX-License-Identifier: GPL-2.0-or-later
#include "client.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chunks.h"
#include "client-proto.h"
#include "setup.h"
#include "status.h"
#include "streams.h"
#include "util/frames.h"
#include "watch.h"

#define CLIENTS_MAX 128
#define ACCEPT_PAUSE_MS 100 /* when there are too many, or no fds: no busy loop */
#define READY_WAIT_MAX_MS (10 * 60 * 1000)

typedef struct {
	Clients *all;
	int fd;
	Watch *watch;
	FrameReader in;
	GByteArray *out; /* frames on their way to the client: about two at most */
	GPtrArray *streams;
	guint next;	 /* whose turn it is to be put into out */
	gboolean midway; /* an operation of its has been taken to the guest */
	guint idle;	 /* source that frees the client */
} Client;

/* One operation as the client sees it. */
typedef struct {
	Client *client;
	guint32 id;
	Stream *stream; /* NULL: an operation of the keeper's own, or ended */
	Chunks out;
	guint32 credit; /* for the client's input, to be sent */
	char *note;
	guint ready_timer; /* KEEPER_READY */
	gboolean waits_ready;
	gboolean ended; /* the EXIT below is to be sent after all output */
	guint32 how;
	gint32 value;
	char *message;
} Operation;

struct Clients {
	Keeper *k;
	int listen_fd;
	Watch *watch;
	guint pause;
	GPtrArray *list; /* of Client* */
};

/* --- Life and death --------------------------------------------------------------------------- */

static void operation_free(gpointer data)
{
	Operation *o = data;

	if (o->stream)
		stream_cancel(o->stream);
	g_clear_handle_id(&o->ready_timer, g_source_remove);
	chunks_clear(&o->out);
	g_free(o->note);
	g_free(o->message);
	g_free(o);
}

static void client_free(gpointer data)
{
	Client *c = data;

	g_clear_handle_id(&c->idle, g_source_remove);
	g_ptr_array_unref(c->streams);
	watch_free(c->watch);
	close(c->fd);
	frames_clear(&c->in);
	g_byte_array_unref(c->out);
	g_free(c);
}

static gboolean drop_now(gpointer data)
{
	Client *c = data;

	c->idle = 0;
	g_ptr_array_remove_fast(c->all->list, c);
	return G_SOURCE_REMOVE;
}

/* Frees the client, but not under the feet of its callers. */
static void drop(Client *c)
{
	if (!c->idle)
		c->idle = g_idle_add_full(G_PRIORITY_HIGH, drop_now, c, NULL);
	watch_set(c->watch, 0);
}

/* --- To the client ---------------------------------------------------------------------------- */

static void wake(Client *c)
{
	if (!c->idle)
		watch_set(c->watch, G_IO_IN | G_IO_OUT);
}

static void put(Client *c, guint32 id, guint32 type, const void *payload, gsize n)
{
	gsize at = c->out->len;

	g_byte_array_set_size(c->out, (guint) (at + PROTO_HEADER_SIZE + n));
	frames_put(c->out->data + at, 0, id, type, payload, n);
}

static void put_exit(Operation *o)
{
	g_autofree guint8 *payload = g_malloc(PROTO_MAX_PAYLOAD);
	struct wire w = wire_over(payload, PROTO_MAX_PAYLOAD);
	g_autofree char *message = g_strndup(o->message ? o->message : "", PROTO_MAX_PAYLOAD / 2);

	wire_put_u32(&w, o->how);
	wire_put_u32(&w, (guint32) o->value);
	wire_put_str(&w, message);
	put(o->client, o->id, PROTO_EXIT, payload, w.pos);
}

/* Puts one frame of the operation into the client's buffer; FALSE when it has none. */
static gboolean put_next(Operation *o)
{
	guint8 part[PROTO_MAX_PAYLOAD];
	struct wire w = wire_over(part, sizeof(part));
	guint32 kind;
	gsize n;

	if (o->note) {
		wire_put_str(&w, o->note);
		g_clear_pointer(&o->note, g_free);
		put(o->client, o->id, KEEPER_NOTE, part, w.pos);
	} else if (o->credit) {
		wire_put_u32(&w, o->credit);
		o->credit = 0;
		put(o->client, o->id, PROTO_CREDIT, part, w.pos);
	} else if ((n = chunks_take(&o->out, &kind, part, sizeof(part))) > 0) {
		put(o->client, o->id, kind, part, n);
	} else if (o->ended) {
		put_exit(o);
		g_ptr_array_remove_fast(o->client->streams, o);
	} else {
		return FALSE;
	}
	return TRUE;
}

/* Fills the buffer, the operations in turn. */
static void fill(Client *c)
{
	guint idle = 0;

	while (c->out->len < PROTO_MAX_FRAME && idle < c->streams->len) {
		c->next = (c->next + 1) % c->streams->len;
		if (put_next(g_ptr_array_index(c->streams, c->next)))
			idle = 0;
		else
			idle++;
	}
}

/* FALSE: the client is gone. */
static gboolean send_some(Client *c)
{
	fill(c);
	while (c->out->len > 0) {
		gssize n = send(c->fd, c->out->data, c->out->len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return TRUE;
		if (n <= 0)
			return FALSE;
		g_byte_array_remove_range(c->out, 0, (guint) n);
		fill(c);
	}
	watch_set(c->watch, G_IO_IN);
	return TRUE;
}

static void end(Operation *o, guint32 how, gint32 value, const char *message)
{
	g_clear_handle_id(&o->ready_timer, g_source_remove);
	o->waits_ready = FALSE;
	o->stream = NULL;
	o->ended = TRUE;
	o->how = how;
	o->value = value;
	g_free(o->message);
	o->message = g_strdup(message);
	wake(o->client);
}

static void on_data(Stream *s, gpointer owner, guint32 type, const guint8 *bytes, gsize n)
{
	Operation *o = owner;

	chunks_add(&o->out, type, bytes, n);
	wake(o->client);
}

static void on_credit(Stream *s, gpointer owner, guint32 n)
{
	Operation *o = owner;

	o->credit += n;
	wake(o->client);
}

static void on_note(Stream *s, gpointer owner, const char *text)
{
	Operation *o = owner;

	g_free(o->note);
	o->note = g_strdup(text);
	wake(o->client);
}

static void on_ended(Stream *s, gpointer owner, guint32 how, gint32 value, const char *message)
{
	end(owner, how, value, message);
}

static const StreamOwner operation_ops = {on_data, on_credit, on_note, on_ended};

/* --- The keeper's own operations -------------------------------------------------------------- */

static void answer_status(Operation *o)
{
	g_autofree char *text = status_text(o->client->all->k);

	chunks_add(&o->out, PROTO_STDOUT, (const guint8 *) text, MIN(strlen(text), PROTO_WINDOW));
	end(o, PROTO_EXITED, 0, "");
}

/* TRUE when the wait is over. */
static gboolean check_ready(Operation *o)
{
	Setup *setup = o->client->all->k->setup;
	g_autofree char *text = setup_text(setup);

	if (setup_ready(setup))
		end(o, PROTO_EXITED, 0, "");
	else if (setup_failed(setup))
		end(o, PROTO_FAILED, KEEPER_NOT_READY, text);
	else
		return FALSE;
	return TRUE;
}

static gboolean ready_timeout(gpointer data)
{
	Operation *o = data;
	g_autofree char *text = setup_text(o->client->all->k->setup);

	o->ready_timer = 0;
	end(o, PROTO_FAILED, KEEPER_NOT_READY, text);
	return G_SOURCE_REMOVE;
}

static void wait_ready(Operation *o, guint32 timeout_ms)
{
	if (check_ready(o))
		return;
	o->waits_ready = TRUE;
	o->ready_timer = g_timeout_add(MIN(timeout_ms, READY_WAIT_MAX_MS), ready_timeout, o);
}

void clients_guest_changed(Clients *all)
{
	for (guint i = 0; all && i < all->list->len; i++) {
		Client *c = g_ptr_array_index(all->list, i);

		for (guint j = 0; j < c->streams->len; j++) {
			Operation *o = g_ptr_array_index(c->streams, j);

			if (o->waits_ready)
				check_ready(o);
		}
	}
}

/* --- From the client -------------------------------------------------------------------------- */

static Operation *find(Client *c, guint32 id)
{
	for (guint i = 0; i < c->streams->len; i++) {
		Operation *o = g_ptr_array_index(c->streams, i);

		if (o->id == id)
			return o;
	}
	return NULL;
}

static gboolean take_open(Client *c, guint32 id, guint8 *payload, gsize n)
{
	Keeper *k = c->all->k;
	struct wire w = wire_over(payload, n);
	guint32 op = wire_get_u32(&w);
	Operation *o;

	if (w.bad || id == 0 || find(c, id) || c->streams->len >= PROTO_MAX_STREAMS)
		return FALSE;
	o = g_new0(Operation, 1);
	o->client = c;
	o->id = id;
	chunks_init(&o->out);
	g_ptr_array_add(c->streams, o);
	if (op == PROTO_OP_KEEPER_STATUS) {
		answer_status(o);
	} else if (op == PROTO_OP_KEEPER_READY) {
		wait_ready(o, wire_get_u32(&w));
	} else if (op == PROTO_OP_KEEPER_QUIT) {
		end(o, PROTO_EXITED, 0, "");
		keeper_end(k, "the keeper was told to end");
	} else if (op >= PROTO_OP_KEEPER_STATUS || op == PROTO_OP_SETUP) {
		end(o, PROTO_FAILED, ENOSYS, "the keeper does not know this operation");
	} else {
		o->stream = streams_open(k->streams, c->midway ? STREAM_LATER : STREAM_FIRST, op,
					 payload + 4, n - 4, &operation_ops, o);
		c->midway = TRUE;
		if (!o->stream)
			end(o, PROTO_FAILED, EAGAIN,
			    "too many operations run in this guest at once: end some first");
	}
	return TRUE;
}

/* FALSE: the client broke the protocol. */
static gboolean take_frame(Client *c, const struct proto_header *h, guint8 *payload)
{
	struct wire w = wire_over(payload, h->length);
	Operation *o = find(c, h->stream);
	guint32 a, b;

	if (h->type == PROTO_OPEN)
		return take_open(c, h->stream, payload, h->length);
	if (!o || !o->stream)
		return TRUE; /* it has ended while this was on its way */
	switch (h->type) {
	case PROTO_STDIN:
		return stream_input(o->stream, payload, h->length);
	case PROTO_CREDIT:
		a = wire_get_u32(&w);
		return !w.bad && stream_credit(o->stream, a);
	case PROTO_SIGNAL:
		a = wire_get_u32(&w);
		return !w.bad && stream_signal(o->stream, a);
	case PROTO_WINSIZE:
		a = wire_get_u32(&w);
		b = wire_get_u32(&w);
		if (!w.bad)
			stream_winsize(o->stream, a, b);
		return !w.bad;
	case PROTO_CANCEL:
		stream_cancel(o->stream);
		end(o, PROTO_LOST, 0, "it was cancelled");
		return TRUE;
	default:
		return FALSE;
	}
}

/* FALSE: the client is gone, or has to go. */
static gboolean receive(Client *c)
{
	gsize room;
	guint8 *at = frames_room(&c->in, &room), *payload;
	gssize n = recv(c->fd, at, room, 0);
	struct proto_header h;
	FramesResult result;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return TRUE;
	if (n <= 0)
		return FALSE;
	frames_filled(&c->in, (gsize) n);
	while ((result = frames_next(&c->in, &h, &payload)) == FRAMES_FRAME)
		if (!take_frame(c, &h, payload))
			result = FRAMES_GARBAGE;
	if (result == FRAMES_GARBAGE)
		klog("a client broke the protocol: dropped");
	return result != FRAMES_GARBAGE;
}

static void on_ready(gpointer data, GIOCondition ready)
{
	Client *c = data;
	gboolean alive = TRUE;

	if (c->idle)
		return;
	if (ready & G_IO_IN)
		alive = receive(c);
	else if (ready & (G_IO_HUP | G_IO_ERR))
		alive = FALSE;
	if (alive && (ready & G_IO_OUT))
		alive = send_some(c);
	if (!alive)
		drop(c);
}

/* --- Accepting -------------------------------------------------------------------------------- */

static gboolean pause_over(gpointer data)
{
	Clients *all = data;

	all->pause = 0;
	if (all->watch)
		watch_set(all->watch, G_IO_IN);
	return G_SOURCE_REMOVE;
}

static void add_client(Clients *all, int fd)
{
	Client *c = g_new0(Client, 1);

	c->all = all;
	c->fd = fd;
	frames_init(&c->in, 0, FALSE);
	c->out = g_byte_array_new();
	c->streams = g_ptr_array_new_with_free_func(operation_free);
	c->watch = watch_new(fd, G_IO_IN, on_ready, c);
	g_ptr_array_add(all->list, c);
}

static void on_accept(gpointer data, GIOCondition ready)
{
	Clients *all = data;
	struct ucred cred;
	socklen_t size = sizeof(cred);
	int fd = all->list->len < CLIENTS_MAX
			 ? accept4(all->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)
			 : -1;

	if (fd < 0) {
		watch_set(all->watch, 0);
		if (!all->pause)
			all->pause = g_timeout_add(ACCEPT_PAUSE_MS, pause_over, all);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0 || cred.uid != geteuid()) {
		klog("a client of another user was turned away");
		close(fd);
		return;
	}
	add_client(all, fd);
}

Clients *clients_new(Keeper *k, int listen_fd)
{
	Clients *all = g_new0(Clients, 1);

	all->k = k;
	all->listen_fd = listen_fd;
	all->list = g_ptr_array_new_with_free_func(client_free);
	all->watch = watch_new(listen_fd, G_IO_IN, on_accept, all);
	return all;
}

void clients_close(Clients *all)
{
	g_clear_pointer(&all->watch, watch_free);
	g_clear_handle_id(&all->pause, g_source_remove);
	if (all->listen_fd >= 0)
		close(all->listen_fd);
	all->listen_fd = -1;
}

void clients_free(Clients *all)
{
	if (!all)
		return;
	clients_close(all);
	g_ptr_array_unref(all->list);
	g_free(all);
}

gboolean clients_busy(const Clients *all)
{
	for (guint i = 0; i < all->list->len; i++) {
		const Client *c = g_ptr_array_index(all->list, i);

		if (!c->idle && (c->out->len > 0 || c->streams->len > 0))
			return TRUE;
	}
	return FALSE;
}

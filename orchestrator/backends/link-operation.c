// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One operation from its OPEN to its EXIT: a poll loop over the keeper's socket, our input, our
 * output and our signals. Output gives credit only once it is written, and no more than the
 * window is read ahead of input, so nothing here grows. Output is written in pieces that a pipe
 * with room takes at once: our stdout is shared with others, so it cannot be made non-blocking.
 */
#include "link-private.h"

#include <errno.h>
#include <gio/gio.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE 4096
#define GIVE_UP_AFTER 3 /* this many SIGINTs, and we leave although the command does not */

typedef struct {
	int fd;
	GString *text;
	GByteArray *pending;
	gboolean broken;
} Sink;

typedef struct {
	Link *link;
	const LinkIo *io;
	guint32 id;
	Sink sinks[2]; /* STDOUT, STDERR */
	const guint8 *input;
	gsize input_left, window;
	gboolean input_over;
	int signal_fd;
	guint interrupts;
	gboolean leave; /* the user wants to */
	guint escape;	/* of a terminal: 1 after a line's end, 2 after "~" then */
	gboolean ended, lost;
	LinkEnd *end;
} Run;

/* --- To the keeper ---------------------------------------------------------------------------- */

static void queue(Link *link, guint32 id, guint32 type, const void *payload, gsize n)
{
	gsize at = link->out->len;

	g_byte_array_set_size(link->out, (guint) (at + PROTO_HEADER_SIZE + n));
	frames_put(link->out->data + at, 0, id, type, payload, n);
}

static void queue_numbers(Run *r, guint32 type, guint32 a, guint32 b, gsize numbers)
{
	guint8 payload[8];
	struct wire w = wire_over(payload, sizeof(payload));

	wire_put_u32(&w, a);
	wire_put_u32(&w, b);
	queue(r->link, r->id, type, payload, numbers * 4);
}

static void flush(Run *r)
{
	GByteArray *out = r->link->out;

	while (out->len > 0) {
		gssize n = send(r->link->fd, out->data, out->len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* a broken connection shows when we read */
		g_byte_array_remove_range(out, 0, (guint) n);
	}
}

/* --- Input ------------------------------------------------------------------------------------ */

static void queue_eof(Run *r)
{
	if (!r->input_over)
		queue(r->link, r->id, PROTO_STDIN, NULL, 0);
	r->input_over = TRUE;
}

static void feed_memory(Run *r)
{
	while (!r->input_over && r->window > 0) {
		gsize n = MIN(MIN(r->input_left, r->window), PROTO_MAX_PAYLOAD);

		if (n == 0) {
			queue_eof(r);
			return;
		}
		queue(r->link, r->id, PROTO_STDIN, r->input, n);
		r->input += n;
		r->input_left -= n;
		r->window -= n;
	}
}

/* "~." at the start of a line, as in ssh: the way out when the guest does not answer. */
static gboolean wants_out(Run *r, const guint8 *bytes, gsize n)
{
	for (gsize i = 0; i < n; i++) {
		if (r->escape == 2 && bytes[i] == '.')
			return TRUE;
		if (bytes[i] == '\r' || bytes[i] == '\n')
			r->escape = 1;
		else
			r->escape = r->escape == 1 && bytes[i] == '~' ? 2 : 0;
	}
	return FALSE;
}

static void feed_fd(Run *r)
{
	guint8 bytes[PROTO_MAX_PAYLOAD];
	gssize n;

	n = read(r->io->in_fd, bytes, MIN(sizeof(bytes), r->window));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		queue_eof(r);
		return;
	}
	if (r->io->tty && isatty(r->io->in_fd) && wants_out(r, bytes, (gsize) n)) {
		r->leave = TRUE;
		return;
	}
	queue(r->link, r->id, PROTO_STDIN, bytes, (gsize) n);
	r->window -= (gsize) n;
}

/* --- Output ----------------------------------------------------------------------------------- */

static void sink_bytes(Run *r, Sink *s, const guint8 *bytes, gsize n)
{
	if (s->text)
		g_string_append_len(s->text, (const char *) bytes, (gssize) n);
	if (s->text || s->fd < 0 || s->broken)
		queue_numbers(r, PROTO_CREDIT, (guint32) n, 0, 1);
	else
		g_byte_array_append(s->pending, bytes, (guint) n);
}

/* Called when poll says that the fd takes bytes. */
static void sink_flush(Run *r, Sink *s)
{
	gssize n = write(s->fd, s->pending->data, MIN(s->pending->len, PIECE));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0) {
		s->broken = TRUE;
		n = s->pending->len;
	}
	g_byte_array_remove_range(s->pending, 0, (guint) n);
	queue_numbers(r, PROTO_CREDIT, (guint32) n, 0, 1);
}

static gboolean all_written(const Run *r)
{
	return r->sinks[0].pending->len == 0 && r->sinks[1].pending->len == 0;
}

static void show_note(const Run *r, const char *text)
{
	g_autofree char *line = g_strdup_printf("%sdevvm: %s%s%s", r->io->tty ? "\r\n" : "", text,
						r->io->tty ? " (to leave: Enter, then ~.)" : "",
						r->io->tty ? "\r\n" : "\n");

	if (isatty(STDERR_FILENO) && write(STDERR_FILENO, line, strlen(line)) < 0) {
		/* A note is not worth failing for. */
	}
}

/* --- From the keeper -------------------------------------------------------------------------- */

static void take_exit(Run *r, struct wire *w)
{
	const char *message;

	r->end->how = wire_get_u32(w);
	r->end->value = (gint32) wire_get_u32(w);
	message = wire_get_str(w);
	r->end->message = g_strdup(message);
	r->ended = TRUE;
	r->lost = r->end->how == PROTO_LOST || w->bad;
}

static void take_frame(Run *r, const struct proto_header *h, guint8 *payload)
{
	struct wire w = wire_over(payload, h->length);

	if (h->stream != r->id || r->ended)
		return;
	if (h->type == PROTO_STDOUT)
		sink_bytes(r, &r->sinks[0], payload, h->length);
	else if (h->type == PROTO_STDERR)
		sink_bytes(r, &r->sinks[1], payload, h->length);
	else if (h->type == PROTO_CREDIT)
		r->window += wire_get_u32(&w);
	else if (h->type == KEEPER_NOTE)
		show_note(r, wire_get_str(&w));
	else if (h->type == PROTO_EXIT)
		take_exit(r, &w);
}

static void receive(Run *r)
{
	struct proto_header h;
	guint8 *payload, *at;
	FramesResult result;
	gsize room;
	gssize n;

	at = frames_room(&r->link->in, &room);
	n = recv(r->link->fd, at, room, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		frames_filled(&r->link->in, (gsize) n);
	while ((result = frames_next(&r->link->in, &h, &payload)) == FRAMES_FRAME)
		take_frame(r, &h, payload);
	if ((n <= 0 || result == FRAMES_GARBAGE) && !r->ended)
		r->ended = r->lost = TRUE;
}

/* --- Signals ---------------------------------------------------------------------------------- */

static void pass_size(Run *r)
{
	guint32 rows, columns;

	if (r->io->tty && link_terminal_size(&rows, &columns))
		queue_numbers(r, PROTO_WINSIZE, rows, columns, 2);
}

static void take_signals(Run *r)
{
	int number;

	while ((number = link_terminal_signal()) != 0) {
		if (number == SIGWINCH) {
			pass_size(r);
		} else if (number == SIGTSTP) {
			link_terminal_suspend();
			pass_size(r);
		} else if (r->io->tty) {
			r->leave = TRUE; /* its keys went as bytes: this is somebody else's kill */
		} else {
			queue_numbers(r, PROTO_SIGNAL, (guint32) number, 0, 1);
			if (number == SIGINT && ++r->interrupts >= GIVE_UP_AFTER)
				r->leave = TRUE;
		}
	}
}

/* In the background a read of the terminal would stop us. */
static gboolean may_read(const Run *r)
{
	pid_t front = tcgetpgrp(r->io->in_fd);

	return front < 0 || front == getpgrp();
}

/* --- The loop --------------------------------------------------------------------------------- */

enum { KEEPER, INPUT, OUTPUT, ERRORS, SIGNALS, N_FDS };

static void turn(Run *r)
{
	const gboolean wanted = r->io->has_input && r->io->in_fd >= 0 && !r->input_over &&
				!r->ended && r->window > 0 && r->link->out->len < PROTO_WINDOW;
	const gboolean input = wanted && may_read(r);
	struct pollfd fds[N_FDS] = {
		[KEEPER] = {.fd = r->ended ? -1 : r->link->fd,
			    .events = (short) (POLLIN | (r->link->out->len ? POLLOUT : 0))},
		[INPUT] = {.fd = input ? r->io->in_fd : -1, .events = POLLIN},
		[OUTPUT] = {.fd = r->sinks[0].pending->len ? r->sinks[0].fd : -1,
			    .events = POLLOUT},
		[ERRORS] = {.fd = r->sinks[1].pending->len ? r->sinks[1].fd : -1,
			    .events = POLLOUT},
		[SIGNALS] = {.fd = r->signal_fd, .events = POLLIN},
	};

	/* A background job on a terminal: look now and then whether it came to the front. */
	if (poll(fds, N_FDS, wanted && !input ? 500 : -1) < 0)
		return;
	if (fds[SIGNALS].revents)
		take_signals(r);
	if (fds[KEEPER].revents & (POLLIN | POLLHUP | POLLERR))
		receive(r);
	if (fds[OUTPUT].revents)
		sink_flush(r, &r->sinks[0]);
	if (fds[ERRORS].revents)
		sink_flush(r, &r->sinks[1]);
	if (fds[INPUT].revents && !r->ended)
		feed_fd(r);
	if (r->io->has_input && r->io->in_fd < 0 && !r->ended)
		feed_memory(r);
	flush(r);
}

static gboolean outcome(Run *r, GError **error)
{
	const char *name = r->link->name;
	const char *why = r->end->message;

	if (r->leave)
		return g_set_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED,
				   "left: the command in %s is ended", name),
		       FALSE;
	if (r->sinks[0].broken) {
		/* As a local command would end whose reader has gone. */
		r->end->how = PROTO_SIGNALED;
		r->end->value = SIGPIPE;
		return TRUE;
	}
	if (r->lost && why && *why)
		return devvm_fail(error, DEVVM_ERROR_LOST, "%s", why);
	if (r->lost)
		return devvm_fail(error, DEVVM_ERROR_LOST,
				  "the connection to %s's keeper was lost: the command may have "
				  "gone on or been ended; `devvm status %s` shows what is left",
				  name, name);
	if (r->end->how == PROTO_FAILED && r->end->value == KEEPER_STOPPED)
		return devvm_fail(error, DEVVM_ERROR_STOPPED, "%s", why);
	if (r->end->how == PROTO_FAILED && r->end->value == KEEPER_NOT_READY)
		return devvm_fail(error, DEVVM_ERROR_NOT_RUNNING, "%s", why);
	return TRUE;
}

static void queue_open(Run *r, guint32 op, const guint8 *arguments, gsize n)
{
	g_autofree guint8 *payload = g_malloc(n + 4);
	struct wire w = wire_over(payload, 4);

	wire_put_u32(&w, op);
	if (n)
		memcpy(payload + 4, arguments, n);
	queue(r->link, r->id, PROTO_OPEN, payload, n + 4);
}

gboolean link_operation(Link *link, guint32 op, const guint8 *arguments, gsize n, const LinkIo *io,
			LinkEnd *end, GError **error)
{
	Run r = {.link = link, .io = io, .end = end, .signal_fd = -1, .window = PROTO_WINDOW};
	gboolean ok;

	*end = (LinkEnd){0};
	if (n + 4 > PROTO_MAX_PAYLOAD)
		return devvm_fail(error, DEVVM_ERROR_FAILED,
				  "the command line is too long: its words may have %u bytes",
				  PROTO_MAX_PAYLOAD);
	r.id = link->next_stream++;
	r.escape = 1;
	r.input = io->input;
	r.input_left = io->input_size;
	r.sinks[0] = (Sink){io->out_fd, io->out, g_byte_array_new(), FALSE};
	r.sinks[1] = (Sink){io->err_fd, io->err, g_byte_array_new(), FALSE};
	queue_open(&r, op, arguments, n);
	if (io->pass_signals || io->tty)
		r.signal_fd = link_terminal_enter(io->tty);
	if (io->has_input && io->in_fd < 0)
		feed_memory(&r);
	flush(&r);
	while ((!r.ended || !all_written(&r)) && !r.leave && !r.sinks[0].broken)
		turn(&r);
	if (r.signal_fd >= 0)
		link_terminal_leave();
	if (r.leave || r.sinks[0].broken)
		queue(link, r.id, PROTO_CANCEL, NULL, 0);
	flush(&r);
	ok = outcome(&r, error);
	g_byte_array_unref(r.sinks[0].pending);
	g_byte_array_unref(r.sinks[1].pending);
	return ok;
}

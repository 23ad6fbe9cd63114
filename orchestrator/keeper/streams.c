// SPDX-License-Identifier: GPL-2.0-or-later
#include "streams.h"

#include <errno.h>
#include <stdio.h>

#include "channel.h"
#include "chunks.h"
#include "client-proto.h"
#include "qmp.h"
#include "setup.h"
#include "util/frames.h"

#define CHECK_MS 100	    /* how often waiting operations are looked at */
#define WAIT_READY_MS 30000 /* how long an operation waits for a guest that boots */
#define STOP_GRACE_MS \
	1000 /* a stop shorter than this (a symbol loader's, on a busy host) fails nothing */
#define STOP_NOTE_MS 2000 /* after this, running operations are told why nothing happens */

struct Stream {
	Streams *table;
	guint32 id;
	guint32 op;
	gboolean internal, later, sent, cancelled;
	gint64 opened; /* monotonic µs */
	const StreamOwner *ops;
	gpointer owner;

	GByteArray *open; /* OPEN's payload, until it is sent */
	Chunks input;	  /* STDIN for the agent */
	gsize input_out;  /* accepted from the owner, no credit from the agent yet */
	gsize input_sent; /* of these, sent to the agent */
	gboolean eof, eof_sent;
	gsize output_out; /* taken from the agent, no credit from the owner yet */

	guint32 credit;	 /* to send */
	guint64 signals; /* to send, a bit each */
	gboolean winsize, cancel_due, noted;
	guint32 rows, columns;
};

struct Streams {
	Keeper *k;
	Stream *slots[PROTO_MAX_STREAMS];
	guint next_slot; /* whose turn it is */
	guint32 next_id;
	guint timer;
};

Streams *streams_new(Keeper *k)
{
	Streams *t = g_new0(Streams, 1);

	t->k = k;
	t->next_id = 1;
	return t;
}

static void stream_free(Stream *s)
{
	for (guint i = 0; i < PROTO_MAX_STREAMS; i++)
		if (s->table->slots[i] == s)
			s->table->slots[i] = NULL;
	g_clear_pointer(&s->open, g_byte_array_unref);
	chunks_clear(&s->input);
	g_free(s);
}

void streams_free(Streams *t)
{
	if (!t)
		return;
	for (guint i = 0; i < PROTO_MAX_STREAMS; i++)
		if (t->slots[i])
			stream_free(t->slots[i]);
	if (t->timer)
		g_source_remove(t->timer);
	g_free(t);
}

static void stream_end(Stream *s, guint32 how, gint32 value, const char *message)
{
	if (s->ops)
		s->ops->ended(s, s->owner, how, value, message);
	stream_free(s);
}

/* --- The owner's side ------------------------------------------------------------------------- */

static void check_later(Streams *t);

static guint32 new_id(Streams *t)
{
	guint32 id = t->next_id++;

	if (t->next_id == 0)
		t->next_id = 1;
	return id;
}

Stream *streams_open(Streams *t, StreamKind kind, guint32 op, const guint8 *arguments, gsize n,
		     const StreamOwner *ops, gpointer owner)
{
	guint8 number[4];
	struct wire w = wire_over(number, sizeof(number));
	Stream *s;

	for (guint i = 0; i < PROTO_MAX_STREAMS; i++) {
		if (t->slots[i] || n + 4 > PROTO_MAX_PAYLOAD)
			continue;
		s = t->slots[i] = g_new0(Stream, 1);
		s->table = t;
		s->id = new_id(t);
		s->op = op;
		s->internal = kind == STREAM_INTERNAL;
		s->later = kind == STREAM_LATER;
		s->opened = g_get_monotonic_time();
		s->ops = ops;
		s->owner = owner;
		chunks_init(&s->input);
		wire_put_u32(&w, op);
		s->open = g_byte_array_sized_new((guint) n + 4);
		g_byte_array_append(s->open, number, 4);
		g_byte_array_append(s->open, arguments, (guint) n);
		check_later(t);
		channel_send(t->k->channel);
		return s;
	}
	return NULL;
}

gboolean stream_input(Stream *s, const guint8 *bytes, gsize n)
{
	if (s->eof || n > PROTO_WINDOW - s->input_out)
		return FALSE;
	if (n == 0)
		s->eof = TRUE;
	s->input_out += n;
	chunks_add(&s->input, PROTO_STDIN, bytes, n);
	channel_send(s->table->k->channel);
	return TRUE;
}

gboolean stream_credit(Stream *s, guint32 n)
{
	if (n > s->output_out)
		return FALSE;
	s->output_out -= n;
	s->credit += n;
	channel_send(s->table->k->channel);
	return TRUE;
}

gboolean stream_signal(Stream *s, guint32 signal)
{
	if (signal < 1 || signal > 64)
		return FALSE;
	if (!s->sent) {
		/* Nothing runs yet that could be asked: whoever waits for it is told as if. */
		stream_end(s, PROTO_SIGNALED, (gint32) signal, "");
		return TRUE;
	}
	s->signals |= G_GUINT64_CONSTANT(1) << (signal - 1);
	channel_send(s->table->k->channel);
	return TRUE;
}

void stream_winsize(Stream *s, guint32 rows, guint32 columns)
{
	s->winsize = TRUE;
	s->rows = rows;
	s->columns = columns;
	channel_send(s->table->k->channel);
}

void stream_cancel(Stream *s)
{
	s->ops = NULL;
	s->owner = NULL;
	if (!s->sent) {
		stream_free(s);
		return;
	}
	s->cancelled = s->cancel_due = TRUE;
	s->credit += (guint32) s->output_out;
	s->output_out = 0;
	chunks_clear(&s->input);
	channel_send(s->table->k->channel);
}

gsize stream_input_waiting(const Stream *s)
{
	return s->input.bytes;
}

/* --- What waits for the guest ----------------------------------------------------------------- */

/* May the operation be sent now? */
static gboolean may_go(const Stream *s)
{
	Keeper *k = s->table->k;

	return s->internal || (setup_ready(k->setup) && !qmp_stopped(k->qmp));
}

/* Ends a waiting operation that has waited in vain; TRUE when it did. */
static gboolean gave_up(Stream *s)
{
	Keeper *k = s->table->k;
	g_autofree char *why = NULL;
	gint64 waited_ms = (g_get_monotonic_time() - s->opened) / 1000;

	if (!s->later && qmp_stopped_ms(k->qmp) >= STOP_GRACE_MS && waited_ms >= STOP_GRACE_MS) {
		why = qmp_stopped_text(k->qmp);
		stream_end(s, PROTO_FAILED, KEEPER_STOPPED, why);
		return TRUE;
	}
	if (!setup_ready(k->setup) && (setup_failed(k->setup) || waited_ms >= WAIT_READY_MS)) {
		why = setup_text(k->setup);
		stream_end(s, PROTO_FAILED, KEEPER_NOT_READY, why);
		return TRUE;
	}
	return FALSE;
}

static void note_stop(Stream *s)
{
	Keeper *k = s->table->k;
	g_autofree char *why = NULL;

	if (s->noted || !s->ops || !s->ops->note)
		return;
	s->noted = TRUE;
	why = qmp_stopped_text(k->qmp);
	s->ops->note(s, s->owner, why);
}

static gboolean check(gpointer data)
{
	Streams *t = data;
	gboolean waiting = FALSE, stopped = qmp_stopped(t->k->qmp), go = FALSE;

	for (guint i = 0; i < PROTO_MAX_STREAMS; i++) {
		Stream *s = t->slots[i];

		if (!s)
			continue;
		if ((s->sent || s->later) && stopped && !s->internal && !s->noted) {
			if (qmp_stopped_ms(t->k->qmp) >= STOP_NOTE_MS)
				note_stop(s);
			else
				waiting = TRUE;
		} else if (!s->sent && may_go(s)) {
			go = TRUE;
		} else if (!s->sent && !gave_up(s)) {
			waiting = TRUE;
		}
	}
	if (go)
		channel_send(t->k->channel);
	if (waiting)
		return G_SOURCE_CONTINUE;
	t->timer = 0;
	return G_SOURCE_REMOVE;
}

static void check_later(Streams *t)
{
	if (!t->timer)
		t->timer = g_timeout_add(CHECK_MS, check, t);
}

void streams_recheck(Streams *t)
{
	check_later(t);
	channel_send(t->k->channel);
}

guint streams_count(const Streams *t)
{
	guint n = 0;

	for (guint i = 0; i < PROTO_MAX_STREAMS; i++)
		n += t->slots[i] && !t->slots[i]->internal;
	return n;
}

/* --- The agent's side ------------------------------------------------------------------------- */

static gsize put_u32(guint8 *out, guint32 session, Stream *s, guint32 type, guint32 value)
{
	guint8 payload[4];
	struct wire w = wire_over(payload, sizeof(payload));

	wire_put_u32(&w, value);
	return frames_put(out, session, s->id, type, payload, sizeof(payload));
}

static gsize put_winsize(guint8 *out, guint32 session, Stream *s)
{
	guint8 payload[8];
	struct wire w = wire_over(payload, sizeof(payload));

	s->winsize = FALSE;
	wire_put_u32(&w, s->rows);
	wire_put_u32(&w, s->columns);
	return frames_put(out, session, s->id, PROTO_WINSIZE, payload, sizeof(payload));
}

static gsize put_open(guint8 *out, guint32 session, Stream *s)
{
	gsize n = frames_put(out, session, s->id, PROTO_OPEN, s->open->data, s->open->len);

	g_clear_pointer(&s->open, g_byte_array_unref);
	s->sent = TRUE;
	return n;
}

static gsize put_input(guint8 *out, guint32 session, Stream *s)
{
	guint32 kind = PROTO_STDIN;
	gsize n = chunks_take(&s->input, &kind, out + PROTO_HEADER_SIZE, PROTO_MAX_PAYLOAD);

	if (n == 0)
		s->eof_sent = TRUE;
	s->input_sent += n;
	return frames_put(out, session, s->id, kind, out + PROTO_HEADER_SIZE, n);
}

/* The next frame of one stream, the most urgent first; 0 when it has none. */
static gsize stream_next_frame(Stream *s, guint32 session, guint8 *out)
{
	guint32 value;

	if (!s->sent)
		return may_go(s) ? put_open(out, session, s) : 0;
	if (s->cancel_due) {
		s->cancel_due = FALSE;
		return frames_put(out, session, s->id, PROTO_CANCEL, NULL, 0);
	}
	if (s->signals) {
		value = (guint32) __builtin_ctzll(s->signals);
		s->signals &= s->signals - 1;
		return put_u32(out, session, s, PROTO_SIGNAL, value + 1);
	}
	if (s->winsize)
		return put_winsize(out, session, s);
	if (s->credit) {
		value = s->credit;
		s->credit = 0;
		return put_u32(out, session, s, PROTO_CREDIT, value);
	}
	if (s->input.bytes > 0 || (s->eof && !s->eof_sent && !s->cancelled))
		return put_input(out, session, s);
	return 0;
}

gsize streams_next_frame(Streams *t, guint32 session, guint8 *out)
{
	for (guint i = 0; i < PROTO_MAX_STREAMS; i++) {
		guint slot = (t->next_slot + i) % PROTO_MAX_STREAMS;
		gsize n = t->slots[slot] ? stream_next_frame(t->slots[slot], session, out) : 0;

		if (n) {
			t->next_slot = (slot + 1) % PROTO_MAX_STREAMS;
			return n;
		}
	}
	return 0;
}

static void deliver_data(Stream *s, guint32 type, const guint8 *bytes, gsize n)
{
	if (n > PROTO_WINDOW - s->output_out) {
		klog("the agent sends beyond the window of operation %u: it is ended", s->id);
		if (s->ops)
			s->ops->ended(s, s->owner, PROTO_LOST, 0,
				      "the guest's agent broke the protocol");
		stream_cancel(s);
		return;
	}
	if (!s->ops) {
		s->credit += (guint32) n;
		return;
	}
	s->output_out += n;
	s->ops->data(s, s->owner, type, bytes, n);
}

static void deliver_credit(Stream *s, guint8 *payload, gsize n)
{
	struct wire w = wire_over(payload, n);
	guint32 value = wire_get_u32(&w);

	if (w.bad || value == 0 || value > s->input_sent || s->cancelled)
		return;
	s->input_out -= value;
	s->input_sent -= value;
	if (s->ops)
		s->ops->credit(s, s->owner, value);
}

static void deliver_exit(Stream *s, guint8 *payload, gsize n)
{
	struct wire w = wire_over(payload, n);
	guint32 how = wire_get_u32(&w);
	gint32 value = (gint32) wire_get_u32(&w);
	g_autofree char *message = g_utf8_make_valid(wire_get_str(&w), -1);

	if (w.bad || how > PROTO_LOST) {
		stream_end(s, PROTO_LOST, 0, "the guest's agent broke the protocol");
		return;
	}
	if (how == PROTO_FAILED)
		value = CLAMP(value, 0, KEEPER_ERRNO_MAX);
	if (s->op == PROTO_OP_POWER && how == PROTO_EXITED)
		setup_guest_going(s->table->k->setup);
	stream_end(s, how, value, message);
}

void streams_deliver(Streams *t, guint32 stream, guint32 type, guint8 *payload, gsize n)
{
	Stream *s = NULL;

	for (guint i = 0; i < PROTO_MAX_STREAMS && !s; i++)
		if (t->slots[i] && t->slots[i]->id == stream && t->slots[i]->sent)
			s = t->slots[i];
	if (!s)
		return; /* of an operation that has been given up here */
	if (type == PROTO_STDOUT || type == PROTO_STDERR)
		deliver_data(s, type, payload, n);
	else if (type == PROTO_CREDIT)
		deliver_credit(s, payload, n);
	else if (type == PROTO_EXIT)
		deliver_exit(s, payload, n);
	channel_send(t->k->channel);
}

static void lose(Streams *t, gboolean waiting_too, const char *why)
{
	for (guint i = 0; i < PROTO_MAX_STREAMS; i++)
		if (t->slots[i] && (t->slots[i]->sent || waiting_too))
			stream_end(t->slots[i], PROTO_LOST, 0, why);
}

void streams_session_lost(Streams *t, const char *why)
{
	lose(t, FALSE, why);
}

void streams_end_all(Streams *t, const char *why)
{
	lose(t, TRUE, why);
}

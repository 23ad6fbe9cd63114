// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of operations, with the keeper's other parts as switches: whether the guest is ready,
 * stopped, and for how long.
 */
#include <errno.h>

#include "keeper/channel.h"
#include "keeper/client-proto.h"
#include "keeper/gdb-peer.h"
#include "keeper/qmp.h"
#include "keeper/setup.h"
#include "keeper/streams.h"
#include "util/frames.h"

#define SESSION 9u

static gboolean ready, failed;
static gint64 stopped_ms;

void channel_send(Channel *c)
{
}

gboolean setup_ready(const Setup *s)
{
	return ready;
}

gboolean setup_failed(const Setup *s)
{
	return failed;
}

char *setup_text(const Setup *s)
{
	return g_strdup("not ready");
}

void setup_guest_going(Setup *s)
{
	ready = FALSE;
}

gboolean qmp_stopped(const Qmp *q)
{
	return stopped_ms > 0;
}

gint64 qmp_stopped_ms(const Qmp *q)
{
	return stopped_ms;
}

char *qmp_stopped_text(const Qmp *q)
{
	return g_strdup("stopped");
}

void klog(const char *format, ...)
{
}

/* An owner that writes down what it is told. */
typedef struct {
	GString *out;
	guint credit;
	gboolean ended;
	guint32 how;
	gint32 value;
	char message[64];
} Owner;

static void on_data(Stream *s, gpointer owner, guint32 type, const guint8 *bytes, gsize n)
{
	g_string_append_len(((Owner *) owner)->out, (const char *) bytes, (gssize) n);
}

static void on_credit(Stream *s, gpointer owner, guint32 n)
{
	((Owner *) owner)->credit += n;
}

static void on_ended(Stream *s, gpointer owner, guint32 how, gint32 value, const char *message)
{
	Owner *o = owner;

	o->ended = TRUE;
	o->how = how;
	o->value = value;
	g_strlcpy(o->message, message, sizeof(o->message));
}

static const StreamOwner ops = {on_data, on_credit, NULL, on_ended};

typedef struct {
	Keeper k;
	Streams *t;
	guint8 frame[PROTO_MAX_FRAME];
} Fixture;

static void set_up(Fixture *f, gconstpointer unused)
{
	ready = TRUE;
	failed = FALSE;
	stopped_ms = 0;
	f->t = streams_new(&f->k);
}

static void tear_down(Fixture *f, gconstpointer unused)
{
	streams_free(f->t);
}

/* The next frame's header; its payload is behind it in f->frame. type 0: there is none. */
static struct proto_header next(Fixture *f)
{
	struct proto_header h = {0};
	gsize n = streams_next_frame(f->t, SESSION, f->frame);

	if (n == 0)
		return h;
	g_assert_true(proto_get_header(f->frame, &h));
	g_assert_cmpuint(n, ==, PROTO_HEADER_SIZE + h.length);
	g_assert_cmpuint(h.session, ==, SESSION);
	return h;
}

static Stream *open_one(Fixture *f, Owner *o, guint32 op)
{
	o->out = g_string_new(NULL);
	return streams_open(f->t, STREAM_FIRST, op, NULL, 0, &ops, o);
}

static void deliver_u32(Fixture *f, guint32 id, guint32 type, guint32 value)
{
	guint8 payload[4];
	struct wire w = wire_over(payload, sizeof(payload));

	wire_put_u32(&w, value);
	streams_deliver(f->t, id, type, payload, sizeof(payload));
}

static void deliver_exit(Fixture *f, guint32 id, guint32 how, gint32 value)
{
	guint8 payload[64];
	struct wire w = wire_over(payload, sizeof(payload));

	wire_put_u32(&w, how);
	wire_put_u32(&w, (guint32) value);
	wire_put_str(&w, "words");
	streams_deliver(f->t, id, PROTO_EXIT, payload, w.pos);
}

static void end(Owner *o)
{
	g_string_free(o->out, TRUE);
}

static void from_open_to_exit(Fixture *f, gconstpointer unused)
{
	Owner o = {0};
	Stream *s = open_one(f, &o, PROTO_OP_EXEC);
	struct proto_header h;
	guint32 id;

	g_assert_true(stream_input(s, (const guint8 *) "abc", 3));
	g_assert_true(stream_input(s, NULL, 0));
	g_assert_false(stream_input(s, (const guint8 *) "d", 1)); /* after the end of file */
	h = next(f);
	id = h.stream;
	g_assert_cmpuint(h.type, ==, PROTO_OPEN);
	h = next(f);
	g_assert_cmpuint(h.type, ==, PROTO_STDIN);
	g_assert_cmpmem(f->frame + PROTO_HEADER_SIZE, h.length, "abc", 3);
	h = next(f);
	g_assert_cmpuint(h.type, ==, PROTO_STDIN);
	g_assert_cmpuint(h.length, ==, 0);
	g_assert_cmpuint(next(f).type, ==, 0);
	deliver_u32(f, id, PROTO_CREDIT, 3);
	g_assert_cmpuint(o.credit, ==, 3);
	deliver_u32(f, id, PROTO_CREDIT, 3); /* more than was sent: not passed on */
	g_assert_cmpuint(o.credit, ==, 3);
	streams_deliver(f->t, id, PROTO_STDOUT, (guint8 *) "out", 3);
	g_assert_cmpstr(o.out->str, ==, "out");
	g_assert_false(stream_credit(s, 4));
	g_assert_true(stream_credit(s, 3));
	h = next(f);
	g_assert_cmpuint(h.type, ==, PROTO_CREDIT);
	deliver_exit(f, id, PROTO_EXITED, 7);
	g_assert_true(o.ended);
	g_assert_cmpint(o.value, ==, 7);
	g_assert_cmpuint(streams_count(f->t), ==, 0);
	end(&o);
}

static void windows_are_kept(Fixture *f, gconstpointer unused)
{
	g_autofree guint8 *bytes = g_malloc0(PROTO_MAX_PAYLOAD);
	Owner o = {0};
	Stream *s = open_one(f, &o, PROTO_OP_EXEC);
	guint32 id = next(f).stream;

	for (guint i = 0; i < PROTO_WINDOW / PROTO_MAX_PAYLOAD; i++)
		g_assert_true(stream_input(s, bytes, PROTO_MAX_PAYLOAD));
	g_assert_false(stream_input(s, bytes, 1));
	for (guint i = 0; i < PROTO_WINDOW / PROTO_MAX_PAYLOAD; i++)
		streams_deliver(f->t, id, PROTO_STDERR, bytes, PROTO_MAX_PAYLOAD);
	g_assert_false(o.ended);
	streams_deliver(f->t, id, PROTO_STDOUT, bytes, 1); /* the guest goes too far */
	g_assert_true(o.ended);
	g_assert_cmpuint(o.how, ==, PROTO_LOST);
	g_assert_cmpuint(next(f).type, ==, PROTO_CANCEL);
	end(&o);
}

/* One that floods and one that says a word: the word is not behind the flood. */
static void streams_take_turns(Fixture *f, gconstpointer unused)
{
	g_autofree guint8 *bytes = g_malloc0(PROTO_MAX_PAYLOAD);
	Owner flood = {0}, word = {0};
	Stream *a = open_one(f, &flood, PROTO_OP_EXEC), *b = open_one(f, &word, PROTO_OP_EXEC);
	guint32 id_a = next(f).stream, id_b = next(f).stream, other = 0;

	g_assert_cmpuint(id_a, !=, id_b);
	for (guint i = 0; i < 4; i++)
		g_assert_true(stream_input(a, bytes, PROTO_MAX_PAYLOAD));
	g_assert_true(stream_input(b, (const guint8 *) "x", 1));
	for (guint i = 0; i < 2; i++)
		other |= next(f).stream == id_b;
	g_assert_true(other);
	end(&flood);
	end(&word);
}

/* Signals, sizes and credit are state: a flood of them is no queue. */
static void floods_of_small_things(Fixture *f, gconstpointer unused)
{
	Owner o = {0};
	Stream *s = open_one(f, &o, PROTO_OP_EXEC);
	guint frames = 0;

	next(f);
	for (guint i = 0; i < 10000; i++) {
		g_assert_true(stream_signal(s, 2));
		stream_winsize(s, i, i);
	}
	g_assert_false(stream_signal(s, 0));
	g_assert_false(stream_signal(s, 65));
	while (next(f).type)
		frames++;
	g_assert_cmpuint(frames, ==, 2);
	end(&o);
}

static void cancelled_output_is_dropped(Fixture *f, gconstpointer unused)
{
	Owner o = {0};
	Stream *s = open_one(f, &o, PROTO_OP_EXEC);
	guint32 id = next(f).stream;

	streams_deliver(f->t, id, PROTO_STDOUT, (guint8 *) "12345", 5);
	stream_cancel(s);
	g_assert_cmpuint(next(f).type, ==, PROTO_CANCEL);
	g_assert_cmpuint(next(f).type, ==, PROTO_CREDIT);
	streams_deliver(f->t, id, PROTO_STDOUT, (guint8 *) "67", 2);
	g_assert_cmpuint(next(f).type, ==, PROTO_CREDIT);
	g_assert_cmpuint(next(f).type, ==, 0);
	g_assert_cmpstr(o.out->str, ==, "12345");
	deliver_exit(f, id, PROTO_SIGNALED, 1);
	g_assert_false(o.ended);
	end(&o);
}

static gboolean tick(gpointer data)
{
	return G_SOURCE_CONTINUE;
}

/* Runs the main loop until *flag, for five seconds at most. */
static gboolean loop_until(const gboolean *flag)
{
	gint64 deadline = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;
	guint timer = g_timeout_add(20, tick, NULL);

	while (!*flag && g_get_monotonic_time() < deadline)
		g_main_context_iteration(NULL, TRUE);
	g_source_remove(timer);
	return *flag;
}

/* A verb in the middle of its work waits for gdb, however long. */
static void stopped_guest_is_waited_for(Fixture *f, gconstpointer unused)
{
	Owner o = {.out = g_string_new(NULL)};

	stopped_ms = 60000;
	streams_open(f->t, STREAM_LATER, PROTO_OP_PING, NULL, 0, &ops, &o);
	g_assert_cmpuint(next(f).type, ==, 0);
	for (gint64 end = g_get_monotonic_time() + 1500 * 1000; g_get_monotonic_time() < end;)
		g_main_context_iteration(NULL, FALSE);
	g_assert_false(o.ended);
	stopped_ms = 0;
	g_assert_cmpuint(next(f).type, ==, PROTO_OPEN);
	g_string_free(o.out, TRUE);
}

static void stopped_guest_is_told(Fixture *f, gconstpointer unused)
{
	Owner o = {0}, quick = {0};

	stopped_ms = 10;
	open_one(f, &quick, PROTO_OP_EXEC);
	g_assert_cmpuint(next(f).type, ==, 0); /* waits */
	stopped_ms = 0;			       /* it was a symbol loader's stop */
	g_assert_cmpuint(next(f).type, ==, PROTO_OPEN);
	stopped_ms = 60000;
	open_one(f, &o, PROTO_OP_EXEC);
	g_assert_cmpuint(next(f).type, ==, 0);
	g_assert_true(loop_until(&o.ended));
	g_assert_cmpuint(o.how, ==, PROTO_FAILED);
	g_assert_cmpint(o.value, ==, KEEPER_STOPPED);
	g_assert_false(quick.ended); /* what runs already waits */
	end(&o);
	end(&quick);
}

/* ^C while it waits for the guest. */
static void waiting_command_can_be_ended(Fixture *f, gconstpointer unused)
{
	Owner o = {0};

	ready = FALSE;
	g_assert_true(stream_signal(open_one(f, &o, PROTO_OP_EXEC), 2));
	g_assert_cmpuint(o.how, ==, PROTO_SIGNALED);
	g_assert_cmpint(o.value, ==, 2);
	g_assert_cmpuint(streams_count(f->t), ==, 0);
	end(&o);
}

static void guest_that_failed_is_told(Fixture *f, gconstpointer unused)
{
	Owner o = {0};

	ready = FALSE;
	failed = TRUE;
	open_one(f, &o, PROTO_OP_EXEC);
	g_assert_true(loop_until(&o.ended));
	g_assert_cmpint(o.value, ==, KEEPER_NOT_READY);
	g_assert_cmpstr(o.message, ==, "not ready");
	end(&o);
}

static void lost_session_ends_what_was_sent(Fixture *f, gconstpointer unused)
{
	Owner sent = {0}, waits = {0};

	open_one(f, &sent, PROTO_OP_EXEC);
	next(f);
	open_one(f, &waits, PROTO_OP_EXEC);
	streams_session_lost(f->t, "cut");
	g_assert_cmpuint(sent.how, ==, PROTO_LOST);
	g_assert_cmpstr(sent.message, ==, "cut");
	g_assert_false(waits.ended);
	g_assert_cmpuint(next(f).type, ==, PROTO_OPEN);
	end(&sent);
	end(&waits);
}

static void table_has_an_end(Fixture *f, gconstpointer unused)
{
	Owner o[PROTO_MAX_STREAMS + 1] = {0};

	for (guint i = 0; i < PROTO_MAX_STREAMS; i++)
		g_assert_nonnull(open_one(f, &o[i], PROTO_OP_EXEC));
	g_assert_null(open_one(f, &o[PROTO_MAX_STREAMS], PROTO_OP_EXEC));
	streams_end_all(f->t, "over");
	for (guint i = 0; i < PROTO_MAX_STREAMS; i++)
		g_assert_true(o[i].ended);
	for (guint i = 0; i <= PROTO_MAX_STREAMS; i++)
		end(&o[i]);
}

/* A guest must not be able to speak in the keeper's name. */
static void guest_cannot_say_stopped(Fixture *f, gconstpointer unused)
{
	Owner o = {0};

	open_one(f, &o, PROTO_OP_EXEC);
	deliver_exit(f, next(f).stream, PROTO_FAILED, KEEPER_STOPPED);
	g_assert_true(o.ended);
	g_assert_cmpint(o.value, <=, KEEPER_ERRNO_MAX);
	end(&o);
}

static void broken_exit_is_lost(Fixture *f, gconstpointer unused)
{
	Owner o = {0};

	open_one(f, &o, PROTO_OP_EXEC);
	streams_deliver(f->t, next(f).stream, PROTO_EXIT, (guint8 *) "abc", 3);
	g_assert_cmpuint(o.how, ==, PROTO_LOST);
	end(&o);
}

static void who_speaks_for_guests(void)
{
	g_assert_true(gdb_peer_speaks_for_guests("/usr/bin/qemu-system-x86_64"));
	g_assert_true(gdb_peer_speaks_for_guests("/usr/bin/passt.avx2"));
	g_assert_true(gdb_peer_speaks_for_guests("/usr/bin/slirp4netns (deleted)"));
	g_assert_false(gdb_peer_speaks_for_guests("/usr/bin/gdb"));
	g_assert_false(gdb_peer_speaks_for_guests("/opt/qemu/bin/gdb-multiarch"));
}

#define ADD(path, f) g_test_add("/keeper/streams/" path, Fixture, NULL, set_up, f, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("open-to-exit", from_open_to_exit);
	ADD("windows", windows_are_kept);
	ADD("turns", streams_take_turns);
	ADD("floods", floods_of_small_things);
	ADD("cancel", cancelled_output_is_dropped);
	ADD("stopped", stopped_guest_is_told);
	ADD("stopped-midway", stopped_guest_is_waited_for);
	ADD("waiting-can-be-ended", waiting_command_can_be_ended);
	ADD("failed-guest", guest_that_failed_is_told);
	ADD("session-lost", lost_session_ends_what_was_sent);
	ADD("full", table_has_an_end);
	ADD("guest-cannot-say-stopped", guest_cannot_say_stopped);
	ADD("broken-exit", broken_exit_is_lost);
	g_test_add_func("/keeper/gdb-peer/names", who_speaks_for_guests);
	return g_test_run();
}

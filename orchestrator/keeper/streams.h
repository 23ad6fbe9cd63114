/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operations that run, and the bytes that wait on their way between owner (a client, or the
 * keeper itself) and agent.
 *
 * Theory of operation. Credit passes end to end: the keeper never gives credit of its own, it
 * hands on what the far end gave. So what it holds of a stream is at most a window a direction,
 * whoever stops reading. Everything that is not data is state, not a queue (credit adds up,
 * the last window size wins, signals are a set), so a flood of small frames costs no memory
 * either. To the agent the streams are served in turn, one frame each.
 *
 * A stream whose owner went away is cancelled and stays in the table, its output dropped, until
 * the agent has said EXIT.
 */
#pragma once

#include "keeper.h"

typedef struct Stream Stream;

typedef struct {
	/* STDOUT or STDERR; give the bytes back with stream_credit() when they are passed on. */
	void (*data)(Stream *s, gpointer owner, guint32 type, const guint8 *bytes, gsize n);
	/* n bytes of input have been consumed by the far end. */
	void (*credit)(Stream *s, gpointer owner, guint32 n);
	/* A word for the user while the operation goes on. May be NULL. */
	void (*note)(Stream *s, gpointer owner, const char *text);
	/* The last call; the stream is freed after it. */
	void (*ended)(Stream *s, gpointer owner, guint32 how, gint32 value, const char *message);
} StreamOwner;

Streams *streams_new(Keeper *k);
void streams_free(Streams *t);

typedef enum {
	STREAM_INTERNAL, /* the keeper's own: goes out as soon as there is a session */
	STREAM_FIRST,	 /* a client's: waits until the guest is ready and running, and fails when
			    that takes too long: a guest held by gdb is told of after a second */
	STREAM_LATER, /* of a client in the middle of its work: a guest held by gdb is waited for,
			 with a note, as for an operation that runs */
} StreamKind;

/*
 * Opens an operation; arguments: the payload of OPEN behind the op. NULL: the table is full, or the
 * arguments too long.
 */
Stream *streams_open(Streams *t, StreamKind kind, guint32 op, const guint8 *arguments, gsize n,
		     const StreamOwner *ops, gpointer owner);

/* FALSE when the owner breaks the protocol: beyond the window, after the end, too much credit. */
gboolean stream_input(Stream *s, const guint8 *bytes, gsize n); /* n = 0: end of file */
gboolean stream_credit(Stream *s, guint32 n);
gboolean stream_signal(Stream *s, guint32 signal); /* may end it, when it waits to be sent */
void stream_winsize(Stream *s, guint32 rows, guint32 columns);
/* The owner is gone: none of its functions is called any more. */
void stream_cancel(Stream *s);
/* How many bytes of input wait here for the agent. */
gsize stream_input_waiting(const Stream *s);

/* --- for channel.c ---------------------------------------------------------------------------- */
/* The next frame for the agent, built in out (PROTO_MAX_FRAME); 0 when there is none. */
gsize streams_next_frame(Streams *t, guint32 session, guint8 *out);
/* A frame of the agent's. */
void streams_deliver(Streams *t, guint32 stream, guint32 type, guint8 *payload, gsize n);
/* The session is over: what was sent to the agent is lost, what waits goes on waiting. */
void streams_session_lost(Streams *t, const char *why);

/* --- others ----------------------------------------------------------------------------------- */
/* Ends all, also what waits. */
void streams_end_all(Streams *t, const char *why);
/* The guest became ready, the VM was stopped or runs again: looks again at what waits. */
void streams_recheck(Streams *t);
/* How many operations of clients there are. */
guint streams_count(const Streams *t);

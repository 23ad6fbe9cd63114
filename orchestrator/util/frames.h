/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames of guest-agent/protocol.h out of a byte stream, and into one. No I/O: the caller reads
 * into frames_room() and takes what frames_next() finds. Memory: one buffer of two frames.
 */
#pragma once

#include <glib.h>

#include "guest-agent/protocol.h"

#define FRAMES_BUFFER ((gsize) 2 * PROTO_MAX_FRAME)

typedef struct {
	guint8 *buffer;
	gsize start, end; /* the bytes that are not taken yet */
	guint32 session;  /* only frames of this session are frames */
	gboolean resync;  /* look for the next frame in garbage, instead of giving up */
	guint64 skipped;  /* bytes passed over by resync */
} FrameReader;

void frames_init(FrameReader *r, guint32 session, gboolean resync);
void frames_clear(FrameReader *r);
/* Forgets what is buffered, and goes on with another session. */
void frames_restart(FrameReader *r, guint32 session);

/* Room to read into: never 0 bytes once frames_next() has returned FRAMES_MORE. */
guint8 *frames_room(FrameReader *r, gsize *room);
void frames_filled(FrameReader *r, gsize n);

typedef enum { FRAMES_MORE, FRAMES_FRAME, FRAMES_GARBAGE } FramesResult;
/* The next frame; *payload points into the buffer until the next call of frames_room(). */
FramesResult frames_next(FrameReader *r, struct proto_header *header, guint8 **payload);

/* Header and payload into out, which has room for both; returns the bytes written. A payload that
 * is in its place already (out + PROTO_HEADER_SIZE) stays there. */
gsize frames_put(guint8 *out, guint32 session, guint32 stream, guint32 type, const void *payload,
		 gsize n);

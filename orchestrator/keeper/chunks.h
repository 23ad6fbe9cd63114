/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes of several kinds waiting in order (a stream's STDOUT and STDERR, or its STDIN). The caller
 * bounds the bytes by the protocol's window; this bounds the overhead: many small frames are put
 * together, and beyond CHUNKS_MAX pieces the order between kinds (never within one) gives way.
 */
#pragma once

#include <glib.h>

#define CHUNKS_MAX 64

typedef struct {
	GQueue pieces;
	gsize bytes;
} Chunks;

void chunks_init(Chunks *c);
void chunks_clear(Chunks *c);
void chunks_add(Chunks *c, guint32 kind, const guint8 *bytes, gsize n);
/* Takes up to max bytes, all of one kind, into out; returns how many: 0 when there are none. */
gsize chunks_take(Chunks *c, guint32 *kind, guint8 *out, gsize max);

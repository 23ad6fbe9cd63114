/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes of the channel → frames (protocol.h, Sessions). Pure: no I/O, so that tests and the fuzzer
 * compile it too.
 */
#pragma once

#include "protocol.h"

/* Two frames: so that one read can always take a good piece, however the frames lie. */
#define FRAMES_BUFFER (2 * PROTO_MAX_FRAME)

struct frame_reader {
	size_t start, end; /* the unread bytes: data[start..end) */
	uint64_t skipped;  /* bytes that were no frame, since the start */
	uint8_t data[FRAMES_BUFFER];
};

/* Where the next bytes go, and how many at most (never 0 after frames_next said false). */
uint8_t *frames_room(struct frame_reader *r, size_t *room);
/* n bytes have been put there. */
void frames_filled(struct frame_reader *r, size_t n);
/*
 * The next whole frame; false when more bytes are needed. *payload points into the reader and is
 * valid until the next frames_room. What is no header is skipped up to the next PROTO_MAGIC.
 */
bool frames_next(struct frame_reader *r, struct proto_header *h, uint8_t **payload);

// SPDX-License-Identifier: GPL-2.0-or-later
#include "frames.h"

#define MAGIC_FIRST_BYTE (PROTO_MAGIC & 0xff)

uint8_t *frames_room(struct frame_reader *r, size_t *room)
{
	if (r->start == r->end)
		r->start = r->end = 0;
	if (sizeof(r->data) - r->end < PROTO_MAX_FRAME && r->start) {
		memmove(r->data, r->data + r->start, r->end - r->start);
		r->end -= r->start;
		r->start = 0;
	}
	*room = sizeof(r->data) - r->end;
	return r->data + r->end;
}

void frames_filled(struct frame_reader *r, size_t n)
{
	r->end += n;
}

/* To the next byte that may begin a magic; at least one byte on. */
static void skip_garbage(struct frame_reader *r)
{
	uint8_t *from = r->data + r->start;
	uint8_t *next = memchr(from + 1, MAGIC_FIRST_BYTE, r->end - r->start - 1);
	size_t n = next ? (size_t) (next - from) : r->end - r->start;

	r->start += n;
	r->skipped += n;
}

bool frames_next(struct frame_reader *r, struct proto_header *h, uint8_t **payload)
{
	for (;;) {
		size_t have = r->end - r->start;

		/* Zeros (the pad before a HELLO) must not wait for a whole header. */
		if (have && r->data[r->start] != MAGIC_FIRST_BYTE) {
			skip_garbage(r);
			continue;
		}
		if (have < PROTO_HEADER_SIZE)
			return false;
		if (!proto_get_header(r->data + r->start, h)) {
			skip_garbage(r);
			continue;
		}
		if (have < PROTO_HEADER_SIZE + h->length)
			return false;
		*payload = r->data + r->start + PROTO_HEADER_SIZE;
		r->start += PROTO_HEADER_SIZE + h->length;
		return true;
	}
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "frames.h"

void frames_init(FrameReader *r, guint32 session, gboolean resync)
{
	*r = (FrameReader){.session = session, .resync = resync};
	r->buffer = g_malloc(FRAMES_BUFFER);
}

void frames_clear(FrameReader *r)
{
	g_clear_pointer(&r->buffer, g_free);
}

void frames_restart(FrameReader *r, guint32 session)
{
	r->start = r->end = 0;
	r->session = session;
}

guint8 *frames_room(FrameReader *r, gsize *room)
{
	/* Move only when less than a frame fits behind: most reads then cost no copy. */
	if (r->start == r->end) {
		r->start = r->end = 0;
	} else if (FRAMES_BUFFER - r->end < PROTO_MAX_FRAME && r->start > 0) {
		memmove(r->buffer, r->buffer + r->start, r->end - r->start);
		r->end -= r->start;
		r->start = 0;
	}
	*room = FRAMES_BUFFER - r->end;
	return r->buffer + r->end;
}

void frames_filled(FrameReader *r, gsize n)
{
	g_assert(n <= FRAMES_BUFFER - r->end);
	r->end += n;
}

/* Goes to the next place where a header can begin: at least one byte on. */
static void skip_garbage(FrameReader *r)
{
	static const guint8 magic[4] = {PROTO_MAGIC & 0xff, PROTO_MAGIC >> 8 & 0xff,
					PROTO_MAGIC >> 16 & 0xff, PROTO_MAGIC >> 24};
	gsize have = r->end - r->start - 1;
	guint8 *found = memmem(r->buffer + r->start + 1, have, magic, sizeof(magic));
	gsize next;

	if (found)
		next = (gsize) (found - r->buffer);
	else
		next = r->end - MIN(have, sizeof(magic) - 1); /* may be cut within the magic */
	r->skipped += next - r->start;
	r->start = next;
}

FramesResult frames_next(FrameReader *r, struct proto_header *header, guint8 **payload)
{
	while (r->end - r->start >= PROTO_HEADER_SIZE) {
		if (!proto_get_header(r->buffer + r->start, header) ||
		    header->session != r->session) {
			if (!r->resync)
				return FRAMES_GARBAGE;
			skip_garbage(r);
			continue;
		}
		if (r->end - r->start - PROTO_HEADER_SIZE < header->length)
			return FRAMES_MORE;
		*payload = r->buffer + r->start + PROTO_HEADER_SIZE;
		r->start += PROTO_HEADER_SIZE + header->length;
		return FRAMES_FRAME;
	}
	return FRAMES_MORE;
}

gsize frames_put(guint8 *out, guint32 session, guint32 stream, guint32 type, const void *payload,
		 gsize n)
{
	const struct proto_header h = {.magic = PROTO_MAGIC,
				       .session = session,
				       .stream = stream,
				       .type = type,
				       .length = (guint32) n};

	g_assert(n <= PROTO_MAX_PAYLOAD);
	proto_put_header(out, &h);
	if (n && payload != out + PROTO_HEADER_SIZE)
		memcpy(out + PROTO_HEADER_SIZE, payload, n);
	return PROTO_HEADER_SIZE + n;
}

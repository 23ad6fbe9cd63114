// SPDX-License-Identifier: GPL-2.0-or-later
#include <glib.h>

#include "frames.h"

static GByteArray *frame(GByteArray *to, uint32_t stream, uint32_t type, const void *payload,
			 size_t n)
{
	struct proto_header h = {PROTO_MAGIC, 1, stream, type, (uint32_t) n};
	uint8_t header[PROTO_HEADER_SIZE];

	proto_put_header(header, &h);
	g_byte_array_append(to, header, sizeof(header));
	return g_byte_array_append(to, payload, (guint) n);
}

typedef void (*Check)(const struct proto_header *h, const uint8_t *payload, gpointer data);

/* Feeds `bytes` in pieces of at most `piece`; the number of frames that came out. */
static unsigned feed(struct frame_reader *r, GByteArray *bytes, size_t piece, Check check,
		     gpointer data)
{
	unsigned n = 0;

	for (size_t at = 0; at < bytes->len;) {
		struct proto_header h;
		uint8_t *payload;
		size_t room, now;
		uint8_t *to = frames_room(r, &room);

		g_assert_cmpuint(room, >, 0);
		now = MIN(MIN(room, piece), bytes->len - at);
		memcpy(to, bytes->data + at, now);
		frames_filled(r, now);
		at += now;
		for (; frames_next(r, &h, &payload); n++)
			if (check)
				check(&h, payload, data);
	}
	return n;
}

static void check_content(const struct proto_header *h, const uint8_t *payload, gpointer data)
{
	g_assert_cmpuint(h->type, ==, PROTO_STDIN);
	for (uint32_t i = 0; i < h->length; i++)
		g_assert_cmpuint(payload[i], ==, (uint8_t) (h->stream + i));
}

static void test_any_pieces(void)
{
	static const size_t sizes[] = {
		0, 1, 19, 20, 21, 4096, PROTO_MAX_PAYLOAD - 1, PROTO_MAX_PAYLOAD};
	static const size_t pieces[] = {1, 7, 20, 4096, 100000};
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	static uint8_t payload[PROTO_MAX_PAYLOAD];

	for (uint32_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
		for (size_t i = 0; i < sizes[s]; i++)
			payload[i] = (uint8_t) (s + i);
		frame(bytes, s, PROTO_STDIN, payload, sizes[s]);
	}
	for (size_t p = 0; p < G_N_ELEMENTS(pieces); p++) {
		g_autofree struct frame_reader *r = g_new0(struct frame_reader, 1);

		g_assert_cmpuint(feed(r, bytes, pieces[p], check_content, NULL), ==,
				 G_N_ELEMENTS(sizes));
		g_assert_cmpuint(r->skipped, ==, 0);
	}
}

static void note_stream(const struct proto_header *h, const uint8_t *payload, gpointer data)
{
	*(uint32_t *) data = h->stream;
}

/* Garbage with false starts of a magic in it; then a frame. */
static void test_garbage(void)
{
	g_autofree struct frame_reader *r = g_new0(struct frame_reader, 1);
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	uint32_t stream = 0;

	g_byte_array_append(bytes, (const uint8_t *) "DDVDVMDVM1", 10);
	g_byte_array_append(bytes, (const uint8_t *) "xxxxyyyyzzzz\xff\xff\xff\xff", 16);
	frame(bytes, 42, PROTO_STDIN, "ok", 2);
	g_assert_cmpuint(feed(r, bytes, 3, note_stream, &stream), ==, 1);
	g_assert_cmpuint(stream, ==, 42);
	g_assert_cmpuint(r->skipped, ==, 26);
}

/* A frame cut at any byte, then the pad and a new frame: the new one always comes out. */
static void test_resync(void)
{
	g_autoptr(GByteArray) cut = g_byte_array_new();
	static uint8_t payload[PROTO_MAX_PAYLOAD], pad[PROTO_RESYNC_PAD];

	frame(cut, 1, PROTO_STDIN, payload, sizeof(payload));
	for (guint keep = 0; keep <= cut->len; keep += keep < 40 ? 1 : 1021) {
		g_autofree struct frame_reader *r = g_new0(struct frame_reader, 1);
		g_autoptr(GByteArray) bytes = g_byte_array_new();
		uint32_t stream = 0;

		g_byte_array_append(bytes, cut->data, keep);
		g_byte_array_append(bytes, pad, sizeof(pad));
		frame(bytes, 7, PROTO_HELLO, "hello", 5);
		feed(r, bytes, 4096, note_stream, &stream);
		g_assert_cmpuint(stream, ==, 7);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/frames/any-pieces", test_any_pieces);
	g_test_add_func("/frames/garbage", test_garbage);
	g_test_add_func("/frames/resync", test_resync);
	return g_test_run();
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "util/frames.h"

#define SESSION 0x12345678u

static void feed(FrameReader *r, const guint8 *bytes, gsize n, gsize step)
{
	for (gsize i = 0; i < n; i += step) {
		gsize room, part = MIN(step, n - i);
		guint8 *at = frames_room(r, &room);

		g_assert_cmpuint(room, >=, part);
		memcpy(at, bytes + i, part);
		frames_filled(r, part);
	}
}

static void whole_and_in_pieces(void)
{
	guint8 wire[256];
	gsize n = frames_put(wire, SESSION, 7, PROTO_STDOUT, "hello", 5);
	struct proto_header h;
	guint8 *payload;
	FrameReader r;

	frames_init(&r, SESSION, FALSE);
	for (gsize cut = 1; cut < n; cut++) {
		feed(&r, wire, cut, cut);
		g_assert_cmpint(frames_next(&r, &h, &payload), ==, FRAMES_MORE);
		feed(&r, wire + cut, n - cut, n - cut);
		g_assert_cmpint(frames_next(&r, &h, &payload), ==, FRAMES_FRAME);
		g_assert_cmpuint(h.stream, ==, 7);
		g_assert_cmpmem(payload, h.length, "hello", 5);
		g_assert_cmpint(frames_next(&r, &h, &payload), ==, FRAMES_MORE);
	}
	frames_clear(&r);
}

static void largest_frames_follow_each_other(void)
{
	g_autofree guint8 *wire = g_malloc0(PROTO_MAX_FRAME),
			  *filler = g_malloc0(PROTO_MAX_PAYLOAD);
	gsize n = frames_put(wire, SESSION, 1, PROTO_STDOUT, filler, PROTO_MAX_PAYLOAD);
	struct proto_header h;
	guint8 *payload;
	FrameReader r;

	g_assert_cmpuint(n, ==, PROTO_MAX_FRAME);
	frames_init(&r, SESSION, FALSE);
	for (guint i = 0; i < 20; i++) {
		gsize sent = 0;

		while (sent < n) {
			gsize room, part;
			guint8 *at = frames_room(&r, &room);

			part = MIN(MIN(room, n - sent), 10007);
			g_assert_cmpuint(part, >, 0);
			memcpy(at, wire + sent, part);
			frames_filled(&r, part);
			sent += part;
			g_assert_cmpint(frames_next(&r, &h, &payload), ==,
					sent == n ? FRAMES_FRAME : FRAMES_MORE);
		}
		g_assert_cmpuint(h.length, ==, PROTO_MAX_PAYLOAD);
	}
	frames_clear(&r);
}

static void strict_reader_gives_up(void)
{
	guint8 wire[64];
	struct proto_header h;
	guint8 *payload;
	FrameReader r;

	frames_init(&r, 0, FALSE);
	frames_put(wire, 1, 1, PROTO_STDOUT, "x", 1); /* another session */
	feed(&r, wire, PROTO_HEADER_SIZE + 1, 64);
	g_assert_cmpint(frames_next(&r, &h, &payload), ==, FRAMES_GARBAGE);
	frames_restart(&r, 0);
	frames_put(wire, 0, 1, PROTO_STDOUT, "x", 1);
	wire[16] = wire[17] = wire[18] = 0xff; /* longer than a frame may be */
	feed(&r, wire, PROTO_HEADER_SIZE + 1, 64);
	g_assert_cmpint(frames_next(&r, &h, &payload), ==, FRAMES_GARBAGE);
	frames_clear(&r);
}

/* Whatever a predecessor left, the frame of our session behind it is found. */
static void resync_finds_ours(void)
{
	GRand *rand = g_rand_new_with_seed(42);
	struct proto_header h;
	guint8 *payload;
	FrameReader r;

	frames_init(&r, SESSION, TRUE);
	for (guint round = 0; round < 2000; round++) {
		guint8 wire[512];
		gsize junk = (gsize) g_rand_int_range(rand, 0, 200), n = junk;
		FramesResult result;

		for (gsize i = 0; i < junk; i++)
			wire[i] = (guint8) g_rand_int(rand);
		if (round % 3 == 0 && junk >= 30) /* a header of another session, cut */
			frames_put(wire + junk - 25, SESSION + 1, 1, PROTO_STDOUT, "abcde", 5);
		if (round % 3 == 1 && junk >= 3) /* the beginning of a magic */
			memcpy(wire + junk - 3, "DVM", 3);
		n += frames_put(wire + n, SESSION, round, PROTO_STDERR, "found", 5);
		feed(&r, wire, n, n);
		result = frames_next(&r, &h, &payload);
		g_assert_cmpint(result, ==, FRAMES_FRAME);
		g_assert_cmpuint(h.stream, ==, round);
		g_assert_cmpmem(payload, h.length, "found", 5);
	}
	g_assert_cmpuint(r.skipped, >, 0);
	frames_clear(&r);
	g_rand_free(rand);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/frames/whole-and-in-pieces", whole_and_in_pieces);
	g_test_add_func("/frames/largest-frames", largest_frames_follow_each_other);
	g_test_add_func("/frames/strict", strict_reader_gives_up);
	g_test_add_func("/frames/resync", resync_finds_ours);
	return g_test_run();
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "keeper/chunks.h"
#include "keeper/lines.h"

static void order_is_kept(void)
{
	Chunks c;
	guint8 out[16];
	guint32 kind;

	chunks_init(&c);
	chunks_add(&c, 5, (const guint8 *) "ab", 2);
	chunks_add(&c, 5, (const guint8 *) "c", 1);
	chunks_add(&c, 6, (const guint8 *) "E", 1);
	chunks_add(&c, 5, (const guint8 *) "d", 1);
	g_assert_cmpuint(c.bytes, ==, 5);
	g_assert_cmpuint(chunks_take(&c, &kind, out, 2), ==, 2);
	g_assert_cmpmem(out, 2, "ab", 2);
	g_assert_cmpuint(chunks_take(&c, &kind, out, 9), ==, 1);
	g_assert_cmpuint(chunks_take(&c, &kind, out, 9), ==, 1);
	g_assert_cmpuint(kind, ==, 6);
	g_assert_cmpuint(chunks_take(&c, &kind, out, 9), ==, 1);
	g_assert_cmpuint(kind, ==, 5);
	g_assert_cmpint(out[0], ==, 'd');
	g_assert_cmpuint(chunks_take(&c, &kind, out, 9), ==, 0);
	g_assert_cmpuint(c.bytes, ==, 0);
	chunks_clear(&c);
}

/* A flood of one-byte frames of alternating kinds: few pieces, and each kind stays in order. */
static void overhead_is_bounded(void)
{
	Chunks c;
	guint8 next[2] = {0, 0}, out[64];
	guint32 kind;
	gsize n;

	chunks_init(&c);
	for (guint i = 0; i < 20000; i++) {
		guint8 byte = (guint8) (i / 2);

		chunks_add(&c, i % 2, &byte, 1);
		g_assert_cmpuint(g_queue_get_length(&c.pieces), <=, CHUNKS_MAX);
	}
	g_assert_cmpuint(c.bytes, ==, 20000);
	while ((n = chunks_take(&c, &kind, out, sizeof(out))) > 0)
		for (gsize i = 0; i < n; i++)
			g_assert_cmpuint(out[i], ==, next[kind]++);
	g_assert_cmpuint(c.bytes, ==, 0);
	chunks_clear(&c);
}

static void collect(gpointer data, const char *line, gsize n)
{
	g_string_append_len(data, line, (gssize) n);
	g_string_append_c(data, '|');
}

static void lines_in_any_pieces(void)
{
	const char text[] = "{\"a\": 1}\r\n\r\n\n{\"b\"}\nrest";

	for (gsize step = 1; step < sizeof(text); step++) {
		g_autoptr(GString) got = g_string_new(NULL);
		Lines l;

		lines_init(&l);
		for (gsize i = 0; i < sizeof(text) - 1; i += step)
			lines_add(&l, (const guint8 *) text + i, MIN(step, sizeof(text) - 1 - i),
				  collect, got);
		g_assert_cmpstr(got->str, ==, "{\"a\": 1}|{\"b\"}|");
		lines_clear(&l);
	}
}

static void long_line_is_dropped(void)
{
	g_autofree guint8 *flood = g_malloc(LINES_MAX_BYTES);
	g_autoptr(GString) got = g_string_new(NULL);
	Lines l;

	memset(flood, 'x', LINES_MAX_BYTES);
	lines_init(&l);
	for (guint i = 0; i < 5; i++) {
		lines_add(&l, flood, LINES_MAX_BYTES, collect, got);
		g_assert_cmpuint(l.line->len, <=, LINES_MAX_BYTES);
	}
	lines_add(&l, (const guint8 *) "tail\nnext\n", 10, collect, got);
	g_assert_cmpstr(got->str, ==, "next|");
	lines_clear(&l);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/keeper/chunks/order", order_is_kept);
	g_test_add_func("/keeper/chunks/bounded", overhead_is_bounded);
	g_test_add_func("/keeper/lines/pieces", lines_in_any_pieces);
	g_test_add_func("/keeper/lines/too-long", long_line_is_dropped);
	return g_test_run();
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include <glib.h>

#include "protocol.h"

static void test_round_trip(void)
{
	uint8_t data[128];
	struct wire w = wire_over(data, sizeof(data));
	struct wire r;
	size_t n;
	const uint8_t *bytes;

	wire_put_u32(&w, 0x89abcdef);
	wire_put_u64(&w, 0x0123456789abcdefULL);
	wire_put_bytes(&w, "\0x", 2);
	wire_put_str(&w, "text");
	wire_put_str(&w, "");
	g_assert_false(w.bad);
	r = wire_over(data, w.pos);
	g_assert_cmphex(wire_get_u32(&r), ==, 0x89abcdef);
	g_assert_cmphex(wire_get_u64(&r), ==, 0x0123456789abcdefULL);
	bytes = wire_get_bytes(&r, &n);
	g_assert_cmpmem(bytes, n, "\0x", 2);
	g_assert_cmpstr(wire_get_str(&r), ==, "text");
	g_assert_cmpstr(wire_get_str(&r), ==, "");
	g_assert_false(r.bad);
	g_assert_cmpuint(r.pos, ==, r.size);
}

static void test_little_endian(void)
{
	uint8_t data[4];
	struct wire w = wire_over(data, sizeof(data));

	wire_put_u32(&w, 0x01020304);
	g_assert_cmpmem(data, 4, "\4\3\2\1", 4);
}

static void test_writer_stops_at_the_end(void)
{
	uint8_t data[9] = {0};
	struct wire w = wire_over(data, 8);

	wire_put_u32(&w, 1);
	wire_put_u32(&w, 2);
	g_assert_false(w.bad);
	wire_put_u32(&w, 3);
	g_assert_true(w.bad);
	g_assert_cmpuint(data[8], ==, 0);
	w = wire_over(data, 8);
	wire_put_str(&w, "12345");
	g_assert_true(w.bad);
	g_assert_cmpuint(data[8], ==, 0);
}

static void test_reader_stops_at_the_end(void)
{
	uint8_t data[] = {5, 0, 0, 0, 'a', 'b', 0};
	struct wire r = wire_over(data, sizeof(data));
	size_t n = 1;

	g_assert_null(wire_get_bytes(&r, &n));
	g_assert_cmpuint(n, ==, 0);
	g_assert_true(r.bad);
	/* Once bad, always bad: what would still fit is not given either. */
	r.pos = 0;
	g_assert_cmpuint(wire_get_u32(&r), ==, 0);
	r = wire_over(data, 3);
	g_assert_cmpuint(wire_get_u32(&r), ==, 0);
	g_assert_true(r.bad);
}

static void test_huge_lengths(void)
{
	uint8_t data[] = {0xff, 0xff, 0xff, 0xff, 1, 2};
	struct wire r = wire_over(data, sizeof(data));

	g_assert_cmpstr(wire_get_str(&r), ==, "");
	g_assert_true(r.bad);
}

static void test_strings(void)
{
	uint8_t no_nul[] = {2, 0, 0, 0, 'a', 'b'};
	uint8_t early_nul[] = {3, 0, 0, 0, 'a', 0, 0};
	uint8_t empty[] = {0, 0, 0, 0};
	struct wire r = wire_over(no_nul, sizeof(no_nul));

	g_assert_cmpstr(wire_get_str(&r), ==, "");
	g_assert_true(r.bad);
	r = wire_over(early_nul, sizeof(early_nul));
	wire_get_str(&r);
	g_assert_true(r.bad);
	r = wire_over(empty, sizeof(empty));
	wire_get_str(&r);
	g_assert_true(r.bad);
}

static void test_header(void)
{
	struct proto_header h = {PROTO_MAGIC, 7, 8, PROTO_STDOUT, PROTO_MAX_PAYLOAD}, got;
	uint8_t data[PROTO_HEADER_SIZE];

	proto_put_header(data, &h);
	g_assert_cmpmem(data, 4, "DVM1", 4);
	g_assert_true(proto_get_header(data, &got));
	g_assert_cmpmem(&h, sizeof(h), &got, sizeof(got));
	h.length++;
	proto_put_header(data, &h);
	g_assert_false(proto_get_header(data, &got));
	h.length = 0;
	h.magic++;
	proto_put_header(data, &h);
	g_assert_false(proto_get_header(data, &got));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/protocol/round-trip", test_round_trip);
	g_test_add_func("/protocol/little-endian", test_little_endian);
	g_test_add_func("/protocol/writer-end", test_writer_stops_at_the_end);
	g_test_add_func("/protocol/reader-end", test_reader_stops_at_the_end);
	g_test_add_func("/protocol/huge-lengths", test_huge_lengths);
	g_test_add_func("/protocol/strings", test_strings);
	g_test_add_func("/protocol/header", test_header);
	return g_test_run();
}

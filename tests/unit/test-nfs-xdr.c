// SPDX-License-Identifier: GPL-2.0-or-later
#include <glib.h>

#include "xdr.h"

static void test_read(void)
{
	static const uint8_t data[] = {0, 0, 0, 7,   0,	  0,   0, 1, 0, 0, 0, 2,   0,
				       0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 0, 1, 0xff};
	struct xdr_in in;
	uint32_t len;

	xdr_in_init(&in, data, sizeof(data));
	g_assert_cmpuint(xdr_get_u32(&in), ==, 7);
	g_assert_cmpuint(xdr_get_u64(&in), ==, 1ULL << 32 | 2);
	g_assert_cmpmem(xdr_get_opaque(&in, 3, &len), 3, "abc", 3);
	g_assert_cmpuint(len, ==, 3);
	g_assert_true(xdr_get_bool(&in));
	g_assert_false(in.bad);
	/* One byte is left: not enough for anything, and nothing is good afterwards. */
	g_assert_cmpuint(xdr_get_u32(&in), ==, 0);
	g_assert_true(in.bad);
	g_assert_null(xdr_get_fixed(&in, 0));
}

static void test_lengths(void)
{
	static const uint8_t lengths[][8] = {
		{0, 0, 0, 5, 1, 2, 3, 4},	      /* more than there is */
		{0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, /* padded, it would wrap */
		{0x80, 0, 0, 0x10, 1, 2, 3, 4},
	};
	struct xdr_in in;
	uint32_t len;

	for (unsigned int i = 0; i < G_N_ELEMENTS(lengths); i++) {
		xdr_in_init(&in, lengths[i], sizeof(lengths[i]));
		g_assert_null(xdr_get_opaque(&in, UINT32_MAX, &len));
		g_assert_cmpuint(len, ==, 0);
		g_assert_true(in.bad);
	}
	/* In the record, but over the limit. */
	xdr_in_init(&in, (const uint8_t[]){0, 0, 0, 4, 1, 2, 3, 4}, 8);
	g_assert_null(xdr_get_opaque(&in, 3, &len));
	g_assert_true(in.bad);
	xdr_in_init(&in, (const uint8_t[]){0, 0, 0, 2}, 4);
	xdr_get_bool(&in);
	g_assert_true(in.bad);
}

static void test_write(void)
{
	uint8_t buf[16];
	struct xdr_out out = {.p = buf, .end = buf + sizeof(buf)};

	memset(buf, 0xee, sizeof(buf));
	xdr_put_opaque(&out, "abcde", 5);
	g_assert_cmpmem(buf, 12, "\0\0\0\5abcde\0\0\0", 12);
	g_assert_cmpuint((gsize) (out.p - buf), ==, 12);
	xdr_put_u64(&out, 1);
	g_assert_true(out.full);
	g_assert_cmpuint(buf[12], ==, 0xee);
	/* What would have fitted comes too late. */
	xdr_put_u32(&out, 1);
	g_assert_cmpuint(buf[12], ==, 0xee);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nfs/xdr/read", test_read);
	g_test_add_func("/nfs/xdr/lengths", test_lengths);
	g_test_add_func("/nfs/xdr/write", test_write);
	return g_test_run();
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "util/printable.h"

static void test_printable(void)
{
	const struct {
		const char *from, *to;
	} rows[] = {
		{"plain é\n\ttext", "plain é\n\ttext"},
		{"\x1b]0;title\x07", "\\x1b]0;title\\x07"},
		{"\xc2\x9b"
		 "2J",
		 "\\x9b2J"}, /* CSI as one C1 character */
		{"over\rwritten\x7f", "over\\x0dwritten\\x7f"},
		{"bad \xff byte", "bad \uFFFD byte"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *clean = printable(rows[i].from);

		g_assert_cmpstr(clean, ==, rows[i].to);
	}
	g_assert_null(printable(NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/printable/control-characters", test_printable);
	return g_test_run();
}

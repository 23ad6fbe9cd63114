// SPDX-License-Identifier: GPL-2.0-or-later
#include "util/error.h"
#include "util/nearest.h"
#include "util/size.h"

static void test_good(void)
{
	static const struct {
		const char *text;
		guint64 bytes;
	} cases[] = {
		{"1K", 1024},	       {"768M", 768ULL << 20},	       {"2G", 2ULL << 30},
		{"1t", 1ULL << 40},    {"2GiB", 2ULL << 30},	       {"2GB", 2ULL << 30},
		{"0001G", 1ULL << 30}, {"8388607T", 8388607ULL << 40},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		guint64 bytes = 0;

		g_assert_true(size_parse(cases[i].text, &bytes, &error));
		g_assert_no_error(error);
		g_assert_cmpuint(bytes, ==, cases[i].bytes);
	}
}

static void test_bad(void)
{
	static const char *const cases[] = {
		"",
		"1",
		"G",
		"-1G",
		"+1G",
		"1.5G",
		"1 G",
		"1GG",
		"1Gx",
		"0G",
		"0x10M",
		"1Gi",
		"1E",
		" 1G",
		"1G ",
		"8388608T",
		"9223372036854775808K",
		"99999999999999999999999999G",
		"1iB",
		"1B",
		"NaNG",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		guint64 bytes = 7;

		if (size_parse(cases[i], &bytes, &error))
			g_error("'%s' was taken for a size", cases[i]);
		g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_CONFIG);
		g_assert_cmpuint(bytes, ==, 7);
	}
}

static void test_lists(void)
{
	static const struct {
		const char *text, *sum;
	} cases[] = {
		{"", ""},
		{"none", ""},
		{"1G", "1G "},
		{"2x1G", "1G 1G "},
		{"1G,512M", "1G 512M "},
		{"2x1G, 3x768M", "1G 1G 768M 768M 768M "},
		{"1*1G", "1G "},
		{"0x1G", NULL},
		{"17x1G", NULL},
		{"9x1G,8x1G", NULL},
		{"x1G", NULL},
		{"2x", NULL},
		{"1G,", NULL},
		{"2x2x1G", NULL},
		{"-2x1G", NULL},
		{"4294967297x1G", NULL},
		{"none,1G", NULL},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(GArray) sizes = size_list_parse(cases[i].text, &error);
		g_autoptr(GString) sum = g_string_new(NULL);

		if (!cases[i].sum) {
			if (sizes)
				g_error("'%s' was taken for a list", cases[i].text);
			g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_CONFIG);
			continue;
		}
		g_assert_no_error(error);
		for (guint j = 0; j < sizes->len; j++) {
			g_autofree char *one = size_format(g_array_index(sizes, guint64, j));

			g_string_append_printf(sum, "%s ", one);
		}
		g_assert_cmpstr(sum->str, ==, cases[i].sum);
	}
}

static void test_format(void)
{
	static const struct {
		guint64 bytes;
		const char *text;
	} cases[] = {
		{0, "0"},	    {1023, "1023"},	   {1024, "1K"}, {1536ULL << 20, "1536M"},
		{1ULL << 30, "1G"}, {1ULL << 50, "1024T"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *text = size_format(cases[i].bytes);

		g_assert_cmpstr(text, ==, cases[i].text);
	}
}

static void test_nearest(void)
{
	static const char *const words[] = {"memory", "cpus", "kernel", "append", "disks", NULL};
	static const struct {
		const char *typed, *nearest;
	} cases[] = {
		{"memroy", "memory"},
		{"mem", NULL},
		{"Memory", "memory"},
		{"cpu", "cpus"},
		{"disk", "disks"},
		{"kernal", "kernel"},
		{"", NULL},
		{"xyz", NULL},
		{"append_kernel_command_line_with_a_very_long_name_that_overflows_the_table", NULL},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmpstr(nearest_word(cases[i].typed, words), ==, cases[i].nearest);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/size/good", test_good);
	g_test_add_func("/size/bad", test_bad);
	g_test_add_func("/size/lists", test_lists);
	g_test_add_func("/size/format", test_format);
	g_test_add_func("/size/nearest", test_nearest);
	return g_test_run();
}

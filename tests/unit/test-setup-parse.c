// SPDX-License-Identifier: GPL-2.0-or-later
#include <glib.h>

#include "setup.h"

static struct setup setup;

static bool parse(const char *text)
{
	return setup_parse(&setup, (const uint8_t *) text, strlen(text));
}

static void test_all_keys(void)
{
	g_assert_true(parse("hostname vm1\nclock 1795254348000000001\n"
			    "net 10.0.2.15/24 10.0.2.2 10.0.2.3\nnfs 10.0.2.2 2049 abc\n"
			    "root root\ntree t0 /home/u/a%20b\ntree t1 /srv/x\nrelease 6.1.0-1\n"
			    "link /lib/modules/6.1.0-1/build /usr/src/h\n"
			    "owner 1000 1001 u /home/u\n\n"));
	g_assert_cmpstr(setup.hostname, ==, "vm1");
	g_assert_cmpuint(setup.clock_ns, ==, 1795254348000000001u);
	g_assert_cmpstr(setup.net_address, ==, "10.0.2.15");
	g_assert_cmpuint(setup.net_prefix, ==, 24);
	g_assert_cmpstr(setup.net_gateway, ==, "10.0.2.2");
	g_assert_cmpstr(setup.net_dns, ==, "10.0.2.3");
	g_assert_cmpuint(setup.nfs_port, ==, 2049);
	g_assert_cmpstr(setup.nfs_token, ==, "abc");
	g_assert_cmpstr(setup.root_export, ==, "root");
	g_assert_cmpuint(setup.n_trees, ==, 2);
	g_assert_cmpstr(setup.trees[0].path, ==, "/srv/x");
	g_assert_cmpstr(setup.trees[1].path, ==, "/home/u/a b");
	g_assert_cmpstr(setup.release, ==, "6.1.0-1");
	g_assert_cmpstr(setup.links[0].target, ==, "/usr/src/h");
	g_assert_cmpuint(setup.owner_gid, ==, 1001);
	g_assert_cmpstr(setup.owner_home, ==, "/home/u");
}

static void test_nested_trees_outer_first(void)
{
	g_assert_true(parse("nfs 10.0.2.2 1 t\ntree in /a/b/c\ntree out /a/b\n"));
	g_assert_cmpstr(setup.trees[0].export_name, ==, "out");
}

static void test_nothing(void)
{
	g_assert_true(parse(""));
	g_assert_null(setup.root_export);
}

static void test_refused(void)
{
	static const char *const bad[] = {
		"hostname",
		"hostname a b",
		"hostname a/b",
		"hostname ",
		"unknown x",
		"clock -1",
		"clock 1x",
		"clock 99999999999999999999",
		"net 10.0.2.15 10.0.2.2 10.0.2.3",
		"net 10.0.2.15/33 10.0.2.2 10.0.2.3",
		"net 10.0.2.x/24 10.0.2.2 10.0.2.3",
		"nfs 10.0.2.2 0 t",
		"nfs 10.0.2.2 65536 t",
		"nfs 10.0.2.2 1 a/b",
		"nfs 10.0.2.2 1 a,b",
		"nfs 10.0.2.2 1 t\ntree t0 relative",
		"nfs 10.0.2.2 1 t\ntree t0 /a/../b",
		"nfs 10.0.2.2 1 t\ntree t0 /a//b",
		"nfs 10.0.2.2 1 t\ntree t0 /a/",
		"nfs 10.0.2.2 1 t\ntree t0 /",
		"nfs 10.0.2.2 1 t\ntree a/b /x",
		"nfs 10.0.2.2 1 t\ntree t0 /a /b",
		"root r",
		"tree t0 /x",
		"link /x",
		"link x y",
		"owner 1 2 u relative",
		"owner 1 99999999999 u /h",
		"hostname a%2",
		"hostname a%zz",
		"hostname a%00b",
		"hostname a b c d e f g",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_test_message("%s", bad[i]);
		g_assert_false(parse(bad[i]));
		g_assert_cmpstr(setup.error, !=, "");
	}
	g_assert_false(setup_parse(&setup, (const uint8_t *) "root\0r", 6));
}

static void test_limits(void)
{
	g_autoptr(GString) text = g_string_new("nfs 10.0.2.2 1 t\n");
	g_autofree char *long_text = g_strnfill(PROTO_MAX_PAYLOAD + 1, '\n');

	for (int i = 0; i < SETUP_MAX_TREES; i++)
		g_string_append_printf(text, "tree t%d /x/%d\n", i, i);
	g_assert_true(parse(text->str));
	g_string_append(text, "tree more /y\n");
	g_assert_false(parse(text->str));
	g_assert_false(parse(long_text));
	long_text[PROTO_MAX_PAYLOAD] = '\0';
	g_assert_true(parse(long_text));
}

static void test_percent(void)
{
	char good[] = "a%20b%2Fc%2f%25", bad[] = "x%4", nul[] = "%00";

	g_assert_true(percent_decode(good));
	g_assert_cmpstr(good, ==, "a b/c/%");
	g_assert_false(percent_decode(bad));
	g_assert_false(percent_decode(nul));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/setup/all-keys", test_all_keys);
	g_test_add_func("/setup/nested-trees", test_nested_trees_outer_first);
	g_test_add_func("/setup/nothing", test_nothing);
	g_test_add_func("/setup/refused", test_refused);
	g_test_add_func("/setup/limits", test_limits);
	g_test_add_func("/setup/percent", test_percent);
	return g_test_run();
}

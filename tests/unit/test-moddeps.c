// SPDX-License-Identifier: GPL-2.0-or-later
/* Unload orders, from /proc/modules as a real guest with nfs and dm loaded shows it. */
#include "backends/moddeps.h"

static const char proc_modules[] =
	"nfsv4 1003520 1 - Live 0x0000000000000000\n"
	"nfsv3 57344 2 - Live 0x0000000000000000\n"
	"nfs 557056 5 nfsv4,nfsv3, Live 0x0000000000000000\n"
	"lockd 143360 2 nfsv3,nfs, Live 0x0000000000000000\n"
	"sunrpc 692224 33 nfsv4,nfsv3,nfs,lockd, Live 0x0000000000000000\n"
	"probe 16384 0 - Live 0x0000000000000000 (OE)\n"
	"stuck 16384 1 [permanent], Live 0x0000000000000000\n"
	"both 16384 2 probe,[permanent], Live 0x0000000000000000\n"
	"broken\n"
	"\n";

static char *order_of(const char *name)
{
	g_autoptr(GHashTable) loaded = moddeps_parse(proc_modules);
	g_autoptr(GPtrArray) order = moddeps_unload_order(loaded, name);

	g_ptr_array_add(order, NULL);
	return g_strjoinv(" ", (char **) order->pdata);
}

static void test_order(void)
{
	static const struct {
		const char *name, *order;
	} rows[] = {
		{"probe", "probe"},
		{"nfs", "nfsv4 nfsv3 nfs"},
		{"sunrpc", "nfsv4 nfsv3 nfs lockd sunrpc"},
		{"lockd", "nfsv3 nfsv4 nfs lockd"},
		{"absent", ""},
		{"broken", ""},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *order = order_of(rows[i].name);

		g_assert_cmpstr(order, ==, rows[i].order);
	}
}

static void test_fields(void)
{
	g_autoptr(GHashTable) loaded = moddeps_parse(proc_modules);
	const LoadedModule *nfs = g_hash_table_lookup(loaded, "nfs");
	const LoadedModule *stuck = g_hash_table_lookup(loaded, "stuck");
	const LoadedModule *both = g_hash_table_lookup(loaded, "both");

	g_assert_cmpuint(g_hash_table_size(loaded), ==, 8);
	g_assert_cmpint(moddeps_other_users(nfs), ==, 3);
	g_assert_false(nfs->permanent);
	g_assert_true(stuck->permanent);
	g_assert_null(stuck->holders[0]);
	g_assert_true(both->permanent);
	g_assert_cmpstr(both->holders[0], ==, "probe");
	g_assert_cmpint(moddeps_other_users(both), ==, 1);
}

/* Holders cannot go in circles, but the guest's word is not to be trusted. */
static void test_circle(void)
{
	g_autoptr(GHashTable) loaded = moddeps_parse("a 1 1 b, Live 0x0\nb 1 1 a, Live 0x0\n");
	g_autoptr(GPtrArray) order = moddeps_unload_order(loaded, "a");

	g_assert_cmpuint(order->len, ==, 2);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/moddeps/order", test_order);
	g_test_add_func("/moddeps/fields", test_fields);
	g_test_add_func("/moddeps/circle", test_circle);
	return g_test_run();
}

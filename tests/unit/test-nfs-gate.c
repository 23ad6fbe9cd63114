// SPDX-License-Identifier: GPL-2.0-or-later
/* What the patterns of protect= say of paths; the gate at work is in test-nfs-server. */
#include <glib.h>
#include <stdlib.h>

#include "gate.h"

static void test_rules(void)
{
	static const char *const patterns[] = {"devvm.conf", ".git/config", ".git/hooks/**",
					       "*-gdb.py", "a/b/c"};
	static const struct {
		const char *path;
		enum path_rule rule;
	} want[] = {
		{"", PATH_FREE},
		{"devvm.conf", PATH_PROTECTED},
		{"x/y/devvm.conf", PATH_PROTECTED},
		{"devvm.conf/below", PATH_PROTECTED},
		{"devvm.conf.bak", PATH_FREE},
		{"xdevvm.conf", PATH_FREE},
		{".git", PATH_CARRIER},
		{"x/.git", PATH_CARRIER},
		{".git/config", PATH_PROTECTED},
		{"x/.git/config", PATH_PROTECTED},
		{".git/config/x", PATH_PROTECTED},
		{".git/x/config", PATH_FREE},
		{".git/HEAD", PATH_FREE},
		{".git/hooks", PATH_PROTECTED},
		{".git/hooks/a/b", PATH_PROTECTED},
		{"hooks", PATH_FREE},
		{"config", PATH_FREE},
		{"vmlinux-gdb.py", PATH_PROTECTED},
		{"scripts/x-gdb.py", PATH_PROTECTED},
		{"x-gdb.pyc", PATH_FREE},
		{"a", PATH_CARRIER},
		{"a/b", PATH_CARRIER},
		{"a/b/c", PATH_PROTECTED},
		{"a/a/b/c", PATH_PROTECTED},
		{"a/a", PATH_CARRIER},
		{"b", PATH_FREE},
		{"b/c", PATH_FREE},
		{"a/x/b/c", PATH_FREE},
	};
	struct export e = {0};

	for (unsigned int i = 0; i < G_N_ELEMENTS(patterns); i++)
		g_assert_cmpint(export_add_protect(&e, patterns[i]), ==, 0);
	for (unsigned int i = 0; i < G_N_ELEMENTS(want); i++) {
		g_test_message("%s", want[i].path);
		g_assert_cmpint(gate_path_rule(&e, want[i].path), ==, want[i].rule);
	}
	for (unsigned int i = 0; i < e.n_protect; i++)
		for (unsigned int j = 0; j < e.protect[i].n; j++)
			free(e.protect[i].part[j]);
	free(e.protect);
}

static void test_bad_patterns(void)
{
	struct export e = {0};

	g_assert_cmpint(export_add_protect(&e, ""), <, 0);
	g_assert_cmpint(export_add_protect(&e, "/"), <, 0);
	g_assert_cmpint(export_add_protect(&e, "**"), <, 0);
	free(e.protect);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nfs/gate/rules", test_rules);
	g_test_add_func("/nfs/gate/bad-patterns", test_bad_patterns);
	return g_test_run();
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* The map of files, and the handles that name its entries. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "handle.h"
#include "node.h"

static const uint64_t KEY[2] = {1, 2}, OTHER_KEY[2] = {1, 3};
enum { TAG = 77, MANY = 50000 };

static struct file_id id_of(uint64_t i)
{
	return (struct file_id){{i * 0x9e3779b97f4a7c15, i}};
}

static struct node *see(struct nodes *ns, uint64_t i, const struct node *parent, const char *name)
{
	struct file_id id = id_of(i);

	return node_see(ns, TAG, &id, i, parent, name, name ? strlen(name) : 0);
}

static void assert_is(struct nodes *ns, uint64_t i, uint64_t parent, const char *name)
{
	struct file_id id = id_of(i), pid = id_of(parent);
	struct node *n = node_find(ns, TAG, &id);

	g_assert_nonnull(n);
	g_assert_cmpmem(node_name(ns, n), n->name_len, name, strlen(name));
	g_assert_true(node_parent(ns, n) == node_find(ns, TAG, &pid));
}

static void fill(struct nodes *ns)
{
	struct node *root = see(ns, 1, NULL, NULL);

	for (uint64_t i = 2; i < MANY; i++) {
		g_autofree char *name = g_strdup_printf("file-%d", (int) i);

		g_assert_nonnull(see(ns, i, root, name));
	}
}

static void test_places(void)
{
	struct file_id two = id_of(2);
	struct nodes ns;

	g_assert_cmpint(nodes_open(&ns, NULL, KEY), ==, 0);
	fill(&ns);
	assert_is(&ns, 2, 1, "file-2");
	assert_is(&ns, MANY - 1, 1, "file-49999");
	/* Moved, below another one; then that one is gone, and its index another's. */
	see(&ns, 2, see(&ns, 3, NULL, NULL), "a-much-longer-name-than-before");
	assert_is(&ns, 2, 3, "a-much-longer-name-than-before");
	node_forget(&ns, see(&ns, 3, NULL, NULL));
	see(&ns, MANY + 1, NULL, NULL);
	g_assert_null(node_parent(&ns, node_find(&ns, TAG, &two)));
	nodes_close(&ns);
}

/* Names that come and go must not eat memory. */
static void test_names_reused(void)
{
	struct nodes ns;
	struct node *root;
	gsize used;

	g_assert_cmpint(nodes_open(&ns, NULL, KEY), ==, 0);
	root = see(&ns, 1, NULL, NULL);
	see(&ns, 2, root, "long name number one");
	see(&ns, 2, root, "short");
	used = ns.name_area.used;
	for (int i = 0; i < 1000; i++) {
		see(&ns, 2, root, i & 1 ? "long name number two" : "tiny");
		node_forget(&ns, see(&ns, 3, root, "x"));
	}
	g_assert_cmpuint(ns.name_area.used, <=, used + 64);
	g_assert_cmpuint(ns.live, ==, 2);
	nodes_close(&ns);
}

static void test_persistent(void)
{
	g_autofree char *dir = g_dir_make_tmp("devvm-nfs-node-XXXXXX", NULL);
	g_autofree char *file = g_build_filename(dir, "nodes", NULL);
	struct nodes ns;

	g_assert_cmpint(nodes_open(&ns, dir, KEY), ==, 0);
	fill(&ns);
	node_forget(&ns, see(&ns, 5, NULL, NULL));
	nodes_close(&ns);
	g_assert_cmpint(nodes_open(&ns, dir, KEY), ==, 0);
	g_assert_cmpuint(ns.live, ==, MANY - 2);
	assert_is(&ns, 2, 1, "file-2");
	assert_is(&ns, MANY - 1, 1, "file-49999");
	nodes_close(&ns);
	/* Cut off anywhere, it is still a map. */
	g_assert_cmpint(truncate(file, 4096 + 100), ==, 0);
	g_assert_cmpint(nodes_open(&ns, dir, KEY), ==, 0);
	g_assert_cmpuint(ns.live, <=, 1);
	fill(&ns);
	nodes_close(&ns);
	/* Under another key it is nobody's. */
	g_assert_cmpint(nodes_open(&ns, dir, OTHER_KEY), ==, 0);
	g_assert_cmpuint(ns.live, ==, 0);
	nodes_close(&ns);
	g_unlink(file);
	g_rmdir(dir);
}

static void test_handle(void)
{
	struct handle h = {.tag = TAG, .id = id_of(9), .ino = 99}, got;
	uint8_t raw[HANDLE_SIZE];

	handle_pack(KEY, &h, raw);
	g_assert_true(handle_unpack(KEY, raw, sizeof(raw), &got));
	g_assert_cmpuint(got.tag, ==, TAG);
	g_assert_cmpuint(got.ino, ==, 99);
	g_assert_cmpuint(got.id.v[0], ==, h.id.v[0]);
	g_assert_false(handle_unpack(OTHER_KEY, raw, sizeof(raw), &got));
	g_assert_false(handle_unpack(KEY, raw, sizeof(raw) - 1, &got));
	for (unsigned int i = 0; i < sizeof(raw); i++) {
		raw[i] ^= 0x10;
		g_assert_false(handle_unpack(KEY, raw, sizeof(raw), &got));
		raw[i] ^= 0x10;
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nfs/node/places", test_places);
	g_test_add_func("/nfs/node/names-reused", test_names_reused);
	g_test_add_func("/nfs/node/persistent", test_persistent);
	g_test_add_func("/nfs/handle", test_handle);
	return g_test_run();
}

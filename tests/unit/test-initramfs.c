// SPDX-License-Identifier: GPL-2.0-or-later
/* On the newest installed kernel: what it is for is decided by real modules. */
#include <archive.h>
#include <archive_entry.h>
#include <glib/gstdio.h>
#include <string.h>

#include "backends/initramfs-modules.h"
#include "backends/initramfs.h"

static char *cache;

static Kernel *some_kernel(void)
{
	g_autoptr(GError) error = NULL;
	Kernel *kernel = kernel_find(NULL, &error);

	if (!kernel)
		g_test_skip(error->message);
	return kernel;
}

static char *fake_agent(const char *text)
{
	char *path = g_build_filename(cache, "agent", NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	return path;
}

/* name → content (as text, NUL-terminated). */
static GHashTable *read_archive(const char *path)
{
	GHashTable *files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
						  (GDestroyNotify) g_bytes_unref);
	struct archive *archive = archive_read_new();
	struct archive_entry *entry;

	archive_read_support_format_cpio(archive);
	g_assert_cmpint(archive_read_open_filename(archive, path, 65536), ==, ARCHIVE_OK);
	while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
		gsize size = (gsize) archive_entry_size(entry);
		char *data = g_malloc0(size + 1);

		g_assert_cmpint(archive_read_data(archive, data, size), ==, (gssize) size);
		if (strcmp(archive_entry_pathname(entry), "init") == 0)
			g_assert_cmpuint(archive_entry_perm(entry), ==, 0755);
		g_hash_table_insert(files, g_strdup(archive_entry_pathname(entry)),
				    g_bytes_new_take(data, size + 1));
	}
	archive_read_free(archive);
	return files;
}

static const char *content(GHashTable *files, const char *name)
{
	GBytes *bytes = g_hash_table_lookup(files, name);

	return bytes ? g_bytes_get_data(bytes, NULL) : NULL;
}

static void test_content(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Kernel) kernel = some_kernel();
	g_autofree char *agent = fake_agent("one");
	g_autofree char *path = NULL;
	g_autoptr(GHashTable) files = NULL;
	g_auto(GStrv) list = NULL;

	if (!kernel)
		return;
	path = initramfs_make(kernel, agent, &error);
	g_assert_no_error(error);
	files = read_archive(path);
	g_assert_cmpstr(content(files, "init"), ==, "one");
	g_assert_nonnull(content(files, "dev/console"));
	g_assert_nonnull(content(files, "devvm/modules"));
	list = g_strsplit(content(files, "devvm/modules"), "\n", -1);
	for (guint i = 0; list[i] && *list[i]; i++) {
		const char *module = content(files, list[i] + 1);

		g_assert_nonnull(module);
		g_assert_cmpmem(module, 4, "\177ELF", 4);
	}
}

/* The same name for the same content, another for another, and no other file beside. */
static void test_cache(void)
{
	g_autoptr(Kernel) kernel = some_kernel();
	g_autofree char *one = NULL, *again = NULL, *two = NULL, *agent = fake_agent("one");

	if (!kernel)
		return;
	one = initramfs_make(kernel, agent, NULL);
	again = initramfs_make(kernel, agent, NULL);
	g_assert_cmpstr(one, ==, again);
	g_free(fake_agent("two"));
	two = initramfs_make(kernel, agent, NULL);
	g_assert_nonnull(two);
	g_assert_cmpstr(one, !=, two);
}

static int index_of(GPtrArray *modules, const char *name)
{
	for (guint i = 0; i < modules->len; i++) {
		g_autofree char *base = g_path_get_basename(modules->pdata[i]);

		if (g_str_has_prefix(base, name) && base[strlen(name)] == '.')
			return (int) i;
	}
	return -1;
}

static void test_order(void)
{
	static const char *const names[] = {"nfsv3", "no_such_module", "overlay", NULL};
	g_autoptr(GError) error = NULL;
	g_autoptr(Kernel) kernel = some_kernel();
	g_autoptr(GPtrArray) modules = NULL;

	if (!kernel)
		return;
	modules = initramfs_modules(kernel->modules, names, &error);
	g_assert_no_error(error);
	if (index_of(modules, "nfsv3") < 0) {
		g_test_skip("nfsv3 is built into this kernel");
		return;
	}
	g_assert_cmpint(index_of(modules, "sunrpc"), <, index_of(modules, "nfs"));
	g_assert_cmpint(index_of(modules, "nfs"), <, index_of(modules, "nfsv3"));
	g_assert_cmpint(index_of(modules, "no_such_module"), ==, -1);
	for (guint i = 0; i < modules->len; i++)
		for (guint j = 0; j < i; j++)
			g_assert_cmpstr(modules->pdata[i], !=, modules->pdata[j]);
}

static gboolean contains(GBytes *bytes, const char *text)
{
	gsize n;
	const char *data = g_bytes_get_data(bytes, &n);

	return memmem(data, n, text, strlen(text)) != NULL;
}

static void test_signature_goes(void)
{
	static const char *const names[] = {"overlay", NULL};
	g_autoptr(Kernel) kernel = some_kernel();
	g_autoptr(GPtrArray) modules = NULL;
	g_autoptr(GBytes) bytes = NULL;

	if (!kernel)
		return;
	modules = initramfs_modules(kernel->modules, names, NULL);
	if (!modules->len) {
		g_test_skip("overlay is built into this kernel");
		return;
	}
	bytes = initramfs_module_read(modules->pdata[0], NULL);
	g_assert_false(contains(bytes, "~Module signature appended~"));
	g_assert_true(contains(bytes, "vermagic="));
}

/* Whatever the bytes: no crash, and what cannot be trimmed stays. */
static void test_odd_modules(void)
{
	static const struct {
		const char *text;
		gsize size;
	} odd[] = {{"x", 1},
		   {"~Module signature appended~\n", 28},
		   {"\0\0\0\0\0\0\0\0\377\377\377\377~Module signature appended~\n", 40},
		   {"\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\1\0\076\0\1\0\0\0", 24}};
	g_autofree char *path = g_build_filename(cache, "odd.ko", NULL);

	for (gsize i = 0; i < G_N_ELEMENTS(odd); i++) {
		g_autoptr(GBytes) bytes = NULL;

		g_assert_true(g_file_set_contents(path, odd[i].text, (gssize) odd[i].size, NULL));
		bytes = initramfs_module_read(path, NULL);
		g_assert_nonnull(bytes);
		g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), odd[i].text,
				odd[i].size);
	}
}

static void remove_cache(void)
{
	const char *argv[] = {"rm", "-rf", cache, NULL};

	g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL,
		     NULL);
}

int main(int argc, char **argv)
{
	int status;

	g_test_init(&argc, &argv, NULL);
	cache = g_dir_make_tmp("devvm-initramfs-XXXXXX", NULL);
	g_setenv("XDG_CACHE_HOME", cache, TRUE);
	g_test_add_func("/initramfs/content", test_content);
	g_test_add_func("/initramfs/cache", test_cache);
	g_test_add_func("/initramfs/order", test_order);
	g_test_add_func("/initramfs/signature", test_signature_goes);
	g_test_add_func("/initramfs/odd-modules", test_odd_modules);
	status = g_test_run();
	remove_cache();
	g_free(cache);
	return status;
}

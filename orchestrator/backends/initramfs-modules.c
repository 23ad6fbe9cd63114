// SPDX-License-Identifier: GPL-2.0-or-later
#include "initramfs-modules.h"

#include <archive.h>
#include <errno.h>
#include <libkmod.h>
#include <string.h>

#include "util/error.h"

#define MAX_MODULE_SIZE (64 * 1024 * 1024)
#define SIGNATURE_MARK "~Module signature appended~\n"

typedef struct kmod_ctx KmodCtx;
typedef struct kmod_list KmodList;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KmodCtx, kmod_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KmodList, kmod_module_unref_list)

/* --- order ------------------------------------------------------------------------------------ */

typedef struct {
	GHashTable *seen; /* module names */
	GPtrArray *paths;
} Order;

static void add_module(Order *order, struct kmod_module *module);

static void add_list(Order *order, struct kmod_list *list)
{
	struct kmod_list *item;

	kmod_list_foreach(item, list)
	{
		struct kmod_module *module = kmod_module_get_module(item);

		add_module(order, module);
		kmod_module_unref(module);
	}
}

/* What it depends on, itself, what it wants after itself. */
static void add_module(Order *order, struct kmod_module *module)
{
	const char *path = kmod_module_get_path(module);
	g_autoptr(KmodList) dependencies = NULL;
	g_autoptr(KmodList) before = NULL;
	g_autoptr(KmodList) after = NULL;

	if (!path || !g_hash_table_add(order->seen, g_strdup(kmod_module_get_name(module))))
		return;
	dependencies = kmod_module_get_dependencies(module);
	kmod_module_get_softdeps(module, &before, &after);
	add_list(order, before);
	add_list(order, dependencies);
	g_ptr_array_add(order->paths, g_strdup(path));
	add_list(order, after);
}

GPtrArray *initramfs_modules(const char *folder, const char *const *names, GError **error)
{
	static const char *const no_config =
		NULL; /* the host's own modprobe.d is not the guest's */
	g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(KmodCtx) ctx = kmod_new(folder, &no_config);
	Order order = {seen, paths};

	if (!ctx) {
		devvm_fail(error, DEVVM_ERROR_FAILED, "cannot read the modules in %s", folder);
		return NULL;
	}
	for (; *names; names++) {
		g_autoptr(KmodList) found = NULL;
		int r = kmod_module_new_from_lookup(ctx, *names, &found);

		if (r < 0) {
			devvm_fail_errno(error, DEVVM_ERROR_FAILED, -r,
					 "cannot look up the module %s in %s", *names, folder);
			return NULL;
		}
		add_list(&order, found);
	}
	return g_steal_pointer(&paths);
}

/* --- bytes ------------------------------------------------------------------------------------ */

typedef struct archive ReadArchive;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ReadArchive, archive_read_free)

static gboolean read_error(GError **error, struct archive *archive, const char *path)
{
	return devvm_fail(error, DEVVM_ERROR_FAILED, "cannot read the module %s: %s", path,
			  archive_error_string(archive));
}

static GByteArray *read_decompressed(const char *path, GError **error)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	g_autoptr(ReadArchive) archive = archive_read_new();
	struct archive_entry *entry;
	guint8 piece[16384];
	la_ssize_t n;

	archive_read_support_filter_all(archive);
	archive_read_support_format_raw(archive);
	if (archive_read_open_filename(archive, path, 65536) != ARCHIVE_OK ||
	    archive_read_next_header(archive, &entry) != ARCHIVE_OK) {
		read_error(error, archive, path);
		return NULL;
	}
	while ((n = archive_read_data(archive, piece, sizeof(piece))) > 0) {
		g_byte_array_append(bytes, piece, (guint) n);
		if (bytes->len > MAX_MODULE_SIZE) {
			devvm_fail(error, DEVVM_ERROR_FAILED, "the module %s is too large", path);
			return NULL;
		}
	}
	if (n < 0) {
		read_error(error, archive, path);
		return NULL;
	}
	return g_steal_pointer(&bytes);
}

/* --- the signature ---------------------------------------------------------------------------- */

/*
 * Under emulation the check of the signatures is a third of the time that loading the set takes
 * (180 of 600 ms). A kernel that insists on them (CONFIG_MODULE_SIG_FORCE) is refused by
 * kernel-require.c, since it would take no module of the user's either. All else stays: the guest's
 * own modules can be traced like any other.
 */
static void trim_signature(GByteArray *module)
{
	const gsize n = strlen(SIGNATURE_MARK), trailer = 12; /* struct module_signature */
	guint32 length;
	gsize end;

	if (module->len < n + trailer || memcmp(module->data + module->len - n, SIGNATURE_MARK, n))
		return;
	end = module->len - n - trailer;
	memcpy(&length, module->data + end + trailer - 4, 4);
	length = GUINT32_FROM_BE(length);
	if (length <= end)
		g_byte_array_set_size(module, (guint) (end - length));
}

GBytes *initramfs_module_read(const char *path, GError **error)
{
	GByteArray *module = read_decompressed(path, error);

	if (!module)
		return NULL;
	trim_signature(module);
	return g_byte_array_free_to_bytes(module);
}

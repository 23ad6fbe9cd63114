// SPDX-License-Identifier: GPL-2.0-or-later
#include "initramfs-modules.h"

#include <archive.h>
#include <elf.h>
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

/* --- trimming --------------------------------------------------------------------------------- */

/*
 * Under emulation much of a module's loading time (600 ms of the set) is not for the module's work:
 *   its signature       180 ms
 *   its trace events     90 ms   (a folder of files in tracefs for each; sunrpc has hundreds)
 *   its ftrace records   40 ms
 *   its BTF              10 ms
 * So the guest's own modules go without: they cannot be traced with ftrace, kprobes still work. The
 * modules that a user loads are untouched. The signature is over all bytes, so it goes first; with
 * CONFIG_MODULE_SIG_FORCE or lockdown the kernel would refuse them, and kernel.c's check is the
 * place to say so.
 */
static const char *const trimmed_sections[] = {"_ftrace_events", "__mcount_loc", ".BTF"};

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

static gboolean section_named(const GByteArray *m, const Elf64_Shdr *names, const Elf64_Shdr *s,
			      const char *name)
{
	gsize at = names->sh_offset + s->sh_name;

	/* The table of names ends with a NUL: checked by the caller. */
	return s->sh_name < names->sh_size && strcmp((const char *) m->data + at, name) == 0;
}

static gboolean is_trimmed(const GByteArray *m, const Elf64_Shdr *names, const Elf64_Shdr *s)
{
	for (gsize i = 0; i < G_N_ELEMENTS(trimmed_sections); i++)
		if (section_named(m, names, s, trimmed_sections[i]))
			return TRUE;
	return FALSE;
}

/* The kernel looks for these sections by name: without one they are bytes that nobody reads. */
static void trim_sections(GByteArray *module)
{
	Elf64_Ehdr *elf = (Elf64_Ehdr *) (gpointer) module->data;
	Elf64_Shdr *sections, *names;

	if (module->len < sizeof(*elf) || memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0 ||
	    elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_shentsize != sizeof(*sections) ||
	    elf->e_shoff > module->len || elf->e_shoff % 8 ||
	    (module->len - elf->e_shoff) / sizeof(*sections) < elf->e_shnum ||
	    elf->e_shstrndx >= elf->e_shnum)
		return;
	sections = (Elf64_Shdr *) (gpointer) (module->data + elf->e_shoff);
	names = &sections[elf->e_shstrndx];
	if (names->sh_offset > module->len || names->sh_size > module->len - names->sh_offset ||
	    !names->sh_size || module->data[names->sh_offset + names->sh_size - 1] != '\0')
		return;
	for (guint i = 1; i < elf->e_shnum; i++)
		if (is_trimmed(module, names, &sections[i]))
			sections[i].sh_name = 0;
}

GBytes *initramfs_module_read(const char *path, GError **error)
{
	GByteArray *module = read_decompressed(path, error);

	if (!module)
		return NULL;
	trim_signature(module);
	trim_sections(module);
	return g_byte_array_free_to_bytes(module);
}

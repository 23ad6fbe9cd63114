// SPDX-License-Identifier: GPL-2.0-or-later
#include "initramfs.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <utime.h>

#include "initramfs-modules.h"
#include "util/error.h"
#include "util/paths.h"

#define FORMAT_VERSION "4" /* changes when the content does for the same agent and modules */
#define KEEP_DAYS 14	   /* an initramfs that no `up` has used for so long is removed */

/*
 * In the order in which the guest wants them: the channel first, disks last, then what tells
 * libvirt of a panic.
 */
static const char *const wanted_modules[] = {
	"virtio_pci", "virtio_console", "virtio_net",	"nfsv3",
	"overlay",    "virtio_blk",	"pvpanic_mmio", NULL};

typedef struct archive WriteArchive;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WriteArchive, archive_write_free)
typedef struct archive_entry ArchiveEntry;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ArchiveEntry, archive_entry_free)

/* --- the name, by content --------------------------------------------------------------------- */

static char *cache_name(const Kernel *kernel, GBytes *agent, GPtrArray *modules, GError **error)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

	g_checksum_update(sum, (const guchar *) FORMAT_VERSION, -1);
	g_checksum_update(sum, g_bytes_get_data(agent, NULL), (gssize) g_bytes_get_size(agent));
	for (guint i = 0; i < modules->len; i++) {
		const char *path = modules->pdata[i];
		g_autofree char *line = NULL;
		struct stat st;

		if (stat(path, &st) < 0) {
			devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno,
					 "cannot read the module %s", path);
			return NULL;
		}
		line = g_strdup_printf("%s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT ".%09ld\n", path,
				       (gint64) st.st_size, (gint64) st.st_mtim.tv_sec,
				       st.st_mtim.tv_nsec);
		g_checksum_update(sum, (const guchar *) line, -1);
	}
	return g_strdup_printf("initramfs-%s-%.16s.cpio", kernel->release,
			       g_checksum_get_string(sum));
}

/* --- the archive ------------------------------------------------------------------------------ */

static gboolean write_error(GError **error, struct archive *archive)
{
	int saved_errno = archive_errno(archive);

	return devvm_fail(error, DEVVM_ERROR_FAILED, "%s",
			  saved_errno > 0 ? g_strerror(saved_errno)
					  : archive_error_string(archive));
}

static gboolean add(struct archive *archive, const char *name, guint type, guint mode, GBytes *data,
		    GError **error)
{
	g_autoptr(ArchiveEntry) entry = archive_entry_new();
	gsize size = 0;
	gconstpointer bytes = data ? g_bytes_get_data(data, &size) : NULL;

	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, type);
	archive_entry_set_perm(entry, mode);
	archive_entry_set_size(entry, (la_int64_t) size);
	archive_entry_set_nlink(entry, 1);
	if (type == AE_IFCHR)
		archive_entry_set_rdev(entry, makedev(5, 1));
	if (archive_write_header(archive, entry) != ARCHIVE_OK ||
	    (size && archive_write_data(archive, bytes, size) != (la_ssize_t) size))
		return write_error(error, archive);
	return TRUE;
}

/* Modules are numbered: two folders may hold files of one name. */
static gboolean add_modules(struct archive *archive, GPtrArray *modules, GError **error)
{
	g_autoptr(GString) list = g_string_new(NULL);
	g_autoptr(GBytes) text = NULL;

	for (guint i = 0; i < modules->len; i++) {
		g_autofree char *base = g_path_get_basename(modules->pdata[i]);
		char *suffix = strstr(base, ".ko");
		g_autofree char *name = NULL;
		g_autoptr(GBytes) data = initramfs_module_read(modules->pdata[i], error);

		if (suffix)
			*suffix = '\0';
		name = g_strdup_printf("devvm/%02u-%s.ko", i, base);
		if (!data || !add(archive, name, AE_IFREG, 0644, data, error))
			return FALSE;
		g_string_append_printf(list, "/%s\n", name);
	}
	text = g_string_free_to_bytes(g_steal_pointer(&list));
	return add(archive, "devvm/modules", AE_IFREG, 0644, text, error);
}

/* Which device nodes load a module when opened; read here, not over NFS. */
static gboolean add_devname(struct archive *archive, const char *folder, GError **error)
{
	g_autofree char *path = g_build_filename(folder, "modules.devname", NULL);
	g_autoptr(GBytes) data = NULL;
	char *content;
	gsize size;

	if (!g_file_get_contents(path, &content, &size, NULL))
		return TRUE;
	data = g_bytes_new_take(content, size);
	return add(archive, "devvm/modules.devname", AE_IFREG, 0644, data, error);
}

static gboolean write_archive(int fd, const Kernel *kernel, GBytes *agent, GPtrArray *modules,
			      GError **error)
{
	static const char *const folders[] = {"dev", "proc", "sys", "devvm"};
	g_autoptr(WriteArchive) archive = archive_write_new();

	archive_write_set_format_cpio_newc(archive);
	archive_write_set_bytes_per_block(archive, 65536);
	archive_write_set_bytes_in_last_block(archive, 512);
	if (archive_write_open_fd(archive, fd) != ARCHIVE_OK)
		return write_error(error, archive);
	for (gsize i = 0; i < G_N_ELEMENTS(folders); i++)
		if (!add(archive, folders[i], AE_IFDIR, 0755, NULL, error))
			return FALSE;
	if (!add(archive, "dev/console", AE_IFCHR, 0600, NULL, error) ||
	    !add(archive, "init", AE_IFREG, 0755, agent, error) ||
	    !add_devname(archive, kernel->modules, error) || !add_modules(archive, modules, error))
		return FALSE;
	if (archive_write_close(archive) != ARCHIVE_OK)
		return write_error(error, archive);
	return TRUE;
}

/* Whole under its name, or not there: several `up` may make the same one at once. */
static gboolean write_file(const char *path, const Kernel *kernel, GBytes *agent,
			   GPtrArray *modules, GError **error)
{
	g_autofree char *temporary = g_strconcat(path, ".XXXXXX", NULL);
	int fd = g_mkstemp_full(temporary, O_RDWR | O_CLOEXEC, 0600);
	gboolean ok;

	if (fd < 0)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot write %s",
					temporary);
	ok = write_archive(fd, kernel, agent, modules, error);
	if (!ok)
		g_prefix_error(error, "cannot make %s: ", path);
	if (close(fd) < 0 && ok)
		ok = devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot write %s",
				      temporary);
	if (ok && g_rename(temporary, path) < 0)
		ok = devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot make %s", path);
	if (!ok)
		g_unlink(temporary);
	return ok;
}

/* --- the cache -------------------------------------------------------------------------------- */

/* Old ones go, but none that a VM may still boot from soon: each use renews the time. */
static void prune(const char *folder)
{
	gint64 oldest = g_get_real_time() / G_USEC_PER_SEC - KEEP_DAYS * 24 * 3600;
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(folder, name, NULL);
		GStatBuf st;

		if (g_str_has_prefix(name, "initramfs-") && g_stat(path, &st) == 0 &&
		    st.st_mtime < oldest)
			g_unlink(path);
	}
}

char *initramfs_make(const Kernel *kernel, const char *agent_path, GError **error)
{
	g_autofree char *folder = devvm_cache_dir();
	g_autoptr(GPtrArray) modules = NULL;
	g_autoptr(GBytes) agent = NULL;
	g_autofree char *name = NULL, *path = NULL, *content = NULL;
	gsize size;

	if (!g_file_get_contents(agent_path, &content, &size, error)) {
		g_prefix_error(error, "cannot read the guest's agent: ");
		return NULL;
	}
	agent = g_bytes_new_take(g_steal_pointer(&content), size);
	modules = initramfs_modules(kernel->modules, wanted_modules, error);
	if (!modules || !devvm_make_private_dir(folder, error))
		return NULL;
	name = cache_name(kernel, agent, modules, error);
	if (!name)
		return NULL;
	path = g_build_filename(folder, name, NULL);
	if (g_utime(path, NULL) == 0) /* there already */
		return g_steal_pointer(&path);
	if (!write_file(path, kernel, agent, modules, error))
		return NULL;
	prune(folder);
	return g_steal_pointer(&path);
}

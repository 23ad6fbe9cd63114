// SPDX-License-Identifier: GPL-2.0-or-later
#include "modinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <gio/gio.h>
#include <libkmod.h>
#include <string.h>
#include <unistd.h>

#include "../util/error.h"

#define MAX_NOTE_ID 64u
#define MAX_WORDS 10000u

static void elf_end_cleanup(Elf *elf)
{
	if (elf)
		elf_end(elf);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Elf, elf_end_cleanup)

void modinfo_free(ModInfo *info)
{
	if (!info)
		return;
	g_free(info->path);
	g_free(info->name);
	g_free(info->vermagic);
	g_strfreev(info->depends);
	g_strfreev(info->aliases);
	g_strfreev(info->softdeps);
	g_free(info->srcversion);
	g_free(info->build_id);
	g_free(info);
}

char *modinfo_plain_name(const char *name_or_path)
{
	char *name = g_path_get_basename(name_or_path);

	if (g_str_has_suffix(name, ".ko"))
		name[strlen(name) - 3] = '\0';
	return g_strdelimit(name, "-", '_');
}

/* The build id of a notes section, as hex, or NULL. */
static char *note_build_id(Elf_Data *data)
{
	GElf_Nhdr nhdr;
	size_t name_at, desc_at;

	for (size_t at = 0; (at = gelf_getnote(data, at, &nhdr, &name_at, &desc_at)) > 0;) {
		const guint8 *bytes = (const guint8 *) data->d_buf + desc_at;
		GString *hex;

		if (nhdr.n_type != NT_GNU_BUILD_ID || nhdr.n_namesz != 4 ||
		    memcmp((const char *) data->d_buf + name_at, "GNU", 4) ||
		    nhdr.n_descsz > MAX_NOTE_ID)
			continue;
		hex = g_string_new(NULL);
		for (guint i = 0; i < nhdr.n_descsz; i++)
			g_string_append_printf(hex, "%02x", bytes[i]);
		return g_string_free(hex, FALSE);
	}
	return NULL;
}

/* "key=value" strings with a NUL after each. */
static void take_modinfo(ModInfo *info, Elf_Data *data, GStrvBuilder *aliases,
			 GStrvBuilder *softdeps)
{
	const char *at = data->d_buf, *end = at + data->d_size;

	while (at < end) {
		gsize length = strnlen(at, (gsize) (end - at));
		g_autofree char *word = g_strndup(at, length);
		char *value = strchr(word, '=');

		at += length + 1;
		if (!value)
			continue;
		*value++ = '\0';
		if (!strcmp(word, "vermagic") && !info->vermagic) {
			info->vermagic = g_strdup(value);
		} else if (!strcmp(word, "srcversion") && !info->srcversion) {
			info->srcversion = g_strdup(value);
		} else if (!strcmp(word, "name") && !info->name) {
			info->name = modinfo_plain_name(value);
		} else if (!strcmp(word, "depends") && !info->depends) {
			g_strdelimit(value, "-", '_');
			info->depends =
				*value ? g_strsplit(value, ",", MAX_WORDS) : g_new0(char *, 1);
		} else if (!strcmp(word, "alias")) {
			g_strv_builder_add(aliases, value);
		} else if (!strcmp(word, "softdep")) {
			g_strv_builder_add(softdeps, value);
		}
	}
}

/* Goes through the sections; FALSE when there is no .modinfo. */
static gboolean take_sections(ModInfo *info, Elf *elf)
{
	g_autoptr(GStrvBuilder) aliases = g_strv_builder_new();
	g_autoptr(GStrvBuilder) softdeps = g_strv_builder_new();
	size_t names;
	gboolean found = FALSE;

	if (elf_getshdrstrndx(elf, &names) < 0)
		return FALSE;
	for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
		GElf_Shdr shdr;
		const char *name;
		Elf_Data *data;

		if (!gelf_getshdr(scn, &shdr))
			continue;
		name = elf_strptr(elf, names, shdr.sh_name);
		if (!name || shdr.sh_type == SHT_NOBITS)
			continue;
		if (!strcmp(name, ".debug_info")) {
			info->has_debug = TRUE;
		} else if (!strcmp(name, ".modinfo") && (data = elf_rawdata(scn, NULL))) {
			take_modinfo(info, data, aliases, softdeps);
			found = TRUE;
		} else if (shdr.sh_type == SHT_NOTE && !info->build_id &&
			   (data = elf_getdata(scn, NULL))) {
			info->build_id = note_build_id(data);
		}
	}
	info->aliases = g_strv_builder_end(aliases);
	info->softdeps = g_strv_builder_end(softdeps);
	return found;
}

ModInfo *modinfo_read(const char *path, GError **error)
{
	g_autoptr(ModInfo) info = g_new0(ModInfo, 1);
	g_autoptr(Elf) elf = NULL;
	gboolean found;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		devvm_fail_errno(error,
				 errno == ENOENT ? DEVVM_ERROR_NOT_FOUND : DEVVM_ERROR_FAILED,
				 errno, "cannot read %s", path);
		return NULL;
	}
	info->path = g_strdup(path);
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	found = elf && elf_kind(elf) == ELF_K_ELF && take_sections(info, elf);
	if (elf)
		elf_cntl(elf, ELF_C_FDDONE);
	close(fd);
	if (!found) {
		devvm_fail(error, DEVVM_ERROR_FAILED,
			   "%s is no kernel module (no .modinfo section): build it anew", path);
		return NULL;
	}
	if (!info->name)
		info->name = modinfo_plain_name(path);
	if (!info->vermagic)
		info->vermagic = g_strdup("");
	if (!info->depends)
		info->depends = g_new0(char *, 1);
	return g_steal_pointer(&info);
}

char *modinfo_fstypes(const ModInfo *info)
{
	GString *types = g_string_new(NULL);

	for (gsize i = 0; info->aliases[i]; i++)
		if (g_str_has_prefix(info->aliases[i], "fs-"))
			g_string_append_printf(types, "%s%s", types->len ? "," : "",
					       info->aliases[i] + strlen("fs-"));
	return g_string_free(types, FALSE);
}

char *modinfo_identity(const ModInfo *info, GError **error)
{
	g_autofree char *text = NULL;
	gsize size;

	if (info->build_id)
		return g_strdup(info->build_id);
	if (info->srcversion)
		return g_strdup(info->srcversion);
	if (!g_file_get_contents(info->path, &text, &size, error))
		return NULL;
	return g_compute_checksum_for_data(G_CHECKSUM_SHA1, (const guchar *) text, size);
}

/* The vermagic of one module file, compressed or not; NULL when it has none. */
static char *file_vermagic(struct kmod_ctx *kmod, const char *path)
{
	struct kmod_module *module = NULL;
	struct kmod_list *list = NULL, *entry;
	char *vermagic = NULL;

	if (kmod_module_new_from_path(kmod, path, &module) < 0)
		return NULL;
	if (kmod_module_get_info(module, &list) >= 0) {
		kmod_list_foreach(entry, list)
		{
			if (!vermagic && !strcmp(kmod_module_info_get_key(entry), "vermagic"))
				vermagic = g_strdup(kmod_module_info_get_value(entry));
		}
		kmod_module_info_free_list(list);
	}
	kmod_module_unref(module);
	return vermagic;
}

char *modinfo_kernel_vermagic(const char *modules, GError **error)
{
	const char *const no_config[] = {NULL};
	g_autofree char *list = g_build_filename(modules, "modules.order", NULL);
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	struct kmod_ctx *kmod;
	char *vermagic = NULL;

	if (!g_file_get_contents(list, &text, NULL, NULL))
		return NULL;
	kmod = kmod_new(modules, no_config);
	if (!kmod) {
		devvm_fail(error, DEVVM_ERROR_FAILED, "libkmod does not start");
		return NULL;
	}
	/* Packages are split (Debian's cloud, Fedora's -extra): listed does not mean there. */
	lines = g_strsplit(text, "\n", MAX_WORDS);
	for (gsize i = 0; lines[i] && !vermagic; i++) {
		static const char *const suffixes[] = {"", ".xz", ".zst", ".gz"};

		for (gsize j = 0; *lines[i] && j < G_N_ELEMENTS(suffixes) && !vermagic; j++) {
			g_autofree char *file = g_strconcat(lines[i], suffixes[j], NULL);
			g_autofree char *path = g_build_filename(modules, file, NULL);

			if (g_file_test(path, G_FILE_TEST_EXISTS))
				vermagic = file_vermagic(kmod, path);
		}
	}
	kmod_unref(kmod);
	return vermagic;
}

gboolean modinfo_is_builtin(const char *modules, const char *name)
{
	g_autofree char *path = g_build_filename(modules, "modules.builtin", NULL);
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return FALSE;
	lines = g_strsplit(text, "\n", -1);
	for (gsize i = 0; lines[i]; i++) {
		g_autofree char *plain = *lines[i] ? modinfo_plain_name(lines[i]) : NULL;

		if (plain && !strcmp(plain, name))
			return TRUE;
	}
	return FALSE;
}

char *modinfo_install_override(const char *name)
{
	struct kmod_ctx *kmod = kmod_new(NULL, NULL);
	struct kmod_config_iter *iter = kmod ? kmod_config_get_install_commands(kmod) : NULL;
	char *command = NULL;

	while (iter && !command && kmod_config_iter_next(iter)) {
		g_autofree char *key = modinfo_plain_name(kmod_config_iter_get_key(iter));
		const char *value = kmod_config_iter_get_value(iter);

		if (!strcmp(key, name) && value && !strstr(value, "modprobe") &&
		    !strstr(value, "insmod"))
			command = g_strdup(value);
	}
	if (iter)
		kmod_config_iter_free_iter(iter);
	if (kmod)
		kmod_unref(kmod);
	return command;
}

GBytes *modinfo_strip(const char *path, GError **error)
{
	g_autofree char *out = NULL;
	const char *argv[] = {"objcopy", "--strip-debug", path, NULL, NULL};
	g_autoptr(GSubprocess) child = NULL;
	g_autofree char *text = NULL, *message = NULL;
	gsize size;
	int fd = g_file_open_tmp("devvm-strip-XXXXXX", &out, error);
	gboolean ok;

	if (fd < 0)
		return NULL;
	close(fd);
	argv[3] = out;
	child = g_subprocess_newv(argv, G_SUBPROCESS_FLAGS_STDERR_PIPE, error);
	ok = child && g_subprocess_communicate_utf8(child, NULL, NULL, NULL, &message, error);
	if (ok && !g_subprocess_get_successful(child))
		ok = devvm_fail(error, DEVVM_ERROR_FAILED, "objcopy cannot strip %s: %s", path,
				message ? g_strstrip(message) : "it was killed");
	ok = ok && g_file_get_contents(out, &text, &size, error);
	unlink(out);
	return ok ? g_bytes_new_take(g_steal_pointer(&text), size) : NULL;
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel-require.h"

#include <string.h>

#include "util/error.h"

/* `module`: what gives it when the option is =m; NULL: the option must be =y. */
static const struct {
	const char *option, *module;
	RequireFor what;
	const char *why;
} TABLE[] = {
	{"BLK_DEV_INITRD", NULL, REQUIRE_ALWAYS, "the guest starts from an initramfs"},
	{"BINFMT_ELF", NULL, REQUIRE_ALWAYS, "to run programs"},
	{"BINFMT_SCRIPT", "binfmt_script", REQUIRE_ALWAYS, "to run scripts"},
	{"DEVTMPFS", NULL, REQUIRE_ALWAYS, "/dev"},
	{"PROC_FS", NULL, REQUIRE_ALWAYS, "/proc"},
	{"SYSFS", NULL, REQUIRE_ALWAYS, "/sys"},
	{"TMPFS", NULL, REQUIRE_ALWAYS, "what the guest writes stays in memory"},
	{"UNIX98_PTYS", NULL, REQUIRE_ALWAYS, "terminals for devvm shell"},
	{"MODULES", NULL, REQUIRE_ALWAYS, "modules are loaded"},
	{"MODULE_UNLOAD", NULL, REQUIRE_ALWAYS, "modules are unloaded"},
	{"SERIAL_8250_CONSOLE", NULL, REQUIRE_ALWAYS, "the console"},
	{"PCI", NULL, REQUIRE_ALWAYS, "QEMU's devices"},
	{"VIRTIO_PCI", "virtio_pci", REQUIRE_ALWAYS, "QEMU's devices"},
	{"VIRTIO_CONSOLE", "virtio_console", REQUIRE_ALWAYS, "the channel to devvm's agent"},
	{"VIRTIO_NET", "virtio_net", REQUIRE_ALWAYS, "the network, over which the trees come"},
	{"NET", NULL, REQUIRE_ALWAYS, "the network"},
	{"INET", NULL, REQUIRE_ALWAYS, "the network"},
	{"UNIX", "unix", REQUIRE_ALWAYS, "sockets of local programs"},
	{"NFS_FS", "nfs", REQUIRE_ALWAYS, "the guest's root and the trees come over NFS"},
	{"NFS_V3", "nfsv3", REQUIRE_ALWAYS, "the guest's root and the trees come over NFS 3"},
	{"OVERLAY_FS", "overlay", REQUIRE_ALWAYS, "the writable layer over the host's root"},
	{"VIRTIO_BLK", "virtio_blk", REQUIRE_DISKS, "disks"},
};

static char **file_lines(const char *folder, const char *name)
{
	g_autofree char *path = name ? g_build_filename(folder, name, NULL) : g_strdup(folder);
	g_autofree char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return NULL;
	return g_strsplit(text, "\n", -1);
}

/* Option without "CONFIG_" → value; NULL when there is no config that can be read. */
static GHashTable *read_config(const Kernel *kernel)
{
	g_auto(GStrv) lines = kernel->config ? file_lines(kernel->config, NULL) : NULL;
	GHashTable *options;

	if (!lines)
		return NULL;
	options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	for (char **line = lines; *line; line++) {
		char *equals = strchr(*line, '=');

		if (!equals || !g_str_has_prefix(*line, "CONFIG_"))
			continue;
		*equals = '\0';
		g_hash_table_replace(options, g_strdup(*line + strlen("CONFIG_")),
				     g_strdup(equals + 1));
	}
	return options;
}

/* "kernel/fs/nfs/nfs-x.ko.xz: …" → "nfs_x" */
static char *module_name(const char *line)
{
	g_autofree char *path = g_strndup(line, strcspn(line, ":"));
	g_autofree char *base = g_path_get_basename(path);

	base[strcspn(base, ".")] = '\0';
	return g_strdelimit(g_steal_pointer(&base), "-", '_');
}

/* Names of the modules in a list of depmod's or kbuild's; FALSE when it cannot be read. */
static gboolean add_modules(const Kernel *kernel, const char *list, GHashTable *names)
{
	g_auto(GStrv) lines = file_lines(kernel->modules, list);

	for (char **line = lines; line && *line; line++)
		if (**line)
			g_hash_table_add(names, module_name(*line));
	return lines != NULL;
}

/* NULL, or what is wrong with row i. */
static char *row_fault(gsize i, GHashTable *options, GHashTable *loadable, GHashTable *builtin)
{
	const char *value = options ? g_hash_table_lookup(options, TABLE[i].option) : NULL;
	const char *module = TABLE[i].module;

	if (options && g_strcmp0(value, "y") == 0)
		return NULL;
	if (options && (g_strcmp0(value, "m") != 0 || !module))
		return g_strdup_printf("CONFIG_%s  (%s)", TABLE[i].option, TABLE[i].why);
	/* Without a config only what can be a module leaves a trace. */
	if (!module || g_hash_table_contains(loadable, module) ||
	    (!options && g_hash_table_contains(builtin, module)))
		return NULL;
	if (options)
		return g_strdup_printf("module %s, which CONFIG_%s=m promises  (%s)", module,
				       TABLE[i].option, TABLE[i].why);
	if (g_str_equal(module, "unix") || g_str_equal(module, "binfmt_script"))
		return NULL;
	return g_strdup_printf("CONFIG_%s  (%s)", TABLE[i].option, TABLE[i].why);
}

static const char *advice(const Kernel *kernel)
{
	return kernel->build_tree
		       ? "set them in its .config, then: make olddefconfig && make -j bzImage "
			 "modules"
		       : "take another kernel (kernel = in devvm.conf), or "
			 "install the modules that are missing";
}

gboolean kernel_require(const Kernel *kernel, RequireFor what, GError **error)
{
	g_autoptr(GHashTable) options = read_config(kernel);
	g_autoptr(GHashTable) loadable =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GHashTable) builtin =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GString) faults = g_string_new(NULL);
	gboolean known = add_modules(kernel, "modules.dep", loadable);

	add_modules(kernel, "modules.builtin", builtin);
	if (!known && !options)
		return devvm_fail(error, DEVVM_ERROR_NOT_FOUND,
				  "kernel %s: neither its config nor %s/modules.dep can be read",
				  kernel->release, kernel->modules);
	for (gsize i = 0; i < G_N_ELEMENTS(TABLE); i++) {
		g_autofree char *fault =
			TABLE[i].what == what ? row_fault(i, options, loadable, builtin) : NULL;

		if (fault)
			g_string_append_printf(faults, "\n  %s", fault);
	}
	if (faults->len == 0)
		return TRUE;
	return devvm_fail(error, DEVVM_ERROR_NOT_FOUND,
			  "kernel %s lacks what a guest needs:%s\n%s (its config: %s)",
			  kernel->release, faults->str, advice(kernel),
			  kernel->config ? kernel->config : "none found");
}

void kernel_require_warnings(const Kernel *kernel, GStrvBuilder *lines)
{
	g_autoptr(GHashTable) options = read_config(kernel);

	if (options && g_strcmp0(g_hash_table_lookup(options, "MODULE_SIG_FORCE"), "y") == 0)
		g_strv_builder_add(lines, "the kernel has CONFIG_MODULE_SIG_FORCE: it takes only "
					  "modules that are signed with its own key");
}

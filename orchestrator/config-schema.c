// SPDX-License-Identifier: GPL-2.0-or-later
#include "config-schema.h"

#include <string.h>
#include <unistd.h>

#include "util/error.h"
#include "util/paths.h"
#include "util/size.h"

#define MEMORY_MIN (64ULL << 20)
#define MEMORY_MAX (16ULL << 40)
#define DISK_MIN (1ULL << 20)
#define CPUS_MAX 255
#define CPUS_DEFAULT "2" /* at most, see config_key_default */

const ConfigKey config_keys[] = {
	{SECTION_PROJECT, "trees", TYPE_PATHS, NULL, NULL, ".;../linux",
	 "Folders that stand in the guest at the same path, read and write, several with ';'\n"
	 "between. Relative to this file. Not set: the folder of this file."},
	{SECTION_PROJECT, "kernel", TYPE_KERNEL, NULL, NULL, "../linux",
	 "The kernel of all VMs of this project that have no own: a release that is installed\n"
	 "on this host (as in /lib/modules), or the path of a kernel build tree.\n"
	 "Not set: the newest installed release that has modules."},

	{SECTION_VM, "memory", TYPE_SIZE, NULL, "1G", "2G", "Memory, with M or G."},
	{SECTION_VM, "cpus", TYPE_COUNT, NULL, CPUS_DEFAULT, "2",
	 "Number of CPUs. Without KVM each one more costs time at the boot.\n"
	 "Not set: 2, or 1 where the host has but one."},
	{SECTION_VM, "kernel", TYPE_KERNEL, NULL, NULL, "6.1.0-56-cloud-amd64",
	 "As in [project], and stronger than that."},
	{SECTION_VM, "append", TYPE_TEXT, NULL, NULL, "slub_debug=FZP loglevel=7",
	 "More words for the kernel's command line."},
	{SECTION_VM, "disks", TYPE_SIZES, NULL, "2x1G", "2x1G,512M",
	 "Empty scratch disks, /dev/vda and on; they take space as they are filled.\n"
	 "COUNTxSIZE or SIZE, several with ',' between; none for none."},
	{SECTION_VM, "root", TYPE_CHOICE, "host", "host", "host",
	 "What the guest runs on. host: this host's programs and libraries, read-only, with\n"
	 "all that the guest writes kept in its memory."},
	{SECTION_VM, "group", TYPE_NAME, NULL, NULL, "cluster1",
	 "VMs of one group belong together."},
	{SECTION_VM, "domain_xml", TYPE_PATH, NULL, NULL, "extra.xml",
	 "A file with libvirt XML that is merged into the domain: devices, tuning."},
	{SECTION_VM, "gdb", TYPE_CHOICE, "keeper tcp unix", "keeper", "keeper",
	 "Where gdb connects to. keeper: a port of 127.0.0.1 that lets in your own processes\n"
	 "only. tcp: QEMU's own port there, open to every local user AND TO EVERY GUEST, who\n"
	 "can write your files through it. unix: a socket in a private folder, no port."},
	{SECTION_VM, "accel", TYPE_CHOICE, "auto kvm tcg", "auto", "auto",
	 "auto: KVM where it is usable, else TCG (emulation, slow)."},

	{SECTION_MODULE, "dir", TYPE_PATH, NULL, NULL, "fs/foo",
	 "Folder of the module's sources, relative to this file. Not set: the folder below the\n"
	 "trees whose Kbuild or Makefile makes the module."},
	{SECTION_MODULE, "build_command", TYPE_TEXT, NULL, NULL, "make -j4 modules",
	 "Builds it: run by the shell in dir. Write \\\\ for a backslash.\n"
	 "Not set: kbuild on dir, with the headers of the VM's kernel."},
	{SECTION_MODULE, "ko", TYPE_KO, NULL, NULL, "foo.ko;foo_test.ko",
	 "The .ko files that the build makes, relative to dir. Not set: NAME.ko is looked for."},
	{SECTION_MODULE, "parameters", TYPE_TEXT, NULL, NULL, "debug=1 name=\"a b\"",
	 "Parameters for insertion."},
	{SECTION_MODULE, "before_unload", TYPE_LIST, NULL, NULL, "umount /mnt",
	 "Commands in the guest before the module is unloaded, with ';' between ('\\;' for one\n"
	 "that belongs to a command)."},
	{SECTION_MODULE, "after_load", TYPE_LIST, NULL, NULL, "mount -t foo /dev/vda /mnt",
	 "Commands in the guest after it was loaded."},
	{SECTION_MODULE, "build", TYPE_CHOICE, "auto guest host", "auto", "auto",
	 "Where to build. auto: in the guest, but on the host where the guest is emulated and\n"
	 "has the host's compiler and headers: that gives the same file some 10 times faster."},
	{SECTION_COUNT, NULL},
};

const char *config_section_name(ConfigSection section)
{
	static const char *const names[SECTION_COUNT] = {"project", "vm", "module"};

	return names[section];
}

const ConfigKey *config_key_find(ConfigSection section, const char *key)
{
	for (const ConfigKey *k = config_keys; k->key; k++)
		if (k->section == section && g_str_equal(k->key, key))
			return k;
	return NULL;
}

const char **config_key_names(ConfigSection section)
{
	const char **names = g_new0(const char *, G_N_ELEMENTS(config_keys));
	gsize n = 0;

	for (const ConfigKey *k = config_keys; k->key; k++)
		if (k->section == section)
			names[n++] = k->key;
	return names;
}

gboolean config_type_is_list(ConfigType type)
{
	return type == TYPE_PATHS || type == TYPE_KO || type == TYPE_LIST;
}

static gboolean has_control(const char *text)
{
	for (const char *p = text; *p; p = g_utf8_next_char(p))
		if (g_unichar_iscntrl(g_utf8_get_char(p)))
			return TRUE;
	return FALSE;
}

static char *check_size(const char *item, GError **error)
{
	guint64 bytes;

	if (!size_parse(item, &bytes, error))
		return NULL;
	if (bytes < MEMORY_MIN || bytes > MEMORY_MAX) {
		devvm_fail(error, DEVVM_ERROR_CONFIG, "%s is not between 64M and 16T", item);
		return NULL;
	}
	return size_format(bytes);
}

static char *check_sizes(const char *item, GError **error)
{
	g_autoptr(GArray) sizes = size_list_parse(item, error);

	if (!sizes)
		return NULL;
	for (guint i = 0; i < sizes->len; i++) {
		guint64 bytes = g_array_index(sizes, guint64, i);
		g_autofree char *one = size_format(bytes);

		if (bytes < DISK_MIN) {
			devvm_fail(error, DEVVM_ERROR_CONFIG, "%s: a disk has at least 1M", one);
			return NULL;
		}
	}
	return g_strdup(item);
}

static char *check_count(const char *item, GError **error)
{
	guint64 n;

	if (!g_ascii_string_to_unsigned(item, 10, 1, CPUS_MAX, &n, NULL)) {
		devvm_fail(error, DEVVM_ERROR_CONFIG, "'%s' is no whole number from 1 to %d", item,
			   CPUS_MAX);
		return NULL;
	}
	return g_strdup_printf("%u", (guint) n);
}

static char *check_choice(const ConfigKey *key, const char *item, GError **error)
{
	g_auto(GStrv) choices = g_strsplit(key->choices, " ", -1);
	g_autofree char *list = NULL;

	if (g_strv_contains((const char *const *) choices, item))
		return g_strdup(item);
	list = g_strjoinv(", ", choices);
	devvm_fail(error, DEVVM_ERROR_CONFIG, "'%s' is none of: %s", item, list);
	return NULL;
}

static char *check_name(const char *item, GError **error)
{
	g_autoptr(GError) local = NULL;

	if (devvm_vm_name_ok(item, &local))
		return g_strdup(item);
	devvm_fail(error, DEVVM_ERROR_CONFIG,
		   "'%s' is no safe name: use letters, digits, '.', '_' and '-'", item);
	return NULL;
}

static char *check_path(const char *base, const char *item, GError **error)
{
	if (item[0] == '~' && item[1] == '/')
		return g_canonicalize_filename(item + 2, g_get_home_dir());
	if (item[0] == '~') {
		devvm_fail(error, DEVVM_ERROR_CONFIG,
			   "'%s': write ~/ for your home folder, or the whole path", item);
		return NULL;
	}
	return g_canonicalize_filename(item, base);
}

/* With a '/' (or as "." and "..") it is a path, else the name of a release. */
static char *check_kernel(const char *base, const char *item, GError **error)
{
	if (strchr(item, '/') || g_str_equal(item, ".") || g_str_equal(item, "..") ||
	    item[0] == '~')
		return check_path(base, item, error);
	for (const char *p = item; *p; p++)
		if (!g_ascii_isalnum(*p) && !strchr("._-+~", *p)) {
			devvm_fail(error, DEVVM_ERROR_CONFIG,
				   "'%s' is no kernel release; a path of a build tree needs a '/'",
				   item);
			return NULL;
		}
	return g_strdup(item);
}

static char *check_ko(const char *item, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(item, "/", -1);

	if (!g_str_has_suffix(item, ".ko")) {
		devvm_fail(error, DEVVM_ERROR_CONFIG, "'%s' is no .ko file", item);
		return NULL;
	}
	if (g_strv_contains((const char *const *) parts, "..")) {
		devvm_fail(error, DEVVM_ERROR_CONFIG,
			   "'%s': write a path below the module's dir, or an absolute one", item);
		return NULL;
	}
	return g_strdup(item);
}

static char *check_item(const ConfigKey *key, const char *base, const char *item, GError **error)
{
	switch (key->type) {
	case TYPE_SIZE:
		return check_size(item, error);
	case TYPE_SIZES:
		return check_sizes(item, error);
	case TYPE_COUNT:
		return check_count(item, error);
	case TYPE_CHOICE:
		return check_choice(key, item, error);
	case TYPE_NAME:
		return check_name(item, error);
	case TYPE_KERNEL:
		return check_kernel(base, item, error);
	case TYPE_PATH:
	case TYPE_PATHS:
		return check_path(base, item, error);
	case TYPE_KO:
		return check_ko(item, error);
	case TYPE_TEXT:
	case TYPE_LIST:
		break;
	}
	return g_strdup(item);
}

char **config_key_check(const ConfigKey *key, const char *base, char **items, GError **error)
{
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	gboolean list = config_type_is_list(key->type);

	for (char **item = items; *item; item++) {
		g_autofree char *checked = NULL;
		const char *text = g_strstrip(*item);

		if (list && *text == '\0')
			continue;
		if (*text == '\0' && key->type != TYPE_SIZES && key->type != TYPE_TEXT) {
			devvm_fail(error, DEVVM_ERROR_CONFIG,
				   "a value is missing; remove the line for the default");
			return NULL;
		}
		if (has_control(text)) {
			devvm_fail(error, DEVVM_ERROR_CONFIG,
				   "control characters have no place in a value");
			return NULL;
		}
		checked = check_item(key, base, text, error);
		if (!checked)
			return NULL;
		g_strv_builder_add(builder, checked);
	}
	return g_strv_builder_end(builder);
}

char **config_key_default(const ConfigKey *key)
{
	char *items[] = {(char *) key->fallback, NULL};

	if (!key->fallback)
		return NULL;
	if (key->type == TYPE_COUNT && sysconf(_SC_NPROCESSORS_ONLN) < 2)
		items[0] = (char *) "1";
	return g_strdupv(items);
}

static void append_comment(GString *out, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (char **line = lines; *line; line++)
		g_string_append_printf(out, "# %s\n", *line);
}

static void append_section(GString *out, ConfigSection section)
{
	static const char *const titles[SECTION_COUNT] = {
		"[project]\n",
		"# All VMs; a section [vm NAME] with the same keys is for one VM, and stronger.\n"
		"[vm]\n",
		"# A module that `devvm reload-module NAME` cannot find or build by itself: take "
		"the\n"
		"# '#' from the section's line, write the module's name, and set what it needs.\n"
		"#[module NAME]\n",
	};

	g_string_append_printf(out, "\n%s", titles[section]);
	for (const ConfigKey *k = config_keys; k->key; k++) {
		if (k->section != section)
			continue;
		g_string_append_c(out, '\n');
		append_comment(out, k->help);
		g_string_append_printf(out, "#%s = %s\n", k->key,
				       k->fallback ? k->fallback : k->example);
	}
}

char *config_template(void)
{
	GString *out = g_string_new(
		"# devvm.conf: what devvm knows of this project. Nothing has to be set.\n"
		"#\n"
		"# A line that begins with '#' is a comment; a '#' after a value is part of it.\n"
		"# The same file as ~/.config/devvm/devvm.conf is for all your projects, as\n"
		"# /etc/devvm.conf for all users (both without [project]); this one is stronger.\n"
		"# `devvm config` shows what is in force, and where it comes from.\n");

	for (int s = 0; s < SECTION_COUNT; s++)
		append_section(out, (ConfigSection) s);
	return g_string_free(out, FALSE);
}

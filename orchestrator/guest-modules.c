// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest-modules.h"

#include <string.h>

#include "util/error.h"

#define NOTE_HEADER 16u /* sizes of name and id, type, "GNU\0" (elf(5)) */

GHashTable *guest_modules(Link *link, GError **error)
{
	g_autofree char *text = link_get(link, "/proc/modules", NULL, error);

	return text ? moddeps_parse(text) : NULL;
}

/* --- Who uses it. ---------------------------------------------------------------------------- */

/* "mount\tSOURCE\tDIR\tFSTYPE" and the like (link_users) as a line for people; NULL: leave out. */
static char *user_line(const char *vm, const char *line)
{
	g_auto(GStrv) f = g_strsplit(line, "\t", -1);
	guint n = g_strv_length(f);

	if (n >= 4 && !strcmp(f[0], "mount"))
		return g_strdup_printf("mounted: %s on %s (%s): devvm exec %s -- umount %s", f[1],
				       f[2], f[3], vm, f[2]);
	if (n >= 5 && !strcmp(f[0], "process"))
		return g_strdup_printf("process %s (%s): %s %s", f[1], f[2], f[3], f[4]);
	if (n >= 2 && !strcmp(f[0], "module"))
		return g_strdup_printf("module %s", f[1]);
	return NULL;
}

static char *filesystems_of(Link *link, const char *name)
{
	const char *argv[] = {"modinfo", "-F", "alias", name, NULL};
	g_autofree char *out = NULL;
	g_auto(GStrv) lines = NULL;
	GString *types = g_string_new(NULL);

	/* An alias may be missing: the module's own name is often that of its file system. */
	g_string_append(types, name);
	if (link_run(link, argv, &out, NULL)) {
		lines = g_strsplit(out, "\n", -1);
		for (gsize i = 0; lines[i]; i++)
			if (g_str_has_prefix(lines[i], "fs-"))
				g_string_append_printf(types, ",%s", lines[i] + strlen("fs-"));
	}
	return g_string_free(types, FALSE);
}

static gboolean fail_in_use(Link *link, const char *name, GError **error)
{
	g_autofree char *types = filesystems_of(link, name);
	g_autofree char *users = link_users(link, name, types, NULL);
	g_auto(GStrv) lines = users ? g_strsplit(users, "\n", -1) : NULL;
	GString *text = g_string_new(NULL);
	gboolean known = FALSE;

	for (gsize i = 0; lines && lines[i]; i++) {
		g_autofree char *line = user_line(link_vm_name(link), lines[i]);

		if (line) {
			g_string_append_printf(text, "\n  %s", line);
			known |= !g_str_has_prefix(lines[i], "module");
		}
	}
	if (!known)
		g_string_append_printf(text,
				       "\n  something in the kernel, or an open device of its: "
				       "stop what works with it, or say what does in devvm.conf: "
				       "[module %s] before_unload=",
				       name);
	devvm_fail(error, DEVVM_ERROR_BUSY, "%s is in use in the guest, nothing was unloaded:%s",
		   name, text->str);
	g_string_free(text, TRUE);
	return FALSE;
}

static gboolean check_unused(Link *link, GHashTable *loaded, GPtrArray *order, GError **error)
{
	for (guint i = 0; i < order->len; i++) {
		const LoadedModule *module = g_hash_table_lookup(loaded, order->pdata[i]);

		if (module->permanent)
			return devvm_fail(
				error, DEVVM_ERROR_BUSY,
				"%s has no exit function, so the kernel never unloads it: "
				"`devvm reboot` starts afresh",
				module->name);
		if (moddeps_other_users(module) > 0)
			return fail_in_use(link, module->name, error);
	}
	return TRUE;
}

/* --- Out and in. ----------------------------------------------------------------------------- */

/* Loads again what was unloaded from order[0] to order[count - 1]; says how that went. */
static char *put_back(Link *link, GPtrArray *order, guint count, const Config *config)
{
	GString *back = g_string_new(NULL), *out = g_string_new(NULL);

	for (guint i = count; i-- > 0;) {
		const char *name = order->pdata[i];
		gboolean ok = guest_modules_load(link, name, config, NULL);

		g_string_append_printf(ok ? back : out, " %s", name);
	}
	if (back->len)
		g_string_prepend(back, "; loaded again:");
	if (out->len)
		g_string_append_printf(back, "; NOT loaded again:%s", out->str);
	g_string_free(out, TRUE);
	return g_string_free(back, FALSE);
}

gboolean guest_modules_unload(Link *link, GHashTable *loaded, GPtrArray *order, gboolean force,
			      const Config *config, GError **error)
{
	if (!force && !check_unused(link, loaded, order, error))
		return FALSE;
	for (guint i = 0; i < order->len; i++) {
		g_autofree char *back = NULL;
		g_autoptr(GError) local = NULL;

		if (link_rmmod(link, order->pdata[i], force, &local) ||
		    g_error_matches(local, DEVVM_ERROR, DEVVM_ERROR_NOT_FOUND))
			continue;
		if (g_error_matches(local, DEVVM_ERROR, DEVVM_ERROR_BUSY) && i == 0)
			return fail_in_use(link, order->pdata[i], error);
		back = put_back(link, order, i, config);
		g_propagate_error(error, g_steal_pointer(&local));
		if (error && *error) {
			g_autofree char *old = (*error)->message;

			(*error)->message = g_strconcat(old, back, NULL);
		}
		return FALSE;
	}
	return TRUE;
}

gboolean guest_modules_load(Link *link, const char *name, const Config *config, GError **error)
{
	g_autoptr(ModuleConfig) module = config ? config_module(config, name, error) : NULL;
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	g_auto(GStrv) words = NULL;

	if (config && !module)
		return FALSE;
	if (module && module->parameters && *module->parameters &&
	    !g_shell_parse_argv(module->parameters, NULL, &words, error)) {
		g_prefix_error(error, "[module %s] parameters=: ", name);
		return FALSE;
	}
	g_ptr_array_add(argv, (gpointer) "modprobe");
	g_ptr_array_add(argv, (gpointer) name);
	for (gsize i = 0; words && words[i]; i++)
		g_ptr_array_add(argv, words[i]);
	g_ptr_array_add(argv, NULL);
	return link_run(link, (const char *const *) argv->pdata, NULL, error);
}

/* --- What is loaded. ------------------------------------------------------------------------- */

/* The id in the bytes of a note, as hex; NULL when it is none. */
static char *note_id(const char *note, gsize size)
{
	GString *hex = g_string_new(NULL);

	for (gsize i = NOTE_HEADER; i < size; i++)
		g_string_append_printf(hex, "%02x", (guint8) note[i]);
	return g_string_free(hex, FALSE);
}

/* What the loaded module says of itself; *what names it. NULL when it says nothing. */
static char *loaded_identity(Link *link, const ModInfo *info, const char **what, const char **want,
			     GError **error)
{
	g_autofree char *note =
		g_strdup_printf("/sys/module/%s/notes/.note.gnu.build-id", info->name);
	g_autofree char *version = g_strdup_printf("/sys/module/%s/srcversion", info->name);
	gsize size;
	char *text;

	*what = info->build_id ? "build id" : "srcversion";
	*want = info->build_id ? info->build_id : info->srcversion;
	if (!*want)
		return NULL;
	text = link_get(link, info->build_id ? note : version, &size, error);
	if (text && info->build_id) {
		g_autofree char *raw = text;

		return note_id(raw, size);
	}
	return text ? g_strchomp(text) : NULL;
}

gboolean guest_modules_verify(Link *link, const ModInfo *info, GError **error)
{
	const char *what, *want;
	g_autoptr(GError) local = NULL;
	g_autofree char *has = loaded_identity(link, info, &what, &want, &local);

	if (local && !g_error_matches(local, DEVVM_ERROR, DEVVM_ERROR_NOT_FOUND)) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	/* A kernel without sysfs notes, or a module without either: nothing to check by. */
	if (!has || !strcmp(has, want))
		return TRUE;
	return devvm_fail(
		error, DEVVM_ERROR_MISMATCH,
		"the %s that is loaded now is not the one that was built: its %s is %s, that "
		"of the .ko is %s: `devvm exec %s -- modinfo -n %s` shows which file "
		"modprobe takes",
		info->name, what, has, want, link_vm_name(link), info->name);
}

gboolean guest_modules_run(Link *link, char **commands, const char *key, GError **error)
{
	for (gsize i = 0; commands && commands[i]; i++) {
		const char *argv[] = {"sh", "-c", commands[i], NULL};

		if (!link_run(link, argv, NULL, error)) {
			g_prefix_error(error, "%s='%s': ", key, commands[i]);
			return FALSE;
		}
	}
	return TRUE;
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot-state.h"

#include <string.h>

#include "util/error.h"
#include "util/paths.h"

static void boot_file_free(gpointer data)
{
	BootFile *f = data;

	g_free(f->guest);
	g_free(f->host);
	g_free(f);
}

void boot_state_free(BootState *b)
{
	if (!b)
		return;
	g_free(b->name);
	g_free(b->uuid);
	g_free(b->agent_socket);
	g_free(b->qmp_socket);
	g_strfreev(b->setup);
	g_clear_pointer(&b->files, g_ptr_array_unref);
	g_free(b->gdb_mode);
	g_free(b->gdb_socket);
	g_strfreev(b->exports);
	g_free(b);
}

/* A list that may be missing; never NULL. */
static char **get_list(GKeyFile *file, const char *group, const char *key)
{
	char **list = g_key_file_get_string_list(file, group, key, NULL, NULL);

	return list ? list : g_new0(char *, 1);
}

static gboolean read_files(BootState *b, GKeyFile *file, GError **error)
{
	g_auto(GStrv) words = get_list(file, "agent", "files");

	b->files = g_ptr_array_new_with_free_func(boot_file_free);
	for (gsize i = 0; words[i]; i++) {
		const char *equals = strchr(words[i], '=');
		BootFile *f;

		if (words[i][0] != '/' || !equals || equals[1] != '/')
			return devvm_fail(error, DEVVM_ERROR_FAILED,
					  "[agent] files: '%s' is not GUESTPATH=HOSTPATH",
					  words[i]);
		f = g_new0(BootFile, 1);
		f->guest = g_strndup(words[i], (gsize) (equals - words[i]));
		f->host = g_strdup(equals + 1);
		g_ptr_array_add(b->files, f);
	}
	return TRUE;
}

static gboolean read_gdb(BootState *b, GKeyFile *file, GError **error)
{
	int port = g_key_file_get_integer(file, "gdb", "port", NULL);

	b->gdb_mode = g_key_file_get_string(file, "gdb", "mode", NULL);
	b->gdb_socket = g_key_file_get_string(file, "gdb", "socket", NULL);
	if (!b->gdb_mode)
		b->gdb_mode = g_strdup("unix");
	if (port < 0 || port > 65535)
		return devvm_fail(error, DEVVM_ERROR_FAILED, "[gdb] port: %d is no port", port);
	b->gdb_port = (guint) port;
	if (!strcmp(b->gdb_mode, "keeper") && (port == 0 || !b->gdb_socket))
		return devvm_fail(error, DEVVM_ERROR_FAILED,
				  "[gdb] mode=keeper needs a port and a socket");
	return TRUE;
}

static gboolean read_all(BootState *b, GKeyFile *file, GError **error)
{
	b->name = g_key_file_get_string(file, "vm", "name", error);
	if (!b->name || !devvm_vm_name_ok(b->name, error))
		return FALSE;
	b->uuid = g_key_file_get_string(file, "vm", "uuid", NULL);
	b->agent_socket = g_key_file_get_string(file, "agent", "socket", error);
	if (!b->agent_socket)
		return FALSE;
	b->qmp_socket = g_key_file_get_string(file, "qmp", "socket", error);
	if (!b->qmp_socket)
		return FALSE;
	b->setup = get_list(file, "agent", "setup");
	b->exports = get_list(file, "nfs", "exports");
	return read_files(b, file, error) && read_gdb(b, file, error);
}

BootState *boot_state_load(const char *path, GError **error)
{
	g_autoptr(BootState) b = g_new0(BootState, 1);
	g_autoptr(GKeyFile) file = g_key_file_new();

	if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, error) ||
	    !read_all(b, file, error)) {
		g_prefix_error(error, "cannot use %s: ", path);
		return NULL;
	}
	return g_steal_pointer(&b);
}

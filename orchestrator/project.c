// SPDX-License-Identifier: GPL-2.0-or-later
#include "project.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/error.h"

/* The guest has its own of these, or they are not the user's to share. */
static const char *const SYSTEM_FOLDERS[] = {
	"/",	    "/bin",	 "/boot",      "/dev",	   "/etc",  "/home",	"/lib",
	"/lib32",   "/lib64",	 "/mnt",       "/opt",	   "/proc", "/root",	"/run",
	"/sbin",    "/sys",	 "/tmp",       "/usr",	   "/var",  "/var/tmp", "/usr/bin",
	"/usr/lib", "/usr/sbin", "/usr/share", "/usr/src", NULL,
};
/* Nor anything below these. */
static const char *const KERNEL_FOLDERS[] = {"/dev/", "/proc/", "/sys/", NULL};

static char *resolved_home(void)
{
	char *home = realpath(g_get_home_dir(), NULL);

	return home ? home : g_strdup(g_get_home_dir());
}

static gboolean is_file_in(const char *folder, const char *name, char **path)
{
	g_autofree char *file = g_build_filename(folder, name, NULL);
	struct stat st;

	if (lstat(file, &st) < 0)
		return FALSE;
	if (path)
		*path = g_steal_pointer(&file);
	return TRUE;
}

/* TRUE when the search may go on from `folder` to its parent, which replaces it. */
static gboolean go_up(char **folder, const char *home)
{
	g_autofree char *parent = g_path_get_dirname(*folder);
	struct stat here, there;

	if (g_str_equal(*folder, home) || g_str_equal(parent, "/"))
		return FALSE;
	if (stat(*folder, &here) < 0 || stat(parent, &there) < 0 || here.st_dev != there.st_dev)
		return FALSE;
	g_free(*folder);
	*folder = g_steal_pointer(&parent);
	return TRUE;
}

char *project_find(const char *folder, char **config)
{
	g_autofree char *home = resolved_home();
	g_autofree char *at = g_strdup(folder);
	g_autofree char *git = NULL;

	*config = NULL;
	do {
		if (is_file_in(at, "devvm.conf", config))
			return g_steal_pointer(&at);
		if (!git && !g_str_equal(at, home) && is_file_in(at, ".git", NULL))
			git = g_strdup(at);
	} while (go_up(&at, home));
	return git ? g_steal_pointer(&git) : g_strdup(folder);
}

static gboolean is_system_folder(const char *path)
{
	if (g_strv_contains(SYSTEM_FOLDERS, path))
		return TRUE;
	for (gsize i = 0; KERNEL_FOLDERS[i]; i++)
		if (g_str_has_prefix(path, KERNEL_FOLDERS[i]))
			return TRUE;
	return FALSE;
}

static gboolean is_above(const char *path, const char *below)
{
	gsize n = strlen(path);

	return g_str_has_prefix(below, path) && below[n] == '/';
}

#define CHOOSE                                                                                 \
	"go to the folder of your sources, or write a devvm.conf (`devvm init`) with trees = " \
	"in its [project]"

static gboolean tree_allowed(const char *path, const struct stat *st, gboolean chosen,
			     GError **error)
{
	g_autofree char *home = resolved_home();

	if (is_system_folder(path) || is_above(path, home))
		return devvm_fail(error, DEVVM_ERROR_CONFIG,
				  "%s cannot be a tree: the guest may write to a tree, and has its "
				  "own %s; " CHOOSE,
				  path, path);
	if (!chosen && g_str_equal(path, home))
		return devvm_fail(
			error, DEVVM_ERROR_CONFIG,
			"the guest would get your whole home folder %s to write in; " CHOOSE
			" (there %s may stand, if you mean it)",
			path, path);
	if (!chosen && st->st_uid != geteuid())
		return devvm_fail(
			error, DEVVM_ERROR_CONFIG,
			"%s belongs to another user, so devvm does not give it to a guest "
			"by itself; " CHOOSE,
			path);
	return TRUE;
}

char *project_tree_check(const char *path, gboolean chosen, GError **error)
{
	char *real = realpath(path, NULL);
	struct stat st;

	if (!real || stat(real, &st) < 0) {
		devvm_fail_errno(error, DEVVM_ERROR_CONFIG, errno, "the tree %s", path);
	} else if (!S_ISDIR(st.st_mode)) {
		devvm_fail(error, DEVVM_ERROR_CONFIG, "the tree %s is no folder", path);
	} else if (!g_utf8_validate(real, -1, NULL) || strpbrk(real, "\n\r\t\x1b")) {
		devvm_fail(error, DEVVM_ERROR_CONFIG,
			   "the tree %s has a name that is no plain UTF-8, which a domain's XML "
			   "cannot hold",
			   path);
	} else if (tree_allowed(real, &st, chosen, error)) {
		return real;
	}
	free(real);
	return NULL;
}

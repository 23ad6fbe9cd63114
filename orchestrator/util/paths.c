// SPDX-License-Identifier: GPL-2.0-or-later
#include "paths.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

#define NAME_MAX_LENGTH 40 /* with the longest socket name below it stays within sun_path */

char *devvm_run_dir(const char *vm)
{
	const char *runtime = g_getenv("XDG_RUNTIME_DIR");

	if (runtime && g_path_is_absolute(runtime))
		return g_build_filename(runtime, "devvm", vm, NULL);
	return g_build_filename(g_get_user_cache_dir(), "devvm", "run", vm, NULL);
}

char *devvm_data_dir(const char *vm)
{
	return g_build_filename(g_get_user_data_dir(), "devvm", vm, NULL);
}

char *devvm_cache_dir(void)
{
	return g_build_filename(g_get_user_cache_dir(), "devvm", NULL);
}

gboolean devvm_make_private_dir(const char *path, GError **error)
{
	struct stat st;

	if (g_mkdir_with_parents(path, 0700) < 0)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno,
					"cannot make the folder %s", path);
	if (lstat(path, &st) < 0)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot read %s", path);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return devvm_fail(error, DEVVM_ERROR_FAILED,
				  "%s is no folder of yours: remove it, then try again", path);
	if ((st.st_mode & 0077) && chmod(path, 0700) < 0)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot make %s private",
					path);
	return TRUE;
}

/* The folder of the running program; "" when it cannot be told. */
static char *own_folder(void)
{
	g_autofree char *exe = g_file_read_link("/proc/self/exe", NULL);

	return exe ? g_path_get_dirname(exe) : g_strdup("");
}

/* The first of the paths that exists, else the last; takes them all. */
static char *first_existing(char *built, char *installed)
{
	if (g_file_test(built, G_FILE_TEST_EXISTS)) {
		g_free(installed);
		return built;
	}
	g_free(built);
	return installed;
}

char *devvm_data_file(const char *name)
{
	g_autofree char *own = own_folder();
	g_autofree char *marker = g_build_filename(own, "devvm-build-folder", NULL);

	/* Only a program that runs from its build folder may look into the source tree. */
	if (g_file_test(marker, G_FILE_TEST_EXISTS))
		return first_existing(g_build_filename(DEVVM_SOURCE_TEMPLATES, name, NULL),
				      g_build_filename(DEVVM_PKGDATADIR, name, NULL));
	return g_build_filename(DEVVM_PKGDATADIR, name, NULL);
}

char *devvm_program(const char *name)
{
	g_autofree char *own = own_folder();
	const char *folders[] = {".", "../guest-agent", "../nfs"};

	for (gsize i = 0; i < G_N_ELEMENTS(folders); i++) {
		g_autofree char *path = g_build_filename(own, folders[i], name, NULL);

		if (g_file_test(path, G_FILE_TEST_IS_EXECUTABLE))
			return g_canonicalize_filename(path, NULL);
	}
	return g_build_filename(DEVVM_LIBEXECDIR, name, NULL);
}

gboolean devvm_vm_name_ok(const char *name, GError **error)
{
	gsize n = strlen(name);
	gboolean ok = n > 0 && n <= NAME_MAX_LENGTH && g_ascii_isalnum(name[0]);

	for (gsize i = 0; ok && i < n; i++)
		ok = g_ascii_isalnum(name[i]) || strchr("._-", name[i]);
	if (ok)
		return TRUE;
	return devvm_fail(
		error, DEVVM_ERROR_USAGE,
		"'%s' is no name for a VM: use 1 to %d letters, digits, '.', '_' and '-', "
		"the first a letter or digit",
		name, NAME_MAX_LENGTH);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files and folders for a test, and their end. Everything is asserted. */
#pragma once

#include <glib.h>
#include <glib/gstdio.h>

/* FOLDER/NAME with that text, and the folders it needs; its path, new. */
static inline char *temp_put(const char *folder, const char *name, const char *text)
{
	char *path = g_build_filename(folder, name, NULL);
	g_autofree char *parent = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	return path;
}

/* Removes what is below `path`, and itself; links are not followed. */
static inline void temp_remove(const char *path)
{
	g_autoptr(GDir) dir = NULL;
	const char *name;

	if (!g_file_test(path, G_FILE_TEST_IS_SYMLINK))
		dir = g_dir_open(path, 0, NULL);
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *inner = g_build_filename(path, name, NULL);

		temp_remove(inner);
	}
	g_remove(path);
}

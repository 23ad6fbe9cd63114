/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which folder is the project, and which folders may be given to a guest to write in. */
#pragma once

#include <glib.h>

/*
 * Upwards from `folder` (absolute, resolved): the first one with a devvm.conf, else the first with
 * a .git, else `folder`. The search ends below the home folder's parent and where another file
 * system begins; a .git in the home folder itself (dotfiles) does not count for folders below it.
 * *config: the path of the devvm.conf, or NULL.
 */
char *project_find(const char *folder, char **config);

/*
 * Resolves links of `path`, which must be a folder that a guest may mount read-write at the same
 * place. `chosen`: the user wrote it; FALSE: devvm took it by itself, which asks for more.
 */
char *project_tree_check(const char *path, gboolean chosen, GError **error);

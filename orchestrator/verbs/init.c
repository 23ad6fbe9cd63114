// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config-schema.h"
#include "project.h"

static gboolean force;

static const GOptionEntry options[] = {
	{"force", 'f', 0, G_OPTION_ARG_NONE, &force,
	 "write it over one that is there; the old one is kept as devvm.conf.old", NULL},
	{NULL},
};

/* O_EXCL: of two that run at once one writes, and a link that was planted is not followed. */
static gboolean write_new(const char *path, const char *text, GError **error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	gsize size = strlen(text);
	gboolean ok;

	if (fd < 0 && errno == EEXIST)
		return devvm_fail(
			error, DEVVM_ERROR_FAILED,
			"%s is there already, and stays as it is: edit it, or write a new "
			"one with `devvm init --force` (the old one is kept)",
			path);
	if (fd < 0)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot write %s", path);
	ok = TEMP_FAILURE_RETRY(write(fd, text, size)) == (ssize_t) size;
	if (close(fd) < 0 || !ok) {
		int saved = errno;

		unlink(path);
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, saved, "cannot write %s", path);
	}
	return TRUE;
}

static gboolean keep_old(const char *path, GError **error)
{
	g_autofree char *old = g_strconcat(path, ".old", NULL);

	if (!force || rename(path, old) == 0 || errno == ENOENT)
		return TRUE;
	return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot rename %s to %s", path,
				old);
}

static gboolean run_init(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	g_autofree char *cwd = g_get_current_dir(), *found = NULL, *project = NULL, *real = NULL;
	g_autofree char *path = NULL, *text = config_template();
	g_autofree char *tree = NULL;

	real = realpath(cwd, NULL);
	if (!real)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno,
					"cannot use the current folder %s", cwd);
	project = project_find(real, &found);
	tree = project_tree_check(project, TRUE, error);
	if (!tree)
		return FALSE;
	path = g_build_filename(project, "devvm.conf", NULL);
	if (ctx->dry_run) {
		printf("would write %s:\n\n%s", path, text);
		return TRUE;
	}
	if (!keep_old(path, error) || !write_new(path, text, error))
		return FALSE;
	if (!ctx->quiet)
		printf("wrote %s: all keys are explained in it, none has to be set\n"
		       "next:\n"
		       "  $ devvm doctor                # is this host fit?\n"
		       "  $ devvm config                # what is in force, and why\n"
		       "  $ devvm up NAME               # a VM with this tree in it\n",
		       path);
	return TRUE;
}

const Verb verb_init = {
	.name = "init",
	.synopsis = "[--force]",
	.help = "write a commented devvm.conf for this project",
	.examples = "  $ cd ~/work/fs-tree && devvm init\n"
		    "  $ devvm init --dry-run        # only show it\n",
	.flags = VERB_DRY_RUN,
	.options = options,
	.run = run_init,
};

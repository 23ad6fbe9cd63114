// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nfs-fixture.h"

static char *config_text(struct nfsd *d)
{
	pid_t peer = d->peer ? d->peer : getpid();
	g_autofree char *state =
		d->no_state ? g_strdup("") : g_strdup_printf("state-dir %s/state\n", d->top);

	return g_strdup_printf("listen-port %d\npeer-pid %d\ntoken " FIXTURE_TOKEN
			       "\nkey 0123456789abcdef0123456789abcdef\n%s"
			       "export tree %s %s\nexport other %s/other ro,map=identity\n",
			       d->port, (int) peer, state, d->tree,
			       d->options ? d->options : "rw,map=root", d->top);
}

/* A failed assertion ends this process without nfsd_end(). */
static void die_with_parent(gpointer arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void spawn(struct nfsd *d)
{
	const char *argv[] = {g_getenv("DEVVM_NFSD"), NULL};
	g_autofree char *text = config_text(d);
	g_autoptr(GError) error = NULL;
	char line[64] = "";
	int in, out;
	FILE *f;

	g_assert_nonnull(argv[0]);
	if (!g_spawn_async_with_pipes(NULL, (char **) argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
				      die_with_parent, NULL, &d->pid, &in, &out, NULL, &error))
		g_error("%s", error->message);
	g_assert_cmpint(write(in, text, strlen(text)), ==, (gssize) strlen(text));
	close(in);
	f = fdopen(out, "r");
	g_assert_nonnull(fgets(line, sizeof(line), f));
	g_assert_cmpint(sscanf(line, "listening %d", &d->port), ==, 1);
	fclose(f);
}

void nfsd_start(struct nfsd *d)
{
	g_autofree char *state = NULL, *other = NULL;

	d->top = g_dir_make_tmp("devvm-nfs-XXXXXX", NULL);
	d->tree = g_build_filename(d->top, "tree", NULL);
	state = g_build_filename(d->top, "state", NULL);
	other = g_build_filename(d->top, "other", NULL);
	g_assert_cmpint(g_mkdir(d->tree, 0755) | g_mkdir(state, 0700) | g_mkdir(other, 0755), ==,
			0);
	spawn(d);
}

void nfsd_kill(struct nfsd *d)
{
	kill(d->pid, SIGKILL);
	waitpid(d->pid, NULL, 0);
}

void nfsd_restart(struct nfsd *d)
{
	nfsd_kill(d);
	spawn(d);
}

void nfsd_end(struct nfsd *d)
{
	const char *argv[] = {"rm", "-rf", d->top, NULL};
	int status;

	kill(d->pid, SIGTERM);
	g_assert_cmpint(waitpid(d->pid, &status, 0), ==, d->pid);
	/* A sanitizer's complaint is an exit status too. */
	g_assert_true(WIFEXITED(status));
	g_assert_cmpint(WEXITSTATUS(status), ==, 0);
	g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL,
		     NULL);
	g_free(d->top);
	g_free(d->tree);
}

struct nfs_context *nfsd_try_mount(struct nfsd *d, const char *path)
{
	g_autofree char *url = g_strdup_printf(
		"nfs://127.0.0.1%s/?version=3&nfsport=%d&mountport=%d", path, d->port, d->port);
	struct nfs_context *n = nfs_init_context();
	struct nfs_url *u = nfs_parse_url_dir(n, url);

	g_assert_nonnull(u);
	nfs_set_timeout(n, 10000);
	if (nfs_mount(n, u->server, path) < 0) {
		g_test_message("mount %s: %s", path, nfs_get_error(n));
		nfs_destroy_context(n);
		n = NULL;
	}
	nfs_destroy_url(u);
	return n;
}

struct nfs_context *nfsd_mount(struct nfsd *d, const char *path)
{
	struct nfs_context *n = nfsd_try_mount(d, path);

	g_assert_nonnull(n);
	return n;
}

char *host_path(struct nfsd *d, const char *rel)
{
	return g_build_filename(d->tree, rel, NULL);
}

void host_put(struct nfsd *d, const char *rel, const char *text)
{
	g_autofree char *path = host_path(d, rel);
	g_autofree char *dir = g_path_get_dirname(path);
	int fd;

	g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(write(fd, text, strlen(text)), ==, (gssize) strlen(text));
	close(fd);
}

char *host_get(struct nfsd *d, const char *rel)
{
	g_autofree char *path = host_path(d, rel);
	char *text = NULL;

	g_file_get_contents(path, &text, NULL, NULL);
	return text;
}

int guest_put(struct nfs_context *n, const char *path, const char *text)
{
	struct nfsfh *fh;
	int r = nfs_creat(n, path, 0644, &fh);

	if (r < 0)
		return r;
	r = nfs_pwrite(n, fh, 0, strlen(text), text);
	nfs_close(n, fh);
	return r < 0 ? r : 0;
}

char *guest_get(struct nfs_context *n, const char *path)
{
	char buf[4096];
	struct nfsfh *fh;
	int r = nfs_open(n, path, O_RDONLY, &fh);

	if (r < 0)
		return NULL;
	r = nfs_pread(n, fh, 0, sizeof(buf), buf);
	nfs_close(n, fh);
	return r < 0 ? NULL : g_strndup(buf, (gsize) r);
}

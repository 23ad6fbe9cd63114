// SPDX-License-Identifier: GPL-2.0-or-later
/* The real server and a real client library, as a guest would use it. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nfs-fixture.h"

#define MNT "/" FIXTURE_TOKEN "/tree"

static void assert_text(char *got, const char *want)
{
	g_assert_cmpstr(got, ==, want);
	g_free(got);
}

static unsigned int count_entries(struct nfs_context *n, const char *path, const char *find)
{
	struct nfsdir *dir;
	struct nfsdirent *e;
	unsigned int count = 0;

	g_assert_cmpint(nfs_opendir(n, path, &dir), ==, 0);
	while ((e = nfs_readdir(n, dir)))
		if (!find || strcmp(e->name, find) == 0)
			count++;
	nfs_closedir(n, dir);
	return count;
}

static void test_files(void)
{
	struct nfsd d = {0};
	struct nfs_stat_64 st;
	struct nfs_context *n, *sub;
	char target[64];

	nfsd_start(&d);
	host_put(&d, "a/b/hello", "from the host\n");
	n = nfsd_mount(&d, MNT);
	assert_text(guest_get(n, "/a/b/hello"), "from the host\n");
	g_assert_cmpint(guest_put(n, "/a/new", "from the guest\n"), ==, 0);
	assert_text(host_get(&d, "a/new"), "from the guest\n");
	g_assert_cmpint(nfs_rename(n, "/a/new", "/a/b/moved"), ==, 0);
	assert_text(host_get(&d, "a/b/moved"), "from the guest\n");
	g_assert_cmpint(nfs_mkdir(n, "/dir"), ==, 0);
	g_assert_cmpint(nfs_mkdir(n, "/dir"), ==, -EEXIST);
	g_assert_cmpint(nfs_symlink(n, "b/hello", "/a/link"), ==, 0);
	g_assert_cmpint(nfs_readlink(n, "/a/link", target, sizeof(target)), ==, 0);
	g_assert_cmpstr(target, ==, "b/hello");
	g_assert_cmpint(nfs_link(n, "/a/b/hello", "/dir/hard"), ==, 0);
	g_assert_cmpint(nfs_stat64(n, "/dir/hard", &st), ==, 0);
	g_assert_cmpuint(st.nfs_nlink, ==, 2);
	g_assert_cmpuint(st.nfs_uid, ==, 0);
	g_assert_cmpuint(st.nfs_size, ==, strlen("from the host\n"));
	g_assert_cmpint(nfs_rmdir(n, "/dir"), ==, -ENOTEMPTY);
	g_assert_cmpint(nfs_unlink(n, "/dir/hard"), ==, 0);
	g_assert_cmpint(nfs_rmdir(n, "/dir"), ==, 0);
	g_assert_cmpint(nfs_stat64(n, "/dir", &st), ==, -ENOENT);
	g_assert_cmpint(nfs_mknod(n, "/null", S_IFCHR | 0666, makedev(1, 3)), ==, -EPERM);
	g_assert_cmpuint(count_entries(n, "/a", NULL), ==, 4); /* . .. b link */
	sub = nfsd_mount(&d, MNT "/a/b");
	assert_text(guest_get(sub, "/hello"), "from the host\n");
	nfs_destroy_context(sub);
	nfs_destroy_context(n);
	nfsd_end(&d);
}

/* To the disk, where that is asked for: the answers are the same. */
static void test_sync(void)
{
	struct nfsd d = {.options = "rw,map=root,sync"};
	struct nfs_context *n;
	struct nfsfh *fh;

	nfsd_start(&d);
	n = nfsd_mount(&d, MNT);
	g_assert_cmpint(nfs_creat(n, "/f", 0644, &fh), ==, 0);
	g_assert_cmpint(nfs_pwrite(n, fh, 0, 3, "abc"), ==, 3);
	g_assert_cmpint(nfs_fsync(n, fh), ==, 0);
	g_assert_cmpint(nfs_pwrite(n, fh, 3, 3, "def"), ==, 3);
	nfs_close(n, fh);
	assert_text(host_get(&d, "f"), "abcdef");
	nfs_destroy_context(n);
	nfsd_end(&d);
}

static void test_big_folder(void)
{
	struct nfsd d = {0};
	struct nfs_context *n;

	nfsd_start(&d);
	for (int i = 0; i < 3000; i++) {
		g_autofree char *name = g_strdup_printf("many/file-with-a-longer-name-%d", i);

		host_put(&d, name, "");
	}
	n = nfsd_mount(&d, MNT);
	g_assert_cmpuint(count_entries(n, "/many", NULL), ==, 3002);
	nfs_destroy_context(n);
	nfsd_end(&d);
}

static void test_ids_and_times(void)
{
	struct nfsd d = {0};
	struct timeval times[2] = {{1000, 1}, {2000, 500000}};
	struct nfs_stat_64 st;
	struct nfs_context *n;

	nfsd_start(&d);
	host_put(&d, "f", "x");
	n = nfsd_mount(&d, MNT);
	g_assert_cmpint(nfs_chown(n, "/f", 0, 0), ==, 0);
	if (geteuid() != 0) {
		g_assert_cmpint(nfs_chown(n, "/f", 5, 5), ==, -EPERM);
	}
	g_assert_cmpint(nfs_chmod(n, "/f", 0751), ==, 0);
	/* A program that others on the host would run as its owner. */
	g_assert_cmpint(nfs_chmod(n, "/f", 06751), ==, 0);
	g_assert_cmpint(nfs_utimes(n, "/f", times), ==, 0);
	g_assert_cmpint(nfs_stat64(n, "/f", &st), ==, 0);
	g_assert_cmpuint(st.nfs_mode & 07777, ==, 0751);
	g_assert_cmpuint(st.nfs_mtime, ==, 2000);
	g_assert_cmpuint(st.nfs_mtime_nsec, ==, 500000000);
	g_assert_cmpint(nfs_truncate(n, "/f", 5ULL << 30), ==, 0);
	g_assert_cmpint(nfs_stat64(n, "/f", &st), ==, 0);
	g_assert_cmpuint(st.nfs_size, ==, 5ULL << 30);
	nfs_destroy_context(n);
	nfsd_end(&d);
}

/* As git makes its objects: read-write, mode 0444; also when the server forgot that it did. */
static void test_read_only_mode(void)
{
	struct nfsd d = {0};
	struct nfs_context *n;
	struct nfsfh *fh;
	struct stat st;
	g_autofree char *path = NULL;

	nfsd_start(&d);
	path = host_path(&d, "object");
	n = nfsd_mount(&d, MNT);
	g_assert_cmpint(nfs_open2(n, "/object", O_CREAT | O_EXCL | O_RDWR, 0444, &fh), ==, 0);
	g_assert_cmpint(nfs_pwrite(n, fh, 0, 4, "one "), ==, 4);
	nfsd_restart(&d);
	g_assert_cmpint(nfs_pwrite(n, fh, 4, 4, "two\n"), ==, 4);
	nfs_close(n, fh);
	assert_text(host_get(&d, "object"), "one two\n");
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0444);
	nfs_destroy_context(n);
	nfsd_end(&d);
}

static void assert_protected(struct nfs_context *n, const char *path)
{
	struct nfsfh *fh;

	g_test_message("protected: %s", path);
	g_assert_cmpint(guest_put(n, path, "evil"), ==, -EACCES);
	g_assert_cmpint(nfs_unlink(n, path), ==, -EACCES);
	g_assert_cmpint(nfs_rename(n, path, "/away"), ==, -EACCES);
	g_assert_cmpint(nfs_rename(n, "/bait", path), ==, -EACCES);
	g_assert_cmpint(nfs_link(n, "/bait", path), ==, -EACCES);
	g_assert_cmpint(nfs_symlink(n, "/bait", path), ==, -EACCES);
	g_assert_cmpint(nfs_mkdir(n, path), ==, -EACCES);
	if (nfs_open(n, path, O_RDONLY, &fh) < 0)
		return; /* it is not there, and cannot be made */
	nfs_close(n, fh);
	g_assert_cmpint(nfs_chmod(n, path, 0777), ==, -EACCES);
	g_assert_cmpint(nfs_truncate(n, path, 0), ==, -EACCES);
	g_assert_cmpint(nfs_link(n, path, "/alias"), ==, -EACCES);
	g_assert_cmpint(nfs_open(n, path, O_RDWR, &fh), ==, -EACCES);
}

static void test_protected(void)
{
	struct nfsd d = {.options = "rw,map=root,protect=devvm.conf,protect=.git/config,"
				    "protect=.git/hooks/**,protect=*-gdb.py,protect=.vscode"};
	static const char *const there[] = {
		"devvm.conf",	     "sub/devvm.conf",	       ".git/config",
		"sub/.git/config",   ".git/hooks/post-commit", "x-gdb.py",
		".vscode/tasks.json"};
	struct nfs_context *n;
	struct nfsfh *fh;

	nfsd_start(&d);
	host_put(&d, "bait", "");
	host_put(&d, "config", "");
	for (unsigned int i = 0; i < G_N_ELEMENTS(there); i++)
		host_put(&d, there[i], "good");
	n = nfsd_mount(&d, MNT);
	for (unsigned int i = 0; i < G_N_ELEMENTS(there); i++) {
		g_autofree char *path = g_strconcat("/", there[i], NULL);

		assert_protected(n, path);
		assert_text(guest_get(n, path), "good");
		assert_text(host_get(&d, there[i]), "good");
	}
	assert_protected(n, "/.git/hooks/not-there");
	assert_protected(n, "/sub/.vscode");
	/* From above: the folder that carries it, or one that is to become it. */
	g_assert_cmpint(nfs_rename(n, "/.git", "/git"), ==, -EACCES);
	g_assert_cmpint(nfs_mkdir(n, "/evil"), ==, 0);
	g_assert_cmpint(guest_put(n, "/evil/config", "evil"), ==, 0);
	g_assert_cmpint(nfs_rename(n, "/evil", "/sub2"), ==, 0);
	g_assert_cmpint(nfs_mkdir(n, "/repo"), ==, 0);
	g_assert_cmpint(nfs_rename(n, "/sub2", "/repo/.git"), ==, -EACCES);
	g_assert_cmpint(nfs_symlink(n, "../sub2", "/repo/.git"), ==, -EACCES);
	g_assert_cmpint(guest_put(n, "/repo/.git", "gitdir: ../sub2"), ==, -EACCES);
	g_assert_cmpint(nfs_mkdir(n, "/repo/.git"), ==, 0);
	g_assert_cmpint(guest_put(n, "/repo/.git/config", "evil"), ==, -EACCES);
	g_assert_cmpint(guest_put(n, "/repo/.git/HEAD", "fine"), ==, 0);
	/* A file that the host moves to a protected name after the guest opened it. */
	host_put(&d, ".git/config.tmp", "host");
	g_assert_cmpint(nfs_open(n, "/.git/config.tmp", O_RDWR, &fh), ==, 0);
	g_assert_cmpint(nfs_pwrite(n, fh, 0, 4, "mine"), ==, 4);
	{
		g_autofree char *from = host_path(&d, ".git/config.tmp");
		g_autofree char *to = host_path(&d, ".git/config");

		g_assert_cmpint(g_rename(from, to), ==, 0);
	}
	g_assert_cmpint(nfs_pwrite(n, fh, 0, 4, "evil"), <, 0);
	nfs_close(n, fh);
	assert_text(host_get(&d, ".git/config"), "mine");
	nfs_destroy_context(n);
	nfsd_end(&d);
}

static void test_hidden(void)
{
	struct nfsd d = {.options = "ro,map=identity,only=etc,only=usr,hide-private=etc,"
				    "hide=usr/secret%2Cplace"};
	g_autofree char *shadow = NULL, *ssl = NULL;
	struct nfs_stat_64 st;
	struct nfs_context *n;

	nfsd_start(&d);
	host_put(&d, "etc/passwd", "p");
	host_put(&d, "etc/shadow", "s");
	host_put(&d, "etc/ssl/key", "k");
	host_put(&d, "usr/secret,place/f", "f");
	host_put(&d, "home/x", "x");
	shadow = host_path(&d, "etc/shadow");
	ssl = host_path(&d, "etc/ssl");
	g_assert_cmpint(chmod(shadow, 0640) | chmod(ssl, 0710), ==, 0);
	n = nfsd_mount(&d, MNT);
	assert_text(guest_get(n, "/etc/passwd"), "p");
	g_assert_cmpint(nfs_stat64(n, "/etc/shadow", &st), ==, -ENOENT);
	g_assert_cmpint(nfs_stat64(n, "/etc/ssl/key", &st), ==, -ENOENT);
	g_assert_cmpint(nfs_stat64(n, "/home", &st), ==, -ENOENT);
	g_assert_cmpint(nfs_stat64(n, "/usr/secret,place", &st), ==, -ENOENT);
	g_assert_cmpuint(count_entries(n, "/", NULL), ==, 4);	 /* . .. etc usr */
	g_assert_cmpuint(count_entries(n, "/etc", NULL), ==, 3); /* . .. passwd */
	g_assert_null(nfsd_try_mount(&d, MNT "/home"));
	g_assert_null(nfsd_try_mount(&d, MNT "/etc/ssl"));
	g_assert_cmpint(guest_put(n, "/etc/new", "x"), ==, -EROFS);
	nfs_destroy_context(n);
	nfsd_end(&d);
}

static void test_confined(void)
{
	struct nfsd d = {0};
	g_autofree char *link = NULL;

	nfsd_start(&d);
	link = host_path(&d, "out");
	g_assert_cmpint(symlink("/", link), ==, 0);
	g_assert_null(nfsd_try_mount(&d, MNT "/out"));
	g_assert_null(nfsd_try_mount(&d, MNT "/out/etc"));
	g_assert_null(nfsd_try_mount(&d, MNT "/.."));
	g_assert_null(nfsd_try_mount(&d, MNT "/../other"));
	g_assert_null(nfsd_try_mount(&d, "/"));
	g_assert_null(nfsd_try_mount(&d, "/tree"));
	g_assert_null(nfsd_try_mount(&d, "/00112233445566778899aabbccddeefe/tree"));
	g_assert_null(nfsd_try_mount(&d, "/0011223344556677/tree"));
	g_assert_null(nfsd_try_mount(&d, "/" FIXTURE_TOKEN "/nothing"));
	nfsd_end(&d);
}

static void test_foreign_peer(void)
{
	pid_t other = fork();
	struct nfsd d = {.peer = other};
	struct nfs_context *n;
	int status;

	if (other == 0) {
		pause();
		_exit(0);
	}
	nfsd_start(&d);
	g_assert_null(nfsd_try_mount(&d, MNT));
	/* The same server lets its own peer in. */
	d.peer = 0;
	nfsd_restart(&d);
	n = nfsd_mount(&d, MNT);
	nfs_destroy_context(n);
	nfsd_end(&d);
	kill(other, SIGKILL);
	waitpid(other, &status, 0);
}

static void rename_on_host(struct nfsd *d, const char *from, const char *to)
{
	g_autofree char *a = host_path(d, from), *b = host_path(d, to);

	g_assert_cmpint(g_rename(a, b), ==, 0);
}

static void assert_reads(struct nfs_context *n, struct nfsfh *fh, const char *want)
{
	char buf[64] = "";

	g_assert_cmpint(nfs_pread(n, fh, 0, sizeof(buf) - 1, buf), ==, (int) strlen(want));
	g_assert_cmpstr(buf, ==, want);
}

/* Open files are handles: they must be good for another server with the same key. */
static void restart_with(struct nfsd *d)
{
	struct nfsfh *plain, *moved, *host_moved, *in_moved, *gone;
	struct nfs_context *n;
	g_autofree char *gone_path = NULL;
	char c;

	nfsd_start(d);
	host_put(d, "a/b/c/plain", "plain");
	host_put(d, "a/moved", "moved");
	host_put(d, "a/host-moved", "host-moved");
	host_put(d, "dir/in-moved", "in-moved");
	host_put(d, "gone", "gone");
	gone_path = host_path(d, "gone");
	n = nfsd_mount(d, MNT);
	g_assert_cmpint(nfs_open(n, "/a/b/c/plain", O_RDONLY, &plain), ==, 0);
	g_assert_cmpint(nfs_open(n, "/a/moved", O_RDONLY, &moved), ==, 0);
	g_assert_cmpint(nfs_open(n, "/a/host-moved", O_RDONLY, &host_moved), ==, 0);
	g_assert_cmpint(nfs_open(n, "/dir/in-moved", O_RDONLY, &in_moved), ==, 0);
	g_assert_cmpint(nfs_open(n, "/gone", O_RDONLY, &gone), ==, 0);
	g_assert_cmpint(nfs_rename(n, "/a/moved", "/a/b/renamed"), ==, 0);
	rename_on_host(d, "a/host-moved", "a/b/c/elsewhere");
	assert_reads(n, host_moved, "host-moved");
	nfsd_kill(d);
	rename_on_host(d, "dir", "a/dir2");
	g_assert_cmpint(unlink(gone_path), ==, 0);
	host_put(d, "gone", "another file");
	nfsd_restart(d);
	assert_reads(n, plain, "plain");
	assert_reads(n, moved, "moved");
	assert_reads(n, host_moved, "host-moved");
	assert_reads(n, in_moved, "in-moved");
	g_assert_cmpint(nfs_pread(n, gone, 0, 1, &c), <, 0);
	g_assert_cmpint(guest_put(n, "/a/after", "written after"), ==, 0);
	nfs_close(n, plain);
	nfs_close(n, moved);
	nfs_close(n, host_moved);
	nfs_close(n, in_moved);
	nfs_close(n, gone);
	nfs_destroy_context(n);
	nfsd_end(d);
}

static void test_restart(void)
{
	struct nfsd d = {0};

	restart_with(&d);
}

static void test_restart_stateless(void)
{
	struct nfsd d = {.no_state = TRUE};

	restart_with(&d);
}

/* A program that the guest wrote can be run on the host soon after. */
static void test_not_busy(void)
{
	gint64 deadline = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;
	struct nfsd d = {0};
	g_autofree char *path = NULL, *text = NULL;
	struct nfs_context *n;
	struct nfsfh *fh;
	gsize len, at = 0;
	int r;

	nfsd_start(&d);
	path = host_path(&d, "true");
	g_assert_true(g_file_get_contents("/bin/true", &text, &len, NULL));
	n = nfsd_mount(&d, MNT);
	g_assert_cmpint(nfs_creat(n, "/true", 0755, &fh), ==, 0);
	while (at < len) {
		r = nfs_pwrite(n, fh, at, len - at, text + at);
		g_assert_cmpint(r, >, 0);
		at += (gsize) r;
	}
	nfs_close(n, fh);
	for (;;) {
		const char *argv[] = {path, NULL};
		g_autoptr(GError) error = NULL;

		if (g_spawn_sync(NULL, (char **) argv, NULL, 0, NULL, NULL, NULL, NULL, NULL,
				 &error))
			break;
		g_assert_error(error, G_SPAWN_ERROR, G_SPAWN_ERROR_TXTBUSY);
		g_assert_cmpint(g_get_monotonic_time(), <, deadline);
		g_usleep(10000);
	}
	nfs_destroy_context(n);
	nfsd_end(&d);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nfs/server/files", test_files);
	g_test_add_func("/nfs/server/sync", test_sync);
	g_test_add_func("/nfs/server/big-folder", test_big_folder);
	g_test_add_func("/nfs/server/ids-and-times", test_ids_and_times);
	g_test_add_func("/nfs/server/read-only-mode", test_read_only_mode);
	g_test_add_func("/nfs/server/protected", test_protected);
	g_test_add_func("/nfs/server/hidden", test_hidden);
	g_test_add_func("/nfs/server/confined", test_confined);
	g_test_add_func("/nfs/server/foreign-peer", test_foreign_peer);
	g_test_add_func("/nfs/server/restart", test_restart);
	g_test_add_func("/nfs/server/restart-stateless", test_restart_stateless);
	g_test_add_func("/nfs/server/not-busy", test_not_busy);
	return g_test_run();
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* Real processes race for real lock files; as root, two users. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/gdbport.h"
#include "util/error.h"

#define OTHER_UID 65534 /* nobody */
#define FIRST 21234	/* not where the VMs of this host have theirs */
#define RACERS 24

typedef struct {
	char *folder;
	GHashTable *alive; /* uuids that libvirt would know */
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
	f->folder = g_dir_make_tmp("devvm-gdbport-XXXXXX", NULL);
	g_assert_cmpint(chmod(f->folder, 01777), ==, 0);
	f->alive = g_hash_table_new(g_str_hash, g_str_equal);
}

static guint count_files(const char *folder, gboolean remove)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;
	guint n = 0;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(folder, name, NULL);

		n++;
		if (remove)
			g_unlink(path);
	}
	return n;
}

static void tear_down(Fixture *f, gconstpointer data)
{
	count_files(f->folder, TRUE);
	g_assert_cmpint(g_rmdir(f->folder), ==, 0);
	g_free(f->folder);
	g_hash_table_unref(f->alive);
}

static gboolean exists(const char *uuid, gpointer data)
{
	return g_hash_table_contains(data, uuid);
}

static GdbPortOwner owner_of(const Fixture *f, const char *vm)
{
	return (GdbPortOwner){.folder = f->folder,
			      .first = FIRST,
			      .scope = "qemu:///session /run/x",
			      .vm = vm,
			      .uuid = vm,
			      .exists = exists,
			      .data = f->alive};
}

/* Reserves and closes the hold, as after a definition. */
static guint reserve(const Fixture *f, const char *vm, guint wanted, char **note)
{
	const GdbPortOwner owner = owner_of(f, vm);
	g_autofree char *own_note = NULL;
	g_autoptr(GError) error = NULL;
	int hold;
	guint port =
		gdbport_reserve(&owner, wanted, NULL, TRUE, &hold, note ? note : &own_note, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(port, >=, FIRST);
	close(hold);
	g_hash_table_add(f->alive, (gpointer) vm);
	return port;
}

static char *lock_path(const Fixture *f, guint port)
{
	return g_strdup_printf("%s/devvm-gdb-%u", f->folder, port);
}

static void test_unique_and_kept(Fixture *f, gconstpointer data)
{
	guint a = reserve(f, "a", 0, NULL), b = reserve(f, "b", 0, NULL);
	g_autofree char *note = NULL;
	const GdbPortOwner owner = owner_of(f, "a");

	g_assert_cmpuint(a, !=, b);
	g_assert_cmpuint(reserve(f, "a", a, &note), ==, a);
	g_assert_null(note);
	g_assert_cmpuint(gdbport_find(&owner), ==, a);
	g_assert_true(gdbport_release(&owner, NULL));
	g_assert_cmpuint(gdbport_find(&owner), ==, 0);
	g_assert_cmpuint(count_files(f->folder, FALSE), ==, 1);
	g_assert_cmpuint(reserve(f, "c", 0, NULL), ==, a);
}

static void test_avoid(Fixture *f, gconstpointer data)
{
	const GdbPortOwner owner = owner_of(f, "a");
	g_autoptr(GArray) avoid = g_array_new(FALSE, FALSE, sizeof(guint));
	g_autofree char *note = NULL;
	guint first = reserve(f, "probe", 0, NULL), got;
	const GdbPortOwner probe = owner_of(f, "probe");
	int hold;

	g_assert_true(gdbport_release(&probe, NULL));
	g_array_append_val(avoid, first);
	got = gdbport_reserve(&owner, 0, avoid, TRUE, &hold, &note, NULL);
	g_assert_cmpuint(got, >, first);
	close(hold);
}

/* The VM is gone, its file is left: taken over; but not while its maker still works on it. */
static void test_leftover(Fixture *f, gconstpointer data)
{
	const GdbPortOwner gone = owner_of(f, "gone");
	g_autofree char *note = NULL;
	int hold;
	guint port = gdbport_reserve(&gone, 0, NULL, TRUE, &hold, &note, NULL);

	g_assert_cmpuint(reserve(f, "a", 0, NULL), !=, port);
	close(hold);
	g_assert_cmpuint(reserve(f, "b", port, NULL), ==, port);
}

static void test_half_written(Fixture *f, gconstpointer data)
{
	guint port = reserve(f, "a", 0, NULL);
	g_autofree char *path = lock_path(f, port);

	g_assert_cmpint(truncate(path, 10), ==, 0);
	g_assert_cmpuint(reserve(f, "b", port, NULL), ==, port);
}

/* Of the same user, but of a libvirt that we cannot ask. */
static void test_other_scope(Fixture *f, gconstpointer data)
{
	GdbPortOwner other = owner_of(f, "x");
	g_autofree char *note = NULL, *why = NULL;
	int hold;
	guint port;

	other.scope = "qemu:///system /run/x";
	port = gdbport_reserve(&other, 0, NULL, TRUE, &hold, &note, NULL);
	close(hold);
	g_assert_cmpuint(reserve(f, "a", port, &why), !=, port);
	g_assert_nonnull(strstr(why, "your VM x"));
	/* Nor is it freed by a VM of that name in our scope. */
	GdbPortOwner namesake = owner_of(f, "x");
	g_assert_cmpuint(gdbport_find(&namesake), ==, 0);
}

static void test_planted(Fixture *f, gconstpointer data)
{
	guint port = reserve(f, "a", 0, NULL);
	const GdbPortOwner owner = owner_of(f, "a");
	g_autofree char *path = lock_path(f, port);
	g_autofree char *victim = g_build_filename(f->folder, "victim", NULL);
	g_autofree char *text = NULL;

	gdbport_release(&owner, NULL);
	g_assert_true(g_file_set_contents(victim, "precious", -1, NULL));
	g_assert_cmpint(symlink("victim", path), ==, 0);
	g_assert_cmpuint(reserve(f, "a", port, NULL), !=, port);
	g_assert_true(g_file_get_contents(victim, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "precious");
	g_unlink(path);
	g_assert_cmpint(mkdir(path, 0755), ==, 0);
	g_assert_cmpuint(reserve(f, "b", port, NULL), !=, port);
	g_assert_cmpint(rmdir(path), ==, 0);
	g_assert_cmpint(mkfifo(path, 0666), ==, 0);
	g_assert_cmpuint(reserve(f, "c", port, NULL), !=, port);
}

static int listen_on(guint port, const char *address)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((guint16) port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &a.sin_addr);
	g_assert_cmpint(bind(fd, (struct sockaddr *) &a, sizeof(a)), ==, 0);
	g_assert_cmpint(listen(fd, 1), ==, 0);
	return fd;
}

static void test_stranger_listens(Fixture *f, gconstpointer data)
{
	const char *addresses[] = {"127.0.0.1", "0.0.0.0"};

	for (gsize i = 0; i < G_N_ELEMENTS(addresses); i++) {
		g_autofree char *note = NULL, *me = g_strdup_printf("process %d", (int) getpid());
		guint port = reserve(f, "a", 0, NULL), other;
		int fd = listen_on(port, addresses[i]);

		other = reserve(f, "a", port, &note);
		g_assert_cmpuint(other, !=, port);
		g_assert_nonnull(strstr(note, me));
		close(fd);
		const GdbPortOwner owner = owner_of(f, "a");
		g_assert_true(gdbport_release(&owner, NULL));
		g_assert_cmpuint(count_files(f->folder, FALSE), ==, 0);
	}
}

/* Shared by all racers. */
typedef struct {
	guint ports[RACERS];
	gint start;
} Shared;

/* Half of them are killed in the middle and begin again, as a user would. */
static void race(const Fixture *f, Shared *shared, guint me, uid_t uid)
{
	g_autofree char *vm = g_strdup_printf("vm%u", me);
	const GdbPortOwner owner = owner_of(f, vm);
	g_autofree char *note = NULL;
	int hold;

	if (uid && setuid(uid) < 0)
		_exit(1);
	g_random_set_seed(me);
	while (!g_atomic_int_get(&shared->start))
		sched_yield();
	shared->ports[me] = gdbport_reserve(&owner, 0, NULL, TRUE, &hold, &note, NULL);
	/* The hold goes with the process: what makes the port ours then is that we exist. */
	_exit(shared->ports[me] ? 0 : 1);
}

static void run_race(Fixture *f, gboolean two_users)
{
	Shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[RACERS];
	char names[RACERS][8];

	for (guint i = 0; i < RACERS; i++) {
		g_snprintf(names[i], sizeof(names[i]), "vm%u", i);
		g_hash_table_add(f->alive, names[i]);
	}
	for (guint i = 0; i < RACERS; i++) {
		pids[i] = fork();
		g_assert_cmpint(pids[i], >=, 0);
		if (pids[i] == 0)
			race(f, shared, i, two_users && i % 2 ? OTHER_UID : 0);
	}
	g_atomic_int_set(&shared->start, 1);
	for (guint i = 0; i < RACERS; i++) {
		int status;

		g_assert_cmpint(waitpid(pids[i], &status, 0), ==, pids[i]);
		g_assert_cmpint(status, ==, 0);
	}
	for (guint i = 0; i < RACERS; i++)
		for (guint j = 0; j < i; j++)
			g_assert_cmpuint(shared->ports[i], !=, shared->ports[j]);
	g_assert_cmpuint(count_files(f->folder, FALSE), ==, RACERS);
	munmap(shared, sizeof(*shared));
}

static void test_race(Fixture *f, gconstpointer data)
{
	run_race(f, FALSE);
}

static void test_race_of_users(Fixture *f, gconstpointer data)
{
	if (getuid() != 0)
		g_test_skip("only root can be two users");
	else
		run_race(f, TRUE);
}

/* All want one and the same leftover: one gets it. */
static void test_race_for_leftover(Fixture *f, gconstpointer data)
{
	guint port = reserve(f, "gone", 0, NULL);

	g_hash_table_remove(f->alive, "gone");
	run_race(f, FALSE);
	g_assert_cmpuint(port, >=, FIRST);
}

/* Killed at any moment: nothing is left that blocks, but what the next one clears away. */
static void test_kill(Fixture *f, gconstpointer data)
{
	for (guint i = 0; i < 40; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			const GdbPortOwner owner = owner_of(f, "victim");

			for (;;) {
				g_autofree char *note = NULL;
				int hold;

				gdbport_reserve(&owner, 0, NULL, FALSE, &hold, &note, NULL);
				close(hold);
				gdbport_release(&owner, NULL);
			}
		}
		g_usleep(1000 + i * 137);
		kill(pid, SIGKILL);
		g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
		const GdbPortOwner owner = owner_of(f, "victim");
		guint port = reserve(f, "victim", 0, NULL);

		g_assert_cmpuint(port, >=, FIRST);
		g_assert_true(gdbport_release(&owner, NULL));
		g_assert_cmpuint(count_files(f->folder, FALSE), ==, 0);
	}
}

/* Another user's file is respected whatever it says, and cannot be freed. */
static void test_other_user(Fixture *f, gconstpointer data)
{
	guint port;
	g_autofree char *path = NULL, *note = NULL;
	const GdbPortOwner owner = owner_of(f, "a");

	if (getuid() != 0) {
		g_test_skip("only root can be two users");
		return;
	}
	port = reserve(f, "a", 0, NULL);
	path = lock_path(f, port);
	g_assert_cmpint(chown(path, OTHER_UID, OTHER_UID), ==, 0);
	g_assert_cmpuint(reserve(f, "a", port, &note), !=, port);
	g_assert_nonnull(strstr(note, "nobody"));
	g_assert_true(gdbport_release(&owner, NULL));
	g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void add(const char *path, void (*test)(Fixture *, gconstpointer))
{
	g_test_add(path, Fixture, NULL, set_up, test, tear_down);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/gdbport/unique-and-kept", test_unique_and_kept);
	add("/gdbport/avoid", test_avoid);
	add("/gdbport/leftover", test_leftover);
	add("/gdbport/half-written", test_half_written);
	add("/gdbport/other-scope", test_other_scope);
	add("/gdbport/planted", test_planted);
	add("/gdbport/stranger-listens", test_stranger_listens);
	add("/gdbport/race", test_race);
	add("/gdbport/race-of-users", test_race_of_users);
	add("/gdbport/race-for-leftover", test_race_for_leftover);
	add("/gdbport/kill", test_kill);
	add("/gdbport/other-user", test_other_user);
	return g_test_run();
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connecting to a VM's keeper, and starting one where there is none. Several devvm may do so at
 * once: the keepers settle it by their lock, the one that loses ends at once, and all connect to
 * the one that is left.
 */
#include "link-private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/paths.h"
#include "util/unix-connect.h"

#define START_MS 10000 /* for a keeper to come up, or one that is ending to be gone */
#define AGAIN_US 20000 /* between two looks */

/* A connected socket, or -errno. */
static int connect_keeper(const char *run_dir)
{
	g_autofree char *path = g_build_filename(run_dir, "keeper.sock", NULL);

	return unix_connect(path, 0);
}

static gboolean start_keeper(const Link *link, GError **error)
{
	g_autofree char *program = devvm_program("devvm-keeper");
	char *argv[] = {program, link->run_dir, NULL};
	g_autofree char *words = NULL;
	g_autoptr(GError) spawn_error = NULL;
	int status;

	if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, &words,
			  &status, &spawn_error))
		return devvm_fail(error, DEVVM_ERROR_FAILED, "cannot start %s's keeper: %s",
				  link->name, spawn_error->message);
	if (!g_spawn_check_wait_status(status, NULL))
		return devvm_fail(error, DEVVM_ERROR_FAILED, "%s's keeper does not start: %s",
				  link->name, g_strchomp(words));
	return TRUE;
}

static gboolean have_boot_state(const Link *link, GError **error)
{
	g_autofree char *path = g_build_filename(link->run_dir, "boot.state", NULL);

	if (g_file_test(path, G_FILE_TEST_EXISTS))
		return TRUE;
	return devvm_fail(error, DEVVM_ERROR_NOT_RUNNING,
			  "%s was not started by `devvm up` (there is no %s): `devvm up %s` "
			  "finishes the job",
			  link->name, path, link->name);
}

static gboolean connect_or_start(Link *link, GError **error)
{
	gint64 deadline = g_get_monotonic_time() + START_MS * 1000;

	for (;;) {
		link->fd = connect_keeper(link->run_dir);
		if (link->fd >= 0)
			return TRUE;
		if (link->fd != -ENOENT && link->fd != -ECONNREFUSED && link->fd != -EAGAIN)
			break;
		if (g_get_monotonic_time() > deadline)
			break;
		if (!have_boot_state(link, error) ||
		    (link->fd != -EAGAIN && !start_keeper(link, error)))
			return FALSE;
		link->fd = connect_keeper(link->run_dir);
		if (link->fd >= 0)
			return TRUE;
		g_usleep(AGAIN_US);
	}
	return devvm_fail_errno(error, DEVVM_ERROR_FAILED, -link->fd,
				"cannot reach %s's keeper (its log: %s/keeper.log)", link->name,
				link->run_dir);
}

Link *link_open(const Vm *vm, GError **error)
{
	g_autoptr(Link) link = g_new0(Link, 1);

	link->fd = -1;
	link->next_stream = 1;
	link->name = g_strdup(vm->name);
	link->run_dir = g_strdup(vm->run_dir);
	link->data_dir = g_strdup(vm->data_dir);
	link->out = g_byte_array_new();
	frames_init(&link->in, 0, FALSE);
	if (vm->state == VM_OFF) {
		devvm_fail(error, DEVVM_ERROR_NOT_RUNNING,
			   "%s is not running: start it with `devvm up %s`", vm->name, vm->name);
		return NULL;
	}
	if (!connect_or_start(link, error))
		return NULL;
	return g_steal_pointer(&link);
}

void link_close(Link *link)
{
	if (!link)
		return;
	if (link->fd >= 0)
		close(link->fd);
	frames_clear(&link->in);
	g_byte_array_unref(link->out);
	g_free(link->name);
	g_free(link->run_dir);
	g_free(link->data_dir);
	g_free(link);
}

const char *link_vm_name(const Link *link)
{
	return link->name;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The keys of KEEPER_STATUS. Values are free of line breaks; a key whose value is not known is
 * left out. Times are wall clock µs since the epoch.
 *
 *   name, keeper-pid, keeper-version, operations
 *   agent          connecting, setup, ready, failed, going      agent-version
 *   agent-error    why it failed                                agent-text   a sentence for users
 *   run            QEMU's RunState: running, paused, debug, …   stopped-ms   when stopped
 *   panicked       yes                                          qemu-pid
 *   nfs-port, nfs-pid, nfs-restarts, nfs-error
 *   gdb-mode, gdb-address, gdb-error                            gdb-client   PID COMM
 *   t-keeper, t-qmp, t-agent, t-setup, t-ready                  when that stage was reached
 */
#include "status.h"

#include <unistd.h>

#include "channel.h"
#include "gdb-forward.h"
#include "nfs-server.h"
#include "qmp.h"
#include "setup.h"
#include "streams.h"

static void add(GString *out, const char *key, const char *value)
{
	g_autofree char *line = g_strdup(value ? value : "");

	if (!*line)
		return;
	g_strdelimit(line, "\r\n", ' ');
	g_string_append_printf(out, "%s %s\n", key, line);
}

static void add_number(GString *out, const char *key, gint64 value)
{
	if (value)
		g_string_append_printf(out, "%s %" G_GINT64_FORMAT "\n", key, value);
}

static void add_guest(GString *out, Keeper *k)
{
	g_autofree char *text = setup_text(k->setup);

	add(out, "agent", setup_state(k->setup));
	add(out, "agent-version", channel_agent_version(k->channel));
	add(out, setup_failed(k->setup) ? "agent-error" : "agent-text", text);
	add(out, "run", qmp_state(k->qmp));
	add_number(out, "stopped-ms", qmp_stopped_ms(k->qmp));
	add(out, "panicked", qmp_panicked(k->qmp) ? "yes" : "");
	add_number(out, "qemu-pid", qmp_pid(k->qmp));
}

static void add_times(GString *out, Keeper *k)
{
	add_number(out, "t-keeper", k->started_us);
	add_number(out, "t-qmp", qmp_up_us(k->qmp));
	add_number(out, "t-agent", channel_up_us(k->channel));
	add_number(out, "t-setup", setup_begun_us(k->setup));
	add_number(out, "t-ready", setup_ready_us(k->setup));
}

char *status_text(Keeper *k)
{
	GString *out = g_string_new(NULL);
	g_autofree char *gdb = gdb_forward_address(k->gdb), *holder = gdb_forward_holder(k->gdb);

	add(out, "name", k->boot->name);
	add_number(out, "keeper-pid", getpid());
	add(out, "keeper-version", DEVVM_VERSION);
	g_string_append_printf(out, "operations %u\n", streams_count(k->streams));
	add_guest(out, k);
	add_number(out, "nfs-port", nfs_server_port(k->nfs));
	add_number(out, "nfs-pid", nfs_server_pid(k->nfs));
	g_string_append_printf(out, "nfs-restarts %u\n", nfs_server_restarts(k->nfs));
	add(out, "nfs-error", nfs_server_error(k->nfs));
	add(out, "gdb-mode", k->boot->gdb_mode);
	add(out, "gdb-address", gdb);
	add(out, "gdb-error", gdb_forward_error(k->gdb));
	add(out, "gdb-client", holder);
	add_times(out, k);
	return g_string_free(out, FALSE);
}

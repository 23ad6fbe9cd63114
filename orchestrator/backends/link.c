// SPDX-License-Identifier: GPL-2.0-or-later
/* The operations: each packs its arguments, runs, and reads how it ended. */
#include "link-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define CONSOLE_LINES 8

/* Arguments of an operation, on the heap because a command line may be long. */
typedef struct {
	guint8 *bytes;
	struct wire w;
} Arguments;

static Arguments arguments_new(void)
{
	Arguments a = {.bytes = g_malloc(PROTO_MAX_PAYLOAD)};

	a.w = wire_over(a.bytes, PROTO_MAX_PAYLOAD);
	return a;
}

static void link_end_clear(LinkEnd *end)
{
	g_clear_pointer(&end->message, g_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LinkEnd, link_end_clear)

/* Runs the operation with arguments that are then freed. */
static gboolean run(Link *link, guint32 op, Arguments *a, const LinkIo *io, LinkEnd *end,
		    GError **error)
{
	/* Too much for the writer: one byte more than fits, so that link_operation refuses. */
	gsize n = a->w.bad ? PROTO_MAX_PAYLOAD : a->w.pos;
	gboolean ok = link_operation(link, op, a->bytes, n, io, end, error);

	g_free(a->bytes);
	return ok;
}

/* FALSE with an error unless the operation ended well. what: "cannot …", for the message. */
static gboolean check(const LinkEnd *end, const char *what, GError **error)
{
	const char *message = end->message ? end->message : "";
	DevvmError code = DEVVM_ERROR_FAILED;

	if (end->how == PROTO_EXITED && end->value == 0)
		return TRUE;
	if (end->how == PROTO_FAILED && (end->value == EBUSY || end->value == EWOULDBLOCK))
		code = DEVVM_ERROR_BUSY;
	else if (end->how == PROTO_FAILED && end->value == ENOENT)
		code = DEVVM_ERROR_NOT_FOUND;
	if (*message)
		return devvm_fail(error, code, "%s: %s", what, message);
	if (end->how == PROTO_FAILED)
		return devvm_fail_errno(error, code, end->value, "%s", what);
	return devvm_fail(error, code, "%s: it ended with %s %d", what,
			  end->how == PROTO_SIGNALED ? "signal" : "status", end->value);
}

/* An operation that only succeeds or fails. */
static gboolean simple(Link *link, guint32 op, Arguments *a, const char *what, GError **error)
{
	const LinkIo io = {.in_fd = -1, .out_fd = -1, .err_fd = -1};
	g_auto(LinkEnd) end = {0};

	return run(link, op, a, &io, &end, error) && check(&end, what, error);
}

/* An operation that answers with bytes. */
static char *answer(Link *link, guint32 op, Arguments *a, const char *what, gsize *size,
		    GError **error)
{
	g_autoptr(GString) out = g_string_new(NULL);
	const LinkIo io = {.in_fd = -1, .out_fd = -1, .err_fd = -1, .out = out};
	g_auto(LinkEnd) end = {0};

	if (!run(link, op, a, &io, &end, error) || !check(&end, what, error))
		return NULL;
	if (size)
		*size = out->len;
	return g_string_free(g_steal_pointer(&out), FALSE);
}

/* --- The keeper ------------------------------------------------------------------------------- */

/* The last lines of the guest's console, for an error: "" when there are none. */
static char *console_tail(const Link *link)
{
	g_autofree char *path = g_build_filename(link->data_dir ? link->data_dir : link->run_dir,
						 "console.log", NULL);
	g_autofree char *text = NULL;
	GString *out = g_string_new(NULL);
	g_auto(GStrv) lines = NULL;
	gsize size, first = 0;
	guint n;

	if (!g_file_get_contents(path, &text, &size, NULL) || size == 0)
		return g_string_free(out, FALSE);
	if (size > 4096)
		first = size - 4096;
	for (gsize i = first; i < size; i++)
		if (text[i] != '\n' && !g_ascii_isprint(text[i]))
			text[i] = text[i] == '\t' ? ' ' : text[i] == '\r' ? ' ' : '?';
	lines = g_strsplit(g_strchomp(text + first), "\n", -1);
	n = g_strv_length(lines);
	for (guint i = n > CONSOLE_LINES ? n - CONSOLE_LINES : 0; i < n; i++)
		g_string_append_printf(out, "\n    %s", g_strchomp(lines[i]));
	return g_string_free(out, FALSE);
}

gboolean link_wait_ready(Link *link, guint timeout_ms, GError **error)
{
	Arguments a = arguments_new();
	const LinkIo io = {.in_fd = -1, .out_fd = -1, .err_fd = -1};
	g_auto(LinkEnd) end = {0};
	g_autoptr(GError) bare = NULL;
	g_autofree char *console = NULL;

	wire_put_u32(&a.w, timeout_ms);
	if (run(link, PROTO_OP_KEEPER_READY, &a, &io, &end, &bare))
		return check(&end, "waiting for the guest", error);
	if (!g_error_matches(bare, DEVVM_ERROR, DEVVM_ERROR_NOT_RUNNING)) {
		g_propagate_error(error, g_steal_pointer(&bare));
		return FALSE;
	}
	console = console_tail(link);
	return devvm_fail(error, DEVVM_ERROR_FAILED, "%s%s%s", bare->message,
			  *console ? "\n  its console ends with:" : "", console);
}

GHashTable *link_status(Link *link, GError **error)
{
	Arguments a = arguments_new();
	g_autofree char *text =
		answer(link, PROTO_OP_KEEPER_STATUS, &a, "asking the keeper", NULL, error);
	g_auto(GStrv) lines = NULL;
	GHashTable *table;

	if (!text)
		return NULL;
	table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	lines = g_strsplit(text, "\n", -1);
	for (gsize i = 0; lines[i]; i++) {
		char *blank = strchr(lines[i], ' ');

		if (blank)
			g_hash_table_insert(table, g_strndup(lines[i], (gsize) (blank - lines[i])),
					    g_strdup(blank + 1));
	}
	return table;
}

/* --- Commands --------------------------------------------------------------------------------- */

static void put_list(struct wire *w, const char *const *list)
{
	wire_put_u32(w, list ? g_strv_length((char **) list) : 0);
	for (gsize i = 0; list && list[i]; i++)
		wire_put_str(w, list[i]);
}

static Arguments exec_arguments(const LinkExec *e)
{
	Arguments a = arguments_new();
	guint32 rows = 0, columns = 0;

	if (e->tty)
		link_terminal_size(&rows, &columns);
	wire_put_u32(&a.w, (e->tty ? PROTO_EXEC_TTY : 0) | (e->fresh ? PROTO_EXEC_FRESH : 0) |
				   (e->in_fd >= 0 ? PROTO_EXEC_STDIN : 0));
	wire_put_str(&a.w, e->cwd ? e->cwd : "/");
	put_list(&a.w, e->argv);
	put_list(&a.w, e->env);
	wire_put_u32(&a.w, rows);
	wire_put_u32(&a.w, columns);
	return a;
}

/* What the agent says of a command that could not begin goes where its own words would. */
static void message_to_err(const LinkExec *e, const char *message)
{
	g_autofree char *line = g_strdup_printf("devvm: %s\n", message);

	if (e->err)
		g_string_append(e->err, line);
	else if (e->err_fd >= 0)
		dprintf(e->err_fd, "%s", line);
}

gboolean link_exec(Link *link, const LinkExec *e, LinkExit *how, GError **error)
{
	Arguments a = exec_arguments(e);
	const LinkIo io = {.in_fd = e->in_fd,
			   .has_input = e->in_fd >= 0,
			   .out_fd = e->out_fd,
			   .err_fd = e->err_fd,
			   .out = e->out,
			   .err = e->err,
			   .pass_signals = e->pass_signals,
			   .tty = e->tty};
	g_auto(LinkEnd) end = {0};
	g_autofree char *what = NULL;

	if (!run(link, PROTO_OP_EXEC, &a, &io, &end, error))
		return FALSE;
	if (end.how == PROTO_FAILED) {
		what = g_strdup_printf("cannot run %s in %s", e->argv[0], link->name);
		return check(&end, what, error);
	}
	if (end.how == PROTO_EXITED && end.message && *end.message)
		message_to_err(e, end.message);
	how->signaled = end.how == PROTO_SIGNALED;
	how->value = end.value;
	return TRUE;
}

gboolean link_run(Link *link, const char *const *argv, char **out, GError **error)
{
	g_autoptr(GString) output = g_string_new(NULL), words = g_string_new(NULL);
	const LinkExec e = {
		.argv = argv, .in_fd = -1, .out_fd = -1, .err_fd = -1, .out = output, .err = words};
	LinkExit how;

	if (!link_exec(link, &e, &how, error))
		return FALSE;
	if (how.signaled || how.value != 0) {
		g_strchomp(words->str);
		return devvm_fail(error, DEVVM_ERROR_FAILED, "%s in %s ended with %s %d%s%s",
				  argv[0], link->name, how.signaled ? "signal" : "status",
				  how.value, *words->str ? ": " : "", words->str);
	}
	if (out)
		*out = g_string_free(g_steal_pointer(&output), FALSE);
	return TRUE;
}

/* --- Files ------------------------------------------------------------------------------------ */

gboolean link_put(Link *link, const char *path, guint mode, const void *data, gsize size,
		  GError **error)
{
	Arguments a = arguments_new();
	const LinkIo io = {.in_fd = -1,
			   .out_fd = -1,
			   .err_fd = -1,
			   .has_input = TRUE,
			   .input = data,
			   .input_size = size};
	g_auto(LinkEnd) end = {0};
	g_autofree char *what = g_strdup_printf("cannot write %s in %s", path, link->name);

	wire_put_str(&a.w, path);
	wire_put_u32(&a.w, mode);
	wire_put_u64(&a.w, size);
	return run(link, PROTO_OP_PUT, &a, &io, &end, error) && check(&end, what, error);
}

char *link_get(Link *link, const char *path, gsize *size, GError **error)
{
	Arguments a = arguments_new();
	g_autofree char *what = g_strdup_printf("cannot read %s in %s", path, link->name);

	wire_put_str(&a.w, path);
	return answer(link, PROTO_OP_GET, &a, what, size, error);
}

/* --- Modules ---------------------------------------------------------------------------------- */

gboolean link_rmmod(Link *link, const char *name, gboolean force, GError **error)
{
	Arguments a = arguments_new();
	g_autofree char *what = g_strdup_printf("cannot unload %s in %s", name, link->name);

	wire_put_str(&a.w, name);
	wire_put_u32(&a.w, force ? O_TRUNC : 0);
	return simple(link, PROTO_OP_RMMOD, &a, what, error);
}

char *link_users(Link *link, const char *module, const char *fstypes, GError **error)
{
	Arguments a = arguments_new();
	g_autofree char *what = g_strdup_printf("cannot see who uses %s in %s", module, link->name);

	wire_put_str(&a.w, module);
	wire_put_str(&a.w, fstypes ? fstypes : "");
	return answer(link, PROTO_OP_USERS, &a, what, NULL, error);
}

/* --- The guest -------------------------------------------------------------------------------- */

gboolean link_power(Link *link, gboolean reboot, GError **error)
{
	Arguments a = arguments_new();

	wire_put_u32(&a.w, reboot ? 1 : 0);
	return simple(link, PROTO_OP_POWER, &a,
		      reboot ? "cannot reboot the guest" : "cannot power the guest off", error);
}

/* A record's text: "\xNN" (Documentation/ABI/testing/dev-kmsg) decoded where it can be shown. */
static void append_text(GString *out, const char *text)
{
	for (; *text; text++) {
		int high = text[0] == '\\' && text[1] == 'x' ? g_ascii_xdigit_value(text[2]) : -1;
		int low = high >= 0 ? g_ascii_xdigit_value(text[3]) : -1;
		guchar c = (guchar) *text;

		if (low >= 0) {
			c = (guchar) (high << 4 | low);
			text += 3;
		}
		g_string_append_c(out, c == '\n' || c == '\t' || c >= 0x80 || g_ascii_isprint(c)
					       ? (char) c
					       : '?');
	}
	g_string_append_c(out, '\n');
}

/* One line of raw records; a line that begins with a blank is a property, and dropped. */
static void append_record(GString *out, const char *line, guint64 *next)
{
	const char *text = strchr(line, ';');
	guint64 seq, usec;
	char *end;

	if (!g_ascii_isdigit(*line) || !text)
		return;
	g_ascii_strtoull(line, &end, 10);
	if (*end != ',')
		return;
	seq = g_ascii_strtoull(end + 1, &end, 10);
	if (*end != ',')
		return;
	usec = g_ascii_strtoull(end + 1, &end, 10);
	*next = seq + 1;
	g_string_append_printf(out, "[%5" G_GUINT64_FORMAT ".%06" G_GUINT64_FORMAT "] ",
			       usec / 1000000, usec % 1000000);
	append_text(out, text + 1);
}

char *link_kernel_log(Link *link, guint64 since, guint64 *next, GError **error)
{
	Arguments a = arguments_new();
	g_autofree char *raw = NULL, *valid = NULL;
	g_auto(GStrv) lines = NULL;
	guint64 after = since;
	GString *out;

	wire_put_u64(&a.w, since);
	raw = answer(link, PROTO_OP_KLOG, &a, "cannot read the kernel's messages", NULL, error);
	if (!raw)
		return NULL;
	lines = g_strsplit(raw, "\n", -1);
	out = g_string_new(NULL);
	for (gsize i = 0; lines[i]; i++)
		append_record(out, lines[i], &after);
	if (next)
		*next = after;
	valid = g_string_free(out, FALSE);
	return g_utf8_make_valid(valid, -1);
}

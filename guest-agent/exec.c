// SPDX-License-Identifier: GPL-2.0-or-later
/* EXEC: a command, with pipes or a terminal, in the shared mounts or with fresh trees. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"

/* Each string takes five bytes at least, so no request has more. */
#define MAX_STRINGS (PROTO_MAX_PAYLOAD / 5)

static const char *const default_env[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root",
	"USER=root",
	"LOGNAME=root",
	"SHELL=/bin/sh",
};
#define N_DEFAULT_ENV (sizeof(default_env) / sizeof(default_env[0]))

struct command {
	uint32_t flags, argc, envc, rows, columns;
	const char *cwd;
	const char *argv[MAX_STRINGS + 1];
	const char *env[MAX_STRINGS + N_DEFAULT_ENV + 1];
};

static void get_strings(struct wire *args, const char **out, uint32_t *n)
{
	*n = wire_get_u32(args);
	if (*n > MAX_STRINGS)
		args->bad = true;
	for (uint32_t i = 0; i < *n && !args->bad; i++)
		out[i] = wire_get_str(args);
}

static bool get_command(struct wire *args, struct command *c)
{
	c->flags = wire_get_u32(args);
	c->cwd = wire_get_str(args);
	get_strings(args, c->argv, &c->argc);
	get_strings(args, c->env, &c->envc);
	c->rows = wire_get_u32(args);
	c->columns = wire_get_u32(args);
	return !args->bad && c->argc > 0 && *c->argv[0];
}

void op_exec_start(struct agent *a, struct stream *s, struct wire *args)
{
	static struct command c;
	struct wire look = *args;
	unsigned flags = 0;

	if (!get_command(&look, &c)) {
		stream_end(a, s, PROTO_FAILED, EPROTO, "exec: malformed request");
		return;
	}
	if (c.flags & PROTO_EXEC_TTY)
		flags |= CHILD_TTY;
	if (c.flags & PROTO_EXEC_STDIN)
		flags |= CHILD_STDIN;
	if ((c.flags & PROTO_EXEC_FRESH) && a->maker >= 0) {
		carry_look(a);
		s->ns = fresh_take(a);
		s->wants_ns = s->ns < 0;
		a->exec_ns = s->ns;
	}
	if (child_start(a, s, flags, args) && s->in >= 0 && s->in == s->out)
		child_set_size(s->in, c.rows, c.columns);
	fresh_order(a);
}

static const char *get_env(const struct command *c, const char *name, size_t n)
{
	for (uint32_t i = 0; i < c->envc; i++)
		if (strncmp(c->env[i], name, n) == 0 && c->env[i][n] == '=')
			return c->env[i] + n + 1;
	return NULL;
}

static void add_default_env(struct command *c)
{
	for (size_t i = 0; i < N_DEFAULT_ENV; i++) {
		size_t n = strcspn(default_env[i], "=");

		if (!get_env(c, default_env[i], n))
			c->env[c->envc++] = default_env[i];
	}
	c->env[c->envc] = NULL;
	c->argv[c->argc] = NULL;
}

static void run(const struct command *c, const char *path)
{
	execve(path, (char *const *) (uintptr_t) c->argv, (char *const *) (uintptr_t) c->env);
}

/* Tries each folder of PATH; returns with errno when the command cannot be run. */
static void search_path(const struct command *c)
{
	const char *path = get_env(c, "PATH", 4);
	bool denied = false;

	for (;;) {
		size_t n = strcspn(path, ":");
		char full[4096];

		if (snprintf(full, sizeof(full), "%.*s/%s", n ? (int) n : 1, n ? path : ".",
			     c->argv[0]) < (int) sizeof(full)) {
			run(c, full);
			if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
				return;
			denied |= errno == EACCES;
		}
		if (!path[n])
			break;
		path += n + 1;
	}
	errno = denied ? EACCES : ENOENT;
}

static void explain_failure(const struct command *c)
{
	int error = errno;
	const char *name = c->argv[0];

	if (error == ENOENT && strchr(name, '/') && access(name, F_OK) == 0)
		report(PROTO_EXITED, 127, "%s: its interpreter or loader is not in the guest",
		       name);
	if (error == ENOENT || error == ENOTDIR)
		report(PROTO_EXITED, 127, "%s: %s", name,
		       strchr(name, '/') ? "no such file in the guest"
					 : "no such command in the guest's PATH");
	report(PROTO_EXITED, 126, "%s: cannot be run: %s", name, strerror(error));
}

void op_exec_run(struct agent *a, struct wire *args)
{
	static struct command c;
	struct step_error e = {0};

	if (!get_command(args, &c))
		report(PROTO_FAILED, EPROTO, "exec: malformed request");
	if ((c.flags & PROTO_EXEC_FRESH) && a->maker >= 0 && !fresh_enter(a, a->exec_ns, &e))
		report(PROTO_FAILED, e.error, "%s", e.text);
	if (chdir(c.cwd) < 0) {
		dprintf(2, "devvm: cannot enter %s in the guest: %s; using /\n", c.cwd,
			strerror(errno));
		if (chdir("/") < 0)
			report_errno("cannot enter /");
	}
	add_default_env(&c);
	umask(022);
	if (strchr(c.argv[0], '/'))
		run(&c, c.argv[0]);
	else
		search_path(&c);
	explain_failure(&c);
}

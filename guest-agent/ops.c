// SPDX-License-Identifier: GPL-2.0-or-later
/* The table of operations. Adding one: see README.md. */
#include <errno.h>
#include <time.h>

#include "agent.h"

static const struct op ops[] = {
	{PROTO_OP_SETUP, "setup", op_setup_start, op_setup_run, CHILD_SHARE_FS},
	{PROTO_OP_EXEC, "exec", op_exec_start, op_exec_run, 0},
	{PROTO_OP_PUT, "put", op_run_start, op_put_run, CHILD_STDIN},
	{PROTO_OP_GET, "get", op_run_start, op_get_run, 0},
	{PROTO_OP_RMMOD, "rmmod", op_run_start, op_rmmod_run, 0},
	{PROTO_OP_USERS, "users", op_run_start, op_users_run, 0},
	{PROTO_OP_CLOCK, "clock", op_clock_start, NULL, 0},
	{PROTO_OP_POWER, "power", op_power_start, op_power_run, 0},
	{PROTO_OP_SYMLINK, "symlink", op_run_start, op_symlink_run, 0},
	{PROTO_OP_KLOG, "klog", op_run_start, op_klog_run, 0},
	{PROTO_OP_PING, "ping", op_done_start, NULL, 0},
};

const struct op *op_find(uint32_t number)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (ops[i].op == number)
			return &ops[i];
	return NULL;
}

void op_run_start(struct agent *a, struct stream *s, struct wire *args)
{
	child_start(a, s, s->op->child_flags, args);
}

void op_done_start(struct agent *a, struct stream *s, struct wire *args)
{
	stream_end(a, s, PROTO_EXITED, 0, "");
}

void op_clock_start(struct agent *a, struct stream *s, struct wire *args)
{
	uint64_t ns = wire_get_u64(args);
	struct timespec time = {.tv_sec = (time_t) (ns / 1000000000u),
				.tv_nsec = (long) (ns % 1000000000u)};

	if (args->bad)
		stream_end(a, s, PROTO_FAILED, EPROTO, "clock: malformed request");
	else if (clock_settime(CLOCK_REALTIME, &time) < 0)
		stream_end(a, s, PROTO_FAILED, errno, "cannot set the guest's clock");
	else
		stream_end(a, s, PROTO_EXITED, 0, "");
}

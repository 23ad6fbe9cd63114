// SPDX-License-Identifier: GPL-2.0-or-later
/* RMMOD: takes a kernel module out. */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent.h"

void op_rmmod_run(struct agent *a, struct wire *args)
{
	const char *name = wire_get_str(args);
	uint32_t flags = wire_get_u32(args);

	if (args->bad)
		report(PROTO_FAILED, EPROTO, "rmmod: malformed request");
	if (syscall(SYS_delete_module, name, (flags & O_TRUNC) | O_NONBLOCK) == 0)
		return;
	if (errno == ENOENT)
		report(PROTO_FAILED, ENOENT, "module %s is not loaded in the guest", name);
	if (errno == EWOULDBLOCK)
		report(PROTO_FAILED, EBUSY, "module %s is in use", name);
	report_errno("cannot unload module %s", name);
}

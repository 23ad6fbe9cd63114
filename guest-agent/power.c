// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * POWER: a child syncs and unmounts (it may hang on a dead server: then the deadline counts); once
 * its EXIT is out the agent itself calls reboot(2), see main.c.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "agent.h"

#define POWER_LIMIT_MS 5000
#define MAX_MOUNTS 256

void op_power_start(struct agent *a, struct stream *s, struct wire *args)
{
	struct wire look = *args;
	uint32_t what = wire_get_u32(&look);

	if (look.bad || what > 1) {
		stream_end(a, s, PROTO_FAILED, EPROTO, "power: malformed request");
		return;
	}
	if (a->service) {
		stream_end(a, s, PROTO_FAILED, EPERM, "this guest's own init does that");
		return;
	}
	if (!child_start(a, s, 0, args))
		return;
	a->power = what ? RB_AUTOBOOT : RB_POWER_OFF;
	a->power_at = now_ms() + POWER_LIMIT_MS;
	a->power_stream = s->id;
}

/* Real file systems go; the root and the kernel's own stay. */
static bool is_real(const char *type)
{
	static const char *const own[] = {"overlay",  "tmpfs",	"proc", "sysfs",
					  "devtmpfs", "devpts", "nfs",	"rootfs"};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strcmp(type, own[i]) == 0)
			return false;
	return true;
}

void op_power_run(struct agent *a, struct wire *args)
{
	static char points[MAX_MOUNTS][512];
	char line[2048], type[64];
	FILE *f = fopen("/proc/self/mounts", "re");
	int n = 0;

	sync();
	while (f && n < MAX_MOUNTS && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %511s %63s", points[n], type) == 2 && is_real(type))
			n++;
	while (n-- > 0)
		umount2(points[n], 0);
}

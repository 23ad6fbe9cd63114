// SPDX-License-Identifier: GPL-2.0-or-later
/* KLOG: the kernel's messages from a sequence number on. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent.h"

#define RECORD_SIZE 9000 /* /dev/kmsg gives a record a read, never more than 8 KiB */

static uint64_t sequence_of(const char *record)
{
	const char *comma = strchr(record, ',');

	return comma ? strtoull(comma + 1, NULL, 10) : 0;
}

void op_klog_run(struct agent *a, struct wire *args)
{
	static char out[64 * 1024], record[RECORD_SIZE];
	uint64_t since = wire_get_u64(args);
	size_t used = 0;
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (args->bad)
		report(PROTO_FAILED, EPROTO, "klog: malformed request");
	if (fd < 0)
		report_errno("cannot open /dev/kmsg");
	for (;;) {
		ssize_t n = read(fd, record, sizeof(record) - 1);

		if (n < 0 && (errno == EPIPE || errno == EINTR)) /* overwritten: goes on after it */
			continue;
		if (n <= 0)
			break;
		record[n] = '\0';
		if (sequence_of(record) < since)
			continue;
		if (used + (size_t) n > sizeof(out)) {
			if (write(1, out, used) < 0)
				report_errno("cannot pass on the kernel's messages");
			used = 0;
		}
		memcpy(out + used, record, (size_t) n);
		used += (size_t) n;
	}
	if (used && write(1, out, used) < 0)
		report_errno("cannot pass on the kernel's messages");
}

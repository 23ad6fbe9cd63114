/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What one devvm-nfsd is: its exports, keys, the map of files it has shown, and open fds. */
#ifndef NFS_SERVER_H
#define NFS_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "drc.h"
#include "export.h"
#include "fdcache.h"
#include "node.h"

struct server {
	struct export exports[EXPORTS_MAX];
	unsigned int n_exports;
	char token[129];
	uint64_t key[2];
	uint64_t write_verf; /* another one at each start, RFC 1813 3.3.7 */
	char *state_dir;     /* NULL: nothing outlives the process */

	int listen_fd;
	int listen_port; /* -1: use listen_fd */
	pid_t peer_pid;
	bool peer_any;

	int proc_fd; /* /proc/self/fd, to open, chmod and readlink what an O_PATH fd names */
	uid_t uid;
	gid_t gid;
	uint64_t no_find_before_ms; /* see find.h */

	struct nodes nodes;
	struct fdcache fds;
	struct drc drc;
};

/* After the configuration: opens what is needed. Negative errno; says on stderr what failed. */
int server_start(struct server *s);
void server_stop(struct server *s);

uint64_t now_ms(void);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines on stderr, at most 20 in 10 s, so that no guest can fill the keeper's log. */
#ifndef NFS_LOG_H
#define NFS_LOG_H

void nfs_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif

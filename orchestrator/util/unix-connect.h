/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections to unix sockets whose path may be longer than sun_path. */
#pragma once

/*
 * A stream socket, close-on-exec, connected to `path`; `flags` are more of socket(2)'s
 * (SOCK_NONBLOCK). -errno when there is nobody.
 */
int unix_connect(const char *path, int flags);

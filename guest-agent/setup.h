/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SETUP's lines → struct setup. Pure: tests and the fuzzer compile it too.
 *
 * A line is "key value value…", one blank between, each value percent-encoded; empty lines are
 * skipped, unknown keys refused (a newer host would else get less than it asked for):
 *   hostname NAME            clock NS                 release REL
 *   net ADDR/PREFIX GATEWAY DNS
 *   nfs SERVER PORT TOKEN    root EXPORT              tree EXPORT PATH      (tree: repeatable)
 *   link PATH TARGET         (a symbolic link to make; repeatable)
 *   owner UID GID NAME HOME  (who owns the trees on the host)
 */
#pragma once

#include "protocol.h"

#define SETUP_MAX_TREES 32
#define SETUP_MAX_LINKS 32

struct setup_tree {
	const char *export_name, *path;
};

struct setup_link {
	const char *path, *target;
};

/* Strings that no line gave are NULL; the others point into text. */
struct setup {
	char text[PROTO_MAX_PAYLOAD + 1];
	const char *hostname, *release;
	uint64_t clock_ns; /* 0: not given */
	const char *net_address, *net_gateway, *net_dns;
	unsigned net_prefix;
	const char *nfs_server, *nfs_token;
	unsigned nfs_port;
	const char *root_export;
	unsigned owner_uid, owner_gid;
	const char *owner_name, *owner_home;
	struct setup_tree trees[SETUP_MAX_TREES];
	unsigned n_trees;
	struct setup_link links[SETUP_MAX_LINKS];
	unsigned n_links;
	char error[160]; /* what is wrong, once setup_parse returned false */
};

bool setup_parse(struct setup *s, const uint8_t *lines, size_t size);

/* Decodes %XX in place; false on a bad escape or %00. */
bool percent_decode(char *s);
/* An absolute path without "." or ".." or empty parts, not "/" itself. */
bool setup_path_ok(const char *path);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One exported folder and its rules. */
#ifndef NFS_EXPORT_H
#define NFS_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum { EXPORTS_MAX = 16, EXPORT_NAME_MAX = 63, PATTERN_PARTS_MAX = 16 };

/* A list of strings; grows, never shrinks. */
struct strlist {
	char **v;
	unsigned int n;
};

/* A pattern "a/b*c", split: matched against consecutive components of a path with fnmatch. */
struct pattern {
	char *part[PATTERN_PARTS_MAX];
	bool wild[PATTERN_PARTS_MAX]; /* else the part is compared as it is */
	unsigned int n;
};

struct export
{
	char name[EXPORT_NAME_MAX + 1];
	char *path;
	bool rw;
	bool sync;		     /* COMMIT and stable WRITE reach the disk before the answer */
	bool map_root;		     /* host owner <-> guest root */
	struct strlist only;	     /* top-level names shown; none: all */
	struct strlist hide;	     /* paths relative to the export */
	struct strlist hide_private; /* folders below which what is not world-readable is hidden */
	struct pattern *protect;
	unsigned int n_protect;

	uint32_t tag; /* of name and path: the same over restarts and reordering */
	uint64_t fsid;
	int root_fd; /* O_PATH; -1: the folder was not there at the start */
	dev_t root_dev;
	uint32_t root; /* its node */
};

struct server;

int strlist_add(struct strlist *l, const char *s);
/* -EINVAL: empty, or too many parts. A trailing slash-star-star is dropped: all below is meant. */
int export_add_protect(struct export *e, const char *pattern);
int export_open(struct server *s, struct export *e);
struct export *export_by_tag(struct server *s, uint32_t tag);
struct export *export_by_name(struct server *s, const char *name, size_t len);

/* A fileid unique in the export: st_ino, and on another device than the root's, mixed with it. */
uint64_t export_fileid(const struct export *e, dev_t dev, ino_t ino);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record of a folder's last build (buildinputs.h): what its inputs and products looked like. */
#pragma once

#include <glib.h>

#define STAMP_HASH_SIZE 41 /* SHA-1 as hex, and a NUL */

/* How one tells whether a file is still the same; all 0: not there, and like nothing. */
typedef struct {
	guint64 dev, ino, size;
	gint64 mtime, ctime;	    /* ns since the epoch */
	char hash[STAMP_HASH_SIZE]; /* of the contents, where times are too coarse; else "" */
} Stamp;

/* FALSE, and an empty stamp, when the file is not there. Links are followed. */
gboolean stamp_take(Stamp *stamp, const char *path);
/* Adds the hash of the file's contents. */
void stamp_hash(Stamp *stamp, const char *path);
/* The same by all but the hash. */
gboolean stamp_same(const Stamp *a, const Stamp *b);
/* When the file changed last, in any way that it knows of. */
gint64 stamp_changed(const Stamp *stamp);

typedef struct {
	gboolean exists;     /* FALSE: nothing was recorded yet */
	gint64 start, end;   /* ns since the epoch; end 0: it never came */
	char *kernel;	     /* identity of the kernel folder it was built with */
	GHashTable *inputs;  /* path → Stamp* at the start */
	GHashTable *targets; /* path → Stamp* at the end (before: at the start) */
} BuildRecord;

BuildRecord *buildrecord_new(void);
void buildrecord_free(BuildRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BuildRecord, buildrecord_free)

/* Never NULL: one that cannot be read or makes no sense counts as none. */
BuildRecord *buildrecord_load(const char *path);
/* Whole or not at all. */
gboolean buildrecord_save(const BuildRecord *record, const char *path, GError **error);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * make's own race, closed. make believes an object that is newer than its sources; yet a source
 * that is saved after the compiler has read it, and before the object is written, ends up older
 * than an object without it, for ever after. So does one that is renamed into place with an old
 * time stamp, or saved while a build is cut off.
 *
 * Theory of operation
 * -------------------
 * Before a build starts, what every input looks like (inode, size, mtime, ctime) goes into a record
 * outside of the tree, and so does what every product looks like once the build has ended. An
 * object is believed only when each of its inputs looks now as it did at the start of the build
 * that made it: then nothing can have come between the compiler and the file. Any other object is
 * removed, and make makes it again. User's files are never touched.
 *
 *  - Which inputs: the lists that kbuild keeps in .NAME.o.cmd, and all sources in the folder, for
 *    those objects that are not there yet. An input that only the new .cmd files name is taken as
 *    it is after the build if its times are older than the build; else it counts as changed.
 *  - Clocks: time stamps come in ticks (4 or 10 ms; 1 or 2 s on old file systems), so two edits in
 *    one tick look alike. An input whose last change is younger than RACY_NS when it is recorded
 *    gets its contents' hash recorded as well.
 *  - An object of a make that devvm did not start has no record. It is believed only if all of its
 *    inputs were at rest for FOREIGN_NS before the object was written.
 *  - A build that was cut off (kill -9) has a record without an end. What it wrote is removed:
 *    it may be half a file.
 *  - Another kernel behind the same path leaves objects that make takes for good: all are removed.
 *
 * One build of a folder at a time: the record's lock is held by every process of the build, so that
 * a make that outlives a killed devvm still keeps the next one waiting.
 */
#pragma once

#include <glib.h>

typedef struct _BuildInputs BuildInputs;

/*
 * Opens the record of the folder `root`, which is built with the kernel folder `objtree` (where
 * the relative paths of .cmd files start). Waits for another build of the same folder to end:
 * `waiting` (may be NULL) is called once then; BUSY after wait_ms.
 */
BuildInputs *buildinputs_open(const char *root, const char *objtree, void (*waiting)(const char *),
			      guint wait_ms, GError **error);
void buildinputs_close(BuildInputs *inputs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BuildInputs, buildinputs_close)

/* To be inherited by the build's processes; stays ours. */
int buildinputs_lock_fd(const BuildInputs *inputs);

/* Removes what cannot be believed (*removed: how many files; may be NULL) and records the start. */
gboolean buildinputs_begin(BuildInputs *inputs, guint *removed, GError **error);

/* Records the end. The inputs that changed while it ran: paths, sorted; empty for none. */
GPtrArray *buildinputs_end(BuildInputs *inputs, GError **error);

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One text file: "devvm-build 1", "start NS", "end NS", "kernel ID", then a line a file, "i" for
 * inputs and "t" for targets: dev ino size mtime ctime hash path. The last line is "." : a file
 * without it is no record.
 */
#include "buildrecord.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../util/error.h"

#define HEADER "devvm-build 1"
#define FIELDS 6
#define NS_PER_S G_GINT64_CONSTANT(1000000000)

gboolean stamp_take(Stamp *stamp, const char *path)
{
	struct stat st;

	memset(stamp, 0, sizeof(*stamp));
	if (stat(path, &st) < 0)
		return FALSE;
	stamp->dev = st.st_dev;
	stamp->ino = st.st_ino;
	stamp->size = (guint64) st.st_size;
	stamp->mtime = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
	stamp->ctime = st.st_ctim.tv_sec * NS_PER_S + st.st_ctim.tv_nsec;
	return TRUE;
}

void stamp_hash(Stamp *stamp, const char *path)
{
	g_autofree char *text = NULL, *sum = NULL;
	gsize size;

	if (!g_file_get_contents(path, &text, &size, NULL))
		return;
	sum = g_compute_checksum_for_data(G_CHECKSUM_SHA1, (const guchar *) text, size);
	g_strlcpy(stamp->hash, sum, sizeof(stamp->hash));
}

gboolean stamp_same(const Stamp *a, const Stamp *b)
{
	return a->ino && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime == b->mtime && a->ctime == b->ctime;
}

gint64 stamp_changed(const Stamp *stamp)
{
	return MAX(stamp->mtime, stamp->ctime);
}

BuildRecord *buildrecord_new(void)
{
	BuildRecord *record = g_new0(BuildRecord, 1);

	record->inputs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	record->targets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	record->kernel = g_strdup("");
	return record;
}

void buildrecord_free(BuildRecord *record)
{
	if (!record)
		return;
	g_hash_table_unref(record->inputs);
	g_hash_table_unref(record->targets);
	g_free(record->kernel);
	g_free(record);
}

/* "i DEV INO SIZE MTIME CTIME HASH PATH" */
static gboolean take_file_line(BuildRecord *record, const char *line)
{
	Stamp *stamp = g_new0(Stamp, 1);
	int path_at = 0;
	char kind;

	if (sscanf(line, "%c %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNd64 " %" SCNd64 " %40s %n",
		   &kind, &stamp->dev, &stamp->ino, &stamp->size, &stamp->mtime, &stamp->ctime,
		   stamp->hash, &path_at) != FIELDS + 1 ||
	    !line[path_at] || (kind != 'i' && kind != 't')) {
		g_free(stamp);
		return FALSE;
	}
	if (!strcmp(stamp->hash, "-"))
		stamp->hash[0] = '\0';
	g_hash_table_replace(kind == 'i' ? record->inputs : record->targets,
			     g_strdup(line + path_at), stamp);
	return TRUE;
}

static gboolean take_line(BuildRecord *record, const char *line)
{
	if (g_str_has_prefix(line, "start "))
		record->start = g_ascii_strtoll(line + strlen("start "), NULL, 10);
	else if (g_str_has_prefix(line, "end "))
		record->end = g_ascii_strtoll(line + strlen("end "), NULL, 10);
	else if (g_str_has_prefix(line, "kernel ")) {
		g_free(record->kernel);
		record->kernel = g_strdup(line + strlen("kernel "));
	} else {
		return take_file_line(record, line);
	}
	return TRUE;
}

BuildRecord *buildrecord_load(const char *path)
{
	g_autoptr(BuildRecord) record = buildrecord_new();
	g_autofree char *text = NULL;
	char *at, *next;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return g_steal_pointer(&record);
	for (at = text; (next = strchr(at, '\n')); at = next + 1) {
		*next = '\0';
		if (at == text ? strcmp(at, HEADER) != 0 : !strcmp(at, "."))
			break;
		if (at != text && !take_line(record, at))
			break;
	}
	if (!next || strcmp(at, "."))
		return buildrecord_new();
	record->exists = TRUE;
	return g_steal_pointer(&record);
}

static void put_files(GString *text, char kind, GHashTable *files)
{
	GHashTableIter iter;
	gpointer path, value;

	g_hash_table_iter_init(&iter, files);
	while (g_hash_table_iter_next(&iter, &path, &value)) {
		const Stamp *s = value;

		if (strchr(path, '\n'))
			continue; /* unknown next time, thus not believed */
		g_string_append_printf(text,
				       "%c %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64
				       " %s %s\n",
				       kind, s->dev, s->ino, s->size, s->mtime, s->ctime,
				       *s->hash ? s->hash : "-", (char *) path);
	}
}

/* By rename, but without fsync(): a record lost with the machine's power costs one build. */
static gboolean write_file(const char *path, const GString *text, GError **error)
{
	g_autofree char *temp = g_strconcat(path, ".new", NULL);
	FILE *out = fopen(temp, "we");
	gboolean ok = out && fwrite(text->str, 1, text->len, out) == text->len;

	if (out && fclose(out))
		ok = FALSE;
	if (!ok || rename(temp, path) < 0)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno,
					"cannot write the record of a build, %s", path);
	return TRUE;
}

gboolean buildrecord_save(const BuildRecord *record, const char *path, GError **error)
{
	GString *text = g_string_new(HEADER "\n");
	gboolean ok;

	g_string_append_printf(text, "start %" PRId64 "\nend %" PRId64 "\nkernel %s\n",
			       record->start, record->end, record->kernel);
	put_files(text, 'i', record->inputs);
	put_files(text, 't', record->targets);
	g_string_append(text, ".\n");
	ok = write_file(path, text, error);
	g_string_free(text, TRUE);
	return ok;
}

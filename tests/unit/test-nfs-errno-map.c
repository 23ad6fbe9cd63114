// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <glib.h>

#include "errno-map.h"

static void test_map(void)
{
	static const struct {
		int err;
		enum nfsstat3 status;
	} want[] = {
		{0, NFS3_OK},
		{EPERM, NFS3ERR_PERM},
		{ENOENT, NFS3ERR_NOENT},
		{EACCES, NFS3ERR_ACCES},
		{EEXIST, NFS3ERR_EXIST},
		{ENOTDIR, NFS3ERR_NOTDIR},
		{ENOSPC, NFS3ERR_NOSPC},
		{EDQUOT, NFS3ERR_DQUOT},
		{EROFS, NFS3ERR_ROFS},
		{ENOTEMPTY, NFS3ERR_NOTEMPTY},
		{ESTALE, NFS3ERR_STALE},
		{EMFILE, NFS3ERR_JUKEBOX}, /* the client tries again */
		{ETXTBSY, NFS3ERR_ACCES},
		{ECHILD, NFS3ERR_IO}, /* one that is not in the map */
	};

	for (unsigned int i = 0; i < G_N_ELEMENTS(want); i++) {
		g_assert_cmpint(nfs3_status(want[i].err), ==, want[i].status);
		g_assert_cmpint(nfs3_status(-want[i].err), ==, want[i].status);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nfs/errno-map", test_map);
	return g_test_run();
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stddef.h>

#include "errno-map.h"
#include "log.h"

static const struct {
	int err;
	enum nfsstat3 status;
} map[] = {
	{0, NFS3_OK},
	{EPERM, NFS3ERR_PERM},
	{ENOENT, NFS3ERR_NOENT},
	{EIO, NFS3ERR_IO},
	{ENXIO, NFS3ERR_NXIO},
	{EACCES, NFS3ERR_ACCES},
	{EEXIST, NFS3ERR_EXIST},
	{EXDEV, NFS3ERR_XDEV},
	{ENODEV, NFS3ERR_NODEV},
	{ENOTDIR, NFS3ERR_NOTDIR},
	{ELOOP, NFS3ERR_INVAL},
	{EISDIR, NFS3ERR_ISDIR},
	{EINVAL, NFS3ERR_INVAL},
	{EFBIG, NFS3ERR_FBIG},
	{EOVERFLOW, NFS3ERR_FBIG},
	{ENOSPC, NFS3ERR_NOSPC},
	{EROFS, NFS3ERR_ROFS},
	{EMLINK, NFS3ERR_MLINK},
	{ENAMETOOLONG, NFS3ERR_NAMETOOLONG},
	{ENOTEMPTY, NFS3ERR_NOTEMPTY},
	{EDQUOT, NFS3ERR_DQUOT},
	{ESTALE, NFS3ERR_STALE},
	{EOPNOTSUPP, NFS3ERR_NOTSUPP},
	{ENOSYS, NFS3ERR_NOTSUPP},
	/* A program that the host runs: NFSv3 has no word for it, and an I/O error would mislead.
	 */
	{ETXTBSY, NFS3ERR_ACCES},
	{EBUSY, NFS3ERR_ACCES},
	/* Passing shortages: the client tries again by itself. */
	{EAGAIN, NFS3ERR_JUKEBOX},
	{ENOMEM, NFS3ERR_JUKEBOX},
	{EMFILE, NFS3ERR_JUKEBOX},
	{ENFILE, NFS3ERR_JUKEBOX},
	{EINTR, NFS3ERR_JUKEBOX},
};

enum nfsstat3 nfs3_status(int err)
{
	if (err < 0)
		err = -err;
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (map[i].err == err)
			return map[i].status;
	nfs_log("errno %d has no NFS status: sent as an I/O error", err);
	return NFS3ERR_IO;
}

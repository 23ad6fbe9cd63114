// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "attr.h"

enum { NOBODY = 65534 };

uint32_t attr_uid_to_guest(const struct server *s, const struct export *e, uid_t uid)
{
	if (!e->map_root)
		return uid;
	if (uid == s->uid)
		return 0;
	return uid == 0 ? NOBODY : uid;
}

uint32_t attr_gid_to_guest(const struct server *s, const struct export *e, gid_t gid)
{
	if (!e->map_root)
		return gid;
	if (gid == s->gid)
		return 0;
	return gid == 0 ? NOBODY : gid;
}

static uint32_t file_type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return NF3DIR;
	case S_IFBLK:
		return NF3BLK;
	case S_IFCHR:
		return NF3CHR;
	case S_IFLNK:
		return NF3LNK;
	case S_IFSOCK:
		return NF3SOCK;
	case S_IFIFO:
		return NF3FIFO;
	default:
		return NF3REG;
	}
}

/* nfstime3 counts unsigned seconds from 1970. */
static void put_time(struct xdr_out *out, const struct timespec *t)
{
	bool before = t->tv_sec<0, beyond = t->tv_sec> UINT32_MAX;

	xdr_put_u32(out, before ? 0 : beyond ? UINT32_MAX : (uint32_t) t->tv_sec);
	xdr_put_u32(out, before || beyond ? 0 : (uint32_t) t->tv_nsec);
}

void attr_put(struct call *c, const struct obj *o, const struct stat *st)
{
	struct xdr_out *out = c->out;

	xdr_put_u32(out, file_type(st->st_mode));
	xdr_put_u32(out, st->st_mode & 07777);
	xdr_put_u32(out, st->st_nlink > UINT32_MAX ? UINT32_MAX : (uint32_t) st->st_nlink);
	xdr_put_u32(out, attr_uid_to_guest(c->s, o->e, st->st_uid));
	xdr_put_u32(out, attr_gid_to_guest(c->s, o->e, st->st_gid));
	xdr_put_u64(out, (uint64_t) st->st_size);
	xdr_put_u64(out, (uint64_t) st->st_blocks * 512);
	xdr_put_u32(out, major(st->st_rdev));
	xdr_put_u32(out, minor(st->st_rdev));
	xdr_put_u64(out, o->e->fsid);
	xdr_put_u64(out, export_fileid(o->e, st->st_dev, st->st_ino));
	put_time(out, &st->st_atim);
	put_time(out, &st->st_mtim);
	put_time(out, &st->st_ctim);
}

void attr_put_post(struct call *c, const struct obj *o, const struct stat *st)
{
	xdr_put_u32(c->out, st != NULL);
	if (st)
		attr_put(c, o, st);
}

void attr_put_post_now(struct call *c, const struct obj *o)
{
	struct stat st;

	attr_put_post(c, o, o->n && o->fd >= 0 && fstat(o->fd, &st) == 0 ? &st : NULL);
}

void attr_put_wcc(struct call *c, const struct obj *o)
{
	xdr_put_u32(c->out, o->have_pre);
	if (o->have_pre) {
		xdr_put_u64(c->out, (uint64_t) o->pre.st_size);
		put_time(c->out, &o->pre.st_mtim);
		put_time(c->out, &o->pre.st_ctim);
	}
	attr_put_post_now(c, o);
}

void attr_put_fail(struct call *c, enum fail_shape shape)
{
	switch (shape) {
	case FAIL_EMPTY:
		break;
	case FAIL_ATTR:
		attr_put_post_now(c, &c->obj[0]);
		break;
	case FAIL_WCC:
		attr_put_wcc(c, &c->obj[0]);
		break;
	case FAIL_WCC2:
		attr_put_wcc(c, &c->obj[0]);
		attr_put_wcc(c, &c->obj[1]);
		break;
	case FAIL_ATTR_WCC:
		attr_put_post_now(c, &c->obj[0]);
		attr_put_wcc(c, &c->obj[1]);
		break;
	}
}

/* (uid_t) -1: no change needed. */
static uid_t wanted_uid(struct call *c, const struct obj *o, const struct sattr *a,
			const struct stat *st)
{
	if (!a->set_uid || attr_uid_to_guest(c->s, o->e, st->st_uid) == a->uid)
		return (uid_t) -1;
	return o->e->map_root && a->uid == 0 ? c->s->uid : a->uid;
}

static gid_t wanted_gid(struct call *c, const struct obj *o, const struct sattr *a,
			const struct stat *st)
{
	if (!a->set_gid || attr_gid_to_guest(c->s, o->e, st->st_gid) == a->gid)
		return (gid_t) -1;
	return o->e->map_root && a->gid == 0 ? c->s->gid : a->gid;
}

static struct timespec wanted_time(enum time_how how, const struct timespec *t)
{
	if (how == TIME_CLIENT)
		return *t;
	return (struct timespec){.tv_nsec = how == TIME_SERVER ? UTIME_NOW : UTIME_OMIT};
}

mode_t attr_mode(uint32_t mode, bool is_dir)
{
	return is_dir ? mode & 07777 : mode & 01777;
}

static int apply_size(struct call *c, struct obj *o, uint64_t size)
{
	int fd = fds_data(c->s, o->n, true);

	if (fd < 0)
		return fd;
	if (size > INT64_MAX)
		return -EFBIG;
	return ftruncate(fd, (off_t) size) < 0 ? -errno : 0;
}

int attr_apply(struct call *c, struct obj *o, const struct sattr *a, const struct stat *st)
{
	uid_t uid = wanted_uid(c, o, a, st);
	gid_t gid = wanted_gid(c, o, a, st);
	struct timespec times[2] = {wanted_time(a->set_atime, &a->atime),
				    wanted_time(a->set_mtime, &a->mtime)};
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", o->fd);
	if ((uid != (uid_t) -1 || gid != (gid_t) -1) &&
	    fchownat(o->fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		return -errno;
	if (a->set_size) {
		r = apply_size(c, o, a->size);
		if (r < 0)
			return r;
	}
	if (a->set_mode && chmod(path, attr_mode(a->mode, S_ISDIR(st->st_mode))) < 0)
		return -errno;
	if ((a->set_atime || a->set_mtime) && utimensat(AT_FDCWD, path, times, 0) < 0)
		return -errno;
	return 0;
}

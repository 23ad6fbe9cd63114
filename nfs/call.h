/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One NFSv3 call on its way: row of the table, decoded arguments, objects.
 *
 * The dispatcher decodes everything and resolves the handles before a handler runs, and asks the
 * gate about each procedure that writes. A handler acts, and on NFS3_OK writes its result's body;
 * on another status it writes nothing: the dispatcher makes the body that the row tells of.
 */
#ifndef NFS_CALL_H
#define NFS_CALL_H

#include "nfs3-proto.h"
#include "server.h"
#include "xdr.h"

struct obj {
	struct export *e;
	struct node *n;
	int fd; /* O_PATH, the cache's */
	struct stat st;
	bool have_pre; /* .pre is from before the call did anything */
	struct stat pre;
};

struct name {
	char s[NFS3_NAME_MAX + 1];
	size_t len;
};

struct sattr {
	bool set_mode, set_uid, set_gid, set_size;
	uint32_t mode, uid, gid;
	uint64_t size;
	enum time_how set_atime, set_mtime;
	struct timespec atime, mtime;
};

/* What the leading arguments of a procedure are. */
enum args_shape {
	ARGS_NONE,
	ARGS_FH,       /* obj[0] */
	ARGS_DIROP,    /* obj[0]/name[0] */
	ARGS_FH_DIROP, /* obj[0], obj[1]/name[1] */
	ARGS_DIROP2,   /* obj[0]/name[0], obj[1]/name[1] */
};

/* The body of a failed result. */
enum fail_shape {
	FAIL_EMPTY,
	FAIL_ATTR,     /* attributes of obj[0] */
	FAIL_WCC,      /* of obj[0], before and after */
	FAIL_WCC2,     /* of obj[0] and obj[1] */
	FAIL_ATTR_WCC, /* attributes of obj[0], wcc of obj[1] */
};

struct call;

struct row {
	const char *name;
	enum nfsstat3 (*handler)(struct call *c);
	void (*decode)(struct call *c); /* the arguments after the leading ones; may be NULL */
	enum args_shape args;
	enum fail_shape fail;
	bool does_write; /* changes something: the gate is asked */
	bool ok_is_fail; /* a good result has the body of a failed one */
	bool removed_ok; /* works on a file without a name too, while the cache holds it */
	bool once;	 /* doing it twice is not doing it once: the duplicate request cache */
};

struct call {
	struct server *s;
	const struct row *row;
	uint32_t proc;
	struct xdr_in *in;
	struct xdr_out *out;
	struct obj obj[2];
	struct name name[2];
	union {
		struct {
			struct sattr attr;
			bool guard;
			struct timespec ctime;
		} setattr;
		struct {
			uint32_t want;
		} access;
		struct {
			uint64_t offset;
			uint32_t count;
		} io;
		struct {
			uint64_t offset;
			uint32_t count, stable, len;
			const uint8_t *data;
		} write;
		struct {
			uint32_t how;
			struct sattr attr;
			uint32_t verf[2];
		} create;
		struct {
			struct sattr attr;
		} mkdir;
		struct {
			struct sattr attr;
			char target[NFS3_PATH_MAX + 1];
		} symlink;
		struct {
			uint32_t type;
			struct sattr attr;
		} mknod;
		struct {
			uint64_t cookie;
			uint32_t dircount, maxcount;
		} readdir;
	} a;
};

/*
 * obj_stat: fill o->st with what is true now. A file that has lost its last name is ESTALE
 * (unless the row allows it), one that the rules hide has never been there.
 */
enum nfsstat3 obj_stat(struct call *c, struct obj *o);

/* Handlers, by subject. */
enum nfsstat3 nfs3_getattr(struct call *c);
enum nfsstat3 nfs3_setattr(struct call *c);
enum nfsstat3 nfs3_access(struct call *c);
enum nfsstat3 nfs3_fsstat(struct call *c);
enum nfsstat3 nfs3_fsinfo(struct call *c);
enum nfsstat3 nfs3_pathconf(struct call *c);
enum nfsstat3 nfs3_readlink(struct call *c);
enum nfsstat3 nfs3_read(struct call *c);
enum nfsstat3 nfs3_write(struct call *c);
enum nfsstat3 nfs3_commit(struct call *c);
enum nfsstat3 nfs3_lookup(struct call *c);
enum nfsstat3 nfs3_readdir(struct call *c);
enum nfsstat3 nfs3_readdirplus(struct call *c);
enum nfsstat3 nfs3_create(struct call *c);
enum nfsstat3 nfs3_mkdir(struct call *c);
enum nfsstat3 nfs3_symlink(struct call *c);
enum nfsstat3 nfs3_mknod(struct call *c);
enum nfsstat3 nfs3_link(struct call *c);
enum nfsstat3 nfs3_remove(struct call *c);
enum nfsstat3 nfs3_rmdir(struct call *c);
enum nfsstat3 nfs3_rename(struct call *c);

/* Decoders of the arguments after the leading ones (nfs3-args.c). */
void nfs3_args_setattr(struct call *c);
void nfs3_args_access(struct call *c);
void nfs3_args_io(struct call *c);
void nfs3_args_write(struct call *c);
void nfs3_args_create(struct call *c);
void nfs3_args_mkdir(struct call *c);
void nfs3_args_symlink(struct call *c);
void nfs3_args_mknod(struct call *c);
void nfs3_args_readdir(struct call *c);
void nfs3_args_readdirplus(struct call *c);

#endif

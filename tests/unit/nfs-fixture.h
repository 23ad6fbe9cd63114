/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A real devvm-nfsd on a folder of the test's own, and a libnfs client. Failures abort. */
#ifndef TEST_NFS_FIXTURE_H
#define TEST_NFS_FIXTURE_H

#include <glib.h>
#include <nfsc/libnfs.h>
#include <stdint.h>
#include <sys/types.h>

#define FIXTURE_TOKEN "00112233445566778899aabbccddeeff"

struct nfsd {
	char *top;  /* everything below; removed at the end */
	char *tree; /* TOP/tree */
	pid_t pid;
	int port;
	const char *options; /* of the export "tree" */
	pid_t peer;	     /* who may connect; 0: this process */
	gboolean no_state;   /* no state-dir */
};

/* Set .options (may be NULL: "rw,map=root") and the like before. */
void nfsd_start(struct nfsd *d);
/* kill -9, and the same again on the same port. */
void nfsd_restart(struct nfsd *d);
void nfsd_kill(struct nfsd *d);
void nfsd_end(struct nfsd *d);

/* NULL if the mount was refused. */
struct nfs_context *nfsd_try_mount(struct nfsd *d, const char *path);
struct nfs_context *nfsd_mount(struct nfsd *d, const char *path);

/* Files of the host, relative to the tree. */
char *host_path(struct nfsd *d, const char *rel);
void host_put(struct nfsd *d, const char *rel, const char *text);
char *host_get(struct nfsd *d, const char *rel);

/* The guest's: 0 or a negative errno. */
int guest_put(struct nfs_context *n, const char *path, const char *text);
char *guest_get(struct nfs_context *n, const char *path); /* NULL: it failed */

#endif

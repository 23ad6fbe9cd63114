/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File identities and file handles.
 *
 * An identity is 128 bits of keyed hash over the device and what name_to_handle_at(2) tells of
 * the file (inode and generation: stable over renames, different when an inode is used again).
 * Where a file system has no such handles: inode and birth time.
 *
 * On the wire a handle is 40 bytes: version 1, 3 bytes of zero, the export's tag (4), identity
 * (16), st_ino (8), and a MAC of all that (8) under the server's key.
 */
#ifndef NFS_HANDLE_H
#define NFS_HANDLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "node.h"

enum { HANDLE_SIZE = 40 };

struct handle {
	uint32_t tag;
	struct file_id id;
	uint64_t ino;
};

/* The identity of @name in @dirfd, or of @dirfd itself if @name is "". @dev: its st_dev. */
int file_identify(const uint64_t key[2], int dirfd, const char *name, dev_t dev,
		  struct file_id *out);

void handle_pack(const uint64_t key[2], const struct handle *h, uint8_t out[HANDLE_SIZE]);
bool handle_unpack(const uint64_t key[2], const uint8_t *data, uint32_t len, struct handle *out);

#endif

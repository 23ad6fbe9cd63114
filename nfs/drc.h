/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Duplicate request cache: the answers to the last calls that must not be done twice. A client
 * that lost its connection sends the same bytes again, from another port; so the key is the xid
 * and a hash of the whole record.
 */
#ifndef NFS_DRC_H
#define NFS_DRC_H

#include <stddef.h>
#include <stdint.h>

enum { DRC_ENTRIES = 128, DRC_REPLY_MAX = 480 };

struct drc_entry {
	uint32_t xid, len; /* len 0: empty */
	uint64_t hash;
	uint8_t reply[DRC_REPLY_MAX];
};

struct drc {
	struct drc_entry entry[DRC_ENTRIES];
	unsigned int next;
};

const struct drc_entry *drc_find(const struct drc *d, uint32_t xid, uint64_t hash);
/* A reply that is too long is not kept. */
void drc_keep(struct drc *d, uint32_t xid, uint64_t hash, const void *reply, size_t len);

#endif

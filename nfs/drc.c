// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "drc.h"

const struct drc_entry *drc_find(const struct drc *d, uint32_t xid, uint64_t hash)
{
	for (unsigned int i = 0; i < DRC_ENTRIES; i++)
		if (d->entry[i].len && d->entry[i].xid == xid && d->entry[i].hash == hash)
			return &d->entry[i];
	return NULL;
}

void drc_keep(struct drc *d, uint32_t xid, uint64_t hash, const void *reply, size_t len)
{
	struct drc_entry *e = &d->entry[d->next];

	if (len == 0 || len > DRC_REPLY_MAX)
		return;
	d->next = (d->next + 1) % DRC_ENTRIES;
	e->xid = xid;
	e->hash = hash;
	e->len = (uint32_t) len;
	memcpy(e->reply, reply, len);
}

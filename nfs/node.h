/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The map of files that a client has been shown: identity → (parent, name).
 *
 * A node is where a file was last seen, no more: whoever uses it opens parent/name and compares
 * the identity. So nothing here needs to be exact, and a map that a kill cut in the middle of a
 * change costs a search at worst.
 *
 * With a state folder the map lies in a file that is mapped shared: it outlives the process
 * without a system call or a flush. It does not outlive the machine, and needs not to.
 *
 * Pointers to nodes stay valid until the node is freed; indices over restarts as well.
 */
#ifndef NFS_NODE_H
#define NFS_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_id {
	uint64_t v[2];
};

enum node_flags { NODE_USED = 1, NODE_ROOT = 2 };

struct node {
	struct file_id id;
	uint64_t ino;	 /* a hint, to search quickly */
	uint32_t tag;	 /* the export */
	uint32_t parent; /* index; 0: not known */
	uint32_t ptag;	 /* low half of the parent's id: an index that was given away is noticed */
	uint32_t next;	 /* in the hash bucket */
	uint32_t name;	 /* in units of NAME_UNIT in the name area */
	uint32_t slot;	 /* a guess where the fd cache has it */
	uint8_t name_len;
	uint8_t flags;
	uint8_t pad[6];
};

enum { NAME_UNIT = 8, NAME_CLASSES = 256 / NAME_UNIT, NODES_MAX = 4 << 20 };

struct area {
	uint8_t *base;
	size_t used, mapped, max;
	uint64_t file_off;
};

struct nodes {
	int fd; /* -1: memory only */
	struct area node_area, name_area;
	struct node *v;
	uint32_t n; /* indices in use are below; index 0 is nobody */
	uint32_t live;
	uint32_t hand; /* where make_room looks next */
	uint32_t free; /* chained through .next */
	uint32_t name_free[NAME_CLASSES];
	uint32_t *bucket;
	uint32_t n_bucket; /* a power of two */
};

/* Loads what is in @state_dir (may be NULL) if it was written under the same @key. */
int nodes_open(struct nodes *ns, const char *state_dir, const uint64_t key[2]);
void nodes_close(struct nodes *ns);

struct node *node_find(struct nodes *ns, uint32_t tag, const struct file_id *id);
/*
 * node_see: the file @id was just seen as @name in @parent (NULL: place unknown). Finds or makes
 * its node and notes the place. NULL when there is no memory.
 */
struct node *node_see(struct nodes *ns, uint32_t tag, const struct file_id *id, uint64_t ino,
		      const struct node *parent, const char *name, size_t len);
void node_forget(struct nodes *ns, struct node *n);
struct node *node_parent(struct nodes *ns, const struct node *n);    /* NULL: root, or not known */
const char *node_name(const struct nodes *ns, const struct node *n); /* not terminated */

static inline uint32_t node_index(const struct nodes *ns, const struct node *n)
{
	return (uint32_t) (n - ns->v);
}

#endif

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Theory of operation: two areas of reserved address space, one of nodes (fixed size) and one of
 * names (size classes of 8 bytes), grow by chunks. A chunk is backed by the state file, or by
 * plain memory where there is none or the disk is full (its blocks are allocated before it is
 * mapped, so that a write to it cannot raise SIGBUS). Hash buckets and free lists are private and
 * made anew at each start, when the old file is read, checked and copied into a fresh one; so
 * the leftovers of names are collected then.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "node.h"
#include "siphash.h"

enum { CHUNK = 256 << 10, FIRST_BUCKETS = 1024, LAYOUT_VERSION = 1 };
#define NODE_OFF 4096ULL
#define NAME_OFF (1ULL << 28)
#define NAME_AREA_MAX (1ULL << 29)
#define NODE_AREA_MAX ((size_t) NODES_MAX * sizeof(struct node))

_Static_assert(NODE_OFF + NODE_AREA_MAX <= NAME_OFF, "the areas would overlap in the file");

struct header {
	char magic[8];
	uint32_t version, node_size;
	uint64_t key_check;
	uint64_t node_bytes; /* how far the area of nodes reaches */
};

static struct header make_header(const uint64_t key[2])
{
	struct header h = {
		.magic = "devvmnm", .version = LAYOUT_VERSION, .node_size = sizeof(struct node)};

	h.key_check = siphash24(key, "map", 3);
	return h;
}

static int area_reserve(struct area *a, size_t max, uint64_t file_off)
{
	void *p = mmap(NULL, max, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	*a = (struct area){.base = p, .max = max, .file_off = file_off};
	return 0;
}

/* Failing, the next start knows fewer files. */
static void note_node_bytes(int fd, uint64_t bytes)
{
	if (pwrite(fd, &bytes, sizeof(bytes), offsetof(struct header, node_bytes)) < 0)
		nfs_log("cannot write to the state folder: %s", strerror(errno));
}

/* Takes @len more bytes; NULL: the area is full. */
static void *area_take(struct area *a, int fd, size_t len)
{
	int flags = MAP_FIXED | MAP_SHARED;
	void *at = a->base + a->mapped;

	if (a->used + len > a->mapped) {
		if (a->mapped + CHUNK > a->max)
			return NULL;
		if (fd < 0 || posix_fallocate(fd, (off_t) (a->file_off + a->mapped), CHUNK) != 0) {
			if (fd >= 0)
				nfs_log("the state folder is full: new handles will not outlive "
					"this process");
			flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS;
			fd = -1;
		}
		if (mmap(at, CHUNK, PROT_READ | PROT_WRITE, flags, fd,
			 fd < 0 ? 0 : (off_t) (a->file_off + a->mapped)) == MAP_FAILED)
			return NULL;
		a->mapped += CHUNK;
		if (fd >= 0 && a->file_off == NODE_OFF)
			note_node_bytes(fd, a->mapped);
	}
	at = a->base + a->used;
	a->used += len;
	return at;
}

static uint32_t name_units(size_t len)
{
	return (uint32_t) ((len + NAME_UNIT - 1) / NAME_UNIT);
}

/* 0: no room. Unit 0 is never given out. */
static uint32_t name_store(struct nodes *ns, const char *name, size_t len)
{
	uint32_t units = name_units(len), at;
	uint8_t *p;

	if (units == 0)
		return 0;
	at = ns->name_free[units - 1];
	if (at) {
		p = ns->name_area.base + (size_t) at * NAME_UNIT;
		memcpy(&ns->name_free[units - 1], p, sizeof(uint32_t));
	} else {
		p = area_take(&ns->name_area, ns->fd, (size_t) units * NAME_UNIT);
		if (!p)
			return 0;
		at = (uint32_t) ((size_t) (p - ns->name_area.base) / NAME_UNIT);
	}
	memcpy(p, name, len);
	return at;
}

static void name_release(struct nodes *ns, struct node *n)
{
	uint32_t units = name_units(n->name_len);

	if (n->name && units) {
		memcpy(ns->name_area.base + (size_t) n->name * NAME_UNIT, &ns->name_free[units - 1],
		       sizeof(uint32_t));
		ns->name_free[units - 1] = n->name;
	}
	n->name = 0;
	n->name_len = 0;
}

static uint32_t *bucket_of(struct nodes *ns, const struct file_id *id)
{
	return &ns->bucket[id->v[0] & (ns->n_bucket - 1)];
}

static int buckets_grow(struct nodes *ns)
{
	uint32_t n_bucket = ns->n_bucket ? ns->n_bucket * 2 : FIRST_BUCKETS;
	uint32_t *bucket = calloc(n_bucket, sizeof(*bucket));

	if (!bucket)
		return -ENOMEM;
	free(ns->bucket);
	ns->bucket = bucket;
	ns->n_bucket = n_bucket;
	for (uint32_t i = 1; i < ns->n; i++) {
		if (!(ns->v[i].flags & NODE_USED))
			continue;
		ns->v[i].next = *bucket_of(ns, &ns->v[i].id);
		*bucket_of(ns, &ns->v[i].id) = i;
	}
	return 0;
}

/* Copies what is sound of the old map, each node at its old index. */
static void load(struct nodes *ns, int old, const struct header *want)
{
	const struct node *nodes;
	const uint8_t *map;
	struct header h;
	struct stat st;
	uint64_t limit;

	if (pread(old, &h, sizeof(h), 0) != sizeof(h) || fstat(old, &st) < 0 ||
	    memcmp(&h, want, offsetof(struct header, node_bytes)) != 0 ||
	    (uint64_t) st.st_size <= NODE_OFF)
		return;
	limit = (uint64_t) st.st_size - NODE_OFF;
	if (limit > h.node_bytes)
		limit = h.node_bytes;
	limit /= sizeof(struct node);
	if (limit > NODES_MAX)
		limit = NODES_MAX;
	map = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_SHARED, old, 0);
	if (map == MAP_FAILED)
		return;
	nodes = (const void *) (map + NODE_OFF);
	for (uint32_t i = 1; i < limit; i++) {
		const struct node *from = &nodes[i];
		uint64_t at = NAME_OFF + (uint64_t) from->name * NAME_UNIT;
		struct node *to = area_take(&ns->node_area, ns->fd, sizeof(*to));

		if (!to)
			break;
		ns->n = i + 1;
		to->flags = 0;
		if (!(from->flags & NODE_USED) || at + from->name_len > (uint64_t) st.st_size)
			continue;
		*to = *from;
		to->flags = NODE_USED;
		to->slot = 0;
		to->name = name_store(ns, (const char *) map + at, from->name_len);
		if (!to->name)
			to->name_len = 0;
		ns->live++;
	}
	munmap((void *) map, (size_t) st.st_size);
}

static void free_list_make(struct nodes *ns)
{
	for (uint32_t i = ns->n - 1; i >= 1; i--) {
		if (ns->v[i].flags & NODE_USED)
			continue;
		ns->v[i].next = ns->free;
		ns->free = i;
	}
}

int nodes_open(struct nodes *ns, const char *state_dir, const uint64_t key[2])
{
	struct header h = make_header(key);
	int dir = -1, old = -1, r;

	memset(ns, 0, sizeof(*ns));
	ns->fd = -1;
	r = area_reserve(&ns->node_area, NODE_AREA_MAX / CHUNK * CHUNK, NODE_OFF);
	if (r == 0)
		r = area_reserve(&ns->name_area, NAME_AREA_MAX, NAME_OFF);
	if (r < 0)
		return r;
	if (state_dir) {
		dir = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0)
			ns->fd = openat(dir, "nodes.new",
					O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (ns->fd < 0 || pwrite(ns->fd, &h, sizeof(h), 0) != sizeof(h)) {
			nfs_log("cannot write to the state folder %s: %s: handles will not "
				"outlive this process",
				state_dir, strerror(errno));
			if (ns->fd >= 0)
				close(ns->fd);
			ns->fd = -1;
		}
	}
	ns->v = (void *) ns->node_area.base;
	if (!area_take(&ns->node_area, ns->fd, sizeof(struct node)) ||
	    !area_take(&ns->name_area, ns->fd, NAME_UNIT))
		return -ENOMEM;
	ns->n = 1;
	if (ns->fd >= 0) {
		old = openat(dir, "nodes", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (old >= 0) {
			load(ns, old, &h);
			close(old);
		}
		if (renameat(dir, "nodes.new", dir, "nodes") < 0)
			nfs_log("cannot keep the state: %s", strerror(errno));
	}
	if (dir >= 0)
		close(dir);
	free_list_make(ns);
	do
		r = buckets_grow(ns);
	while (r == 0 && ns->n_bucket < ns->live);
	return r;
}

void nodes_close(struct nodes *ns)
{
	munmap(ns->node_area.base, ns->node_area.max);
	munmap(ns->name_area.base, ns->name_area.max);
	free(ns->bucket);
	if (ns->fd >= 0)
		close(ns->fd);
	memset(ns, 0, sizeof(*ns));
	ns->fd = -1;
}

struct node *node_find(struct nodes *ns, uint32_t tag, const struct file_id *id)
{
	for (uint32_t i = *bucket_of(ns, id); i; i = ns->v[i].next) {
		struct node *n = &ns->v[i];

		if (n->id.v[0] == id->v[0] && n->id.v[1] == id->v[1] && n->tag == tag)
			return n;
	}
	return NULL;
}

static struct node *node_new(struct nodes *ns, uint32_t tag, const struct file_id *id)
{
	struct node *n;
	uint32_t i;

	if (ns->live >= ns->n_bucket)
		buckets_grow(ns);
	i = ns->free;
	if (i) {
		n = &ns->v[i];
		ns->free = n->next;
	} else {
		n = area_take(&ns->node_area, ns->fd, sizeof(*n));
		if (!n)
			return NULL;
		i = ns->n++;
	}
	*n = (struct node){.id = *id, .tag = tag, .flags = NODE_USED};
	n->next = *bucket_of(ns, id);
	*bucket_of(ns, id) = i;
	ns->live++;
	return n;
}

/* When the map is full, some other node has to go: its handles are found by a search. */
static void make_room(struct nodes *ns)
{
	for (uint32_t tried = 0; tried < 64; tried++) {
		ns->hand = ns->hand + 1 < ns->n ? ns->hand + 1 : 1;
		if (ns->v[ns->hand].flags == NODE_USED && ns->v[ns->hand].slot == 0) {
			node_forget(ns, &ns->v[ns->hand]);
			return;
		}
	}
}

struct node *node_see(struct nodes *ns, uint32_t tag, const struct file_id *id, uint64_t ino,
		      const struct node *parent, const char *name, size_t len)
{
	struct node *n = node_find(ns, tag, id);
	uint32_t at;

	if (!n) {
		n = node_new(ns, tag, id);
		if (!n) {
			make_room(ns);
			n = node_new(ns, tag, id);
		}
		if (!n)
			return NULL;
	}
	n->ino = ino;
	if (!parent || (n->flags & NODE_ROOT) || len == 0 || len > UINT8_MAX)
		return n;
	n->parent = node_index(ns, parent);
	n->ptag = (uint32_t) parent->id.v[0];
	if (n->name_len == len && memcmp(node_name(ns, n), name, len) == 0)
		return n;
	name_release(ns, n);
	at = name_store(ns, name, len);
	n->name = at;
	n->name_len = at ? (uint8_t) len : 0;
	return n;
}

void node_forget(struct nodes *ns, struct node *n)
{
	uint32_t i = node_index(ns, n), *link = bucket_of(ns, &n->id);

	if (n->flags & NODE_ROOT)
		return;
	while (*link && *link != i)
		link = &ns->v[*link].next;
	if (*link)
		*link = n->next;
	name_release(ns, n);
	n->flags = 0;
	n->next = ns->free;
	ns->free = i;
	ns->live--;
}

struct node *node_parent(struct nodes *ns, const struct node *n)
{
	struct node *p;

	if (!n->parent || n->parent >= ns->n)
		return NULL;
	p = &ns->v[n->parent];
	if (!(p->flags & NODE_USED) || (uint32_t) p->id.v[0] != n->ptag || p->tag != n->tag)
		return NULL;
	return p;
}

const char *node_name(const struct nodes *ns, const struct node *n)
{
	return (const char *) ns->name_area.base + (size_t) n->name * NAME_UNIT;
}

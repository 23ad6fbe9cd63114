/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one reader and the one writer of XDR (RFC 4506).
 *
 * Reader: a read past the end returns zeros or NULL and sets .bad for good; whoever dispatches
 * looks at .bad once, after decoding and before acting. Pointers returned point into the record.
 * Writer: a write past the end writes nothing and sets .full for good.
 */
#ifndef NFS_XDR_H
#define NFS_XDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct xdr_in {
	const uint8_t *p, *end;
	bool bad;
};

struct xdr_out {
	uint8_t *p, *end;
	bool full;
};

void xdr_in_init(struct xdr_in *in, const void *data, size_t len);
uint32_t xdr_get_u32(struct xdr_in *in);
uint64_t xdr_get_u64(struct xdr_in *in);
bool xdr_get_bool(struct xdr_in *in); /* anything but 0 and 1 is bad */
const uint8_t *xdr_get_fixed(struct xdr_in *in, size_t len);
/* opaque<max>: a longer one is bad. */
const uint8_t *xdr_get_opaque(struct xdr_in *in, uint32_t max, uint32_t *len);

/* @len bytes and their padding to a multiple of four, the padding zeroed; NULL when full. */
uint8_t *xdr_reserve(struct xdr_out *out, size_t len);
void xdr_put_u32(struct xdr_out *out, uint32_t v);
void xdr_put_u64(struct xdr_out *out, uint64_t v);
void xdr_put_fixed(struct xdr_out *out, const void *data, size_t len);
void xdr_put_opaque(struct xdr_out *out, const void *data, uint32_t len);

static inline size_t xdr_padded(size_t len)
{
	return (len + 3) & ~(size_t) 3;
}

static inline void xdr_store_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t) (v >> 24);
	p[1] = (uint8_t) (v >> 16);
	p[2] = (uint8_t) (v >> 8);
	p[3] = (uint8_t) v;
}

static inline uint32_t xdr_load_u32(const uint8_t *p)
{
	return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

#endif

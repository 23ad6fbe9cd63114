// SPDX-License-Identifier: GPL-2.0-or-later
#include "xdr.h"

void xdr_in_init(struct xdr_in *in, const void *data, size_t len)
{
	in->p = data;
	in->end = in->p + len;
	in->bad = false;
}

const uint8_t *xdr_get_fixed(struct xdr_in *in, size_t len)
{
	const uint8_t *p = in->p;

	if (in->bad || xdr_padded(len) < len || xdr_padded(len) > (size_t) (in->end - in->p)) {
		in->bad = true;
		return NULL;
	}
	in->p += xdr_padded(len);
	return p;
}

uint32_t xdr_get_u32(struct xdr_in *in)
{
	const uint8_t *p = xdr_get_fixed(in, 4);

	return p ? xdr_load_u32(p) : 0;
}

uint64_t xdr_get_u64(struct xdr_in *in)
{
	uint64_t hi = xdr_get_u32(in);

	return hi << 32 | xdr_get_u32(in);
}

bool xdr_get_bool(struct xdr_in *in)
{
	uint32_t v = xdr_get_u32(in);

	if (v > 1)
		in->bad = true;
	return v == 1;
}

const uint8_t *xdr_get_opaque(struct xdr_in *in, uint32_t max, uint32_t *len)
{
	const uint8_t *p;

	*len = xdr_get_u32(in);
	if (*len > max)
		in->bad = true;
	p = xdr_get_fixed(in, *len);
	if (!p)
		*len = 0;
	return p;
}

uint8_t *xdr_reserve(struct xdr_out *out, size_t len)
{
	uint8_t *p = out->p;

	if (out->full || xdr_padded(len) > (size_t) (out->end - out->p)) {
		out->full = true;
		return NULL;
	}
	out->p += xdr_padded(len);
	memset(p + len, 0, xdr_padded(len) - len);
	return p;
}

void xdr_put_u32(struct xdr_out *out, uint32_t v)
{
	uint8_t *p = xdr_reserve(out, 4);

	if (p)
		xdr_store_u32(p, v);
}

void xdr_put_u64(struct xdr_out *out, uint64_t v)
{
	uint8_t *p = xdr_reserve(out, 8);

	if (p) {
		xdr_store_u32(p, (uint32_t) (v >> 32));
		xdr_store_u32(p + 4, (uint32_t) v);
	}
}

void xdr_put_fixed(struct xdr_out *out, const void *data, size_t len)
{
	uint8_t *p = xdr_reserve(out, len);

	if (p && len)
		memcpy(p, data, len);
}

void xdr_put_opaque(struct xdr_out *out, const void *data, uint32_t len)
{
	xdr_put_u32(out, len);
	xdr_put_fixed(out, data, len);
}

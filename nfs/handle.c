// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "handle.h"
#include "siphash.h"
#include "xdr.h"

#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID 0x200 /* Linux 6.5: an identity is enough, the handle need not open */
#endif

enum { HANDLE_VERSION = 1, RAW_MAX = 128 };

struct raw_id {
	uint64_t dev;
	uint32_t type, len;
	uint8_t bytes[RAW_MAX];
};

static int raw_from_kernel(int dirfd, const char *name, int flags, struct raw_id *raw)
{
	struct {
		struct file_handle h;
		uint8_t bytes[RAW_MAX];
	} fh;
	int mount_id;

	fh.h.handle_bytes = RAW_MAX;
	if (name_to_handle_at(dirfd, name, &fh.h, &mount_id, flags) < 0)
		return -errno;
	raw->type = (uint32_t) fh.h.handle_type;
	raw->len = fh.h.handle_bytes;
	memcpy(raw->bytes, fh.bytes, raw->len);
	return 0;
}

static int raw_from_statx(int dirfd, const char *name, int flags, struct raw_id *raw)
{
	struct statx stx;

	if (statx(dirfd, name, flags | AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &stx) < 0)
		return -errno;
	raw->type = UINT32_MAX;
	raw->len = 20;
	memcpy(raw->bytes, &stx.stx_ino, 8);
	memcpy(raw->bytes + 8, &stx.stx_btime.tv_sec, 8);
	memcpy(raw->bytes + 16, &stx.stx_btime.tv_nsec, 4);
	return 0;
}

int file_identify(const uint64_t key[2], int dirfd, const char *name, dev_t dev,
		  struct file_id *out)
{
	uint64_t other[2] = {key[0] ^ 0x5bd1e995a5a5a5a5, key[1]};
	int flags = *name ? 0 : AT_EMPTY_PATH, r;
	struct raw_id raw;
	size_t len;

	r = raw_from_kernel(dirfd, name, flags, &raw);
	if (r == -EOPNOTSUPP)
		r = raw_from_kernel(dirfd, name, flags | AT_HANDLE_FID, &raw);
	if (r == -EOPNOTSUPP || r == -EINVAL || r == -EOVERFLOW)
		r = raw_from_statx(dirfd, name, flags, &raw);
	if (r < 0)
		return r;
	raw.dev = dev;
	len = offsetof(struct raw_id, bytes) + raw.len;
	out->v[0] = siphash24(key, &raw, len);
	out->v[1] = siphash24(other, &raw, len);
	return 0;
}

void handle_pack(const uint64_t key[2], const struct handle *h, uint8_t out[HANDLE_SIZE])
{
	uint64_t mac;

	memset(out, 0, 4);
	out[0] = HANDLE_VERSION;
	memcpy(out + 4, &h->tag, 4);
	memcpy(out + 8, &h->id, 16);
	memcpy(out + 24, &h->ino, 8);
	mac = siphash24(key, out, 32);
	memcpy(out + 32, &mac, 8);
}

bool handle_unpack(const uint64_t key[2], const uint8_t *data, uint32_t len, struct handle *out)
{
	uint64_t mac, sent;

	if (len != HANDLE_SIZE || data[0] != HANDLE_VERSION)
		return false;
	memcpy(&sent, data + 32, 8);
	mac = siphash24(key, data, 32);
	/* One comparison of two registers: nothing to learn from its time. */
	if (mac != sent)
		return false;
	memcpy(&out->tag, data + 4, 4);
	memcpy(&out->id, data + 8, 16);
	memcpy(&out->ino, data + 24, 8);
	return true;
}

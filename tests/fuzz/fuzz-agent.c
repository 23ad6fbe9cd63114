// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bytes that the host sends to the guest's agent: frames, payload fields, SETUP's lines. The
 * input's first byte says in pieces of which size it arrives.
 *
 * With -DFUZZ_REPLAY an ordinary program that runs every file of the folders it is given.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "frames.h"
#include "setup.h"

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Reads a payload in every way that an operation does. */
static void read_payload(uint8_t *payload, uint32_t length)
{
	static struct setup setup;
	struct wire w = wire_over(payload, length);
	struct wire all = wire_over(payload, length);
	size_t n;
	const uint8_t *bytes;

	wire_get_u32(&w);
	bytes = wire_get_bytes(&w, &n);
	must(n <= length);
	if (setup_parse(&setup, bytes, n)) {
		must(setup.n_trees <= SETUP_MAX_TREES && setup.n_links <= SETUP_MAX_LINKS);
		for (unsigned i = 0; i < setup.n_trees; i++)
			must(setup_path_ok(setup.trees[i].path));
	} else {
		must(setup.error[0] != '\0');
	}
	while (!all.bad && all.pos < all.size)
		must(strlen(wire_get_str(&all)) < length);
	wire_get_u64(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct frame_reader r;
	size_t piece = size ? 1 + data[0] * 131u : 1, frames = 0, payloads = 0;

	r.start = r.end = 0;
	r.skipped = 0;
	for (size_t at = 1; at < size;) {
		struct proto_header h;
		uint8_t *payload;
		size_t room, now = size - at < piece ? size - at : piece;
		uint8_t *to = frames_room(&r, &room);

		must(room > 0);
		now = now < room ? now : room;
		memcpy(to, data + at, now);
		frames_filled(&r, now);
		at += now;
		while (frames_next(&r, &h, &payload)) {
			must(h.length <= PROTO_MAX_PAYLOAD);
			must(payload >= r.data && payload + h.length <= r.data + sizeof(r.data));
			frames++;
			payloads += h.length;
			read_payload(payload, h.length);
		}
	}
	/* Each byte is in a frame, skipped, or still waiting. */
	if (size)
		must(frames * PROTO_HEADER_SIZE + payloads + r.skipped + (r.end - r.start) ==
		     size - 1);
	return 0;
}

#ifdef FUZZ_REPLAY
static void replay(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t n;

	must(f != NULL);
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, n);
}

int main(int argc, char **argv)
{
	unsigned n = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *entry;

		must(dir != NULL);
		while ((entry = readdir(dir))) {
			char path[4096];

			snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
			if (entry->d_name[0] != '.') {
				replay(path);
				n++;
			}
		}
		closedir(dir);
	}
	printf("%u inputs\n", n);
	return n == 0;
}
#endif

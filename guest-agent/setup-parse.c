// SPDX-License-Identifier: GPL-2.0-or-later
#include "setup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_VALUES 5

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool percent_decode(char *s)
{
	char *out = s;

	for (; *s; s++, out++) {
		int high, low;

		if (*s != '%') {
			*out = *s;
			continue;
		}
		high = hex_digit(s[1]);
		low = high < 0 ? -1 : hex_digit(s[2]);
		if (low < 0 || (high == 0 && low == 0))
			return false;
		*out = (char) (high << 4 | low);
		s += 2;
	}
	*out = '\0';
	return true;
}

bool setup_path_ok(const char *path)
{
	if (path[0] != '/' || path[1] == '\0')
		return false;
	while (*path == '/') {
		size_t n = strcspn(++path, "/");

		if (n == 0 || (n == 1 && path[0] == '.') ||
		    (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += n;
	}
	return true;
}

static bool number(const char *text, uint64_t max, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' && *value <= max;
}

static bool small_number(const char *text, uint64_t max, unsigned *value)
{
	uint64_t v;
	bool ok = number(text, max, &v);

	*value = ok ? (unsigned) v : 0;
	return ok;
}

static bool address_ok(const char *text)
{
	struct in_addr a;

	return inet_pton(AF_INET, text, &a) == 1;
}

static bool set_string(const char **field, const char *value)
{
	*field = value;
	return *value != '\0';
}

static bool set_net(struct setup *s, char **v)
{
	char *slash = strchr(v[0], '/');

	if (!slash)
		return false;
	*slash = '\0';
	s->net_address = v[0];
	s->net_gateway = v[1];
	s->net_dns = v[2];
	return small_number(slash + 1, 32, &s->net_prefix) && address_ok(v[0]) &&
	       address_ok(v[1]) && address_ok(v[2]);
}

static bool set_nfs(struct setup *s, char **v)
{
	s->nfs_server = v[0];
	s->nfs_token = v[2];
	/* The token is a part of the export's path and of a mount option string. */
	return address_ok(v[0]) && small_number(v[1], 65535, &s->nfs_port) && s->nfs_port &&
	       *v[2] && !strpbrk(v[2], "/,");
}

static bool set_owner(struct setup *s, char **v)
{
	s->owner_name = v[2];
	s->owner_home = v[3];
	return small_number(v[0], UINT32_MAX, &s->owner_uid) &&
	       small_number(v[1], UINT32_MAX, &s->owner_gid) && *v[2] && setup_path_ok(v[3]);
}

static bool add_tree(struct setup *s, char **v)
{
	if (s->n_trees == SETUP_MAX_TREES || !*v[0] || strchr(v[0], '/') || !setup_path_ok(v[1]))
		return false;
	s->trees[s->n_trees++] = (struct setup_tree){.export_name = v[0], .path = v[1]};
	return true;
}

static bool add_link(struct setup *s, char **v)
{
	if (s->n_links == SETUP_MAX_LINKS || !setup_path_ok(v[0]) || !*v[1])
		return false;
	s->links[s->n_links++] = (struct setup_link){.path = v[0], .target = v[1]};
	return true;
}

static bool name_ok(const char **field, const char *value)
{
	return set_string(field, value) && !strchr(value, '/') && strcmp(value, "..") != 0 &&
	       strcmp(value, ".") != 0;
}

static bool set_value(struct setup *s, const char *key, char **v, int n)
{
	if (strcmp(key, "hostname") == 0 && n == 1)
		return name_ok(&s->hostname, v[0]) && strlen(v[0]) <= 64;
	if (strcmp(key, "release") == 0 && n == 1)
		return name_ok(&s->release, v[0]);
	if (strcmp(key, "clock") == 0 && n == 1)
		return number(v[0], INT64_MAX, &s->clock_ns);
	if (strcmp(key, "net") == 0 && n == 3)
		return set_net(s, v);
	if (strcmp(key, "nfs") == 0 && n == 3)
		return set_nfs(s, v);
	if (strcmp(key, "root") == 0 && n == 1)
		return name_ok(&s->root_export, v[0]);
	if (strcmp(key, "tree") == 0 && n == 2)
		return add_tree(s, v);
	if (strcmp(key, "link") == 0 && n == 2)
		return add_link(s, v);
	if (strcmp(key, "owner") == 0 && n == 4)
		return set_owner(s, v);
	return false;
}

static bool parse_line(struct setup *s, char *line)
{
	char *values[MAX_VALUES], *rest = line;
	char *key = strsep(&rest, " ");
	int n = 0;

	while (rest && n < MAX_VALUES) {
		values[n] = strsep(&rest, " ");
		if (!percent_decode(values[n++]))
			return false;
	}
	return !rest && set_value(s, key, values, n);
}

/* Outer trees before those within them, so that mounting in this order never hides one. */
static void sort_trees(struct setup *s)
{
	for (unsigned i = 1; i < s->n_trees; i++) {
		struct setup_tree tree = s->trees[i];
		unsigned j = i;

		for (; j && strlen(s->trees[j - 1].path) > strlen(tree.path); j--)
			s->trees[j] = s->trees[j - 1];
		s->trees[j] = tree;
	}
}

bool setup_parse(struct setup *s, const uint8_t *lines, size_t size)
{
	char *rest = s->text;
	unsigned number_of_line = 0;

	memset(s, 0, sizeof(*s));
	if (size > PROTO_MAX_PAYLOAD || (size && memchr(lines, 0, size))) {
		snprintf(s->error, sizeof(s->error), "the setup is too long or has a NUL in it");
		return false;
	}
	if (size)
		memcpy(s->text, lines, size);
	while (rest) {
		char *line = strsep(&rest, "\n");
		char shown[64];

		number_of_line++;
		if (*line == '\0')
			continue;
		snprintf(shown, sizeof(shown), "%s", line);
		if (!parse_line(s, line)) {
			snprintf(s->error, sizeof(s->error), "setup line %u is wrong: \"%s\"",
				 number_of_line, shown);
			return false;
		}
	}
	if ((s->root_export || s->n_trees) && !s->nfs_server) {
		snprintf(s->error, sizeof(s->error), "the setup names exports but no nfs server");
		return false;
	}
	sort_trees(s);
	return true;
}

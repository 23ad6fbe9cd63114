// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

enum { ARGS_MAX = 4, TOKEN_MIN = 16 };

struct line {
	char *arg[ARGS_MAX];
	unsigned int n;
};

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char) tolower((unsigned char) c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. A zero byte is refused: no path has one. */
static const char *percent_decode(char *s)
{
	char *to = s;

	for (; *s; s++) {
		int hi, lo;

		if (*s != '%') {
			*to++ = *s;
			continue;
		}
		hi = hex(s[1]);
		lo = hi < 0 ? -1 : hex(s[2]);
		if (lo < 0 || (hi == 0 && lo == 0))
			return "a bad percent-encoding";
		*to++ = (char) (hi << 4 | lo);
		s += 2;
	}
	*to = '\0';
	return NULL;
}

static const char *get_number(char *s, long min, long max, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(s, &end, 10);
	return errno || *end || end == s || *out < min || *out > max ? "not a number in range"
								     : NULL;
}

static const char *set_listen_fd(struct server *s, struct line *l)
{
	long v;
	const char *bad = get_number(l->arg[1], 3, 1023, &v);

	s->listen_fd = (int) v;
	return bad;
}

static const char *set_listen_port(struct server *s, struct line *l)
{
	long v;
	const char *bad = get_number(l->arg[1], 0, 65535, &v);

	s->listen_port = (int) v;
	return bad;
}

static const char *set_peer_pid(struct server *s, struct line *l)
{
	long v;
	const char *bad = get_number(l->arg[1], 0, INT32_MAX, &v);

	s->peer_pid = (pid_t) v;
	return bad;
}

static const char *set_peer_any(struct server *s, struct line *l)
{
	s->peer_any = true;
	return NULL;
}

static const char *set_token(struct server *s, struct line *l)
{
	size_t len = strlen(l->arg[1]);

	if (len < TOKEN_MIN || len >= sizeof(s->token))
		return "a token has 16 to 128 characters";
	if (strspn(l->arg[1], "0123456789abcdefABCDEF") != len)
		return "a token is hexadecimal";
	strcpy(s->token, l->arg[1]);
	return NULL;
}

static const char *set_key(struct server *s, struct line *l)
{
	const char *p = l->arg[1];

	if (strlen(p) != 32 || strspn(p, "0123456789abcdefABCDEF") != 32)
		return "a key is 32 hexadecimal digits";
	s->key[0] = s->key[1] = 0;
	for (int i = 0; i < 32; i++)
		s->key[i / 16] = s->key[i / 16] << 4 | (uint64_t) hex(p[i]);
	return NULL;
}

static const char *set_state_dir(struct server *s, struct line *l)
{
	const char *bad = percent_decode(l->arg[1]);

	free(s->state_dir);
	s->state_dir = bad ? NULL : strdup(l->arg[1]);
	return bad;
}

/* A path relative to the export, without slashes at its ends. */
static const char *add_path(struct strlist *list, char *v)
{
	size_t len;

	v += strspn(v, "/");
	len = strlen(v);
	while (len && v[len - 1] == '/')
		v[--len] = '\0';
	return strlist_add(list, v) < 0 ? "no memory" : NULL;
}

static const char *add_option(struct export *e, char *opt)
{
	char *v = strchr(opt, '=');
	const char *bad;

	if (v)
		*v++ = '\0';
	if (v && (bad = percent_decode(v)))
		return bad;
	if (!v && strcmp(opt, "rw") == 0)
		e->rw = true;
	else if (!v && strcmp(opt, "ro") == 0)
		e->rw = false;
	else if (!v && strcmp(opt, "sync") == 0)
		e->sync = true;
	else if (!v && strcmp(opt, "hide-private") == 0)
		return add_path(&e->hide_private, (char[]){""});
	else if (v && strcmp(opt, "hide-private") == 0)
		return add_path(&e->hide_private, v);
	else if (v && strcmp(opt, "map") == 0 && strcmp(v, "root") == 0)
		e->map_root = true;
	else if (v && strcmp(opt, "map") == 0 && strcmp(v, "identity") == 0)
		e->map_root = false;
	else if (v && strcmp(opt, "only") == 0)
		return strchr(v, '/') || !*v ? "only= takes one name" : add_path(&e->only, v);
	else if (v && strcmp(opt, "hide") == 0)
		return *v ? add_path(&e->hide, v) : "hide= takes a path";
	else if (v && strcmp(opt, "protect") == 0)
		return export_add_protect(e, v) < 0 ? "a bad pattern to protect" : NULL;
	else
		return "an unknown export option";
	return NULL;
}

static const char *add_export(struct server *s, struct line *l)
{
	struct export *e = &s->exports[s->n_exports];
	const char *bad = percent_decode(l->arg[1]);
	char *save, *opt;

	if (!bad)
		bad = percent_decode(l->arg[2]);
	if (bad)
		return bad;
	if (s->n_exports == EXPORTS_MAX)
		return "too many exports";
	if (!*l->arg[1] || strlen(l->arg[1]) > EXPORT_NAME_MAX || strchr(l->arg[1], '/'))
		return "an export's name has 1 to 63 characters and no slash";
	if (export_by_name(s, l->arg[1], strlen(l->arg[1])))
		return "this export's name is taken";
	if (l->arg[2][0] != '/')
		return "an export's path is absolute";
	*e = (struct export){.root_fd = -1};
	strcpy(e->name, l->arg[1]);
	e->path = strdup(l->arg[2]);
	if (!e->path)
		return "no memory";
	for (opt = strtok_r(l->arg[3], ",", &save); opt; opt = strtok_r(NULL, ",", &save)) {
		bad = add_option(e, opt);
		if (bad)
			return bad;
	}
	s->n_exports++;
	return NULL;
}

static const struct key {
	const char *name;
	unsigned int n_args; /* with the key */
	const char *(*set)(struct server *s, struct line *l);
} keys[] = {
	{"listen-fd", 2, set_listen_fd}, {"listen-port", 2, set_listen_port},
	{"peer-pid", 2, set_peer_pid},	 {"peer-any", 1, set_peer_any},
	{"token", 2, set_token},	 {"key", 2, set_key},
	{"state-dir", 2, set_state_dir}, {"export", 4, add_export},
};

static const char *one_line(struct server *s, char *text)
{
	struct line l = {0};
	char *save, *word;

	for (word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		if (l.n == ARGS_MAX)
			return "too many values";
		l.arg[l.n++] = word;
	}
	if (l.n == 0)
		return NULL;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(keys[i].name, l.arg[0]) != 0)
			continue;
		return l.n == keys[i].n_args ? keys[i].set(s, &l) : "the wrong number of values";
	}
	return "an unknown key";
}

static const char *what_is_missing(const struct server *s)
{
	if (s->listen_fd < 0 && s->listen_port < 0)
		return "neither listen-fd nor listen-port";
	if (!s->token[0])
		return "no token";
	if (!s->key[0] && !s->key[1])
		return "no key";
	if (!s->peer_any && s->peer_pid <= 0)
		return "neither peer-pid nor peer-any";
	return NULL;
}

int config_read(struct server *s, FILE *f)
{
	const char *bad = NULL;
	char *text = NULL;
	size_t size = 0;
	unsigned int line = 0;

	while (!bad && getline(&text, &size, f) >= 0) {
		line++;
		bad = one_line(s, text);
	}
	if (bad)
		fprintf(stderr, "devvm-nfsd: configuration, line %u: %s\n", line, bad);
	free(text);
	if (!bad && (bad = what_is_missing(s)))
		fprintf(stderr, "devvm-nfsd: configuration: %s\n", bad);
	return bad ? -EINVAL : 0;
}

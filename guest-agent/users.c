// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * USERS: who uses a kernel module: modules that hold it, mounts of its file system types, and the
 * processes which work on those mounts. Device nodes a module drives are not looked at.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent.h"

#define MAX_DEVICES 64	  /* mounts whose processes are looked for */
#define MAX_PROCESSES 200 /* lines about processes */
#define MAX_FDS 4096	  /* looked at in one process */

static dev_t devices[MAX_DEVICES];
static unsigned n_devices, n_lines;

static bool in_list(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == n && strncmp(p, word, n) == 0)
			return true;
	return false;
}

static void print_holders(const char *module)
{
	char path[300], text[32];
	struct dirent *entry;
	ssize_t n;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "/sys/module/%s", module);
	if (access(path, F_OK) < 0)
		report(PROTO_FAILED, ENOENT, "module %s is not loaded in the guest", module);
	snprintf(path, sizeof(path), "/sys/module/%s/holders", module);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			printf("module\t%s\n", entry->d_name);
	if (dir)
		closedir(dir);
	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", module);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	close_fd(&fd);
	text[n > 0 ? n : 0] = '\0';
	if (n > 0)
		printf("refcount\t%d\n", atoi(text));
}

/* A tab or newline in a name must not look like a field or line of ours. */
static void print_field(const char *text, char end)
{
	for (; *text; text++)
		putchar(*text == '\t' || *text == '\n' ? '?' : *text);
	putchar(end);
}

static void mount_line(char *line, const char *types)
{
	/* id parent major:minor root point options … - type source superoptions */
	static char point[4096], type[128], source[4096];
	unsigned major_number, minor_number;
	char *rest = strstr(line, " - ");

	if (!rest ||
	    sscanf(line, "%*s %*s %u:%u %*s %4095s", &major_number, &minor_number, point) != 3 ||
	    sscanf(rest, " - %127s %4095s", type, source) != 2 || !in_list(types, type))
		return;
	mountinfo_unescape(point);
	mountinfo_unescape(source);
	fputs("mount\t", stdout);
	print_field(source, '\t');
	print_field(point, '\t');
	print_field(type, '\n');
	if (n_devices < MAX_DEVICES)
		devices[n_devices++] = makedev(major_number, minor_number);
}

static void print_mounts(const char *types)
{
	static char line[16384];
	FILE *f = fopen("/proc/self/mountinfo", "re");

	while (f && fgets(line, sizeof(line), f))
		mount_line(line, types);
	if (f)
		fclose(f);
}

static bool on_device(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	for (unsigned i = 0; i < n_devices; i++)
		if (devices[i] == st.st_dev)
			return true;
	return false;
}

static void print_process(const char *pid, const char *what, const char *link)
{
	char path[64], comm[64] = "?", target[4096];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, comm, sizeof(comm) - 1) : 0;
	close_fd(&fd);
	comm[n > 0 ? n : 0] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
	n = readlink(link, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	printf("process\t%s\t", pid);
	print_field(comm, '\t');
	printf("%s\t", what);
	print_field(target, '\n');
	n_lines++;
}

/* The first entry of the folder (fd or map_files) that is on one of the devices. */
static void look_into(const char *pid, const char *folder, const char *what)
{
	char path[400];
	struct dirent *entry;
	int looked = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.16s/%s", pid, folder);
	dir = opendir(path);
	while (dir && looked++ < MAX_FDS && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%.16s/%s/%s", pid, folder, entry->d_name);
		if (entry->d_name[0] != '.' && on_device(path)) {
			print_process(pid, what, path);
			break;
		}
	}
	if (dir)
		closedir(dir);
}

static void look_at_process(const char *pid)
{
	static const char *const links[] = {"cwd", "root", "exe"};
	char path[64];

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		snprintf(path, sizeof(path), "/proc/%.16s/%s", pid, links[i]);
		if (on_device(path))
			print_process(pid, links[i], path);
	}
	look_into(pid, "fd", "fd");
	look_into(pid, "map_files", "map");
}

void op_users_run(struct agent *a, struct wire *args)
{
	const char *module = wire_get_str(args);
	const char *types = wire_get_str(args);
	struct dirent *entry;
	DIR *dir;

	if (args->bad || !*module || strchr(module, '/'))
		report(PROTO_FAILED, EPROTO, "users: malformed request");
	print_holders(module);
	print_mounts(types);
	dir = n_devices ? opendir("/proc") : NULL;
	while (dir && n_lines < MAX_PROCESSES && (entry = readdir(dir)))
		if (isdigit((unsigned char) entry->d_name[0]))
			look_at_process(entry->d_name);
	if (dir)
		closedir(dir);
	if (fflush(stdout) != 0)
		report_errno("cannot pass on the users of %s", module);
}

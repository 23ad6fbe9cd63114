// SPDX-License-Identifier: GPL-2.0-or-later
/* The little of udev that a guest needs: names for disks, nodes that load their module, fd links.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent.h"

#define BY_ID "/dev/disk/by-id"

static bool read_line(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, size - 1) : -1;

	close_fd(&fd);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return out[0] != '\0';
}

static void link_disk(const char *name, const char *serial)
{
	char path[128], target[300];

	/* The serial is the host's choice, but it becomes a file name. */
	if (strchr(serial, '/'))
		return;
	mkdir("/dev/disk", 0755);
	mkdir(BY_ID, 0755);
	snprintf(path, sizeof(path), BY_ID "/virtio-%.64s", serial);
	snprintf(target, sizeof(target), "../../%s", name);
	unlink(path);
	if (symlink(target, path) < 0)
		say_errno("cannot make %s", path);
}

static void link_disks(void)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char path[300], serial[64];

		snprintf(path, sizeof(path), "/sys/block/%s/serial", entry->d_name);
		if (entry->d_name[0] != '.' && read_line(path, serial, sizeof(serial)))
			link_disk(entry->d_name, serial);
	}
	if (dir)
		closedir(dir);
}

/* A line of modules.devname: "MODULE NODE cMAJOR:MINOR": opening such a node loads the module. */
static void make_static_node(const char *line)
{
	char node[64], path[80], type;
	unsigned major_number, minor_number;

	if (sscanf(line, "%*s %63s %c%u:%u", node, &type, &major_number, &minor_number) != 4 ||
	    strstr(node, ".."))
		return;
	snprintf(path, sizeof(path), "/dev/%s", node);
	make_parents(path);
	mknod(path, (type == 'b' ? S_IFBLK : S_IFCHR) | 0600, makedev(major_number, minor_number));
}

void devices_static_nodes(const char *list)
{
	char line[256];
	FILE *f = fopen(list, "re");

	while (f && fgets(line, sizeof(line), f))
		if (line[0] != '#')
			make_static_node(line);
	if (f)
		fclose(f);
}

void devices_coldplug(void)
{
	static const char *const links[][2] = {{"/proc/self/fd", "/dev/fd"},
					       {"/proc/self/fd/0", "/dev/stdin"},
					       {"/proc/self/fd/1", "/dev/stdout"},
					       {"/proc/self/fd/2", "/dev/stderr"}};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST)
			say_errno("cannot make %s", links[i][1]);
	link_disks();
}

void devices_listen(struct agent *a)
{
	struct sockaddr_nl me = {.nl_family = AF_NETLINK, .nl_groups = 1};

	a->uevents =
		socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	if (a->uevents < 0 || bind(a->uevents, (struct sockaddr *) &me, sizeof(me)) < 0 ||
	    !agent_watch(a, a->uevents, EPOLLIN, WATCH_UEVENTS, 0))
		say_errno("cannot listen to the kernel's device events");
}

/* "ACTION@DEVPATH\0KEY=VALUE\0…" */
static bool event_has(const char *event, size_t n, const char *pair)
{
	for (const char *p = event; p < event + n; p += strlen(p) + 1)
		if (strcmp(p, pair) == 0)
			return true;
	return false;
}

void devices_event(struct agent *a)
{
	bool disks = false, ports = false;
	char event[8192];
	ssize_t n;

	while ((n = recv(a->uevents, event, sizeof(event) - 1, 0)) > 0 ||
	       (n < 0 && (errno == EINTR || errno == ENOBUFS))) {
		if (n < 0)
			continue;
		event[n] = '\0';
		disks |= event_has(event, (size_t) n, "SUBSYSTEM=block") &&
			 event_has(event, (size_t) n, "ACTION=add");
		ports |= event_has(event, (size_t) n, "SUBSYSTEM=virtio-ports");
	}
	if (ports)
		channel_open(a);
	if (disks && a->state == PROTO_AGENT_READY)
		link_disks();
}

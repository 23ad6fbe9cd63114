// SPDX-License-Identifier: GPL-2.0-or-later
/* The guest's network: lo, the first real interface with a fixed address, the default route. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"

#define CARRIER_LIMIT_MS 2000

static int control_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static bool interface_up(int fd, const char *name)
{
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFFLAGS, &r) < 0)
		return false;
	r.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &r) == 0;
}

void net_loopback(void)
{
	int fd = control_socket();

	if (fd < 0 || !interface_up(fd, "lo"))
		say_errno("cannot bring lo up");
	close_fd(&fd);
}

/* eth0 where there is one, else the first that is not lo. */
static bool find_interface(char name[IFNAMSIZ])
{
	DIR *dir = opendir("/sys/class/net");
	struct dirent *entry;

	name[0] = '\0';
	while (dir && (entry = readdir(dir))) {
		const char *n = entry->d_name;

		if (n[0] == '.' || strcmp(n, "lo") == 0 || strlen(n) >= IFNAMSIZ)
			continue;
		if (!name[0] || strcmp(n, "eth0") == 0)
			snprintf(name, IFNAMSIZ, "%.*s", IFNAMSIZ - 1, n);
	}
	if (dir)
		closedir(dir);
	return name[0] != '\0';
}

static struct sockaddr address(const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr out;

	inet_pton(AF_INET, text, &in.sin_addr);
	memcpy(&out, &in, sizeof(out));
	return out;
}

static bool set_address(int fd, const char *name, const struct setup *s)
{
	struct sockaddr_in mask = {.sin_family = AF_INET};
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	r.ifr_addr = address(s->net_address);
	if (ioctl(fd, SIOCSIFADDR, &r) < 0)
		return false;
	if (s->net_prefix)
		mask.sin_addr.s_addr = htonl(~(uint32_t) 0 << (32 - s->net_prefix));
	memcpy(&r.ifr_netmask, &mask, sizeof(r.ifr_netmask));
	return ioctl(fd, SIOCSIFNETMASK, &r) == 0 && interface_up(fd, name);
}

static bool set_route(int fd, const struct setup *s)
{
	struct rtentry r = {.rt_flags = RTF_UP | RTF_GATEWAY};

	r.rt_dst = address("0.0.0.0");
	r.rt_genmask = address("0.0.0.0");
	r.rt_gateway = address(s->net_gateway);
	return ioctl(fd, SIOCADDRT, &r) == 0 || errno == EEXIST;
}

/* Not IFF_RUNNING: that follows the carrier by up to a second (the kernel's link watch). */
static bool has_carrier(int fd, const char *name)
{
	struct ethtool_value link = {.cmd = ETHTOOL_GLINK};
	struct ifreq r = {.ifr_data = (char *) &link};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	return ioctl(fd, SIOCETHTOOL, &r) == 0 && link.data;
}

/*
 * A SYN sent before the link is up is lost, and its retry comes a second later: so wait for it. The
 * driver sets the carrier from a work item moments after its probe, and nothing tells of it in
 * time.
 */
static void wait_for_carrier(int fd, const char *name)
{
	int64_t limit = now_ms() + CARRIER_LIMIT_MS;

	while (!has_carrier(fd, name) && now_ms() < limit)
		poll(NULL, 0, 1);
}

bool net_up(const struct setup *s, struct step_error *e)
{
	char name[IFNAMSIZ];
	int fd = control_socket();
	bool ok = false;

	if (fd < 0) {
		step_fail(e, "cannot open a socket in the guest");
	} else if (!find_interface(name)) {
		errno = ENODEV;
		step_fail(e, "the guest has no network interface");
	} else if (!set_address(fd, name, s) || !set_route(fd, s)) {
		step_fail(e, "cannot give the guest's interface %s its address", name);
	} else {
		wait_for_carrier(fd, name);
		ok = true;
	}
	close_fd(&fd);
	return ok;
}

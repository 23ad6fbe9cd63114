// SPDX-License-Identifier: GPL-2.0-or-later
/* The guest's network: lo, the first real interface with a fixed address, the default route. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
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

static bool has_carrier(int fd, const char *name)
{
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	return ioctl(fd, SIOCGIFFLAGS, &r) == 0 && (r.ifr_flags & IFF_RUNNING);
}

/* A SYN sent before the link is up is lost, and its retry comes a second later: so wait for it. */
static void wait_for_carrier(int fd, const char *name)
{
	struct sockaddr_nl me = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int64_t limit = now_ms() + CARRIER_LIMIT_MS;
	int links;
	char news[4096];

	if (has_carrier(fd, name))
		return;
	links = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (links >= 0 && bind(links, (struct sockaddr *) &me, sizeof(me)) == 0) {
		while (!has_carrier(fd, name) && now_ms() < limit) {
			struct pollfd p = {.fd = links, .events = POLLIN};

			if (poll(&p, 1, (int) (limit - now_ms())) > 0 &&
			    recv(links, news, sizeof(news), 0) < 0)
				break;
		}
	}
	close_fd(&links);
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

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Sets devvm up and shows it: `sh setup.sh` lists what it can do.
#
# An ordinary user runs it as he is; the one thing that may ask for a password is apt. Root (a CI
# job) gets the packages installed and hands the rest to an unprivileged account, because libvirt's
# session driver, devvm's ground, is meant for ordinary users and is 20 times slower as root.

set -eu

TOP=$(cd "$(dirname "$0")" && pwd)
ACCOUNT=devvm-ci         # does all the work when we are root
SECOND_ACCOUNT=devvm-ci2 # the stranger in the tests of who may connect to what
KERNEL_SERIES=6.1

say() { printf '%s\n' "setup: $*" >&2; }
die() { say "$@"; exit 1; }

usage() {
	cat <<USAGE
Usage: sh setup.sh VERB

  packages [--dry-run]   install what is missing (or list it)
  build                  packages, then build into ./build
  demo                   build, then the whole loop on a real file system module: VM, module
                         reloads, gdb; non-interactive, prints what it does
  test [--all] [NAME…]   build, then the tests; the last line is "N passed, N failed, N skipped".
                         --all: the long ones too (suites, fuzzing, benchmarks)
                         NAME…: only tests whose name contains one of these
  bench [NAME…]          build, then the benchmarks: tables of medians and spreads

In a shell that has no terminal nothing is asked. Everything but the packages stays in the source
tree and in your own ~/.cache and ~/.local.
USAGE
}

# --- Packages -------------------------------------------------------------------------------------

# The kernel flavour: that of the host where it has one. Never put the cloud kernel on a machine
# that runs the ordinary one: its boot loader might prefer it, and it has no drivers for hardware.
kernel_flavour() {
	if installed linux-image-amd64; then echo amd64; else echo cloud-amd64; fi
}

# The one list: name, then what it is for.
package_list() {
	flavour=$(kernel_flavour)
	cat <<LIST
meson                          the build
ninja-build                    the build
pkg-config                     the build
gcc                            the build, and modules built on host or in guest
make                           module builds
binutils                       module builds; strip, objcopy
libc6-dev                      the build
libglib2.0-dev                 devvm: main loop, strings, errors
libvirt-dev                    devvm: domains
libxml2-dev                    devvm: domain XML
libkmod-dev                    devvm: module dependencies and vermagic
libarchive-dev                 devvm: initramfs
libjson-glib-dev               devvm: --json
libelf-dev                     devvm: sections and build-ids of modules
libjson-glib-dev               devvm: --json, and QEMU's monitor
libvirt-daemon                 runs the VMs
libvirt-daemon-driver-qemu     runs the VMs
libvirt-clients                virsh
qemu-system-x86                runs the VMs
seabios                        QEMU's BIOS
qemu-utils                     disk images
gdb                            debugging
kmod                           depmod on the host, modprobe in the guest
python3                        gdb's scripts, tests
linux-image-$flavour       the kernel that the guests boot
linux-image-$flavour-dbg   its vmlinux with debug information
linux-headers-$flavour     module builds
linux-source-$KERNEL_SERIES               demo and tests: nilfs2, drivers/md and others as module trees
xz-utils                       unpacks linux-source
flex                           tests: a kernel is built
bison                          tests: a kernel is built
bc                             tests: a kernel is built
nilfs-tools                    demo and tests: mkfs.nilfs2, mount.nilfs2
git                            demo and tests: module trees
libnfs-dev                     tests: looks at an export as a guest would
libxml2-utils                  tests: checks domain XML
procps                         tests: looks at processes
clang                          tests: fuzzers
libclang-rt-14-dev             tests: libFuzzer and its sanitizers
clang-format                   tests: lint
LIST
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing_packages() {
	package_list | while read -r name _; do
		installed "$name" || echo "$name"
	done
}

# A new -dbg package goes with the newest kernel only: bring image and headers up with it.
with_whole_kernel() {
	echo "$1"
	case $1 in
	*linux-image-* | *linux-headers-*)
		package_list | while read -r name _; do
			case $name in linux-image-* | linux-headers-*) echo "$name" ;; esac
		done ;;
	esac
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "packages are missing and there is no sudo: as root, run: $*"
	fi
}

apt_install() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
		--no-install-recommends "$@" >&2
}

require_debian() {
	[ -z "${DEVVM_SKIP_PACKAGES:-}" ] || return 0
	# shellcheck disable=SC1091
	os=$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${VERSION_ID:-}")
	[ "$os" = "debian 12" ] && return 0
	say "this is ${os:-an unknown system}; only Debian 12's package names are known here."
	say "install what goes by these names there, then set DEVVM_SKIP_PACKAGES=1:"
	package_list >&2
	exit 1
}

install_packages() {
	require_debian
	[ -z "${DEVVM_SKIP_PACKAGES:-}" ] || return 0
	missing=$(missing_packages)
	[ -n "$missing" ] || return 0
	names=$(with_whole_kernel "$missing" | sort -u | tr '\n' ' ')
	say "to be installed: $names"
	[ "${1:-}" != --dry-run ] || return 0
	# shellcheck disable=SC2086
	apt_install $names || {
		say "trying again with fresh package lists"
		as_root apt-get update -q >&2
		apt_install $names
	}
	missing=$(missing_packages)
	[ -z "$missing" ] || die "still missing:" "$missing"
}

# --- Root: hand over to an unprivileged account ---------------------------------------------------

make_account() {
	id "$1" >/dev/null 2>&1 || useradd -m -s /bin/sh -c 'devvm tests' "$1"
	home=$(getent passwd "$1" | cut -d: -f6)
	chmod 0755 "$home" # the second account runs the first one's build
	runtime=/run/user/$(id -u "$1")
	[ -d "$runtime" ] || install -d -m 0700 -o "$1" -g "$1" "$runtime"
}

# What git knows of and what is new, or all but build folders where there is no git.
list_tree() {
	if git -c safe.directory='*' -C "$TOP" rev-parse --git-dir >/dev/null 2>&1; then
		git -c safe.directory='*' -C "$TOP" ls-files -z --cached --others --exclude-standard
	else
		(cd "$TOP" && find . -name 'build*' -prune -o ! -type d -print0)
	fi
}

# Puts the tree into folder $1, which keeps its build folders: a second run builds little.
copy_tree() {
	mkdir -p "$1"
	find "$1" -mindepth 1 -maxdepth 1 ! -name 'build*' -exec rm -rf {} +
	# shellcheck disable=SC2016
	list_tree | (cd "$TOP" && xargs -0 sh -c \
		'for f; do if [ -e "$f" ] || [ -L "$f" ]; then printf "%s\0" "$f"; fi; done' sh |
		tar --null --no-recursion -T - -cf -) | tar -C "$1" -xf - --no-same-owner
	chown -R "$ACCOUNT:$ACCOUNT" "$1"
}

# Becomes account $1 and runs a command, with an environment of its own and nothing of root's. To
# be called with & only: so that $! is the command itself, and a signal reaches it.
as_account() {
	name=$1
	shift
	exec setpriv --reuid "$name" --regid "$name" --init-groups env -i HOME="$(getent passwd "$name" | cut -d: -f6)" \
		USER="$name" LOGNAME="$name" SHELL=/bin/sh LANG=C.UTF-8 \
		XDG_RUNTIME_DIR="/run/user/$(id -u "$name")" \
		PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
		CI="${CI:-}" DEVVM_SKIP_PACKAGES="${DEVVM_SKIP_PACKAGES:-}" \
		DEVVM_SECOND_USER="${second_socket:-}" DEVVM_SMALL_DISK="${small_disk:-}" "$@"
}

# The tests' second user: runs commands for the first one, and for nobody else.
start_second_user() {
	make_account "$SECOND_ACCOUNT"
	second_dir=$(mktemp -d /tmp/devvm-second.XXXXXX)
	chown "$SECOND_ACCOUNT" "$second_dir"
	chmod 0755 "$second_dir"
	as_account "$SECOND_ACCOUNT" python3 "$1/tests/vm/second_user.py" \
		"$second_dir/socket" "$(id -u "$ACCOUNT")" </dev/null 9>&- &
	second_pid=$!
	second_socket=$second_dir/socket
}

# A disk that can be filled, for the test of a full one; without it (no right to mount) that skips.
mount_small_disk() {
	small_disk=$second_dir/small
	mkdir "$small_disk"
	mount -t tmpfs -o "size=128m,mode=0700,uid=$(id -u "$ACCOUNT")" devvm-small "$small_disk" \
		2>/dev/null || small_disk=
}

stop_children() {
	[ -z "${child:-}" ] || kill "$child" 2>/dev/null || :
	[ -z "${second_pid:-}" ] || kill "$second_pid" 2>/dev/null || :
	[ -z "${small_disk:-}" ] || umount -l "$small_disk" || return 0
	[ -z "${second_dir:-}" ] || rm -rf "$second_dir"
}

hand_over() {
	verb=$1
	make_account "$ACCOUNT"
	home=$(getent passwd "$ACCOUNT" | cut -d: -f6)
	copy=$home/devvm-$(printf '%s' "$TOP" | cksum | cut -d' ' -f1)
	exec 9>"/run/$ACCOUNT.lock"
	flock -w 3600 9 || die "another run has held $ACCOUNT's tree for an hour"
	copy_tree "$copy"
	trap stop_children EXIT
	trap 'exit 143' TERM INT HUP
	if [ "$verb" = test ]; then
		start_second_user "$copy"
		mount_small_disk
	fi
	say "root hands over to the account $ACCOUNT, in $copy"
	as_account "$ACCOUNT" sh "$copy/setup.sh" "$@" </dev/null 9>&- &
	child=$!
	status=0
	wait "$child" || status=$?
	child=
	exit "$status"
}

# --- The work itself, as an ordinary user ---------------------------------------------------------

# A CI job or a container has no session: libvirt and devvm want a runtime folder all the same.
need_runtime_dir() {
	if [ -z "${XDG_RUNTIME_DIR:-}" ] || [ ! -w "$XDG_RUNTIME_DIR" ]; then
		XDG_RUNTIME_DIR=${TMPDIR:-/tmp}/devvm-run-$(id -u)
		[ -d "$XDG_RUNTIME_DIR" ] || mkdir -m 0700 "$XDG_RUNTIME_DIR"
		[ -O "$XDG_RUNTIME_DIR" ] || die "$XDG_RUNTIME_DIR belongs to somebody else"
		export XDG_RUNTIME_DIR
	fi
}

# build_into FOLDER [MESON OPTION…]
build_into() {
	folder=$TOP/$1
	shift
	if [ ! -f "$folder/build.ninja" ]; then
		meson setup "$@" "$folder" "$TOP" >"$TOP/$(basename "$folder").log" 2>&1 || {
			tail -n 30 "$TOP/$(basename "$folder").log" >&2
			die "meson setup failed"
		}
	fi
	ninja --quiet -C "$folder" >"$folder.log" 2>&1 || {
		tail -n 60 "$folder.log" >&2
		return 1
	}
}

do_build() {
	build_into build
	say "built: $TOP/build/orchestrator/devvm"
}

do_test() {
	(build_into build && build_into build-dev --native-file "$TOP/build-dev.ini") || {
		echo "FAIL build"
		echo "0 passed, 1 failed, 0 skipped"
		exit 1
	}
	exec python3 "$TOP/tests/run.py" "$@"
}

do_demo() {
	build_into build
	exec python3 "$TOP/tests/demo/demo.py" "$@"
}

do_bench() {
	build_into build
	exec python3 "$TOP/tests/bench/run.py" "$@"
}

main() {
	[ $# -gt 0 ] || { usage; exit 0; }
	case $1 in
	-h | --help | help) usage; exit 0 ;;
	packages) shift; install_packages "$@"; exit 0 ;;
	build | test | demo | bench) ;;
	*) usage >&2; die "no such verb: $1" ;;
	esac
	install_packages
	[ "$(id -u)" != 0 ] || hand_over "$@"
	need_runtime_dir
	verb=$1
	shift
	"do_$verb" "$@"
}

main "$@"

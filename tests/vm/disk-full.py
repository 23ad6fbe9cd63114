#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 240
"""A full disk: `up` says so and leaves nothing, and works once there is room; a reload with a full
tree says so and loses nothing.

The full disk is a small tmpfs in a mount namespace of the user's own, with devvm's cache or the
tree on it; where the host allows no such namespace it skips.
"""
import os
import subprocess

from harness import DEVVM, Scenario, expect, expect_in, skip

# Mounts a tmpfs of $1 on $2, fills it but for $3 KiB, and runs the rest as the user that we are.
IN_SMALL_DISK = """
size=$1 folder=$2 free=$3 uid=$4
shift 4
mount -t tmpfs -o size=$size,mode=0700 small "$folder" || exit 99
[ "$free" = all ] || head -c "$((size - free * 1024))" /dev/zero > "$folder/filler"
"$@"
"""


def namespaces_work():
    return subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "x", "/mnt"],
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


def with_small_disk(s, folder, free_kib, *argv, **options):
    return s.run("unshare", "-rm", "sh", "-c", IN_SMALL_DISK, "sh", str(16 * 1024 * 1024), folder,
                 str(free_kib), str(os.getuid()), *argv, **options)


def check_cache_full(s, tree):
    """No room for the initramfs."""
    vm = s.new_vm()
    cache = os.path.join(s.base, "x")
    done = with_small_disk(s, cache, 64, DEVVM, "up", vm, cwd=tree)
    s.no_trace(done)
    expect(done.status not in (0, 99), f"up cannot work: {done.status} {done.text}")
    expect_in("space", done.err, "it says why")
    expect(vm not in s.virsh("list", "--all", "--name").out, "no domain is left")
    s.devvm("up", vm, cwd=tree)
    expect(s.guest(vm, "echo on").out == "on\n", "with room it works")
    return vm


def check_tree_full(s, vm, tree):
    """A build that cannot write its files: the module that is in stays in."""
    s.devvm("reload-module", "probe", cwd=tree)
    limit = 2048  # blocks of 512 bytes: RLIMIT_FSIZE stands for a disk that fills up
    s.write_probe(tree, "probe", 2)
    done = s.run("sh", "-c", f"ulimit -f {limit // 512}; exec \"$@\"", "sh", DEVVM,
                 "reload-module", "probe", cwd=tree)
    s.no_trace(done)
    expect(done.status == 8, f"a failed build: {done.status} {done.text}")
    expect(s.guest(vm, "cat /sys/module/probe/parameters/number").out == "1\n",
           "the old module is still in")
    s.devvm("reload-module", "probe", cwd=tree)
    expect(s.guest(vm, "cat /sys/module/probe/parameters/number").out == "2\n",
           "with room it works")


with Scenario(__file__, private_cache=True) as s:
    if not namespaces_work():
        skip("this host allows no user namespaces with mounts (unshare -rm)")
    tree = s.probe_tree()
    vm = check_cache_full(s, tree)
    check_tree_full(s, vm, tree)

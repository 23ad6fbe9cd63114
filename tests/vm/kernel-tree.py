#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# tier: long
# deadline: 3600
"""A kernel that is a build tree: booted, its modules reloaded where they stand, gdb with lx-.

Its needed modules are partly built in and partly modules; a module outside of the tree is built
against it, on the host and in the guest; one option changed and made again, the next `up` has it.
"""
import os
import random
import re
import subprocess

from harness import DEVVM, Follow, Scenario, expect, expect_in, say
from kerneltree import TARGETS, kernel_tree, make

BUILD_DEADLINE = 2700
ANCHOR = "nilfs = alloc_nilfs(sb);"
OURS = "/* devvm's test */"


def without_edit(text):
    return re.sub(r"\n[^\n]*" + re.escape(OURS), "", text)


class Edit:
    """A line in fs/nilfs2/super.c, taken back at the end: the tree is the cache's."""

    def __init__(self, tree):
        self.path = os.path.join(tree, "fs/nilfs2/super.c")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.write("")

    def write(self, line):
        with open(self.path) as f:
            text = without_edit(f.read())
        expect(ANCHOR in text, "nilfs_fill_super is as we know it")
        if line:
            text = text.replace(ANCHOR, f"{ANCHOR}\n\t{line} {OURS}", 1)
        with open(self.path, "w") as f:
            f.write(text)
        return text[:text.index(ANCHOR)].count("\n") + 1

    def number(self):
        number = random.randint(10**6, 10**9)
        return number, self.write(f"sb->s_time_gran = {number};")


def conf(s, tree, trees):
    """A project folder with this kernel."""
    path = s.tree(f"project{random.randint(0, 10**6)}")
    with open(os.path.join(path, "devvm.conf"), "w") as f:
        f.write(f"[project]\ntrees = {trees}\nkernel = {tree}\n"
                "[vm]\nmemory = 768M\ndisks = 256M\n")
    return path


def release_of(tree):
    with open(os.path.join(tree, "include/config/kernel.release")) as f:
        return f.read().strip()


def check_modules_of_the_tree(s, vm, release):
    expect(s.guest(vm, "uname -r").out.strip() == release, "the guest's kernel is the tree's")
    s.guest(vm, "modprobe null_blk && test -b /dev/nullb0 && rmmod null_blk")
    s.guest(vm, "modprobe dm-mod && test -d /sys/module/dm_mod")


def check_out_of_tree(s, vm, project):
    s.devvm("reload-module", "probe", cwd=project)
    expect(s.guest(vm, "cat /sys/module/probe/parameters/number").out.strip() == "1", "loaded")
    s.write_probe(project, "probe", 2)
    done = s.devvm("reload-module", "probe", "--in-guest", cwd=project, deadline=300)
    expect_in("guest", done.text, "where it was built")
    expect(s.guest(vm, "cat /sys/module/probe/parameters/number").out.strip() == "2",
           "the edit that the guest built is in")


def check_lx(s, vm, release):
    out = s.gdb(vm, "lx-version", "lx-ps", "lx-dmesg").out
    expect_in(f"Linux version {release}", out, "lx-version")
    expect(re.search(r"\b1 +init$", out, re.M), f"lx-ps lists the guest's processes:\n{out}")
    expect(re.search(r"^\[ +\d+\.\d+\] ", out, re.M), f"lx-dmesg's lines:\n{out}")
    out = s.devvm("gdb", vm, "--lx-symbols", "--batch", "-ex", "info address nilfs_mount").out
    expect_in("nilfs_mount", out, "symbols by lx-symbols")
    expect("No symbol" not in out, f"symbols by lx-symbols:\n{out}")


def check_gdb_reads_edit(s, vm, tree, edit):
    """An edit, reloaded under an attached gdb that then stops behind it."""
    number, line = edit.number()
    args = ["set pagination off", f"break fs/nilfs2/super.c:{line + 2}", 'printf "armed\\n"',
            "continue", "backtrace 4", 'printf "number=%u\\n", sb->s_time_gran', "delete", "detach"]
    argv = [word for command in args for word in ("-ex", command)]
    gdb = Follow(s.start(DEVVM, "gdb", vm, "--batch", *argv, cwd=tree, stderr=subprocess.STDOUT))
    gdb.until("armed", 120)
    done = s.devvm("reload-module", "nilfs2")
    say("reload under gdb:", done.text.strip().splitlines()[-1])
    mount = s.start(DEVVM, "exec", vm, "--", "mount", "-t", "nilfs2", "/dev/vda", "/mnt/n")
    out = gdb.end(120)
    expect_in(f"number={number}", out, "gdb reads the edit's number in the guest")
    expect(re.search(r"#0 .*fs/nilfs2/super\.c:\d+", out), f"backtrace with source lines: {out}")
    mount.communicate(timeout=60)
    s.guest(vm, "grep -q nilfs2 /proc/mounts && umount /mnt/n")


def set_option(tree, name, value):
    subprocess.run(["scripts/config", "--set-str" if value.startswith('"') else "--set-val", name,
                    value.strip('"')], cwd=tree, check=True)


def check_rebuilt(s, vm, tree):
    """Another kernel in the same tree: `up` boots that one, with its modules."""
    old = release_of(tree)
    s.devvm("down", vm)
    try:
        set_option(tree, "LOCALVERSION", '"-devvm2"')
        make(tree, 900, "olddefconfig")
        make(tree, 900, *TARGETS)
        expect(release_of(tree) != old, "the option has changed the release")
        s.devvm("up", vm)
        check_modules_of_the_tree(s, vm, release_of(tree))
        s.devvm("reload-module", "nilfs2")
        s.devvm("down", vm)
    finally:
        set_option(tree, "LOCALVERSION", '"-devvm"')
        make(tree, 900, "olddefconfig")


with Scenario(__file__) as s, kernel_tree(BUILD_DEADLINE) as tree, Edit(tree) as edit:
    # the tree is the kernel alone; the project is a module outside of it
    vm, project = s.new_vm(), s.probe_tree("probe")
    with open(os.path.join(project, "devvm.conf"), "w") as f:
        f.write(f"[project]\nkernel = {tree}\n")
    s.work = project
    say(s.devvm("up", vm).text.strip())
    check_modules_of_the_tree(s, vm, release_of(tree))
    check_out_of_tree(s, vm, project)
    s.devvm("rm", "--force", vm)

    # the tree is kernel and project
    vm = s.new_vm()
    s.work = conf(s, tree, tree)
    s.devvm("up", vm)
    done = s.devvm("reload-module", "nilfs2")
    say(done.text.strip().splitlines()[-1])
    s.guest(vm, "mkfs.nilfs2 -q /dev/vda && mkdir -p /mnt/n")
    check_lx(s, vm, release_of(tree))
    check_gdb_reads_edit(s, vm, tree, edit)
    edit.number()
    s.devvm("reload-module", "nilfs2", "--in-guest", deadline=400)
    check_rebuilt(s, vm, tree)

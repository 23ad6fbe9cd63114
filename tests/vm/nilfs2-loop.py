#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 300
"""The main job on a real file system: reload, mkfs, mount, edit, reload under an attached gdb.

The edit carries a random number, which gdb reads back where it stopped, in the guest.
"""
import os
import random
import re
import subprocess

from harness import DEVVM, Follow, Scenario, expect, expect_in

ANCHOR = "nilfs = alloc_nilfs(sb);"


def edit(tree, number):
    path = os.path.join(tree, "super.c")
    with open(path) as f:
        text = f.read()
    text = re.sub(r"\n\tsb->s_time_gran = \d+; /\* ours \*/", "", text)
    expect(ANCHOR in text, "nilfs_fill_super is as we know it")
    text = text.replace(ANCHOR, f"{ANCHOR}\n\tsb->s_time_gran = {number}; /* ours */", 1)
    with open(path, "w") as f:
        f.write(text)
    return 1 + text[:text.index("/* ours */")].count("\n")


def gdb_session(s, vm, tree, line):
    """A gdb in the background that waits at the line after the edited one."""
    args = ["set pagination off", "set breakpoint pending on", f"break super.c:{line + 1}",
            'printf "armed\\n"', "continue", "backtrace 4", "info locals",
            'printf "number=%u\\n", sb->s_time_gran', "delete", "detach"]
    argv = [word for command in args for word in ("-ex", command)]
    gdb = Follow(s.start(DEVVM, "gdb", vm, "--batch", *argv, cwd=tree, stderr=subprocess.STDOUT))
    gdb.until("armed")
    return gdb


with Scenario(__file__) as s:
    tree = s.source_tree("fs/nilfs2", "[vm]\ndisks = 256M\nmemory = 768M\n")
    vm = s.new_vm()
    s.work = tree
    s.devvm("up", vm)
    s.devvm("reload-module", "nilfs2")
    s.guest(vm, "mkfs.nilfs2 -q /dev/vda && mkdir -p /mnt/n")

    number = random.randint(10**6, 10**9)
    line = edit(tree, number)
    gdb = gdb_session(s, vm, tree, line)
    s.devvm("reload-module", "nilfs2")
    mount = s.start(DEVVM, "exec", vm, "--", "mount", "-t", "nilfs2", "/dev/vda", "/mnt/n")
    out = gdb.end(90)
    expect_in("nilfs_fill_super", out, "gdb stops there")
    expect_in(f"number={number}", out, "gdb reads the edit's number in the guest")
    expect(re.search(r"#0 .*super\.c:\d+", out), f"backtrace with source lines: {out}")
    expect(re.search(r"^nilfs = 0x", out, re.M), f"locals: {out}")
    mount.communicate(timeout=60)

    done = s.devvm("reload-module", "nilfs2", status=6)
    expect_in("/mnt/n", done.err, "the refusal says what is mounted")
    expect_in("nilfs2", s.guest(vm, "lsmod").out, "and the module is in as before")
    s.guest(vm, "umount /mnt/n")
    s.devvm("reload-module", "nilfs2")

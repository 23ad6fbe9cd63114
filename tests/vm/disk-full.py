#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 240
"""A full disk: `up` says so, leaves nothing, and works once there is room; a reload whose tree is
full says so and loses nothing.

The disk is a small tmpfs that root's `sh setup.sh test` has mounted for us.
"""
import os
import shutil

from harness import Scenario, expect, expect_in, skip, wait_for

NUMBER = "cat /sys/module/probe/parameters/number"


def fill(folder):
    """Takes all the room that there is; returns what gives it back."""
    path = os.path.join(folder, "filler")
    with open(path, "wb", buffering=0) as f:
        try:
            while f.write(bytes(4096)):
                pass
        except OSError:
            pass
    return lambda: os.unlink(path)


def check_up(s, variable, folder):
    """XDG folder `variable` is on the full disk."""
    vm = s.new_vm()
    before = s.env[variable]
    s.env[variable] = os.path.join(folder, variable)
    os.mkdir(s.env[variable], 0o700)
    make_room = fill(folder)
    done = s.devvm("up", vm, status=None)
    expect(done.status in (1, 10), f"{variable} full: status {done.status}: {done.text}")
    expect("No space left" in done.err or "are free" in done.err, f"it says why: {done.err}")
    expect_in(folder, done.err, "and where")
    expect(vm not in s.virsh("list", "--all", "--name").out, "no domain is left")
    make_room()
    s.devvm("up", vm)
    expect(s.guest(vm, "echo on").out == "on\n", "with room it works")
    s.devvm("rm", "--force", vm)
    wait_for(lambda: not s.left_of(vm), "nothing left")
    shutil.rmtree(s.env[variable])
    s.env[variable] = before


def check_reload(s, folder):
    tree = os.path.join(folder, "probe")
    shutil.move(s.probe_tree(), tree)
    s.work = tree
    vm = s.new_vm()
    s.devvm("up", vm)
    s.devvm("reload-module", "probe")
    make_room = fill(folder)
    with open(os.path.join(tree, "probe.c"), "r+") as f:  # fits where the old text was
        text = f.read().replace("number = 1;", "number = 2;")
        f.seek(0)
        f.write(text)
    s.devvm("reload-module", "probe", status=8)
    expect(s.guest(vm, NUMBER).out == "1\n", "the old module is still in")
    make_room()
    s.devvm("reload-module", "probe")
    expect(s.guest(vm, NUMBER).out == "2\n", "with room it works")


small = os.environ.get("DEVVM_SMALL_DISK")
with Scenario(__file__) as s:
    if not small:
        skip("no small disk to fill: root's `sh setup.sh test` mounts one where it may")
    s.work = s.tree()
    check_up(s, "XDG_CACHE_HOME", small)
    check_up(s, "XDG_DATA_HOME", small)
    check_reload(s, small)

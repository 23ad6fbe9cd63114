#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 240
"""A reload that fails loses nothing: build error, failing init, another kernel's .ko, in use."""
import os
import re
import shutil

from harness import Scenario, expect, expect_in

NUMBER = "cat /sys/module/probe/parameters/number"


def check_build_error(s, vm, tree):
    s.write_probe(tree, "probe", 2, init="this is no C;")
    done = s.devvm("reload-module", "probe", status=8)
    expect_in("probe.c", done.text, "the compiler's words are shown")
    expect(s.guest(vm, NUMBER).out == "1\n", "the old module is still in")


def check_failing_init(s, vm, tree):
    s.write_probe(tree, "probe", 3, init='pr_err("probe: lid is off\\n"); return -EIO;')
    done = s.devvm("reload-module", "probe", status=1)
    expect_in("lid is off", done.text, "the kernel's own words are shown")
    s.write_probe(tree, "probe", 4)
    s.devvm("reload-module", "probe")
    expect(s.guest(vm, NUMBER).out == "4\n", "the next reload works")


def check_other_kernel(s, vm, tree):
    """A .ko of another kernel: ours with its vermagic changed, as the build command's result."""
    ko = os.path.join(tree, "probe.ko")
    with open(ko, "rb") as f:
        data = f.read()
    found = re.search(rb"vermagic=[^\0]*", data)
    other = found.group(0).replace(b"6.", b"5.", 1)
    foreign = os.path.join(tree, "foreign.bin")
    with open(foreign, "wb") as f:
        f.write(data.replace(found.group(0), other))
    conf = os.path.join(tree, "devvm.conf")
    with open(conf, "w") as f:
        f.write("[module probe]\ndir = .\nko = probe.ko\n"
                "build_command = cp foreign.bin probe.ko\n")
    done = s.devvm("reload-module", "probe", status=9)
    expect_in("5.", done.err, "the error names the other kernel")
    expect(s.guest(vm, NUMBER).out == "4\n", "nothing was unloaded")
    os.unlink(conf)
    os.unlink(ko)


def check_in_use(s, vm):
    """The guest's own root hangs on sunrpc: the refusal says through whom."""
    done = s.devvm("unload-module", "sunrpc", "--vm", vm, status=6)
    expect_in("nfs", done.err, "who holds it")
    expect("sunrpc" in s.guest(vm, "cat /proc/modules").out, "it is still in")


def check_unload(s, vm):
    s.devvm("reload-module", "probe")
    s.devvm("unload-module", "probe")
    expect("probe" not in s.guest(vm, "cat /proc/modules").out, "unload-module unloads")
    s.devvm("reload-module", "probe")


with Scenario(__file__) as s:
    tree = s.probe_tree()
    vm = s.new_vm()
    s.work = tree
    s.devvm("up", vm)
    s.devvm("reload-module", "probe")
    expect(s.guest(vm, NUMBER).out == "1\n", "the module is in")
    check_build_error(s, vm, tree)
    check_failing_init(s, vm, tree)
    check_other_kernel(s, vm, tree)
    check_in_use(s, vm)
    check_unload(s, vm)
    s.devvm("reload-module", "nosuch", status=4)
    shutil.rmtree(tree)
    s.work = os.path.dirname(tree)

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 5400
# alone
"""No stale build, ever: each edit made just before a reload is in the module that is loaded.

Edits in place and by rename, of the same size and not, some while the build before still compiles,
0 to 20 ms before the reload, while guest processes hold the source and the old .ko open. A gdb that
stays attached stops on the edited line in each new module and reads the new value.
CI: 8 on the host and 2 in the guest; long: 50 and 50.
"""
import os
import random
import re
import subprocess
import time

from harness import DEVVM, LONG, Follow, Scenario, expect, say

NUMBER = "cat /sys/module/probe/parameters/number"
SOURCE_LINE = "int product = twice * number;"


def edit(tree, number, how):
    path = os.path.join(tree, "probe.c")
    with open(path) as f:
        text = re.sub(r"static int number = \d+;", f"static int number = {number};", f.read())
    if how == "rename":
        with open(path + ".new", "w") as f:
            f.write(text)
        os.rename(path + ".new", path)
    else:
        with open(path, "r+") as f:
            f.write(text)
            f.truncate()


def numbers():
    """Different ones; some as long as the one before, some longer or shorter."""
    seen = {0}
    while True:
        digits = random.choice((4, 4, 4, 6, 8))
        number = random.randint(10 ** (digits - 1), 10**digits - 1)
        if number not in seen:
            seen.add(number)
            yield number


def attach(s, vm, tree):
    with open(os.path.join(tree, "probe.c")) as f:
        line = 1 + f.read().split(SOURCE_LINE)[0].count("\n")
    script = os.path.join(s.base, "gdb.cmd")
    with open(script, "w") as f:
        f.write(f"set pagination off\nset breakpoint pending on\nbreak probe.c:{line}\n"
                "commands\nsilent\nprintf \"HIT %d\\n\", number\ncontinue\nend\n"
                "printf \"ARMED\\n\"\ncontinue\n")
    gdb = Follow(s.start(DEVVM, "gdb", vm, "--batch", "--", "-x", script, cwd=tree,
                         stderr=subprocess.STDOUT))
    gdb.until("ARMED")
    return gdb


def one_edit(s, vm, tree, number, where, overlap):
    if overlap:  # a build of a value that nobody shall see runs while the source changes
        first = s.start(DEVVM, "reload-module", "probe", where)
        edit(tree, 1, "in place")
        time.sleep(random.uniform(0.05, 0.6))
    edit(tree, number, random.choice(("in place", "rename")))
    time.sleep(random.uniform(0, 0.02))
    s.devvm("reload-module", "probe", where, deadline=180)
    if overlap:
        first.communicate(timeout=180)
    got = s.guest(vm, NUMBER).out.strip()
    expect(got == str(number), f"the module has {got}, the source {number} ({where})")


def run(s, vm, tree, where, count, gdb):
    source = numbers()
    for i in range(count):
        number = next(source)
        begin = time.monotonic()
        one_edit(s, vm, tree, number, where, overlap=i % 5 == 3)
        gdb.until(f"HIT {number}\n", 20)
        say(f"{where} {i + 1}/{count} {time.monotonic() - begin:.1f} s")


with Scenario(__file__) as s:
    s.work = tree = s.probe_tree()
    vm = s.new_vm()
    s.devvm("up", vm)
    s.devvm("reload-module", "probe")
    s.start(DEVVM, "exec", vm, "--", "sh", "-c",
            f"exec 3< {tree}/probe.c 4< {tree}/probe.ko; sleep 3600")
    gdb = attach(s, vm, tree)
    run(s, vm, tree, "--on-host", 50 if LONG else 8, gdb)
    run(s, vm, tree, "--in-guest", 50 if LONG else 2, gdb)

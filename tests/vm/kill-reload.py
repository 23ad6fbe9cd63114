#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 900
"""kill -9 of `devvm reload-module` at random moments: the next reload is right (CI: 4, long: 20)."""
import random
import time

from harness import DEVVM, LONG, Scenario, expect, say

with Scenario(__file__) as s:
    s.work = tree = s.probe_tree()
    vm = s.new_vm()
    s.devvm("up", vm)
    s.devvm("reload-module", "probe")
    s.write_probe(tree, "probe", 2)
    length = s.devvm("reload-module", "probe").seconds
    count = 20 if LONG else 4
    for i in range(count):
        moment = length * (i + random.random()) / count
        say(f"killed after {moment:.2f} of {length:.2f} s")
        s.write_probe(tree, "probe", 100 + i)
        reload = s.start(DEVVM, "reload-module", "probe")
        time.sleep(moment)
        reload.kill()
        reload.communicate()
        s.write_probe(tree, "probe", 200 + i)
        s.devvm("reload-module", "probe")
        got = s.guest(vm, "cat /sys/module/probe/parameters/number").out
        expect(got == f"{200 + i}\n", f"the module is the newest: {got}")

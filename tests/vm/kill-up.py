#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 900
"""kill -9 of `devvm up` at random moments over its whole length: the next `up` finishes the job,
and `rm` leaves nothing (CI: 4 moments, long: 20)."""
import random
import time

from harness import DEVVM, LONG, Scenario, expect, say

with Scenario(__file__) as s:
    s.work = s.tree()
    vm = s.new_vm()
    length = s.devvm("up", vm).seconds
    s.devvm("rm", "--force", vm)
    count = 20 if LONG else 4
    for i in range(count):
        vm = s.new_vm()
        moment = length * (i + random.random()) / count
        say(f"killed after {moment:.2f} of {length:.2f} s")
        up = s.start(DEVVM, "up", vm)
        time.sleep(moment)
        up.kill()
        up.communicate()
        if i % 2:
            s.devvm("up", vm)
            expect(s.guest(vm, "uname -n").out.strip() == vm, "it is up")
        s.devvm("rm", "--force", vm, status=None)
        left = s.left_of(vm)
        expect(not left, f"after rm: {left}")

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 300
"""kill -9 of devvm-nfsd while the guest builds: the build waits a moment, goes on and succeeds."""
import os
import signal

from harness import DEVVM, Scenario, alive, expect, say, wait_for

KILLS = 3

with Scenario(__file__) as s:
    s.work = tree = s.probe_tree(number=31)
    vm = s.new_vm()
    s.devvm("up", vm)
    build = s.start(DEVVM, "reload-module", "probe", "--in-guest")
    kills = 0
    for pause in (0.5, 2.0, 3.0):
        try:
            build.wait(pause)
            break  # it was faster than we are
        except Exception:
            nfsd = s.nfsd_pid(vm)
            os.kill(nfsd, signal.SIGKILL)
            kills += 1
            wait_for(lambda n=nfsd: not alive(n) and s.nfsd_pid(vm) != n, "a new server", 20)
    out, err = build.communicate(timeout=200)
    say(f"{kills} kills during the build")
    expect(kills >= 1, "it was killed during the build")
    expect(build.returncode == 0, f"the build succeeds: {out}{err}")
    got = s.guest(vm, "cat /sys/module/probe/parameters/number").out
    expect(got == "31\n", f"and makes the right module: {got}")

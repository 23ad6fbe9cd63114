#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 500
"""kill -9 of devvm-nfsd while the guest builds: the build waits a moment, goes on and succeeds."""
import contextlib
import os
import signal
import subprocess

from harness import DEVVM, Scenario, expect, say, wait_for

with Scenario(__file__) as s:
    s.work = tree = s.probe_tree(number=31)
    vm = s.new_vm()
    s.devvm("up", vm)
    build = s.start(DEVVM, "reload-module", "probe", "--in-guest")
    kills = 0
    for pause in (0.5, 2.0, 3.0):
        with contextlib.suppress(subprocess.TimeoutExpired):
            build.wait(pause)
            break  # it was faster than we are
        nfsd = wait_for(lambda: s.nfsd_pid(vm), "a server", 20)
        os.kill(nfsd, signal.SIGKILL)
        kills += 1
        wait_for(lambda n=nfsd: s.nfsd_pid(vm) not in (n, None), "a new server", 20)
    out, err = build.communicate(timeout=400)
    say(f"{kills} kills during the build")
    expect(kills >= 1, "it was killed during the build")
    expect(build.returncode == 0, f"the build succeeds: {out}{err}")
    got = s.guest(vm, "cat /sys/module/probe/parameters/number").out
    expect(got == "31\n", f"and makes the right module: {got}")

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 180
"""gdb killed while it holds the VM: commands answer at once while it is stopped, and it runs on
when gdb is gone."""
import time

from harness import DEVVM, Scenario, expect, wait_for, processes

with Scenario(__file__) as s:
    s.work = s.tree()
    vm = s.new_vm()
    s.devvm("up", vm)
    gdb = s.start(DEVVM, "gdb", vm, "--batch", "-ex", "printf \"held\\n\"", "-ex",
                  "shell sleep 100")
    wait_for(lambda: "held" in gdb.stdout.readline(), "gdb holds it", 60)
    begin = time.monotonic()
    done = s.devvm("exec", vm, "--", "true", status=7)
    expect(time.monotonic() - begin < 3, "a stopped VM is told at once")
    expect("gdb" in done.err, f"and why: {done.err}")
    row = [r for r in s.devvm("ls", "--json").json() if r["name"] == vm][0]
    expect("gdb" in row["state"] or "stopped" in row["state"], f"ls: {row}")
    gdb.kill()
    for pid in processes("gdb"):
        if f"{vm}" in processes("gdb").get(pid, ""):
            import os
            os.kill(pid, 9)
    wait_for(lambda: s.devvm("exec", vm, "--", "true", status=None).status == 0,
             "the VM runs on", 20)

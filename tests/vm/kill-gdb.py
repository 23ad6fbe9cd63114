#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 180
"""gdb killed while it holds the VM: while it is stopped commands are told so at once, and when gdb
is gone it runs on."""
from harness import DEVVM, Scenario, expect, expect_in, wait_for

with Scenario(__file__) as s:
    s.work = s.tree()
    vm = s.new_vm()
    s.devvm("up", vm)
    for _ in range(3):
        gdb = s.start(DEVVM, "gdb", vm, "--batch", "-ex", "printf \"held\\n\"", "-ex",
                      "python import time; gdb.flush(); time.sleep(100)")
        wait_for(lambda: "held" in gdb.stdout.readline(), "gdb holds it", 60)
        done = s.devvm("exec", vm, "--", "true", status=7)
        expect(done.seconds < 3, f"told at once: {done.seconds:.1f} s")
        expect_in("gdb", done.err, "and why")
        expect_in("gdb", s.devvm("ls").out, "ls says so too")
        gdb.kill()
        wait_for(lambda: s.devvm("exec", vm, "--", "true", status=None).status == 0,
                 "the VM runs on", 20)

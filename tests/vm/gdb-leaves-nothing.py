#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 240
"""However gdb ends, and whatever dies beside it, the VM runs on and no breakpoint stays in it."""
import os
import signal

from harness import DEVVM, Scenario, expect, expect_in, wait_for

BREAK = "break __do_sys_newuname"


def runs(s, vm):
    """No breakpoint stops it: uname is answered twice."""
    return all(s.devvm("exec", vm, "--", "uname", "-r", status=None).status == 0
               for _ in range(2))


with Scenario(__file__) as s:
    s.work = s.tree()
    vm = s.new_vm()
    s.devvm("up", vm)
    expect(runs(s, vm), "it runs")

    # killed while the VM runs with a breakpoint in it
    gdb = s.start(DEVVM, "gdb", vm, "--batch", "-ex", BREAK, "-ex", "printf \"set\\n\"",
                  "-ex", "continue")
    wait_for(lambda: "set" in gdb.stdout.readline(), "the breakpoint", 60)
    wait_for(lambda: s.devvm("exec", vm, "--", "true", status=None).status == 0, "continue", 20)

    # a second gdb is turned away, and does not disturb
    second = s.devvm("gdb", vm, "--batch", "-ex", "info threads", status=None)
    expect("Thread 1" not in second.text, f"one gdb at a time: {second.text}")
    s.devvm("exec", vm, "--", "true")

    os.kill(gdb.pid, signal.SIGKILL)
    gdb.wait(20)
    wait_for(lambda: runs(s, vm), "no breakpoint is left by a killed gdb", 20)

    # the keeper killed while gdb holds the VM at a breakpoint
    gdb = s.start(DEVVM, "gdb", vm, "--batch", "-ex", BREAK, "-ex", "printf \"set\\n\"",
                  "-ex", "continue", "-ex", "printf \"hit\\n\"",
                  "-ex", "python import time; gdb.flush(); time.sleep(100)")
    wait_for(lambda: "set" in gdb.stdout.readline(), "the breakpoint", 60)
    wait_for(lambda: s.devvm("exec", vm, "--", "true", status=None).status == 0, "continue", 20)
    # under a terminal of its own, so that it is told why nothing happens
    command = s.start("script", "-qec", f"{DEVVM} exec {vm} -- uname -r", "/dev/null")
    wait_for(lambda: "hit" in gdb.stdout.readline(), "the breakpoint is hit", 60)
    told = s.devvm("exec", vm, "--", "true", status=7)
    expect_in("gdb", told.err, "a new command is told")
    wait_for(lambda: "stopped in gdb" in command.stdout.readline(), "a note", 20)
    expect(command.poll() is None, "the one that hit the breakpoint waits")
    os.kill(s.keeper_pid(vm), signal.SIGKILL)
    expect(command.wait(20) == 255, f"it ends as lost: {command.returncode}")
    expect_in("keeper was lost", command.stdout.read(), "and says so")
    wait_for(lambda: runs(s, vm), "the next keeper mends it", 20)
    gdb.kill()
    gdb.wait(20)

    # and the port serves the next gdb
    expect_in("Thread 1", s.gdb(vm, "info threads").out, "the next gdb")
    expect(runs(s, vm), "after a detach, too")

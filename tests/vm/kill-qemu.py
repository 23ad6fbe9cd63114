#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 180
"""kill -9 of QEMU: running commands end and say so, `ls` says so, `up` starts the VM again."""
import os
import signal

from harness import DEVVM, Scenario, expect, wait_for

with Scenario(__file__) as s:
    s.work = s.tree()
    vm = s.new_vm()
    s.devvm("up", vm)
    port = s.status(vm)["gdb"]
    command = s.start(DEVVM, "exec", vm, "--", "sh", "-c", "echo begun; sleep 600")
    wait_for(lambda: command.stdout.readline() == "begun\n", "the command's begin")
    os.kill(s.qemu_pid(vm), signal.SIGKILL)
    out, err = command.communicate(timeout=20)
    expect(command.returncode == 255, f"cut off: {command.returncode} {err}")
    row = wait_for(lambda: [r for r in s.devvm("ls", "--json").json()
                            if r["name"] == vm and r["state"] not in ("running", "up")],
                   "ls sees it", 10)[0]
    expect(row["state"] in ("off", "crashed"), f"state: {row}")
    s.devvm("exec", vm, "--", "true", status=5)
    s.devvm("up", vm)
    expect(s.guest(vm, "echo on").out == "on\n", "up again")
    expect(s.status(vm)["gdb"] == port, "at the same gdb address")

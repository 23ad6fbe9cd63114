#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 180
"""kill -9 of the keeper: a running command ends with its own status and a message, the next one
brings the keeper back, and the guest goes on as it was, its NFS mounts too."""
import os
import signal

from harness import DEVVM, Scenario, expect, wait_for

with Scenario(__file__) as s:
    s.work = tree = s.tree()
    vm = s.new_vm()
    s.devvm("up", vm)
    s.guest(vm, "echo kept > /run/kept")
    for round_number in range(3):
        command = s.start(DEVVM, "exec", vm, "--", "sh", "-c", "echo begun; sleep 600")
        wait_for(lambda: command.stdout.readline() == "begun\n", "the command's begin")
        keeper = s.keeper_pid(vm)
        os.kill(keeper, signal.SIGKILL)
        out, err = command.communicate(timeout=20)
        expect(command.returncode == 255, f"cut off: {command.returncode} {err}")
        expect(err.strip(), "and it says so")
        expect(s.guest(vm, "cat /run/kept").out == "kept\n", "the same guest answers")
        expect(s.keeper_pid(vm) != keeper, "through a new keeper")
        with open(os.path.join(tree, "f"), "w") as f:
            f.write(f"{round_number}\n")
        expect(s.guest(vm, f"cat {tree}/f").out == f"{round_number}\n", "NFS goes on")
        s.guest(vm, "test $(pgrep -c -x sleep) -eq 0", status=None)

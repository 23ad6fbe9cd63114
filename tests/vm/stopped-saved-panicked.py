#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 240
"""What libvirt does to a VM behind devvm's back, and what its kernel does: suspended, saved and
restored, panicked. Commands say so at once, and go on where they can."""
import os
import time

from harness import DEVVM, Scenario, expect, expect_in, wait_for

with Scenario(__file__) as s:
    s.work = tree = s.tree()
    vm = s.new_vm()
    s.devvm("up", vm)
    s.guest(vm, "echo kept > /run/kept")

    expect(s.virsh("suspend", vm).status == 0, "virsh suspend")
    done = s.devvm("exec", vm, "--", "true", status=7)
    expect(done.seconds < 5, f"told at once: {done.seconds:.1f} s")
    expect_in("virsh resume", done.err, "and what to type")
    expect(s.virsh("resume", vm).status == 0, "virsh resume")
    s.devvm("exec", vm, "--", "true")

    image = os.path.join(s.work, "memory")
    running = s.start(DEVVM, "exec", vm, "--", "sleep", "600")
    expect(s.virsh("save", vm, image).status == 0, "virsh save")
    expect(running.wait(20) == 255, f"cut off: {running.returncode}")
    s.devvm("exec", vm, "--", "true", status=5)
    expect(s.virsh("restore", image).status == 0, "virsh restore")
    expect(s.guest(vm, "cat /run/kept").out == "kept\n", "the same guest, through a new keeper")
    with open(os.path.join(tree, "f"), "w") as f:
        f.write("edited\n")
    expect(s.guest(vm, f"cat {tree}/f").out == "edited\n", "its NFS mounts go on")
    behind = time.time() - float(s.guest(vm, "date +%s.%N").out)
    expect(abs(behind) < 3, f"its clock was set: {behind:.1f} s behind")

    running = s.start(DEVVM, "exec", vm, "--", "sh", "-c", "echo begun; sleep 600")
    wait_for(lambda: running.stdout.readline() == "begun\n", "the command's begin")
    cause = s.start(DEVVM, "exec", vm, "--", "sh", "-c", "echo c > /proc/sysrq-trigger")
    for child in (running, cause):
        out, err = child.communicate(timeout=30)
        expect(child.returncode == 255, f"ended by the panic: {child.returncode} {err}")
        expect_in("panicked", err, "and told why")
    expect_in("panicked", s.devvm("exec", vm, "--", "true", status=7).err, "later ones, too")
    s.devvm("reboot", vm)
    s.devvm("exec", vm, "--", "true")

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 240
"""Three VMs of one user at once, each with a gdb address of its own: each gdb reads its own VM."""
import os

from harness import DEVVM, Scenario, expect, expect_in

with Scenario(__file__) as s:
    tree = s.tree()
    with open(os.path.join(tree, "devvm.conf"), "w") as f:
        f.write("[vm]\nmemory = 512M\ncpus = 1\ndisks = none\n")
    vms = [s.new_vm() for _ in range(3)]
    ups = [s.start(DEVVM, "up", vm, cwd=tree) for vm in vms]
    for up in ups:
        out, err = up.communicate(timeout=120)
        expect(up.returncode == 0, f"up: {out}{err}")
    addresses = {s.status(vm)["gdb"] for vm in vms}
    expect(len(addresses) == 3, f"three addresses: {addresses}")
    rows = s.devvm("ls", "--json").json()
    expect({r["name"] for r in rows} == set(vms), f"ls --json lists them: {rows}")
    expect_in("--vm", s.devvm("reload-module", "x", status=None, cwd=tree).err,
              "with three up, the VM must be named")
    for vm in vms:
        out = s.gdb(vm, "printf \"node=%s\\n\", init_uts_ns.name.nodename", cwd=tree).out
        expect_in(f"node={vm}\n", out, f"gdb on {vm}")
        expect(s.guest(vm, "echo on").out == "on\n", f"{vm} runs on after gdb")

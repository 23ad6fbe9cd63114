#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 240
"""Two users, each with a VM of the same name: two gdb ports, and neither sees the other's VM."""
from harness import DEVVM, Scenario, expect, expect_in
from stub_question import gdb_port

SECOND = """
set -eu
tree=$(mktemp -d)
trap '"$devvm" rm --force "$vm"; rm -rf "$tree"' EXIT
cd "$tree"
"$devvm" up -q "$vm"
"$devvm" exec "$vm" -- uname -n
"$devvm" status "$vm" --json
"$devvm" ls
"""

with Scenario(__file__) as s:
    s.work = s.tree()
    vm = s.new_vm()
    s.as_second_user("true")  # skips where there is none, before the boot
    s.devvm("up", vm)
    port = gdb_port(s, vm)
    done = s.as_second_user("env", f"devvm={DEVVM}", f"vm={vm}", "sh", "-c", SECOND, timeout=150)
    expect(done.status == 0, f"the second user's VM: {done.status}: {done.text}")
    expect_in(f"{vm}\n", done.out, "its guest answers")
    expect_in("127.0.0.1:", done.out, "it has a gdb port")
    expect(f"127.0.0.1:{port}" not in done.out, f"which is not the first user's: {done.out}")
    expect(s.guest(vm, "echo on").out == "on\n", "the first user's VM is as it was")
    expect(gdb_port(s, vm) == port, "with its port")

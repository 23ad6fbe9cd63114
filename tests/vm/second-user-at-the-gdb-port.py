#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 180
"""Another user of the host is turned away from the gdb port, whose stub could write our files."""
import sys

from harness import Scenario, expect, expect_in
from stub_question import answered, gdb_port, question

with Scenario(__file__) as s:
    s.work = s.tree()
    s.as_second_user("true")  # skips where there is none, before the boot
    vm = s.new_vm()
    s.devvm("up", vm)
    ask = question("127.0.0.1", gdb_port(s, vm))
    expect(answered(s.run(sys.executable, "-c", ask)), "the owner's process gets an answer")
    expect(not answered(s.as_second_user(sys.executable, "-c", ask)),
           "another user's process does not")
    expect_in("running", s.devvm("ls").out, "the VM was not stopped")
    expect(s.guest(vm, "echo on").out == "on\n", "and answers")

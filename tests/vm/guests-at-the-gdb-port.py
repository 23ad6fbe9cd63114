#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 180
"""A gdb stub is a shell on the host: guests, the VM's own and another's, that come to its port
through 10.0.2.2 are turned away; the owner's processes are let in."""
import sys

from harness import Scenario, expect, expect_in
from stub_question import answered, gdb_port, question

with Scenario(__file__) as s:
    s.work = s.tree()
    vm, other = s.new_vm(), s.new_vm()
    s.devvm("up", vm)
    s.devvm("up", other)
    port = gdb_port(s, vm)
    expect(answered(s.run(sys.executable, "-c", question("127.0.0.1", port))),
           "the owner's process gets an answer")
    expect(s.guest(vm, "echo on").out == "on\n", "the VM runs on once the owner's client is gone")
    for guest in (vm, other):
        done = s.devvm("exec", guest, "--", "python3", "-c", question("10.0.2.2", port),
                       status=None)
        expect(not answered(done), f"guest {guest} is turned away")
    expect_in("running", s.devvm("ls").out, "the VM was not stopped by them")

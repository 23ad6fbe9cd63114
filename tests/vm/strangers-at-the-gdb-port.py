#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 240
"""A gdb stub is a shell on the host: another user and a guest are turned away from its port.

Both ask the stub's first question and print what came back. The owner's process gets an answer
with the same code, so a refusal is a refusal and no mistake of the question.
"""
import sys

from harness import Scenario, expect, expect_in, say

ASK = """
import socket
s = socket.create_connection(("{host}", {port}), 5)
s.settimeout(5)
try:
    s.sendall(b"+$qSupported#37")
    got = s.recv(200)
except OSError as e:
    got = b""
print("stub answers" if b"PacketSize" in got else "no answer", got[:60])
"""


def answer(done):
    say(done.text.strip())
    expect("answer" in done.out or "refused" in done.text.lower() or "Error" in done.text,
           f"the question was asked: {done.text}")
    return "stub answers" in done.out


with Scenario(__file__) as s:
    s.work = s.tree()
    vm = s.new_vm()
    other = s.new_vm()
    s.devvm("up", vm)
    port = int(s.status(vm)["gdb"].rsplit(":", 1)[1])
    mine = ASK.format(host="127.0.0.1", port=port)
    expect(answer(s.run(sys.executable, "-c", mine)), "the owner's process gets an answer")
    expect(s.guest(vm, "echo on").out == "on\n", "the VM runs on once the owner's client is gone")

    s.devvm("up", other)
    from_guest = ASK.format(host="10.0.2.2", port=port)
    for guest in (vm, other):
        done = s.devvm("exec", guest, "--", "python3", "-c", from_guest, status=None)
        expect(not answer(done), f"guest {guest} is turned away")
    expect_in("running", s.devvm("ls").out, "the VM was not stopped by strangers")
    expect(not answer(s.as_second_user(sys.executable, "-c", mine)),
           "another user is turned away")
    expect(s.guest(vm, "echo on").out == "on\n", "the VM still runs")

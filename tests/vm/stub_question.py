# SPDX-License-Identifier: GPL-2.0-or-later
"""gdb's first question to a stub, as a program that any process can run, here or in a guest.

The owner's process gets an answer with the same program, so that a refusal is a refusal and no
mistake of the question."""
from harness import expect, say

PROGRAM = """
import socket
s = socket.create_connection(("{host}", {port}), 5)
s.settimeout(5)
try:
    s.sendall(b"+$qSupported#37")
    got = s.recv(200)
except OSError as e:
    got = b""
print("stub answers" if b"$" in got else "no answer", got[:60])
"""


def question(host, port):
    return PROGRAM.format(host=host, port=port)


def answered(done):
    """True when the stub answered, False when the connection was refused or dropped."""
    say(done.text.strip())
    expect("answer" in done.out or "refused" in done.text.lower(),
           f"the question was asked: {done.text}")
    return "stub answers" in done.out


def gdb_port(s, vm):
    return int(s.status(vm)["gdb"].rsplit(":", 1)[1])

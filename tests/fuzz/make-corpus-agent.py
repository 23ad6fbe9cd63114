#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make-corpus-agent.py FOLDER: the seeds of fuzz-agent: what a host says, whole and cut."""
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vm"))
import agentlink as al


def frame(stream, kind, payload=b""):
    return struct.pack("<5I", al.MAGIC, 1, stream, kind, len(payload)) + payload


SETUP = ("hostname a%20b\nclock 1\nnet 10.0.2.15/24 10.0.2.2 10.0.2.3\nnfs 10.0.2.2 1 t\n"
         "root r\ntree t0 /a/b\ntree t1 /a\nlink /l t\nowner 1 2 u /h\nrelease 6.1\n").encode()
HELLO = frame(0, al.HELLO, al.u32(1) + al.data(bytes(16)) + al.text("x"))
EXEC = frame(2, al.OPEN, al.u32(al.EXEC) + al.u32(7) + al.text("/") + al.u32(2) + al.text("a")
             + al.text("b") + al.u32(1) + al.text("K=V") + al.u32(24) + al.u32(80))
SEEDS = {
    "hello": b"\xff" + bytes(100) + HELLO,
    "setup": b"\xff" + frame(1, al.OPEN, al.u32(al.SETUP) + al.data(SETUP)),
    "bad-setup": b"\x10" + frame(1, al.OPEN, al.u32(al.SETUP) + al.data(b"tree t0 /..\n%zz")),
    "exec": b"\x01" + HELLO + EXEC + frame(2, al.STDIN, b"input") + frame(2, al.STDIN),
    "cut": b"\x05" + EXEC[:30] + bytes(200) + HELLO,
    "too-long": b"\x05" + struct.pack("<5I", al.MAGIC, 1, 1, 4, 40000) + b"DVM1" + HELLO,
    "false-magic": b"\x00DDVDVMDVM1" + HELLO,
    "strings": b"\xff" + frame(3, al.OPEN, al.text("") + al.u32(0xffffffff)),
    "empty": b"",
}
os.makedirs(sys.argv[1], exist_ok=True)
for name, content in SEEDS.items():
    with open(os.path.join(sys.argv[1], name), "wb") as f:
        f.write(content)

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the first inputs of fuzz-nfs (tests/fuzz/corpus-nfs): each call once, well-formed."""
import os
import struct
import sys

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus-nfs")


def u32(*v):
    return b"".join(struct.pack(">I", x) for x in v)


def u64(v):
    return struct.pack(">Q", v)


def opaque(b):
    return u32(len(b)) + b + b"\0" * (-len(b) % 4)


def fh(i):
    return opaque(b"HNDL" + bytes([i]) + b"\0" * 35)


ROOT, FILE, DIR, LINK, CONF, RO, ROFILE, BAD = (fh(i) for i in range(8))
NONE = u32(0, 0, 0, 0, 0, 0)
MODE = u32(1, 0o640, 0, 0, 0, 0, 0)
ALL = u32(1, 0o600, 1, 0, 1, 0, 1) + u64(5) + u32(1, 2, 1000, 5)


def call(proc, *args, mount=False):
    body = b"".join(args)
    return bytes([proc | (0x20 if mount else 0)]) + struct.pack(">H", len(body)) + body


def record(prog, proc, *args):
    body = u32(1, 0, 2, prog, 3, proc, 1) + opaque(
        u32(0) + opaque(b"host") + u32(0, 0, 1, 0)) + u32(0, 0) + b"".join(args)
    return u32(0x80000000 | len(body)) + body


MNT = b"/00112233445566778899aabbccddeeff/rw/dir"
INPUTS = {
    "null": call(0),
    "getattr": call(1, ROOT) + call(1, FILE) + call(1, BAD) + call(1, ROFILE),
    "setattr": call(2, FILE, ALL, u32(0)) + call(2, FILE, NONE, u32(1, 0, 0)),
    "lookup": b"".join(call(3, ROOT, opaque(n)) for n in (b"file", b"link", b".", b"..", b"a/b", b"")),
    "access": call(4, FILE, u32(0x3f)) + call(4, DIR, u32(0x3f)) + call(4, CONF, u32(0x3f)),
    "readlink": call(5, LINK) + call(5, FILE),
    "read": call(6, FILE, u64(0), u32(100)) + call(6, DIR, u64(0), u32(9)) +
            call(6, FILE, u64(1 << 63), u32(0xffffffff)),
    "write": call(7, FILE, u64(3), u32(4, 0), opaque(b"data")) + call(21, FILE, u64(0), u32(0)),
    "write-conf": call(7, CONF, u64(0), u32(4, 2), opaque(b"evil")) + call(2, CONF, ALL, u32(0)),
    "create": call(8, ROOT, opaque(b"n"), u32(0), MODE) + call(8, ROOT, opaque(b"n"), u32(1), MODE) +
              call(8, DIR, opaque(b"x"), u32(2, 7, 8)) + call(8, DIR, opaque(b"x"), u32(2, 7, 8)),
    "mkdir": call(9, ROOT, opaque(b"d"), MODE) + call(13, ROOT, opaque(b"d")),
    "symlink": call(10, DIR, opaque(b"s"), NONE, opaque(b"/etc/passwd")),
    "mknod": call(11, DIR, opaque(b"p"), u32(7), MODE) + call(11, DIR, opaque(b"c"), u32(4), MODE, u64(0)),
    "remove": call(12, DIR, opaque(b"inner")) + call(12, ROOT, opaque(b"devvm.conf")),
    "rename": call(14, ROOT, opaque(b"file"), DIR, opaque(b"f2")) +
              call(14, ROOT, opaque(b"devvm.conf"), ROOT, opaque(b"z")) +
              call(14, DIR, opaque(b"f2"), ROOT, opaque(b"devvm.conf")),
    "link": call(15, FILE, DIR, opaque(b"l")) + call(15, CONF, ROOT, opaque(b"l")) +
            call(15, LINK, RO, opaque(b"l")),
    "readdir": call(16, ROOT, u64(0), u64(0), u32(4096)) + call(16, ROOT, u64(3), u64(0), u32(128)),
    "readdirplus": call(17, ROOT, u64(0), u64(0), u32(512, 4096)) + call(17, RO, u64(0), u64(0), u32(9, 9)),
    "fs": call(18, ROOT) + call(19, ROOT) + call(20, ROOT),
    "mount": b"".join(call(i, opaque(MNT), mount=True) for i in range(6)),
    "gitdir": call(9, ROOT, opaque(b"g"), MODE) + call(8, ROOT, opaque(b".git"), u32(0), MODE) +
              call(14, ROOT, opaque(b"g"), ROOT, opaque(b".git")),
    "socket": b"S" + record(100003, 0) + record(100005, 1, opaque(MNT)) + record(100227, 0),
    "socket-fragments": b"S" + u32(4) + u32(1) + u32(0x80000000 | 36) + record(100003, 0)[8:],
    "socket-bad": b"S" + u32(0xffffffff) + b"x" * 40,
}


def main():
    os.makedirs(OUT, exist_ok=True)
    for name, data in INPUTS.items():
        with open(os.path.join(OUT, name), "wb") as f:
            f.write(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 120
"""Wrong words: refused with their reason, a status of their kind, and nothing done."""
import glob
import os
import socket

from harness import Scenario, expect, expect_in


def check_names(s):
    for name in ("../x", 'a"b<c>', "", "-x", ".hidden", "a/b", "a b", "x" * 41, "a\nb"):
        done = s.devvm("up", "--", name, status=None)
        expect(done.status in (2, 3), f"up {name!r}: status {done.status}: {done.text}")
        expect(len(done.err.strip()) > 0 and len(done.err) < 2000, f"says why: {done.text}")
    expect(not glob.glob(os.path.join(s.base, "?/devvm/*")), "nothing was made")
    expect(s.virsh("list", "--all", "--name").out.strip() == "", "no domain was made")


def check_unknown(s):
    for args in (("status",), ("exec",), ("down",), ("rm", "--force"), ("console",), ("log",)):
        tail = ("--", "true") if args[0] == "exec" else ()
        done = s.devvm(*args, "nosuchvm", *tail, status=4)
        expect_in("nosuchvm", done.err, f"{args[0]} names it")
    expect_in("up", s.devvm("upp", "x", status=2).err, "a slip in a verb is guessed")
    s.devvm("up", "--no-such-option", "x", status=2)


def check_config(s, tree, vm):
    conf = os.path.join(tree, "devvm.conf")
    for text, word in (("[vm]\nmemroy = 1G\n", "memroy"), ("[vm]\nmemory = many\n", "many"),
                       ("[vm]\ndisks = 5G\n\n[vmm]\n", "vmm"), ("[vm]\nkernel = 9.9.9-none\n", "9.9.9")):
        with open(conf, "w") as f:
            f.write(text)
        done = s.devvm("up", vm, status=None)
        expect(done.status in (3, 4), f"{text!r}: status {done.status}: {done.text}")
        expect_in(word, done.err, "the error names it")
        if done.status == 3:
            expect_in("devvm.conf", done.err, "and the file")
    os.unlink(conf)


def check_port_taken(s, vm):
    """A stranger listens on the first port: another one is taken, and told."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 1234))
            taken.listen()
        except OSError:
            pass  # somebody is on it already: as good
        s.devvm("up", vm)
        port = int(s.status(vm)["gdb"].rsplit(":", 1)[1])
        expect(port != 1234, "another port was found")


with Scenario(__file__) as s:
    s.work = tree = s.tree()
    vm = s.new_vm()
    check_names(s)
    check_unknown(s)
    check_config(s, tree, vm)
    check_port_taken(s, vm)

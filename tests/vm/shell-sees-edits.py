#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 180
"""A shell that stays open sees an edit of the host within a second (CI: 5 of 5, long: 20 of 20).

It reads the file right before each edit, so that its caches are as full as they get.
"""
import os
import pty
import subprocess
import time

from harness import DEVVM, LONG, Scenario, expect, wait_for


class Shell:
    def __init__(self, s, vm):
        self.master, slave = pty.openpty()
        self.text = ""
        self.child = subprocess.Popen([DEVVM, "shell", vm], stdin=slave, stdout=slave,
                                      stderr=slave, env=s.env, cwd=s.work)
        s.children.append(self.child)
        os.close(slave)
        os.set_blocking(self.master, False)
        self.turn = 0

    def read(self):
        try:
            self.text += os.read(self.master, 65536).decode(errors="replace")
        except OSError:
            pass  # nothing there now (EAGAIN), or nobody on the other end any more (EIO)
        return self.text

    def run(self, command):
        """The command's output; markers that its echo does not contain end it."""
        self.turn += 1
        before = len(self.read())
        os.write(self.master, f"{command}; echo E''ND{self.turn}.\n".encode())
        end = f"END{self.turn}."
        text = wait_for(lambda: end in self.read()[before:] and self.text[before:], command, 20)
        return text


with Scenario(__file__) as s:
    s.work = tree = s.tree()
    path = os.path.join(tree, "file")
    with open(path, "w") as f:
        f.write("value 0\n")
    vm = s.new_vm()
    s.devvm("up", vm)
    shell = Shell(s, vm)
    expect("tty" in shell.run("test -t 0 && echo t''ty"), "the shell has a terminal")
    late = []
    count = 20 if LONG else 5
    for i in range(1, count + 1):
        shell.run(f"cat {path}")
        with open(path, "r+") as f:
            f.write(f"value {i}\n")
        time.sleep(1)  # the promise: within a second
        if f"value {i}" not in shell.run(f"cat {path}"):
            late.append(i)
    expect(not late, f"seen too late: {late} of {count}")
    os.write(shell.master, b"exit 3\n")
    expect(wait_for(lambda: shell.read() and shell.child.poll(), "the shell's end", 10) == 3,
           "the shell's exit status")

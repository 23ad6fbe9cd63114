#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 120
"""devvm shell on a terminal: sizes, keys, and our terminal as it was, however it ends."""
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

from harness import DEVVM, Failed, Scenario, expect


class Terminal:
    """A devvm under a pty of its own; the slave stays open, so that its modes can be looked at."""

    def __init__(self, s, *args):
        self.master, self.slave = pty.openpty()
        self.resize(30, 100)
        self.before = termios.tcgetattr(self.slave)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(self.slave, fd)
            os.chdir(s.work)
            os.execve(DEVVM, [DEVVM, *args], {**s.env, "TERM": "vt100"})
        self.seen = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def expect(self, text, deadline=15):
        end = time.monotonic() + deadline
        while text.encode() not in self.seen:
            if time.monotonic() > end:
                raise Failed(f"no {text!r} on the terminal: {self.seen!r}")
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 4096)
        self.seen = self.seen.split(text.encode(), 1)[1]

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self):
        """The exit status; what is still written is drained meanwhile."""
        limit = time.monotonic() + 20
        while time.monotonic() < limit:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                expect(termios.tcgetattr(self.slave) == self.before, "the terminal as it was")
                return os.waitstatus_to_exitcode(status)
            if select.select([self.master], [], [], 0.1)[0]:
                os.read(self.master, 4096)
        os.kill(self.pid, signal.SIGKILL)
        raise Failed("it does not end")


with Scenario(__file__) as s:
    s.work = s.tree()
    vm = s.new_vm()
    s.devvm("up", vm)

    t = Terminal(s, "shell", vm)
    t.type("PS1='go> '; stty size; echo $TERM\r")
    t.expect("30 100")
    t.expect("vt100")
    t.resize(41, 123)
    t.type("sleep 0.2; stty size\r")
    t.expect("41 123")
    t.type("sleep 600\r")
    t.expect("sleep 600")
    time.sleep(0.3)  # for the sleep to be in front: a pty does not tell
    t.type("\x03")
    t.type("echo status=$?\r")
    t.expect("status=130")
    t.type("exit 6\r")
    expect(t.end() == 6, "the shell's status")

    t = Terminal(s, "shell", vm)
    t.type("echo up=$((1+1))\r")
    t.expect("up=2")
    os.kill(t.pid, signal.SIGTERM)
    expect(t.end() == 130, "ended from outside")

    t = Terminal(s, "shell", vm)
    t.type("echo up=$((1+1))\r")
    t.expect("up=2")
    t.type("\r~.")
    expect(t.end() == 130, "left with ~.")

    t = Terminal(s, "exec", vm, "--", "sh", "-c", "test -t 0 && echo a=$((2+2)); exit 9")
    t.expect("a=4")
    expect(t.end() == 9, "exec has a terminal when we have one")

    t = Terminal(s, "exec", vm, "-T", "--", "sh", "-c", "test -t 0 || echo a=$((2+3))")
    t.expect("a=5")
    expect(t.end() == 0, "-T: none")

    # the keeper dies under a shell
    t = Terminal(s, "shell", vm)
    t.type("echo up=$((1+1))\r")
    t.expect("up=2")
    os.kill(s.keeper_pid(vm), signal.SIGKILL)
    expect(t.end() == 255, "lost")

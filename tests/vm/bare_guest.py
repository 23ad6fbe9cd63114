# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest without devvm: QEMU, a kernel, a shell on a serial port, and QEMU's own gdb stub.

For tests of what happens inside of gdb: it boots in 3 s, and nothing but gdb's script is tried.
Guest and Gdb are both driven by writing commands and waiting for a mark behind their output.
"""
import base64
import gzip
import json
import os
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import time

from harness import TOP, Failed, skip

SCRIPT = os.path.join(TOP, "templates", "devvm-gdb.py")
DEADLINE = 90

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
exec 3<>/dev/ttyS1
stty -F /dev/ttyS1 raw -echo
echo READY >/dev/ttyS1
while :; do sh </dev/ttyS1 >/dev/ttyS1 2>&1; done
"""


def cpio(files):
    """{name: (mode, bytes)} as a newc archive."""
    out = bytearray()
    entries = list(files.items()) + [("TRAILER!!!", (0, b""))]
    for number, (name, (mode, data)) in enumerate(entries, 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return bytes(out)


def vmlinux(release):
    path = f"/usr/lib/debug/boot/vmlinux-{release}"
    if not os.path.exists(path):
        skip(f"no {path}: linux-image-{release}-dbg is not installed")
    return path


def busybox():
    path = shutil.which("busybox") or "/bin/busybox"
    if not os.path.exists(path):
        skip("busybox-static is not installed")
    with open(path, "rb") as f:
        data = f.read()
    if b"ld-linux" in data[:4096]:
        skip("busybox is not static: busybox-static is not installed")
    return data


class Guest:
    """A running guest; files: {path in the guest: bytes}."""

    def __init__(self, folder, release, files=(), cpus=2, append="", stopped=False):
        self.folder = folder
        self.marks = 0
        content = {"init": (stat.S_IFREG | 0o755, INIT.encode()), "bin": (stat.S_IFDIR | 0o755, b""),
                   "bin/busybox": (stat.S_IFREG | 0o755, busybox())}
        for name, data in dict(files).items():
            content[name] = (stat.S_IFREG | 0o644, data)
        initrd = os.path.join(folder, "initrd")
        with open(initrd, "wb") as f:
            f.write(gzip.compress(cpio(content), 1))
        self.gdb_socket, self.qmp_socket = (os.path.join(folder, n) for n in ("gdb", "qmp"))
        shell = os.path.join(folder, "shell")
        argv = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512", "-smp", str(cpus),
                "-nodefaults", "-no-user-config", "-display", "none",
                "-kernel", f"/boot/vmlinuz-{release}", "-initrd", initrd,
                "-append", f"console=ttyS0 nokaslr quiet {append}",
                "-serial", "file:" + os.path.join(folder, "console"),
                "-serial", f"unix:{shell},server=on,wait=off",
                "-chardev", f"socket,path={self.gdb_socket},server=on,wait=off,id=g",
                "-gdb", "chardev:g", "-qmp", f"unix:{self.qmp_socket},server=on,wait=off"]
        self.qemu = subprocess.Popen(argv + (["-S"] if stopped else []))
        self.shell = self._connect(shell)
        self.received = b""
        if not stopped:
            self.wait_ready()

    def _connect(self, path):
        end = time.monotonic() + 20
        while True:
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(path)
                return s
            except OSError:
                s.close()
                if time.monotonic() > end:
                    raise Failed("QEMU does not start") from None
                time.sleep(0.02)

    def wait_ready(self):
        """The shell is there, and stays on the first CPU with all that it starts: gdb's threads are
        CPUs, and a finish or next does not follow a task that moves to another one."""
        self._until(rb"READY", DEADLINE)
        self.run("taskset -p 1 $$ >/dev/null")

    def _until(self, pattern, deadline):
        """The first match of PATTERN in what the shell says; what is before it is dropped."""
        end = time.monotonic() + deadline
        while True:
            found = re.search(pattern, self.received)
            if found:
                before, self.received = self.received[:found.start()], self.received[found.end():]
                return found, before.decode(errors="replace")
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.shell], [], [], left)[0]:
                raise Failed(f"the guest's shell is silent; last: {self.received[-500:]!r}")
            data = self.shell.recv(65536)
            if not data:
                raise Failed("QEMU has gone")
            self.received += data

    def start(self, command):
        """Type COMMAND; wait() with the mark that it returns."""
        self.marks += 1
        self.shell.sendall(f"{command}; echo MA''RK{self.marks}-$?.\n".encode())
        return self.marks

    def wait(self, mark, deadline=DEADLINE):
        found, output = self._until(rb"MARK%d-(\d+)\.\r?\n" % mark, deadline)
        return int(found.group(1)), output

    def run(self, command):
        status, output = self.wait(self.start(command))
        if status:
            raise Failed(f"in the guest: {command}: status {status}: {output}")
        return output

    def put(self, data, path):
        lines = base64.encodebytes(data).decode()
        self.run(f"base64 -d >{path} <<'EOF'\n{lines}EOF\ntrue")

    def qmp(self, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.qmp_socket)
            with s.makefile("rw") as f:
                f.readline()
                for name in ("qmp_capabilities", command):
                    f.write(json.dumps({"execute": name}) + "\n")
                    f.flush()
                    answer = json.loads(f.readline())
                    while "event" in answer:
                        answer = json.loads(f.readline())
                return answer.get("return")

    def running(self):
        return self.qmp("query-status")["status"] == "running"

    def let_go(self):
        """What the keeper does for a gdb that was killed: its breakpoints out, the guest goes on."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.gdb_socket)
            s.sendall(b"+$D;1#b0")
            answer = b""
            while b"$OK" not in answer:
                answer += s.recv(4096) or b"$OK"

    def end(self):
        self.shell.close()
        self.qemu.kill()
        self.qemu.wait()


class Gdb:
    """A gdb with the script, attached to GUEST. Settings become $devvm_NAME."""

    def __init__(self, guest, kernel_symbols, **settings):
        argv = ["gdb", "-q", "-nx", "-iex", "set pagination off", "-iex", "set confirm off",
                "-iex", "set breakpoint pending on", "-iex", "set width 0", kernel_symbols]
        for name, value in settings.items():
            argv += ["-ex", f'set $devvm_{name} = "{value}"']
        argv += ["-ex", f"source {SCRIPT}", "-ex", f"target remote {guest.gdb_socket}"]
        self.log = ""
        env = dict(os.environ, XDG_CACHE_HOME=os.path.join(guest.folder, "cache"))
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=env)
        self.seen = 0
        self.marks = 0
        self.do("echo attached\\n")

    def start(self, *commands):
        """Type COMMANDS; wait() with the mark that it returns."""
        self.marks += 1
        text = "".join(c + "\n" for c in commands) + f"echo =MARK%d=\\n\n" % self.marks
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()
        return self.marks

    def wait(self, mark, deadline=DEADLINE):
        end = time.monotonic() + deadline
        want = f"=MARK{mark}=\n"
        pipe = self.process.stdout
        while want not in self.log[self.seen:]:
            left = end - time.monotonic()
            data = b""
            if left > 0 and select.select([pipe], [], [], left)[0]:
                data = os.read(pipe.fileno(), 65536)
            if not data:
                raise Failed("gdb is silent or has gone:\n" + self.log[-3000:])
            self.log += data.decode(errors="replace")
        at = self.log.index(want, self.seen)
        text, self.seen = self.log[self.seen:at], at + len(want)
        return text.replace("(gdb) ", "")

    def do(self, *commands):
        return self.wait(self.start(*commands))

    def interrupt(self, mark):
        """Ctrl-C while it runs, then what it said.

        gdb loses one that comes while it runs Python for an internal breakpoint: a person types
        it again, and so do we.
        """
        for _ in range(4):
            self.process.send_signal(signal.SIGINT)
            try:
                return self.wait(mark, 8)
            except Failed:
                if self.process.poll() is not None:
                    raise
        self.process.send_signal(signal.SIGINT)
        return self.wait(mark)

    def quit(self):
        self.process.stdin.write(b"quit\n")
        self.process.stdin.flush()
        self.process.wait(30)

    def kill(self):
        self.process.kill()
        self.process.wait()

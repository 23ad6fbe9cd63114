#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# tier: ci
# deadline: 180
"""The guest's agent by its protocol alone, under bare QEMU: boot, operations, streams, sessions."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import traceback

import agentlink as al
from barevm import BareVm

TREE = tempfile.mkdtemp(prefix="devvm-agent-tree-")


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def exited(done, value=0):
    expect((done.how, done.value) == (al.EXITED, value), done)
    return done


def test_before_setup(vm):
    exited(vm.link.do(al.PING))
    expect(vm.connect() == al.EARLY, "a second HELLO, and the guest is still EARLY")
    bad = vm.link.setup(["root root"])
    expect(bad.how == al.FAILED and "nfs server" in bad.message, bad)
    bad = vm.link.do(999)
    expect(bad.how == al.FAILED and "no operation 999" in bad.message, bad)


def test_setup(vm):
    vm.setup()
    expect(vm.connect() == al.READY, "READY after the setup")
    exited(vm.link.setup(["anything"]))  # once a boot: a new keeper need not know


def test_root(vm):
    run = vm.link.exec
    expect(run(["hostname"]).out == b"bare\n", "hostname")
    expect(b"bare" in run(["cat", "/etc/hosts"]).out, "/etc/hosts")
    expect(run(["cat", "/etc/resolv.conf"]).out == b"nameserver 10.0.2.3\n", "resolv.conf")
    expect(run(["stat", "-c", "%a", "/tmp", "/root", "/dev/shm"]).out == b"1777\n700\n1777\n",
           "modes")
    exited(run(["sh", "-ec", "touch /etc/new; mkdir -p /lib/modules/x/y; test -c /dev/ptmx;"
                             "test -d /sys/kernel/debug/block; test -e /sys/kernel/tracing/trace;"
                             "test -c /dev/loop-control; : >/dev/fd/1; mv /usr/share /usr/moved"]))
    expect(abs(float(run(["date", "+%s.%N"]).out) - time.time()) < 5, "the clock")
    disk = run(["readlink", "-f", "/dev/disk/by-id/virtio-scratch0"]).out
    expect(disk == b"/dev/vda\n", disk)
    expect(not os.path.exists("/etc/new"), "the host's /etc is untouched")
    expect(run(["sh", "-c", "ip -o addr show eth0 2>/dev/null || cat /proc/net/fib_trie"]).out
           .find(b"10.0.2.15") >= 0, "the address")


def test_exec(vm):
    run = vm.link.exec
    expect(run(["sh", "-c", "echo out; echo err >&2; exit 7"])[:2] == (al.EXITED, 7), "status")
    done = run(["sh", "-c", "echo out; echo err >&2"])
    expect((done.out, done.err) == (b"out\n", b"err\n"), done)
    expect(run(["sh", "-c", "kill -9 $$"])[:2] == (al.SIGNALED, 9), "signalled")
    done = exited(run(["no-such-command"]), 127)
    expect("no-such-command" in done.message, done)
    exited(run(["/no/such/file"]), 127)
    exited(run(["/etc/passwd"]), 126)
    done = exited(run(["pwd"], cwd="/nonexistent"))
    expect(done.out == b"/\n" and b"/nonexistent" in done.err, done)
    done = run(["env"], env=["TERM=xterm", "HOME=/tmp"])
    expect(b"TERM=xterm\n" in done.out and b"HOME=/tmp\n" in done.out and b"PATH=/usr" in done.out,
           done)
    expect(done.out.count(b"HOME=") == 1, done)
    data = os.urandom(1 << 20)
    expect(run(["cat"], stdin=data).out == data, "1 MiB through cat")
    expect(run(["cat"]).out == b"", "no stdin is /dev/null")
    exited(run(["true"], stdin=data))  # nobody reads it


def test_background(vm):
    """A straggler that holds the pipes does not hold the command's end."""
    began = time.monotonic()
    done = exited(vm.link.exec(["sh", "-c", "sleep 60 & echo started"]))
    expect(done.out == b"started\n" and time.monotonic() - began < 5, done)


def test_all_output_before_exit(vm):
    for size in (1, 65536, 65537, 300000):
        done = exited(vm.link.exec(["head", "-c", str(size), "/dev/zero"]))
        expect(len(done.out) == size, (size, len(done.out)))


def test_signals(vm):
    stream = vm.link.start(["sh", "-c", "trap 'echo got; exit 3' TERM; echo ready;"
                                        "while :; do sleep 0.1; done"])
    vm.link.pump_until(lambda: stream.out == b"ready\n")
    stream.send(al.SIGNAL, al.u32(15))
    done = exited(stream.wait(), 3)
    expect(done.out == b"ready\ngot\n", done)
    stream = vm.link.start(["sh", "-c", "trap '' HUP; echo ready; while :; do sleep 0.1; done"])
    vm.link.pump_until(lambda: stream.out == b"ready\n")
    stream.send(al.CANCEL)
    expect(stream.wait()[:2] == (al.SIGNALED, 9), "killed after a CANCEL that it ignores")


def test_terminal(vm):
    stream = vm.link.start(["sh", "-c", "stty size; tty; read x; stty size; echo \"<$x>\""], al.TTY,
                           rows=33, columns=99)
    vm.link.pump_until(lambda: b"/dev/pts/" in stream.out)
    stream.send(al.WINSIZE, al.u32(40) + al.u32(120))
    stream.write(b"hello\r")
    done = exited(stream.wait())
    expect(b"33 99\r\n" in done.out and b"40 120\r\n" in done.out and b"<hello>" in done.out, done)
    stream = vm.link.start(["cat"], al.TTY)
    stream.write(b"x\r")
    stream.eof()
    exited(stream.wait())
    stream = vm.link.start(["sh", "-c", "echo ready; exec sleep 60"], al.TTY)
    vm.link.pump_until(lambda: b"ready" in stream.out)
    stream.write(b"\x03")
    expect(stream.wait()[:2] == (al.SIGNALED, 2), "^C")


def test_window(vm):
    """A client that stops reading stops its own stream, no other, and nothing is lost."""
    stuck = vm.link.start(["head", "-c", "1000000", "/dev/zero"])
    stuck.auto_credit = False
    vm.link.pump_until(lambda: len(stuck.out) == al.WINDOW)
    for _ in range(5):
        exited(vm.link.exec(["echo", "free"]))
    expect(len(stuck.out) == al.WINDOW and not stuck.exit, "more than its window")
    stuck.auto_credit = True
    stuck.give()
    expect(len(exited(stuck.wait()).out) == 1000000, "all bytes")


def test_many_streams(vm):
    streams = [vm.link.start(["cat"], al.WANT_STDIN) for _ in range(64)]
    over = vm.link.do(al.PING)
    expect(over.how == al.FAILED and "64 operations" in over.message, over)
    for i, stream in enumerate(streams):
        stream.write(b"%d\n" % i)
        stream.eof()
    for i, stream in enumerate(streams):
        expect(exited(stream.wait(60)).out == b"%d\n" % i, i)


def test_files(vm):
    data = os.urandom(500000)
    exited(vm.link.put("/tmp/a/b/file", data, 0o750))
    expect(vm.link.do(al.GET, al.text("/tmp/a/b/file")).out == data, "GET what was PUT")
    expect(vm.link.exec(["stat", "-c", "%a", "/tmp/a/b/file"]).out == b"750\n", "mode")
    exited(vm.link.do(al.SYMLINK, al.text("/tmp/l/link") + al.text("x")))
    exited(vm.link.do(al.SYMLINK, al.text("/tmp/l/link") + al.text("y")))
    expect(vm.link.exec(["readlink", "/tmp/l/link"]).out == b"y\n", "SYMLINK replaces")
    missing = vm.link.do(al.GET, al.text("/nope"))
    expect(missing.how == al.FAILED and missing.value == 2, missing)
    expect(len(vm.link.do(al.GET, al.text("/proc/modules")).out) > 100, "GET of /proc")
    # Cut short: neither the file nor a temporary one is left.
    stream = vm.link.open(al.PUT, al.text("/tmp/cut/x") + al.u32(0o644) + struct.pack("<Q", 100))
    stream.write(b"only this")
    vm.connect()
    listed = vm.link.exec(["sh", "-c", "i=0; while [ -n \"$(ls /tmp/cut)\" ] && [ $i -lt 100 ];"
                                       "do i=$((i+1)); sleep 0.05; done; ls /tmp/cut"])
    expect(listed.out == b"", listed)


def test_modules(vm):
    users = vm.link.do(al.USERS, al.text("nfs") + al.text("nfs,nfs4"))
    fields = [line.split("\t") for line in exited(users).out.decode().splitlines()]
    expect(["module", "nfsv3"] in fields, fields)
    expect(any(f[0] == "mount" and f[2] == TREE for f in fields), fields)
    holder = vm.link.start(["sleep", "60"], cwd=TREE)
    exited(vm.link.exec(["true"]))
    users = exited(vm.link.do(al.USERS, al.text("nfs") + al.text("nfs"))).out.decode()
    expect("sleep\tcwd\t" + TREE in users, users)
    holder.send(al.CANCEL)
    holder.wait()
    busy = vm.link.do(al.RMMOD, al.text("nfs") + al.u32(0))
    expect(busy.how == al.FAILED and busy.value in (11, 16), busy)
    none = vm.link.do(al.RMMOD, al.text("nope") + al.u32(0))
    expect(none.how == al.FAILED and none.value == 2, none)


def test_kernel_log(vm):
    exited(vm.link.exec(["sh", "-c", "echo devvm-test-mark >/dev/kmsg"]))
    out = exited(vm.link.do(al.KLOG, struct.pack("<Q", 0))).out.decode()
    last = [line for line in out.splitlines() if not line.startswith(" ")][-1]
    expect("devvm-test-mark" in last, last)
    number = int(last.split(",")[1])
    out = exited(vm.link.do(al.KLOG, struct.pack("<Q", number + 1))).out
    expect(out == b"", out)


def test_clock(vm):
    exited(vm.link.do(al.CLOCK, struct.pack("<Q", 1000000000 * 10**9)))
    expect(vm.link.exec(["date", "+%Y"]).out == b"2001\n", "the clock was set")
    exited(vm.link.do(al.CLOCK, struct.pack("<Q", time.time_ns())))


def test_sessions(vm):
    """A new host: the old session's commands end, its frames are dropped, garbage is survived."""
    vm.link.start(["sh", "-c", "echo $$ >/tmp/old; exec sleep 1000"])
    vm.link.start(["yes"]).auto_credit = False
    exited(vm.link.exec(["sh", "-c", "i=0; until [ -s /tmp/old ] || [ $i -gt 100 ];"
                                     "do i=$((i+1)); sleep 0.05; done"]))
    pid = vm.link.exec(["cat", "/tmp/old"]).out.decode().strip()
    vm.link.socket.sendall(os.urandom(5000) + b"DVM1" + os.urandom(1000))
    vm.connect()
    gone = vm.link.exec(["sh", "-c", f"i=0; while kill -0 {pid} 2>/dev/null && [ $i -lt 100 ];"
                                     "do i=$((i+1)); sleep 0.05; done; ! kill -0 " + pid])
    exited(gone)
    # Cut in the middle of a frame.
    vm.link.socket.sendall(struct.pack("<5I", al.MAGIC, vm.link.session, 5, al.OPEN, 30000) + b"x")
    vm.connect()
    exited(vm.link.do(al.PING))


def test_malformed(vm):
    for op in range(1, 12):
        if op in (al.PING, al.SETUP, al.POWER):
            continue
        for junk in (b"", b"\xff" * 4, b"\xff" * 40, b"\0" * 3, b"\1\0\0\0x"):
            vm.link.do(op, junk)
    exited(vm.link.do(al.PING))


def test_mounts_are_shared(vm):
    exited(vm.link.exec(["sh", "-c", "mkdir -p /mnt/x && mount -t tmpfs x /mnt/x && echo 1 >/mnt/x/f"],
                        al.FRESH))
    expect(vm.link.exec(["cat", "/mnt/x/f"]).out == b"1\n", "a plain exec sees it")
    expect(vm.link.exec(["cat", "/mnt/x/f"], al.FRESH).out == b"1\n", "a fresh exec sees it")
    exited(vm.link.exec(["umount", "/mnt/x"], al.FRESH))
    expect(b"/mnt/x" not in vm.link.do(al.GET, al.text("/proc/self/mounts")).out, "unmounted")


def test_mounts_below_a_tree(vm):
    where = os.path.join(TREE, "mnt")
    os.makedirs(where, exist_ok=True)
    exited(vm.link.exec(["sh", "-c", f"mount -t tmpfs x {where} && echo 1 >{where}/f"], al.FRESH))
    for flags in (0, al.FRESH):
        expect(vm.link.exec(["cat", where + "/f"], flags).out == b"1\n", f"seen, flags {flags}")
    exited(vm.link.exec(["umount", where], al.FRESH))
    for flags in (0, al.FRESH):
        exited(vm.link.exec(["cat", where + "/f"], flags), 1)


def test_fresh_sees_edits(vm):
    """Host edits just before a command: 20 of 20, with the file held open by others."""
    path, link = os.path.join(TREE, "edited"), vm.link
    with open(path, "w") as f:
        f.write("edit 00\n")
    holders = [link.start(["sh", "-c", f"exec 3<{path}; read x <&3; echo held; sleep 1000"], flags)
               for flags in (0, al.FRESH)]
    for holder in holders:
        link.pump_until(lambda h=holder: h.out == b"held\n")
    seen = 0
    for i in range(20):
        if i % 2:
            with open(path + ".new", "w") as f:
                f.write(f"edit {i:02}\n")
            os.rename(path + ".new", path)
        else:
            with open(path, "r+") as f:  # the same size, in the same file
                f.write(f"edit {i:02}\n")
        with open(os.path.join(TREE, f"new{i}"), "w") as f:
            f.write("x")
        done = link.exec(["sh", "-c", f"cat edited; test -s new{i} && echo new"], al.FRESH, TREE)
        seen += done.out == b"edit %02d\nnew\n" % i
        os.unlink(os.path.join(TREE, f"new{i}"))
    for holder in holders:
        holder.send(al.CANCEL)
        holder.wait()
    expect(seen == 20, f"{seen} of 20 edits were seen")


def test_shell_sees_edits(vm):
    """The standing mount: within a second."""
    path = os.path.join(TREE, "watched")
    with open(path, "w") as f:
        f.write("0\n")
    shell = vm.link.start(["sh"], al.WANT_STDIN, TREE)
    for i in range(1, 6):
        with open(path, "w") as f:
            f.write(f"{i}\n")
        end = time.monotonic() + 1.5
        while not shell.out.endswith(b"%d\n" % i):
            expect(time.monotonic() < end, f"edit {i} is not seen: {shell.out}")
            before = len(shell.out)
            shell.write(b"cat watched; sleep 0.05\n")
            vm.link.pump_until(lambda n=before: len(shell.out) > n)
    shell.eof()
    exited(shell.wait())


def test_written_back(vm):
    """What a command wrote is on the host at its EXIT: also through mmap after the close."""
    script = ("import mmap,os; f=os.open('mapped',os.O_RDWR|os.O_CREAT,0o644);"
              "os.ftruncate(f,100000); m=mmap.mmap(f,100000); os.close(f); m[:]=b'x'*100000")
    exited(vm.link.exec(["python3", "-c", script], al.FRESH, TREE))
    with open(os.path.join(TREE, "mapped"), "rb") as f:
        expect(f.read() == b"x" * 100000, "the mapped writes are on the host")


def test_server_restart(vm):
    """Commands hang while the server is away; the agent does not, and they go on after it."""
    vm.nfsd.kill()
    vm.nfsd.wait()
    stream = vm.link.start(["sh", "-c", f"cat {TREE}/* >/dev/null; ls {TREE}"], al.FRESH)
    for _ in range(3):
        exited(vm.link.do(al.PING))
        exited(vm.link.do(al.CLOCK, struct.pack("<Q", time.time_ns())))
    vm.start_nfsd()
    exited(stream.wait(60))


def test_power(vm):
    exited(vm.link.do(al.POWER, al.u32(0)))
    expect(vm.qemu.wait(20) == 0, "QEMU ends when the guest powers off")


TESTS = [test_before_setup, test_setup, test_root, test_exec, test_background,
         test_all_output_before_exit, test_signals, test_terminal, test_window, test_many_streams,
         test_files, test_modules, test_kernel_log, test_clock, test_sessions, test_malformed,
         test_mounts_are_shared, test_mounts_below_a_tree,
         test_fresh_sees_edits, test_shell_sees_edits, test_written_back, test_server_restart, test_power]


def main():
    if not shutil.which("qemu-system-x86_64"):
        print("no qemu-system-x86_64 here")
        return 77
    wanted = sys.argv[1:]
    failed = 0
    with BareVm([TREE], disks=[16 << 20]) as vm:
        if wanted:
            vm.setup()
        for test in TESTS:
            if wanted and test.__name__ not in wanted:
                continue
            began = time.monotonic()
            try:
                test(vm)
                result = "ok"
            except Exception:
                traceback.print_exc()
                result, failed = "FAILED", failed + 1
            print(f"{result:6} {test.__name__} {time.monotonic() - began:.1f} s", flush=True)
            if result != "ok" and vm.qemu.poll() is None:
                vm.connect()
        log = vm.log()
        if log:
            print("console:\n" + log)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        status = main()
    except subprocess.CalledProcessError as e:
        print(e.stderr)
        status = 1
    shutil.rmtree(TREE, ignore_errors=True)
    sys.exit(status)

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 240
"""A VM's whole life: up, up again, commands in it, down, up with the same gdb port, rm."""
import os

from harness import Scenario, expect, expect_in, kernel_release, say


def check_up(s, vm):
    done = s.devvm("up", vm)
    say(done.out.strip(), f"({done.seconds:.1f} s)")
    expect_in(vm, done.out, "up's summary")
    expect_in("127.0.0.1:", done.out, "up's summary")
    expect_in(kernel_release(), done.out, "up's summary")


def check_exec(s, vm, tree):
    expect(s.guest(vm, "uname -n").out == vm + "\n", "the guest is called as the VM")
    expect(s.guest(vm, "uname -r").out.strip() == kernel_release(), "the guest's kernel")
    done = s.guest(vm, "echo out; echo err >&2; exit 7", status=7)
    expect((done.out, done.err) == ("out\n", "err\n"), f"both streams, apart: {done.text!r}")
    done = s.devvm("exec", vm, "--", "cat", stdin="from the host\n" * 50000)
    expect(done.out == "from the host\n" * 50000, "stdin passes through")
    s.devvm("exec", vm, "--", "no-such-command", status=127)
    s.devvm("exec", vm, "--", "sh", "-c", "kill -9 $$", status=137)
    expect(s.guest(vm, f"test -d {tree}/.git && echo yes").out == "yes\n",
           "the tree is at the same path")


def check_tree_is_shared(s, vm, tree):
    path = os.path.join(tree, "note")
    s.guest(vm, f"echo guest > {path}")
    with open(path) as f:
        expect(f.read() == "guest\n", "the guest's file is on the host")
    expect(os.stat(path).st_uid == os.getuid(), "and it is ours")
    with open(path, "w") as f:
        f.write("host\n")
    expect(s.guest(vm, f"cat {path}").out == "host\n", "the host's edit is in the guest at once")
    expect(s.guest(vm, f"stat -c %u {path}").out == "0\n", "the owner is root in the guest")


def check_guest_is_confined(s, vm, tree):
    """The host's root is there to be used, not to be written or to be looked through."""
    s.guest(vm, "touch /usr/x && rm /usr/x")  # into the guest's memory
    expect(not os.path.exists("/usr/x"), "the guest's /usr/x is the guest's")
    home = s.guest(vm, f"ls -A {os.path.expanduser('~')}", status=None)
    expect(".bashrc" not in home.out and ".profile" not in home.out,
           "the host's home folder is not shown")
    s.guest(vm, f"echo evil > {tree}/devvm.conf", status=None)
    expect(not os.path.exists(f"{tree}/devvm.conf"), "the guest cannot write devvm.conf")
    s.guest(vm, f"echo evil >> {tree}/.git/config", status=None)
    with open(f"{tree}/.git/config") as f:
        expect("evil" not in f.read(), "the guest cannot write .git/config")


def check_mounts_are_shared(s, vm):
    s.guest(vm, "mkdir -p /mnt/a && mount -t tmpfs a /mnt/a && echo x > /mnt/a/x")
    expect(s.guest(vm, "cat /mnt/a/x").out == "x\n", "a mount outlives the exec that made it")


def check_down_and_up(s, vm, tree):
    port = s.status(vm)["gdb"]
    s.devvm("down", vm)
    expect_in("off", s.devvm("ls").out, "ls of a VM that is down")
    expect_in("down", s.devvm("exec", vm, "--", "true", status=5).err + "down", "exec when down")
    s.devvm("down", vm, status=None)
    s.devvm("up", vm, cwd=tree)
    expect(s.status(vm)["gdb"] == port, "the gdb address is kept")


with Scenario(__file__) as s:
    tree = s.tree()
    vm = s.new_vm()
    s.work = tree
    check_up(s, vm)
    qemu = s.qemu_pid(vm)
    check_up(s, vm)
    expect(s.qemu_pid(vm) == qemu, "the second up leaves the VM alone")
    check_exec(s, vm, tree)
    check_tree_is_shared(s, vm, tree)
    check_guest_is_confined(s, vm, tree)
    check_mounts_are_shared(s, vm)
    expect_in(vm, s.virsh("list", "--name").out, "the owner's virsh")
    check_down_and_up(s, vm, tree)
    s.devvm("reboot", vm)
    expect(s.guest(vm, "ls /mnt/a 2>/dev/null; echo ok").out == "ok\n", "after a reboot")
    s.devvm("rm", "--force", vm)
    s.devvm("status", vm, status=4)

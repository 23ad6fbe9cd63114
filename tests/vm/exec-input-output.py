#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 180
"""What goes into a command and comes out of it: bytes, ends, signals, folders, variables."""
import hashlib
import os
import signal
import subprocess

from harness import DEVVM, Scenario, expect, expect_in, wait_for


def no_process(s, vm, name):
    return s.guest(vm, f"pgrep -x {name}", status=None).status == 1


with Scenario(__file__) as s:
    s.work = tree = s.tree()
    vm = s.new_vm()
    s.devvm("up", vm)

    # 10 MB through the guest and back
    data = os.urandom(10_000_000)
    back = subprocess.run([DEVVM, "exec", vm, "--", "cat"], input=data, env=s.env, cwd=tree,
                          capture_output=True, timeout=60)
    expect(back.returncode == 0, f"cat: {back.returncode} {back.stderr}")
    expect(hashlib.sha256(back.stdout).digest() == hashlib.sha256(data).digest(),
           f"the same bytes: {len(back.stdout)} of {len(data)}")

    # a command that does not read its input, and ends
    done = s.run("sh", "-c", f"head -c 5000000 /dev/zero | {DEVVM} exec {vm} -- true")
    expect(done.status == 0, f"input is not needed: {done.status} {done.text}")
    # no input at all
    done = s.run("sh", "-c", f"{DEVVM} exec {vm} -- cat <&-")
    expect(done.status == 0, f"closed input: {done.status} {done.text}")
    # a reader that goes away
    done = s.run("bash", "-c", f"{DEVVM} exec {vm} -- yes | head -1; echo ${{PIPESTATUS[0]}}")
    expect(done.out == "y\n141\n", f"as a local command would: {done.text!r}")
    wait_for(lambda: no_process(s, vm, "yes"), "yes ends", 20)

    # ends
    s.guest(vm, "exit 42", status=42)
    s.guest(vm, "kill -KILL $$", status=137)
    expect_in("nosuch", s.devvm("exec", vm, "--", "nosuch", status=127).err, "not found")
    s.devvm("exec", vm, "--", "/etc/passwd", status=126)

    # signals
    child = s.start(DEVVM, "exec", vm, "--", "sh", "-c",
                    "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    wait_for(lambda: child.stdout.readline() == "ready\n", "the trap")
    child.send_signal(signal.SIGTERM)
    expect(child.wait(20) == 5 and child.stdout.read() == "got\n", "SIGTERM was passed on")
    child = s.start(DEVVM, "exec", vm, "--", "sh", "-c", "echo ready; exec sleep 600")
    wait_for(lambda: child.stdout.readline() == "ready\n", "the sleep")
    child.kill()
    child.wait(20)
    wait_for(lambda: no_process(s, vm, "sleep"), "a killed client's command ends", 20)

    # where and with what
    os.mkdir(os.path.join(tree, "sub"))
    expect(s.devvm("exec", vm, "--", "pwd", cwd=os.path.join(tree, "sub")).out == f"{tree}/sub\n",
           "our folder, where the guest has it")
    expect(s.devvm("exec", vm, "--", "pwd", cwd="/").out == "/\n", "/ elsewhere")
    expect(s.devvm("exec", vm, "-C", "/tmp", "-e", "A=b c", "-c", 'echo "$A $PWD"').out ==
           "b c /tmp\n", "-C, -e, -c")
    s.devvm("exec", vm, "-e", "A", "--", "true", status=2)
    s.devvm("exec", vm, status=2)
    words = ["a b", "", "*", "'\"", "é\n"]
    expect(s.devvm("exec", vm, "--", "printf", "%s|", *words).out ==
           "".join(w + "|" for w in words), "words arrive as they are")
    expect_in("too long", s.devvm("exec", vm, "--", "true", "x" * 40000, status=1).err, "limit")
    done = s.devvm("shell", vm, stdin="echo $0; pwd\nexit 3\n", status=3)
    expect_in("bash", done.out, "a login shell reads a pipe")

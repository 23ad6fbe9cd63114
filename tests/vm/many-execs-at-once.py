#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 180
# alone
"""Twenty commands at once, one that floods its output and one whose reader stands still: each gets
its own output and exit status, and a shell's echo stays quick all the while."""
import statistics
import time

from harness import DEVVM, Scenario, expect, say, wait_for

MEDIAN_MS, WORST_MS = 100, 1000

with Scenario(__file__) as s:
    s.work = s.tree()
    vm = s.new_vm()
    s.devvm("up", vm)

    flood = s.start("sh", "-c", f"exec {DEVVM} exec {vm} -- yes >/dev/null")
    stuck = s.start(DEVVM, "exec", vm, "--", "sh", "-c", "echo begun; exec yes")
    wait_for(lambda: stuck.stdout.readline() == "begun\n", "the stuck reader's begin")

    many = [s.start(DEVVM, "exec", vm, "--", "sh", "-c",
                    f"echo out{i}; echo err{i} >&2; exit {i}") for i in range(1, 21)]
    echo = s.start(DEVVM, "exec", vm, "--", "cat", bufsize=1)
    times = []
    for i in range(101):
        begin = time.monotonic()
        echo.stdin.write(f"{i}\n")
        echo.stdin.flush()
        expect(echo.stdout.readline() == f"{i}\n", "the echo")
        if i > 0:  # the first one waits for the command's start
            times.append((time.monotonic() - begin) * 1000)
    for i, child in enumerate(many, 1):
        out, err = child.communicate(timeout=60)
        expect((child.returncode, out, err) == (i, f"out{i}\n", f"err{i}\n"),
               f"command {i}: {child.returncode} {out!r} {err!r}")
    say(f"echo: median {statistics.median(times):.1f} ms, worst {max(times):.1f} ms")
    expect(statistics.median(times) < MEDIAN_MS and max(times) < WORST_MS, f"quick: {times}")
    echo.stdin.close()
    expect(echo.wait(20) == 0, "the end of input ends it")

    expect(flood.poll() is None and stuck.poll() is None, "both still run")
    stuck.kill()
    flood.terminate()
    flood.wait(20)
    wait_for(lambda: s.guest(vm, "pgrep -x yes", status=None).status == 1,
             "the flood ends with its client", 20)

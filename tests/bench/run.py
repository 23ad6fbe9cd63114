#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sh setup.sh bench [NAME…]: the benchmarks. Each is a file with bench(s), s being a Scenario of
tests/vm/harness.py. They print tables; nothing here passes or fails by a time."""
import importlib
import os
import sys

import common  # noqa: F401: makes the harness importable
from harness import Scenario

ALL = ("boot", "roundtrip", "reload", "memory")


def main():
    names = [n for n in ALL if not sys.argv[1:] or any(a in n for a in sys.argv[1:])]
    with open("/proc/loadavg") as f:
        load = f.read().split()[0]
    print(f"{os.cpu_count()} CPUs, load {load} at the begin, kernel {os.uname().release}")
    with Scenario(__file__) as s:
        for name in names:
            importlib.import_module(name).bench(s)


if __name__ == "__main__":
    main()

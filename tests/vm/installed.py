#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 300
"""`meson install`: the installed devvm runs from its prefix, with nothing of the build folder."""
import json
import os
import shutil
import subprocess

import harness
from harness import TOP, Scenario, expect, expect_in


def installed_files(build):
    """What will be installed: files of the source tree, and of the build folder."""
    out = subprocess.run(["meson", "introspect", "--installed", build], check=True,
                         capture_output=True, text=True).stdout
    return list(json.loads(out))


with Scenario(__file__) as s:
    prefix = os.path.join(s.base, "p")
    build = os.path.join(s.work, "b")
    subprocess.run(["meson", "setup", "--prefix", prefix, build, TOP], check=True)
    targets = [os.path.relpath(p, build) for p in installed_files(build) if p.startswith(build)]
    subprocess.run(["ninja", "-C", build, *targets], check=True)
    subprocess.run(["meson", "install", "--no-rebuild", "-C", build], check=True)
    shutil.rmtree(build)
    harness.DEVVM = os.path.join(prefix, "bin", "devvm")
    expect_in("devvm", s.run(harness.DEVVM, "--version").out, "--version")
    vm = s.new_vm()
    tree = s.probe_tree(number=5)
    done = s.run(harness.DEVVM, "up", vm, cwd=tree)
    expect(done.status == 0, f"up: {done.text}")
    for pid in (s.keeper_pid(vm), s.nfsd_pid(vm)):
        expect_in(prefix, os.readlink(f"/proc/{pid}/exe"), "the keeper and the server")
    done = s.run(harness.DEVVM, "reload-module", "probe", cwd=tree)
    expect(done.status == 0, f"reload: {done.text}")
    done = s.run(harness.DEVVM, "gdb", vm, "--batch", "-ex", "info line probe_work", cwd=tree)
    expect_in(f'of "{tree}/probe.c"', done.out, f"gdb finds its script, symbols, source: {done.err}")

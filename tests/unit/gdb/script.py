#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The gdb script against processes that have the module structures of several kernels.

script.py TEMPLATES MODULE KERNEL...: for each KERNEL a gdb runs it, with breakpoints
in MODULE that are set before the module exists; it must stop in each, twice, with
the right values, and never outside of the module's life. In TAP.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

COMMANDS = """
set pagination off
set confirm off
set breakpoint pending on
set disable-randomization off
set $devvm_symbols = "%(symbols)s"
set $devvm_search = "%(search)s"
break main
run %(module)s
python sys.path.insert(0, "%(templates)s/gdb")
python import devvm_kernel; devvm_kernel.Kernel.lowest = 0
source %(templates)s/devvm-gdb.py
break fake_init
break fake_call if n == 21
break fake-module.c:%(line)d if in_init == 41
"""
ROUND = """
continue
bt 1
continue
info locals
continue
next
print n
print twice
print fake_constant
print fake_variable
finish
devvm modules
info breakpoints
echo ---\\n
"""


def gdb(commands, folder):
    path = os.path.join(folder, "commands")
    with open(path, "w", encoding="utf-8") as f:
        f.write(commands)
    env = dict(os.environ, XDG_CACHE_HOME=folder)
    done = subprocess.run(["gdb", "-q", "-nx", "-batch", "-x", path, KERNEL], env=env, timeout=120,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    return done.stdout


def line_of(text):
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake-module.c")
    with open(source, encoding="utf-8") as f:
        return 1 + next(i for i, line in enumerate(f) if text in line)


def build_id(path):
    from devvm_elf import ElfFile
    return ElfFile(path).build_id


def wrong_in(text):
    """What is not as it must be in one round's text."""
    bad = []
    for want in ("fake_init () at", "in_init = 41", "fake_call (n=21)", "= 21\n", "= 42\n", "= 12345\n",
                 "= 67890\n", "Value returned is", "devvm: fake_module", "(by build id)"):
        if want not in text:
            bad.append("no '%s'" % want)
    if not re.search(r"^2\.1 +n ", text, re.M):
        bad.append("the breakpoint in code that has gone is still enabled")
    for never in ("Traceback", "Cannot", "Error", "No symbol", "has unknown type"):
        if never in text:
            bad.append("'%s'" % never)
    return bad


def test_follow(folder, module):
    symbols = os.path.join(folder, "symbols.json")
    with open(symbols, "w", encoding="utf-8") as f:
        json.dump({"modules": {"fake-module": {"ko": module, "build_id": build_id(module)}},
                   "search": []}, f)
    values = dict(VALUES, symbols=symbols, search="")
    out = gdb(COMMANDS % values + ROUND + ROUND + "continue\n", folder)
    rounds = out.split("---\n")
    bad = wrong_in(rounds[0]) + wrong_in(rounds[1]) if len(rounds) == 3 else ["rounds are missing"]
    if "exited normally" not in rounds[-1]:
        bad.append("the process did not end well")
    return bad, out


def test_mismatch(folder, module):
    """The folder has only another build: no symbols, and one line that says so."""
    other = os.path.join(folder, "fake_module.ko")
    with open(module, "rb") as f:
        data = bytearray(f.read())
    at = data.index(bytes.fromhex(build_id(module)))
    data[at] ^= 0xFF
    with open(other, "wb") as f:
        f.write(data)
    values = dict(VALUES, symbols="", search=folder)
    out = gdb(COMMANDS % values + "continue\n", folder)
    bad = [] if "exited normally" in out else ["a breakpoint hit in a module without symbols"]
    if out.count("fake_module: no symbols: the guest's module is build") != 1:
        bad.append("the mismatch is not said once")
    return bad, out


def test_cut_off(folder, module):
    """A .ko that is just being written is not used, and nothing breaks."""
    with open(module, "rb") as f:
        data = f.read()
    with open(os.path.join(folder, "fake_module.ko"), "wb") as f:
        f.write(data[: len(data) // 2])
    values = dict(VALUES, symbols=os.path.join(folder, "none"), search=folder)
    out = gdb(COMMANDS % values + "continue\n", folder)
    bad = ["'%s'" % word for word in ("Traceback", "Error") if word in out]
    return bad + ([] if "exited normally" in out else ["did not run to its end"]), out


def main():
    tests = (test_follow, test_mismatch, test_cut_off)
    print("1..%d" % (len(KERNELS) * len(tests)))
    failed = 0
    global KERNEL
    for KERNEL in KERNELS:
        for test in tests:
            with tempfile.TemporaryDirectory(prefix="devvm-gdb-") as folder:
                bad, out = test(folder, MODULE)
            name = "%s %s" % (test.__name__[5:], os.path.basename(KERNEL))
            print("%s - %s" % ("not ok" if bad else "ok", name))
            if bad:
                failed += 1
                print("# " + "; ".join(bad))
                print("# " + out.replace("\n", "\n# "))
    return 1 if failed else 0


if not shutil.which("gdb"):
    print("1..0 # SKIP gdb is not installed")
    sys.exit(0)
TEMPLATES, MODULE, KERNELS = sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3:]
sys.path.insert(0, os.path.join(TEMPLATES, "gdb"))
VALUES = {"module": MODULE, "templates": TEMPLATES, "line": line_of("return in_init")}
KERNEL = None
sys.exit(main())

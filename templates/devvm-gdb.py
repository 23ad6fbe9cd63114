# SPDX-License-Identifier: GPL-2.0-or-later
"""gdb's side of devvm: symbols of the guest's modules, always the right ones.

    gdb VMLINUX -ex 'source devvm-gdb.py' -ex 'target remote …'

`devvm gdb NAME` does that, and before this file is read it sets
    $devvm_symbols   the VM's symbols.json: which file each project module is
    $devvm_search    folders, a line each, where .ko files are looked for
    $devvm_loader    "off": the kernel's own lx-symbols is used instead
The environment (DEVVM_SYMBOLS, …) does as well.
"""

import os
import sys

import gdb

_write_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "gdb"))
import devvm_session  # noqa: E402

sys.dont_write_bytecode = _write_bytecode
devvm_session.start()

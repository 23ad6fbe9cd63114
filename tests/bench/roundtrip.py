# SPDX-License-Identifier: GPL-2.0-or-later
"""`devvm exec NAME -- true`, from the start of devvm to its end."""

from common import table

COUNT = 50


def bench(s):
    tree = s.tree("roundtrip")
    vm = s.new_vm()
    s.devvm("up", vm, cwd=tree)
    for _ in range(3):
        s.devvm("exec", vm, "--", "true")
    true = [s.devvm("exec", vm, "--", "true").seconds * 1000 for _ in range(COUNT)]
    in_tree = [s.devvm("exec", vm, "--", "true", cwd=tree).seconds * 1000 for _ in range(COUNT)]
    alone = [s.run("/bin/true").seconds * 1000 for _ in range(COUNT)]
    version = [s.devvm("--version").seconds * 1000 for _ in range(COUNT)]
    table("Round trip", "ms", {"exec true": true, "exec true, in the tree": in_tree,
                               "devvm --version": version, "/bin/true on the host": alone})
    s.devvm("rm", "--force", vm)

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# tier: long
# deadline: 3000
"""Two real trees of many modules, from Debian's kernel source: the device mapper and netfilter.

One in the middle of the graph is reloaded with its holders, after an edit of it. Long tier only: the
two builds take minutes.
"""
import os
import re

from harness import LONG, Scenario, expect, say, skip

BUILD_DEADLINE = 1200
TREES = (
    # folder, a folder beside it whose headers it includes, the module that pulls the others in, the
    # one in the middle, its source, its holders
    ("drivers/md", None, "dm-thin-pool", "dm-persistent-data",
     "persistent-data/dm-block-manager.c", {"dm_thin_pool"}),
    ("net/netfilter", "net/bridge", "nft_masq", "nf_nat", "nf_nat_core.c", {"nft_masq"}),
)


def mark(path):
    """An edit that a build id shows: one more string in the module."""
    with open(path, "a") as f:
        f.write('\nstatic const char devvm_mark[] __used = "devvm-mark";\n')


def check(s, folder, beside, top, middle, source, holders):
    home = s.work
    if beside:
        os.mkdir(os.path.join(home, "beside"))
        s.work = os.path.join(home, "beside")
        s.source_tree(beside)
    s.work = tree = s.source_tree(folder)
    vm = s.new_vm()
    s.devvm("up", vm)
    first = s.devvm("reload-module", "--json", top, deadline=BUILD_DEADLINE).json()
    say(f"{folder}: first build {first['built_us'] / 1e6:.0f} s, {len(first['loaded'])} loaded")
    before = s.guest(vm, "cat /proc/modules").out
    count = len(re.findall(r"\.ko\n", "".join(
        f"{name}\n" for _, _, names in os.walk(tree) for name in names)))
    expect(count > 10, f"a tree of many modules: {count}")
    mark(os.path.join(tree, source))
    again = s.devvm("reload-module", "--json", middle, deadline=BUILD_DEADLINE).json()
    say(f"{middle}: built {again['built_us'] / 1e6:.1f} s, unloaded {again['unloaded']}, "
        f"total {again['total_us'] / 1e6:.1f} s")
    expect(holders <= set(again["unloaded"]), "the holders went")
    expect(set(again["loaded"]) == set(again["unloaded"]), "and came back")
    with open(again["ko"], "rb") as f:
        expect(b"devvm-mark" in f.read(), "the edit was built")
    after = s.guest(vm, "cat /proc/modules").out
    expect(sorted(x.split()[0] for x in before.splitlines()) ==
           sorted(x.split()[0] for x in after.splitlines()), "the same modules are in")
    s.devvm("rm", "--force", vm)
    s.work = home


if not LONG:
    with Scenario(__file__):
        skip("builds for minutes: long tier only")
with Scenario(__file__) as s:
    for row in TREES:
        check(s, *row)
